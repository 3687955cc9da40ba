"""Measure: warm each target up, visit them in slices or one unbroken window each, and say what was counted.

Requests and CPU are read at the same edges, between two batches of events, so both cover exactly the counted time;
a window is as long as the clock says, not as long as it was meant. What is in flight when the gate closes is drained
and not counted. Time is the monotonic clock's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from time import monotonic_ns
from typing import Any

import gevent

from sgibench.load.field import open_loop
from sgibench.load.orders import MeasureOrder
from sgibench.load.pacing import Schedule
from sgibench.load.visitor import Visited

WARMUP_S = 0.25
"""Length of the windows that are compared to find out whether the rate is steady."""
STEADY = 0.05
"""The last two of them differ by less than this share."""
OPEN_SETTLE_S = 0.3
"""How long an open schedule runs before its requests count."""
PROGRESS_S = 0.5

Say = Callable[[dict[str, Any]], None]


class Measurement:
    """One order being carried out."""

    def __init__(self, order: MeasureOrder, say: Say) -> None:
        self.order = order
        self.aborted = False
        self._say = say
        self._said_at = 0
        self._random = Random(order.seed)
        self.visited = [Visited(order, index) for index in range(len(order.targets))]

    # --- orders that come while it runs ----------------------------------------------------------------------------

    def abort(self) -> None:
        """End soon; keep what was counted."""
        self.aborted = True
        for visited in self.visited:
            visited.cut_short = True

    def drop(self, target: str, reason: str) -> None:
        """Visit a target no more."""
        for visited in self.visited:
            if visited.id == target:
                visited.give_up("gone", reason)

    # --- the road --------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Carry the order out; gives its answer."""
        try:
            for visited in self.visited:
                with visited.giving_up():
                    visited.open()
            for visited in self._live():
                with visited.giving_up():
                    self._warm_up(visited)
            if self.order.slice_s is None:
                self._windows()
            else:
                self._rounds(self.order.slice_s)
            if self.order.identify:
                for visited in self._live():
                    visited.identify()
            return {
                "did": "measure",
                "aborted": self.aborted,
                "targets": [visited.result() for visited in self.visited],
            }
        finally:
            for visited in self.visited:
                visited.close()

    def _live(self) -> Iterator[Visited]:
        """Targets that are still to be visited, while nobody aborts."""
        for visited in self.visited:
            if self.aborted:
                return
            if visited.gave_up is None:
                yield visited

    def _progress(self, visited: Visited, phase: str, done: float) -> None:
        """Tell the engine how far this is, not too often."""
        now = monotonic_ns()
        if now - self._said_at > PROGRESS_S * 1e9:
            self._said_at = now
            self._say({"event": "progress", "target": visited.id, "phase": phase, "done": round(min(done, 1.0), 3)})

    def _warm_up(self, visited: Visited) -> None:
        """Load it until its rate is steady, at most for `warmup_s`."""
        began = monotonic_ns()
        rates: list[float] = []
        with visited.visit():
            while (now := monotonic_ns()) - began < self.order.warmup_s * 1e9 and not visited.cut_short:
                self._progress(visited, "warmup", (now - began) / 1e9 / self.order.warmup_s)
                answered = visited.answered
                gevent.sleep(WARMUP_S)
                visited.target.fold()
                visited.target.check()
                rates.append((visited.answered - answered) / (monotonic_ns() - now))
                if len(rates) > 1 and rates[-1] and abs(rates[-1] - rates[-2]) < STEADY * max(rates[-2:]):
                    break
                visited.check_alive()
        visited.warm(time_s=(monotonic_ns() - began) / 1e9)

    def _rounds(self, slice_s: float) -> None:
        """Visit all targets in random order, round after round, until each has its window."""
        number = 0
        while not self.aborted:
            waiting = [visited for visited in self._live() if visited.counted_s < self.order.window_s]
            if not waiting:
                return
            self._random.shuffle(waiting)
            for visited in waiting:
                if self.aborted or visited.gave_up is not None:
                    continue
                self._progress(visited, "measure", visited.counted_s / self.order.window_s)
                with visited.giving_up():
                    self._slice(visited, number, slice_s)
            number += 1

    def _slice(self, visited: Visited, number: int, slice_s: float) -> None:
        """Make one visit: settle, count, drain."""
        left = self.order.window_s - visited.counted_s
        length = min(max(slice_s, 10 * visited.median_s), left)
        if left - length < slice_s / 4:
            length = left  # no crumb of a slice at the end
        with visited.visit():
            visited.settle()
            visited.count(length, number)
        visited.check_visit()

    def _windows(self) -> None:
        """One unbroken window for each target."""
        for visited in self._live():
            with visited.giving_up():
                if self.order.load.kind == "open":
                    self._open_window(visited)
                else:
                    with visited.visit():
                        visited.settle()
                        visited.count_unbroken(self.order.window_s, self._progress_of(visited))
                visited.check_visit()

    def _open_window(self, visited: Visited) -> None:
        """Send what the schedule says, and count once it runs."""
        load = self.order.load
        schedule = Schedule(load.rate_per_s or 0.0, load.arrivals, self.order.seed, monotonic_ns())
        closed = visited.target.pace
        pace = open_loop(visited.target, schedule)
        with visited.visit():
            gevent.sleep(OPEN_SETTLE_S)
            visited.count_unbroken(self.order.window_s, self._progress_of(visited))
        visited.note_schedule(pace)
        visited.target.pace = closed

    def _progress_of(self, visited: Visited) -> Callable[[float], None]:
        """Give what a window calls with the share that is done."""
        return lambda done: self._progress(visited, "measure", done)
