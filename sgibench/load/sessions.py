"""How users of the task path go through their tasks: in the proportions declared, counted as whole sessions.

Locust draws tasks at random, so over a short window their mix is a matter of chance. Here all users of a target take
tasks from one deck in which each comes as often as its weight says, spread evenly: any stretch of it holds the declared
mix to within a card or two of each kind. A session is one @task method that ended well, or one whole pass of a
SequentialTaskSet in which every step did.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from math import gcd
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

import gevent
from locust import SequentialTaskSet, TaskSet, User
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from locust.user.task import LOCUST_STATE_STOPPING, DefaultTaskSet

from sgibench.load.request import spread

T = TypeVar("T")
DECK = 256
"""Cards dealt before they come again in the same order, at least."""
LEFT = (RescheduleTask, RescheduleTaskImmediately)
"""How a task set that was interrupted tells the one around it; nothing went wrong."""
SIGNALS = (*LEFT, StopUser, StopTest)
"""What Locust itself raises in a task; anything else is a fault of the scenario."""


class Ledger(Protocol):
    """Where users' doings are noted; a target is one."""

    sessions: int
    decks: dict[object, Callable[[], Any]]

    def told_to_wait(self, seconds: float) -> None:
        """Note that a user waits between tasks."""

    def fail(self, kind: str, detail: str) -> None:
        """Count an error of no request in particular."""


def conduct(taskset: Any, ledger: Ledger) -> None:
    """Have one of Locust's task sets, and those inside it, take from decks, skip empty sleeps and count sessions."""
    sleep = taskset._sleep  # noqa: SLF001 - Locust has no other place to hook into
    is_sequence = isinstance(taskset, SequentialTaskSet)
    note = _pass_noter(taskset, ledger) if is_sequence else _noter(ledger)
    breathe = _breather(taskset.user)
    if not is_sequence and type(taskset).get_next_task in _DRAWS:
        taskset.get_next_task = _deck_of(taskset, ledger)

    def wait(seconds: float) -> None:
        if seconds > 0:
            ledger.told_to_wait(seconds)
            sleep(seconds)
        else:
            breathe()

    def go_inside(inner: Any) -> None:
        conduct(inner, ledger)
        try:
            inner.run()
        except LEFT as left:
            breathe()
            if is_sequence:
                note(type(left) in LEFT)  # a failed request of its on_start is one of these, too
            raise

    taskset._sleep = wait  # noqa: SLF001 - as above
    if type(taskset).wait_time is not TaskSet.wait_time or type(taskset.user).wait_time is not User.wait_time:
        taskset.wait_time = _without_holds(taskset)
    elif type(taskset).wait is TaskSet.wait:
        taskset.wait = _goer(taskset.user, breathe)
    taskset.execute_task = _runner(taskset, ledger, note, go_inside)


def _runner(
    taskset: Any, ledger: Ledger, note: Callable[[bool], None], go_inside: Callable[[Any], None]
) -> Callable[[Any], None]:
    """Run a task and note whether it ended well; what it raises by itself is a fault of the scenario, and is told."""
    execute = taskset.execute_task

    def run(task: Any) -> None:
        if isinstance(task, type) and issubclass(task, TaskSet):
            go_inside(task(taskset.user if isinstance(taskset, DefaultTaskSet) else taskset))
            return
        well = False
        try:
            execute(task)
            well = True
        except InterruptTaskSet:
            well = True  # it leaves its task set, as it was meant to
            raise
        except SIGNALS:
            raise
        except Exception as error:
            ledger.fail("task", told_of(error, taskset.user))
            raise
        finally:
            note(well)

    return run


def told_of(error: BaseException, user: Any) -> str:
    """Say what was raised, and where in the file that declares the user."""
    frames = traceback.extract_tb(error.__traceback__)
    own = getattr(sys.modules.get(type(user).__module__), "__file__", None)
    at = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1] if frames else None)
    where = f"{at.name} (line {at.lineno} of {Path(at.filename).name}): " if at else ""
    return f"{where}{type(error).__name__}: {error}"


def _without_holds(taskset: Any) -> Callable[[], float]:
    """Ask how long to wait, and count no time for which the gate was closed: or else pacing would put all in step."""
    line, wait_time = taskset.user._conn, taskset.wait_time  # noqa: SLF001 - a BenchUser's

    def without_holds() -> float:
        held_s, line.held_ns = line.held_ns / 1e9, 0
        for each in (taskset, taskset.user) if held_s else ():
            each._cp_last_run += held_s  # noqa: SLF001 - where Locust's constant_pacing remembers its last round
        return float(wait_time())

    return without_holds


def _breather(user: Any) -> Callable[[], None]:
    """Let everybody else have a turn where a user has asked nothing since the last time: it could go on for ever."""
    line, asked = user._conn, 0  # noqa: SLF001 - a BenchUser's

    def breathe() -> None:
        nonlocal asked
        if line.asked_since == asked:
            gevent.sleep(0)
        asked = line.asked_since

    return breathe


def _goer(user: Any, breathe: Callable[[], None]) -> Callable[[], None]:
    """Make what stands for Locust's `wait` where nobody waits: end when told to, and go on."""

    def go_on() -> None:
        if user._state == LOCUST_STATE_STOPPING:  # noqa: SLF001 - what Locust's own wait asks
            raise StopUser
        breathe()

    return go_on


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
