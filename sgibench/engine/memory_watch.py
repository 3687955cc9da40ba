"""Looks at the servers' memory while they are loaded, so that a leak is seen that the memory afterwards doesn't show.

A look reads two counters of each process (statm; no lock of the server's is taken, no page is walked) and is done on
the load's CPUs. What counts are the looks while a target was measured: with an unbroken window its own time, with
visits in turn all the time since they began. While one alone is counted, the others are not looked at.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psutil

from sgibench.machine import read_bytes
from sgibench.model import MemoryLook, Visits

EVERY_S = 0.2
MOST_LOOKS = 120
"""When there are so many, every second one is left out, and the next ones come half as often."""
PAGE_BYTES = resource.getpagesize()


class MemoryWatch:
    """The looks of one order."""

    def __init__(
        self,
        trees: Mapping[str, Sequence[int]],
        cpus: Sequence[int],
        clock: Callable[[], float] = time.monotonic,
        resident: Callable[[Sequence[int]], int | None] | None = None,
    ) -> None:
        """`trees` are the targets' processes, `cpus` where to look from; empty for anywhere."""
        self._trees = trees
        self._cpus = cpus
        self._clock = clock
        self._resident = resident or resident_bytes
        self._every_s = EVERY_S
        self._next_s = 0.0
        self._turn: str | None = None
        self._alone = False
        self._seen: dict[str, list[tuple[MemoryLook, bool]]] = defaultdict(list)
        self._begun: set[str] = set()

    def stepped(self, target: str, phase: str, *, alone: bool = False) -> None:
        """Take note of whose turn it is, and whether it alone is counted meanwhile."""
        self._turn = target if phase == "measure" else None
        self._alone = alone
        if self._turn is not None:
            self._begun.add(target)

    def look(self) -> None:
        """Look if it is time to."""
        now_s = self._clock()
        if now_s < self._next_s or not self._begun:
            return
        self._next_s = now_s + self._every_s
        with _from(self._cpus):
            for target in [self._turn] if self._alone and self._turn else self._begun:
                held = self._resident(self._trees.get(target, ()))
                if held is not None:
                    self._seen[target].append((MemoryLook(at_s=now_s, resident_bytes=held), target == self._turn))
        if any(len(looks) >= MOST_LOOKS for looks in self._seen.values()):
            self._seen = defaultdict(list, {target: looks[::2] for target, looks in self._seen.items()})
            self._every_s *= 2

    def looks_of(self, target: str, visits: Visits) -> tuple[MemoryLook, ...]:
        """Those of a target while it was measured, counted from the first."""
        looks = [look for look, own_turn in self._seen.get(target, []) if own_turn or visits != "unbroken"]
        return tuple(
            MemoryLook(at_s=round(look.at_s - looks[0].at_s, 3), resident_bytes=look.resident_bytes) for look in looks
        )


def resident_bytes(pids: Sequence[int]) -> int | None:
    """Memory of some processes together, of those that live, shared pages counted in each; None when none does."""
    held = [each for pid in pids if (each := _resident_bytes(pid)) is not None]
    return sum(held) if held else None


def _resident_bytes(pid: int) -> int | None:
    """Of one process; None when it is gone, or not ours to see."""
    try:
        return int(read_bytes(f"/proc/{pid}/statm").split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except (psutil.Error, OSError):
            return None


@contextmanager
def _from(cpus: Sequence[int]) -> Iterator[None]:
    """Run on these CPUs for a moment."""
    if not cpus or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, before)
