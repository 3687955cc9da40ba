"""Measure: warm each target up, visit them in slices or one unbroken window each, and say what was counted.

A window is as long as the clock says, not as long as it was meant. What is in flight when the gate closes is drained
and not counted. Processes that measure together take every turn of this road together: what decides a turn is agreed
upon just before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from time import monotonic_ns
from typing import Any

import gevent

from sgibench.load.orders import MeasureOrder
from sgibench.load.outcome import result
from sgibench.load.together import Agreement, Alone, Together
from sgibench.load.visitor import STANDING_S, Visited

WARMUP_S = 0.25
"""Length of the windows that are compared to find out whether the rate is steady."""
STEADY = 0.05
"""The last two of them differ by less than this share."""
OPEN_SETTLE_S = 0.3
"""How long an open schedule runs before its requests count."""
PROGRESS_S = 0.5

Say = Callable[[dict[str, Any]], None]


class Measurement:
    """One order being carried out, by this process alone or together with others."""

    def __init__(self, order: MeasureOrder, say: Say, together: Together | None = None) -> None:
        self.order = order
        self.aborted = False
        self.together = together or Alone()
        self._stopped = False
        self._say = say
        self._said_at = 0
        self._random = Random(order.seed)
        self.visited = [Visited(order, index, self.together) for index in range(len(order.targets))]

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
        """Carry the order out alone; gives its answer."""
        return answer_of(self.order, [self.shares()], aborted=self.aborted)

    def shares(self) -> list[dict[str, Any]]:
        """Carry the order out; gives what this process counted of each target."""
        try:
            self._gather()
            for visited in self.visited:
                if self._goes_on(visited):
                    self._warm_up(visited)
            if self.order.slice_s is None:
                self._windows()
            else:
                self._rounds(self.order.slice_s)
            for visited in self.visited:
                visited.hear_out()
            if self.order.identify and not self.aborted:
                for visited in self.visited:
                    if visited.gave_up is None:
                        visited.identify()
            return [visited.share() for visited in self.visited]
        finally:
            for visited in self.visited:
                visited.close()
            self.together.dismiss()

    def _gather(self) -> None:
        """Spawn the users; their connections open at once."""
        for visited in self.visited:
            visited.target.attach()
        places = [visited.target for visited in self.visited for _ in range(visited.connections)]
        self.together.recruit(self.visited[0].cls, places)
        for visited in self.visited:
            visited.target.detach()
        for visited in self.visited:
            visited.await_connections()

    def _goes_on(self, visited: Visited, **said: Any) -> bool:
        """Whether all agree to go on with a target; returns at the same moment everywhere."""
        self._agree(visited, **said)
        return not self._stopped and visited.gave_up is None

    def _agree(self, visited: Visited | None = None, **said: Any) -> Agreement:
        """Exchange what each knows, learn who was given up, and wait for the common moment."""
        said |= {"aborted": self.aborted, "gave_up": visited.gave_up if visited else None}
        agreement = self.together.agree(said)
        self._stopped = bool(agreement.any("aborted"))
        gave_up = agreement.any("gave_up")
        if visited is not None and gave_up:
            visited.give_up(**gave_up)
        if (wait_ns := agreement.at_ns - monotonic_ns()) > 0:
            gevent.sleep(wait_ns / 1e9)
        return agreement

    def _progress(self, visited: Visited, phase: str, done: float) -> None:
        """Tell the engine how far this is, not too often."""
        now = monotonic_ns()
        if self.together.index == 0 and now - self._said_at > PROGRESS_S * 1e9:
            self._said_at = now
            self._say({"event": "progress", "target": visited.id, "phase": phase, "done": round(min(done, 1.0), 3)})

    def _warm_up(self, visited: Visited) -> None:
        """Load it until its rate is steady, at most for `warmup_s`."""
        began = monotonic_ns()
        rates: list[float] = []
        most = max(2, math.ceil(self.order.warmup_s / WARMUP_S))
        with visited.visit():
            while len(rates) < most:
                self._progress(visited, "warmup", len(rates) / most)
                answered, at = visited.answered, monotonic_ns()
                visited.sleep(WARMUP_S)
                visited.target.fold()
                rate = (visited.answered - answered) / (monotonic_ns() - at)
                agreement = self._agree(visited, rate=rate, fallen_s=visited.fallen_s)
                rates.append(agreement.sum("rate"))
                steady = len(rates) > 1 and abs(rates[-1] - rates[-2]) < STEADY * max(rates[-2:])
                fallen = agreement.most("fallen_s") >= STANDING_S
                if self._stopped or visited.gave_up or steady or fallen:
                    break
        visited.warm(time_s=(monotonic_ns() - began) / 1e9)
        visited.median_s = self._agree(visited, median_s=visited.median_s).most("median_s")

    def _rounds(self, slice_s: float) -> None:
        """Visit all targets in random order, round after round, until each has its window."""
        number = 0
        while True:
            counted = {visited.id: self._agree(visited, counted_s=visited.counted_s) for visited in self.visited}
            left = {name: self.order.window_s - agreement.most("counted_s") for name, agreement in counted.items()}
            waiting = [visited for visited in self.visited if visited.gave_up is None and left[visited.id] > 0]
            if self._stopped or not waiting:
                return
            self._random.shuffle(waiting)
            for visited in waiting:
                if self._goes_on(visited):
                    self._progress(visited, "measure", 1 - left[visited.id] / self.order.window_s)
                    self._slice(visited, number, slice_s, left[visited.id])
            number += 1

    def _slice(self, visited: Visited, number: int, slice_s: float, left_s: float) -> None:
        """Make one visit: settle, count, drain."""
        length = min(max(slice_s, 10 * visited.median_s), left_s)
        if left_s - length < slice_s / 4:
            length = left_s  # no crumb of a slice at the end
        with visited.visit():
            visited.settle()
            visited.count(length, number)

    def _windows(self) -> None:
        """One unbroken window for each target."""
        for visited in self.visited:
            if not self._goes_on(visited):
                continue
            progress = self._progress_of(visited)
            if self.order.load.kind == "open":
                visited.count_open(self.order.window_s, OPEN_SETTLE_S, progress)
            else:
                with visited.visit():
                    visited.settle()
                    visited.count_unbroken(self.order.window_s, progress)

    def _progress_of(self, visited: Visited) -> Callable[[float], None]:
        """Give what a window calls with the share that is done."""
        return lambda done: self._progress(visited, "measure", done)


def answer_of(order: MeasureOrder, shares: list[list[dict[str, Any]]], *, aborted: bool) -> dict[str, Any]:
    """The protocol's answer; `shares` has a list for each process, with a share for each target."""
    is_open = order.load.kind == "open"
    return {
        "did": "measure",
        "aborted": aborted,
        "targets": [result(of_target, is_open=is_open) for of_target in zip(*shares, strict=True)],
    }
