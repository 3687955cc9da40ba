"""CPU time of other processes, read cheaply enough for the edges of a 50 ms slice.

On Linux the kernel gives each process a CPU clock in nanoseconds, all threads included, under an id made from its
pid (clock_getcpuclockid(3): `(~pid << 3) | 2`). Elsewhere psutil reads it, in ticks of 10 ms.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

LINUX = sys.platform == "linux"


def cpu_ns(pid: int) -> int | None:
    """CPU time a process has used so far, user and system, in nanoseconds; None when it is gone or not ours to see."""
    if LINUX:
        try:
            return time.clock_gettime_ns((~pid << 3) | 2)
        except OSError:
            return None
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return round((times.user + times.system) * 1e9)


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
    """CPU of a process tree over counted stretches; the tree is looked at afresh before each, outside counted time."""

    def __init__(self, pids: Iterable[int], *, grows: bool = True) -> None:
        """`grows`: whether what they start belongs to them, and lives as long as a stretch does."""
        self._roots = list(pids)
        self._grows = grows
        self._pids = self._roots
        self._start: list[int | None] = []

    def look(self) -> None:
        """Find the tree's processes."""
        self._pids = descendants(self._roots) if self._grows else self._roots

    def start(self) -> None:
        """Read the clocks at a stretch's beginning."""
        self._start = [cpu_ns(pid) for pid in self._pids]

    def stop(self) -> int | None:
        """CPU nanoseconds since the beginning; None when a process could not be read at both ends."""
        if not self._pids:
            return None
        total = 0
        for pid, before in zip(self._pids, self._start, strict=True):
            after = cpu_ns(pid)
            if before is None or after is None:
                return None
            total += after - before
        return total


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
        self._ended_before = ended_children_ns(self._root)
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
        return used + fresh + max(0, ended_children_ns(self._root) - self._ended_before - gone)


def main_children(pid: int) -> list[int]:
    """Processes that a process's first thread started: cheap enough for the edge of a slice."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def ended_children_ns(pid: int) -> int:
    """CPU of all children that ended and were buried (proc_pid_stat(5), cutime and cstime); 0 where it isn't told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return round((int(fields[13]) + int(fields[14])) * 1e9 / os.sysconf("SC_CLK_TCK"))
