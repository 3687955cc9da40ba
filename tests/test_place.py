"""Where servers run and what they hold in memory, looked at while or after they were loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from sgibench.engine.memory_watch import MOST_LOOKS, MemoryWatch, resident_bytes
from sgibench.model import Place
from sgibench.serve import place

linux = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux: other systems tell less")
GIVEN = Place(cpus=(0,), nices=(0,), schedulers=("other",), groups=("0::/",))


@contextmanager
def living(script: str = "") -> Iterator[int]:
    """A Python process that runs the script, says a word, and waits."""
    code = f"import os, sys, threading\n{script}\nprint('ready', flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        assert process.stdin
        process.stdin.close()


@linux
def test_a_process_is_where_we_are_unless_it_moved() -> None:
    ours = place.read([os.getpid()])
    assert ours is not None
    with living() as pid:
        assert place.outside(place.read([pid]), ours.cpus, ours) == ()


@linux
def test_a_thread_that_moved_is_found_beside_those_that_did_not() -> None:
    cpu = min(os.sched_getaffinity(0))
    script = (
        f"os.sched_setaffinity(0, [{cpu}])\n"
        "go = threading.Event()\n"
        "def work():\n    os.nice(3)\n    go.set()\n    threading.Event().wait()\n"
        "threading.Thread(target=work, daemon=True).start()\ngo.wait()"
    )
    ours = place.read([os.getpid()])
    assert ours is not None
    with living(script) as pid:
        found = place.read([pid])
        assert found is not None
        assert found.cpus == (cpu,)
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        assert place.outside(found, ours.cpus, ours) == (f"nice {nice + 3}, and was given {nice}",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ()),
        ({"cpus": (0, 1, 2, 5)}, ("it may run on CPUs 0-2,5, and was given 0",)),
        ({"nices": (-5, 0)}, ("nice -5, and was given 0",)),
        ({"schedulers": ("fifo",)}, ("scheduler fifo, and was given other",)),
        ({"groups": ("0::/mine",)}, ("it is in another control group",)),
    ],
)
def test_each_way_to_leave_a_place_is_a_phrase(changes: dict[str, tuple[object, ...]], told: tuple[str, ...]) -> None:
    fields: dict[str, tuple[object, ...]] = {"cpus": (0,), "nices": (0,), "schedulers": ("other",), "groups": ("0::/",)}
    found = Place(**(fields | changes))  # type: ignore[arg-type]
    assert place.outside(found, (0,), GIVEN) == told


def test_where_nothing_was_pinned_or_nothing_is_known_nothing_is_said() -> None:
    anywhere = Place(cpus=(0, 1), nices=(0,), schedulers=("other",), groups=("0::/",))
    assert place.outside(anywhere, (), GIVEN) == ()
    assert place.outside(None, (0,), GIVEN) == ()
    assert place.read([2**22 + 1]) is None


def test_what_processes_hold_together_is_read() -> None:
    with living("block = b'x' * 30_000_000") as large, living() as small:
        alone, both = resident_bytes([small]), resident_bytes([small, large])
        assert alone is not None
        assert both is not None
        assert both - alone > 30_000_000
    assert resident_bytes([2**22 + 1]) is None


class Clock:
    """A clock that the test owns."""

    now_s = 100.0

    def __call__(self) -> float:
        """Say the time."""
        return self.now_s


def test_looks_begin_with_the_window_and_are_those_of_a_targets_own_turn() -> None:
    clock = Clock()
    watch = MemoryWatch({"a": (1,), "b": (2,)}, (), clock, lambda pids: pids[0] * 1000)
    watch.stepped("a", "warmup")
    watch.look()
    for target in ("a", "b", "a"):
        watch.stepped(target, "measure")
        for _ in range(4):
            clock.now_s += 0.25
            watch.look()
    assert [look.at_s for look in watch.looks_of("a", "sliced")] == [0.25 * step for step in range(12)]
    own = [look.at_s for look in watch.looks_of("b", "unbroken")]
    assert own == [0, 0.25, 0.5, 0.75]
    assert len(watch.looks_of("b", "turns")) == 8
    assert {look.resident_bytes for look in watch.looks_of("b", "turns")} == {2000}


def test_while_one_alone_is_counted_the_others_are_not_looked_at() -> None:
    seen: list[int] = []

    def resident(pids: Sequence[int]) -> int:
        seen.append(pids[0])
        return 1000

    clock = Clock()
    watch = MemoryWatch({"a": (1,), "b": (2,)}, (), clock, resident)
    for alone, looked_at in ((False, {1, 2}), (True, {2}), (False, {1, 2})):
        for target in ("a", "b"):
            watch.stepped(target, "measure", alone=alone)
        seen.clear()
        clock.now_s += 0.25
        watch.look()
        assert set(seen) == looked_at


def test_a_long_window_has_no_more_looks_than_a_report_needs() -> None:
    clock = Clock()
    watch = MemoryWatch({"a": (1,)}, (), clock, lambda _pids: 1000)
    watch.stepped("a", "measure")
    for _ in range(20_000):
        clock.now_s += 0.25
        watch.look()
    found = watch.looks_of("a", "unbroken")
    assert MOST_LOOKS / 4 < len(found) <= MOST_LOOKS
    assert found[-1].at_s > 4000
