"""Turns that something else disturbed are made again: its CPU is no server's doing, and p99 lies where it begins.

What holds a CPU for a millisecond in one turn of ten decides that server's p99 and nobody else's. So a turn in which
somebody who serves nobody took a notable part of our CPUs is set aside: the cause lies outside of the server, and does
not ask how its answers were. Nothing is lost: what was asked in it belongs to no window and is told apart, and a turn
in which anything failed, or waited for longer than what was taken explains, counts, whoever was busy. From then on all
turns of that server count as they come: if only those without such a moment were made again, it would be seen more
often than it happens. So they do where most turns are disturbed, and there is no undisturbed time to be had.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import ceil

from sgibench.load.measure.course import Course
from sgibench.load.orders import MeasureOrder
from sgibench.load.strangers import Strangers
from sgibench.load.visitor import Visited
from sgibench.load.ways import Way

NOTABLE = 0.005
"""Of a turn: who takes more of a CPU disturbs it. What waits for them is then in the slowest hundredth."""
TIMES_TAKEN, SPARED_S = 2.0, 0.02
"""Whoever waits for somebody who takes a CPU for a time waits for about as long. What comes later than so many times
that, and so many seconds (two ticks of a hypervisor's clock), after the median of the rehearsal waited for something
else."""
FEW_TURNS, MOST_DISTURBED = 12, 0.75
"""After so many turns, nothing is set aside any more where more than this share of them was disturbed; in any case not
more turns than are to be counted."""
REASON = "turns that somebody else disturbed"
"""Why what was asked in them belongs to no window."""


def begin_among(strangers: Strangers, order: MeasureOrder) -> None:
    """Say whose CPUs count while an order lasts."""
    servers = [pid for target in order.targets for pid in (*target.pids, *target.front_pids)]
    load = (0, os.getppid()) if order.load_workers > 1 else (0,)
    strangers.begin_order(cpu for pid in (*load, *servers) for cpu in cpus_of(pid))


def cpus_of(pid: int) -> Iterable[int]:
    """CPUs that a process may run on, 0 being this one; all of them where it is gone or the system doesn't tell."""
    try:
        return os.sched_getaffinity(pid)
    except (AttributeError, OSError):
        return range(os.cpu_count() or 1)


class SettingAside:
    """Which turns of an order count."""

    def __init__(self, course: Course, strangers: Strangers) -> None:
        self._course = course
        self._strangers = strangers
        self._turns = self._disturbed = self._set_aside = self._most = 0
        self._with_moments: set[str] = set()
        """Servers that failed, or stopped for long, in a turn: all of theirs count."""

    def begin(self, way: Way) -> None:
        """Turns are made in this way from here on."""
        visits = sum(way.visits_to(visited.id) for visited in self._course.visited)
        self._most = ceil(self._course.order.window_s / way.length_s) * visits

    @contextmanager
    def turn(self, visited: Visited) -> Iterator[Callable[[], None]]:
        """Make one turn, which counts or is set aside; gives what is to be called right before its counted part."""
        if not self._strangers.seen:
            yield lambda: None
            return
        before, spent_s = visited.counting.set_apart(), self._course.laps.spent_s
        self._strangers.look()
        yield self._strangers.start
        used_ns = self._strangers.used() if self._course.together.index == 0 else {}
        held_s = visited.counting.piece_s
        taken_s = sum(used_ns.values()) / 1e9
        said = self._course.agree(
            visited,
            by=max(used_ns, key=lambda name: used_ns[name]) if taken_s > NOTABLE * held_s else None,
            taken_s=taken_s,
            failed=visited.counting.failed,
            behind_s=max(
                visited.counting.latest_s - visited.rhythm.pulse.median_s, visited.counting.longer_since(before)
            ),
        )
        by = said.any("by")
        self._turns += 1
        self._disturbed += by is not None
        cut_off = self._course.stopped or visited.gave_up is not None
        if said.sum("failed") or said.most("behind_s") > TIMES_TAKEN * said.most("taken_s") + SPARED_S:
            self._with_moments.add(visited.id)
        if by is None or cut_off or visited.id in self._with_moments or not self._goes_on:
            visited.counting.keep(before)
            visited.counting.books.disturbed.update([by] if by is not None else ())
            return
        self._set_aside += 1
        visited.counting.take_back(before, REASON)
        visited.counting.books.set_aside[by] += 1
        self._course.laps.were("turns made again", spent_s)

    @property
    def _goes_on(self) -> bool:
        """Whether there is undisturbed time to be had, and still something to spend for it."""
        mostly = self._turns >= FEW_TURNS and self._disturbed > MOST_DISTURBED * self._turns
        return not mostly and self._set_aside < self._most
