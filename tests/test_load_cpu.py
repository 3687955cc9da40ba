"""The CPU of trees in which processes come and go: what is added up is what they did, to a tick of the system."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgibench.load.cpu import TICK_NS, ServiceClock, TreeClock, spent_ns
from sgibench.load.webui.record import TreeMeter

MS = 1_000_000
PARENT = 1
LIVES = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60), st.booleans()), max_size=30)


class Family:
    """A process that computes all the time and starts others, which do so from their birth to their end (ms)."""

    def __init__(self, lives: list[tuple[int, int, bool]]) -> None:
        self.lives = {PARENT + 1 + number: life for number, life in enumerate(lives)}

    def books(self, at_ms: int) -> Mapping[int, tuple[int, int]]:
        """What the system tells at a moment; books of ended ones are in ticks, and lack who was not waited for."""
        own = {pid: (at_ms - born) * MS for pid, (born, long, _) in self.lives.items() if born <= at_ms < born + long}
        ended = sum(long * MS for born, long, waited in self.lives.values() if born + long <= at_ms and waited)
        return {PARENT: (at_ms * MS, ended // TICK_NS * TICK_NS)} | {pid: (used, 0) for pid, used in own.items()}

    def truth(self, begin_ms: int, end_ms: int) -> int:
        """What was used between two moments."""
        spans = [(begin_ms, end_ms), *((born, born + long) for born, long, _ in self.lives.values())]
        return sum(max(0, min(end, end_ms) - max(begin, begin_ms)) * MS for begin, end in spans)


@given(
    LIVES.map(lambda lives: [(born, long, True) for born, long, _ in lives]), st.lists(st.integers(0, 500), min_size=2)
)
def test_stretches_add_up_to_what_a_family_did_however_its_processes_come_and_go(
    lives: list[tuple[int, int, bool]], edges_ms: list[int]
) -> None:
    family = Family(lives)
    found = [
        (spent_ns(family.books(begin), family.books(end)), begin, end) for begin, end in pairwise(sorted(edges_ms))
    ]
    for spent, begin, end in found:
        assert abs(spent - family.truth(begin, end)) <= TICK_NS
    if all(spent for spent, _, _ in found):
        whole = family.truth(min(edges_ms), max(edges_ms))
        assert abs(sum(spent for spent, _, _ in found) - whole) <= TICK_NS


@given(LIVES, st.integers(0, 500), st.integers(0, 500))
def test_who_was_never_waited_for_takes_nothing_off_what_the_others_did(
    lives: list[tuple[int, int, bool]], one_ms: int, other_ms: int
) -> None:
    family, (begin, end) = Family(lives), sorted((one_ms, other_ms))
    spent = spent_ns(family.books(begin), family.books(end))
    assert max(0, (end - begin) * MS - TICK_NS * (len(lives) + 1)) <= spent <= family.truth(begin, end) + TICK_NS


# --- real processes --------------------------------------------------------------------------------------------------


@pytest.fixture
def parent() -> Iterator[Any]:
    """A process that starts, for each line, one that burns as many CPU seconds, and says when it has ended."""
    script = (
        "import subprocess, sys\n"
        "for line in sys.stdin:\n"
        "    burn = 'import time\\nwhile time.process_time() < ' + line.strip() + ': pass'\n"
        "    subprocess.run([sys.executable, '-c', burn])\n"
        "    print('done', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True, bufsize=1)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def have_burned(parent: Any, seconds: str) -> None:
    """Let it start one and wait until that has ended."""
    parent.stdin.write(f"{seconds}\n")
    parent.stdout.readline()


def await_burning(parent: Any, at_least_s: float) -> None:
    """Wait until the one that it has started has used so much."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        meter = TreeMeter([parent.pid])
        children = [used for pid, (used, _) in meter._first.items() if pid != parent.pid]
        if children and children[0] > at_least_s * 1e9:
            return
        time.sleep(0.01)
    pytest.fail("the child was never seen")


def test_a_process_that_began_and_ended_in_a_stretch_counts_with_all_that_it_did(parent: Any) -> None:
    clock = TreeClock([parent.pid])
    clock.look()
    clock.start()
    have_burned(parent, "0.3")
    spent = clock.stop()
    assert spent is not None
    assert 0.28e9 < spent < 0.45e9


def test_what_is_done_after_the_edge_does_not_count_though_the_books_are_read_later(parent: Any) -> None:
    clock = TreeClock([parent.pid])
    clock.look()
    clock.ready()
    clock.start()
    have_burned(parent, "0.3")
    have_burned(parent, "0.01")
    clock.look()  # its processes come and go
    clock.ready()
    clock.start()
    have_burned(parent, "0.2")
    clock.edge()
    have_burned(parent, "0.5")
    spent = clock.stop()
    assert spent is not None
    assert 0.18e9 < spent < 0.4e9


def test_a_process_that_ends_right_before_a_stretch_counts_with_nothing_of_its_life(parent: Any) -> None:
    clock = TreeClock([parent.pid])
    parent.stdin.write("0.6\n")
    await_burning(parent, 0.1)
    clock.look()
    clock.ready()
    parent.stdout.readline()
    clock.start()
    have_burned(parent, "0.05")
    clock.edge()
    spent = clock.stop()
    assert spent is not None
    assert 0.04e9 < spent < 0.2e9


def test_the_first_ones_may_die_after_the_edge(parent: Any) -> None:
    clock = TreeClock([parent.pid])
    clock.look()
    clock.ready()
    clock.start()
    have_burned(parent, "0.1")
    clock.edge()
    parent.kill()
    parent.wait()
    spent = clock.stop()
    assert spent is not None
    clock.start()
    clock.edge()
    assert clock.stop() is None


def test_at_the_edges_of_a_stretch_only_clocks_are_read(parent: Any) -> None:
    opened: list[str] = []
    watched = [False]

    def note(event: str, args: tuple[Any, ...]) -> None:
        if watched[0] and event in {"open", "os.scandir", "os.listdir"}:
            opened.append(f"{event} {args[0]}")

    sys.addaudithook(note)
    clock = TreeClock([parent.pid])
    clock.look()
    clock.ready()
    watched[0] = True
    clock.start()
    clock.edge()
    watched[0] = False
    assert not opened
    assert clock.stop() is not None


@pytest.mark.parametrize("kind", [TreeClock, ServiceClock])
def test_a_process_counts_with_what_it_did_in_the_stretch_also_when_it_began_after_the_look(
    kind: Any, parent: Any
) -> None:
    clock = kind(parent.pid if kind is ServiceClock else [parent.pid])
    clock.look()
    have_burned(parent, "0.03")
    clock.look()
    parent.stdin.write("0.6\n")
    await_burning(parent, 0.3)
    clock.start()
    parent.stdout.readline()
    spent = clock.stop()
    assert spent is not None
    assert 0 < spent < 0.45e9


def test_the_web_uis_meter_counts_what_came_and_went_between_two_readings(parent: Any) -> None:
    meter = TreeMeter([parent.pid])
    for _ in range(2):
        have_burned(parent, "0.15")
    used = meter.read()
    assert used is not None
    assert 0.28e9 < used < 0.6e9
    parent.kill()
    parent.wait()
    assert meter.read() is None
