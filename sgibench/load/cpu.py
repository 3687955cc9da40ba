"""CPU of process trees over counted stretches, read cheaply enough for the edges of a 50 ms slice."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil

from sgibench.machine import LINUX, cpu_ns, reaped_ns


def descendants(pids: Iterable[int]) -> list[int]:
    """The processes and all that they have started and that still live, each once."""
    found: dict[int, None] = {}
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = None
            waiting += _children(pid)
    return list(found)


def _children(pid: int) -> list[int]:
    if LINUX:
        children: list[int] = []
        try:
            for file in Path(f"/proc/{pid}/task").glob("*/children"):
                children += map(int, file.read_text().split())
        except OSError:
            return []
        return children
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


class TreeClock:
    """CPU of a process tree over counted stretches; the tree is looked at afresh before each, outside counted time.

    A process that ends within a stretch counts with what it did in it: its parent, once it has waited for it, has its
    whole life in its books (`reaped_ns`, in ticks of 10 ms), of which what it had done before is taken off.
    """

    def __init__(self, pids: Iterable[int], *, grows: bool = True) -> None:
        """`grows`: whether what they start belongs to them, and lives as long as a stretch does."""
        self._roots = list(pids)
        self._grows = grows
        self._pids = self._roots
        self._start: list[int | None] = []
        self._reaped: list[int] = []

    def look(self) -> None:
        """Find the tree's processes."""
        self._pids = descendants(self._roots) if self._grows else self._roots

    def start(self) -> None:
        """Read the clocks at a stretch's beginning."""
        self._reaped = [reaped_ns(pid) for pid in self._pids]
        self._start = [cpu_ns(pid) for pid in self._pids]

    def stop(self) -> int | None:
        """CPU nanoseconds since the beginning; None when one of the first processes could not be read at both ends."""
        if not self._pids:
            return None
        ends = [cpu_ns(pid) for pid in self._pids]
        total = reaped = ended = 0
        for pid, before, reaped_before, after in zip(self._pids, self._start, self._reaped, ends, strict=True):
            if (before is None or after is None) and pid in self._roots:
                return None
            if before is None:
                continue  # it was gone when the stretch began
            if after is None:
                ended += before + reaped_before
                continue
            total += after - before
            reaped += reaped_ns(pid) - reaped_before
        if (reaped or ended) and self._grows:
            total += max(0, reaped - ended) + self._of_newcomers()
        return total

    def _of_newcomers(self) -> int:
        """CPU of processes that began in the stretch and live; looked for only where processes come and go."""
        known = set(self._pids)
        newcomers = [pid for pid in descendants(self._roots) if pid not in known]
        return sum((cpu_ns(pid) or 0) + reaped_ns(pid) for pid in newcomers)


class ServiceClock:
    """CPU of a service over counted stretches: its processes come and go, one for each connection, and none is missed.

    What a process used that ended meanwhile stands in its parent's account of ended children, in ticks of 10 ms.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._before: dict[int, int | None] = {}
        self._ended_before = 0

    def look(self) -> None:
        """Find its processes."""
        self._before = dict.fromkeys(descendants([self._root]))

    def start(self) -> None:
        """Read the clocks at a stretch's beginning."""
        self._ended_before = reaped_ns(self._root)
        self._before = {pid: cpu_ns(pid) for pid in self._before}

    def stop(self) -> int | None:
        """CPU nanoseconds since the beginning; None when the service is gone."""
        after = {pid: cpu_ns(pid) for pid in self._before}
        if after.get(self._root) is None:
            return None
        used = sum(
            now - (before or 0) for pid, now in after.items() if now is not None for before in [self._before[pid]]
        )
        fresh = sum(cpu_ns(pid) or 0 for pid in main_children(self._root) if pid not in self._before)
        gone = sum(before for pid, before in self._before.items() if before is not None and after[pid] is None)
        return used + fresh + max(0, reaped_ns(self._root) - self._ended_before - gone)


def main_children(pid: int) -> list[int]:
    """Processes that a process's first thread started: cheap enough for the edge of a slice."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []
