"""How users of the task path go through their tasks: in the proportions declared, counted as whole sessions.

Locust draws tasks at random, so over a short window their mix is a matter of chance. Here all users of a target take
tasks from one deck in which each comes as often as its weight says, spread evenly: any stretch of it holds the declared
mix to within a card or two of each kind. A session is one @task method that ended well, or one whole pass of a
SequentialTaskSet in which every step did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from math import gcd
from random import Random
from typing import Any, Protocol, TypeVar

from locust import SequentialTaskSet, TaskSet
from locust.user.task import DefaultTaskSet

from sgibench.load.request import spread

T = TypeVar("T")
DECK = 256
"""Cards dealt before they come again in the same order, at least."""


class Ledger(Protocol):
    """Where users' doings are noted; a target is one."""

    sessions: int
    decks: dict[object, Callable[[], Any]]

    def told_to_wait(self, seconds: float) -> None:
        """Note that a user waits between tasks."""


def conduct(taskset: Any, ledger: Ledger) -> None:
    """Have one of Locust's task sets, and those inside it, take from decks, skip empty sleeps and count sessions."""
    sleep, execute = taskset._sleep, taskset.execute_task  # noqa: SLF001 - Locust has no other place to hook into
    note = _pass_noter(taskset, ledger) if isinstance(taskset, SequentialTaskSet) else _noter(ledger)
    if not isinstance(taskset, SequentialTaskSet) and type(taskset).get_next_task in _DRAWS:
        taskset.get_next_task = _deck_of(taskset, ledger)

    def wait(seconds: float) -> None:
        if seconds > 0:
            ledger.told_to_wait(seconds)
            sleep(seconds)

    def run(task: Any) -> None:
        if isinstance(task, type) and issubclass(task, TaskSet):
            inner: Any = task(taskset.user if isinstance(taskset, DefaultTaskSet) else taskset)
            conduct(inner, ledger)
            inner.run()
            return
        well = False
        try:
            execute(task)
            well = True
        finally:
            note(well)

    taskset._sleep = wait  # noqa: SLF001 - as above
    taskset.execute_task = run


_DRAWS = {TaskSet.get_next_task, DefaultTaskSet.get_next_task}
"""Locust's own ways to choose the next task; whoever has one of their own keeps it."""


def _deck_of(taskset: Any, ledger: Ledger) -> Callable[[], Any]:
    """The deck that all task sets of a kind take from."""
    is_default = isinstance(taskset, DefaultTaskSet)
    kind = type(taskset.user) if is_default else type(taskset)
    if kind not in ledger.decks:
        tasks: Sequence[Any] = taskset.user.tasks if is_default else taskset.tasks
        if not tasks:
            return type(taskset).get_next_task.__get__(taskset)  # type: ignore[no-any-return]  # which says what is wrong
        ledger.decks[kind] = deal(tasks, Random(f"{kind.__qualname__}")).__next__
    return ledger.decks[kind]


def deal(cards: Sequence[T], random: Random) -> Iterator[T]:
    """Give cards for ever, each as often as it is there, evenly spread."""
    counts: dict[T, int] = {}
    for card in cards:
        counts[card] = counts.get(card, 0) + 1
    common = gcd(*counts.values())
    weights = {card: count // common for card, count in counts.items()}
    rounds = -(-DECK // sum(weights.values()))
    return cycle([card for _ in range(rounds) for card in spread(weights, random)])


def _noter(ledger: Ledger) -> Callable[[bool], None]:
    """Count each task that ended well."""

    def note(well: bool) -> None:  # noqa: FBT001 - one word
        ledger.sessions += well

    return note


def _pass_noter(taskset: Any, ledger: Ledger) -> Callable[[bool], None]:
    """Count each pass in which all steps ended well."""
    steps, done, good = len(taskset.tasks), 0, 0

    def note(well: bool) -> None:  # noqa: FBT001 - one word
        nonlocal done, good
        done, good = done + 1, good + well
        if done == steps:
            ledger.sessions += good == steps
            done = good = 0

    return note
