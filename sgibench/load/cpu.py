"""CPU of process trees over counted stretches, read cheaply enough for the edges of a turn of 30 ms."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import psutil

from sgibench.machine import LINUX, cpu_ns, read_bytes, reaped_ns

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""What the system's books of ended processes are kept in."""


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


def heads(pids: Iterable[int]) -> list[int]:
    """Those of some processes that none of the others has started: they live as long as what all of them belong to."""
    parents = {pid: _parent_of(pid) for pid in pids}
    return [pid for pid, parent in parents.items() if parent is not None and parent not in parents]


def _parent_of(pid: int) -> int | None:
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return None


def _children(pid: int) -> list[int]:
    if LINUX:
        try:
            threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - between any two turns: pathlib takes six times as long
        except OSError:
            return []
        return [child for thread in threads for child in _started_by(pid, thread)]
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


Books = Mapping[int, tuple[int, int]]
"""Process -> what it used so far, and what those that it has waited for used in their whole lives, in nanoseconds."""


def books_of(pids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Read them; who is gone has none. A process that ends meanwhile is missed, at both edges of a stretch alike."""
    reaped = {pid: reaped_ns(pid) for pid in pids}
    return {pid: (used, ended) for pid, ended in reaped.items() if (used := cpu_ns(pid)) is not None}


def spent_ns(before: Books, after: Books) -> int:
    """CPU of all processes of a tree between two moments, by the books of all that lived at each.

    What ended meanwhile went into its parent's books with its whole life, of which what it had done before is taken
    off. Those books are in ticks, so a stretch may be off by one of each parent, the next by as much the other way. Who
    is in no book at the end, as nobody waited for it, takes nothing off that others did.
    """
    lived = [(before[pid], now) for pid, now in after.items() if pid in before]
    ended = sum(sum(was) for pid, was in before.items() if pid not in after)
    reaped = sum(now[1] - was[1] for was, now in lived)
    born = sum(sum(now) for pid, now in after.items() if pid not in before)
    own = sum(now[0] - was[0] for was, now in lived)
    return max(0, own + born + max(reaped - ended, -TICK_NS * len(lived)))


class TreeClock:
    """CPU of a process tree over counted stretches; the tree is looked at afresh before each, outside counted time.

    Where processes come and go the tree is looked at once more when a stretch begins, so that those under way then
    count with what they do in it, and not with what they did between the look and the beginning. Elsewhere only clocks
    are read at the edges, in a microsecond each: `ready` reads the books of ended processes shortly before, and `stop`
    shortly after.
    """

    def __init__(self, pids: Iterable[int], *, grows: bool = True) -> None:
        """`grows`: whether what they start belongs to them, and lives as long as a stretch does."""
        self._roots = heads(pids) if grows else list(pids)
        self._grows = grows
        self._restless = False
        """Whether processes were seen to come or go."""
        self._seen: tuple[frozenset[int], int] | None = None
        """At the last look: the processes, and what they had of ended ones."""
        self._pids = self._roots
        self._near: Books | None = None
        """What was read shortly before a stretch, where it still holds."""
        self._before: Books = {}
        self._at_edge: dict[int, int | None] | None = None
        self._after: dict[int, tuple[int, int]] | None = None

    def look(self) -> None:
        """Find the tree's processes."""
        if not self._grows:
            return
        self._pids = descendants(self._roots)
        seen = frozenset(self._pids), sum(map(reaped_ns, self._pids))
        self._restless |= self._seen is not None and seen != self._seen
        self._seen = seen

    def ready(self) -> None:
        """Read what takes its time, shortly before a stretch; `start` does it where this was not called."""
        self._near = None if self._restless else books_of(self._pids)

    def start(self) -> None:
        """Read the clocks at a stretch's beginning."""
        near, self._near, self._at_edge, self._after = self._near or {}, None, None, None
        now = {pid: cpu_ns(pid) for pid in near}
        before = {pid: (used, near[pid][1]) for pid, used in now.items() if used is not None}
        if not before or len(before) < len(near):  # some process ended meanwhile: in whose books is it?
            if self._restless:
                self._pids = descendants(self._roots)
            before = books_of(self._pids)
        self._before = before

    def edge(self) -> None:
        """The stretch ends at this moment; `stop` says what it cost, when there is time for it."""
        self._at_edge = {pid: cpu_ns(pid) for pid in self._before}  # first: whoever is busy works on
        if self._restless:
            self._after = self._books_after(self._at_edge)

    def stop(self) -> int | None:
        """CPU nanoseconds of the stretch, which ends now if it had no edge yet.

        None when one of the first processes could not be read at both ends.
        """
        if not self._pids:
            return None
        if self._at_edge is None:
            self.edge()
        at_edge = self._at_edge or {}
        after = self._after if self._after is not None else self._books_after(at_edge)
        if any(pid not in self._before or pid not in after for pid in self._roots):
            return None
        if not self._grows:
            return sum(after[pid][0] - was[0] for pid, was in self._before.items())
        if not self._restless and any(pid not in after or after[pid][1] != was[1] for pid, was in self._before.items()):
            after |= books_of(pid for pid in descendants(self._roots) if pid not in after)
        return spent_ns(self._before, after)

    def _books_after(self, at_edge: Mapping[int, int | None]) -> dict[int, tuple[int, int]]:
        """Read the books of all that live, their clocks as at the edge; those of the first ones also when they died."""
        pids = dict.fromkeys((*descendants(self._roots), *self._before)) if self._restless else self._before
        after = {pid: (at_edge.get(pid) or used, ended) for pid, (used, ended) in books_of(pids).items()}
        for pid in self._roots:
            used = at_edge.get(pid)
            if pid not in after and pid in self._before and used is not None:
                after[pid] = used, self._before[pid][1]
        return after


class ServiceClock:
    """CPU of a service over counted stretches: its processes come and go, one for each connection, and none is missed.

    What a process used that ended meanwhile stands in its parent's account of ended children.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._pids: list[int] = []
        self._before: Books = {}

    def look(self) -> None:
        """Find its processes."""
        self._pids = descendants([self._root])

    def start(self) -> None:
        """Read the clocks at a stretch's beginning; of those that came since the look, too."""
        self._before = self._books()

    def stop(self) -> int | None:
        """CPU nanoseconds since the beginning; None when the service is gone."""
        after = self._books()
        return spent_ns(self._before, after) if self._root in self._before and self._root in after else None

    def _books(self) -> Books:
        """Read them; of ended processes only the first one's, which is the one that has many."""
        ended = reaped_ns(self._root)
        pids = dict.fromkeys((*self._pids, *main_children(self._root)))
        used = {pid: cpu_ns(pid) for pid in pids}
        return {pid: (now, ended if pid == self._root else 0) for pid, now in used.items() if now is not None}


def main_children(pid: int) -> list[int]:
    """Processes that a process's first thread started: cheap enough for the edge of a slice."""
    return _started_by(pid, pid)


def _started_by(pid: int, thread: int | str) -> list[int]:
    """Processes that a thread started; none when it is gone, and what it started is another thread's then."""
    try:
        return [int(child) for child in read_bytes(f"/proc/{pid}/task/{thread}/children").split()]
    except OSError:
        return []
