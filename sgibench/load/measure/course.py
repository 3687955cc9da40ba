"""One order under way: who is visited, what all processes have agreed on, and how far it is.

Whatever goes on or ends here goes on or ends in all processes at the same moment, so every one of them must come to
every agreement, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from time import monotonic_ns
from typing import Any

import gevent

from sgibench.laps import Laps
from sgibench.load.orders import MeasureOrder
from sgibench.load.rehearsed import Rehearsed
from sgibench.load.together import Agreement, Together
from sgibench.load.visitor import STEP_S, Visited
from sgibench.load.ways import Pulse

PROGRESS_S = 0.5

Say = Callable[[dict[str, Any]], None]


class Course:
    """What the warm-up and the windows of an order share."""

    def __init__(self, order: MeasureOrder, say: Say, together: Together, rehearsed: Rehearsed) -> None:
        self.order = order
        self.together = together
        self.rehearsed = rehearsed
        self.laps = Laps("connecting")
        self.random = Random(order.seed)
        """Gives the same in all processes."""
        self.visited = [Visited(order, index, together, self.laps) for index in range(len(order.targets))]
        self.aborted = False
        """Whether this process was told to end soon."""
        self.stopped = False
        """Whether all have agreed to."""
        self._say = say
        self._said_at = 0
        self._begun: set[tuple[str, str]] = set()
        """Targets and phases that were told of."""

    @property
    def is_open(self) -> bool:
        """Whether requests are due at a rate."""
        return self.order.load.kind == "open"

    @property
    def floor_s(self) -> float:
        """What answers take at least; 0 where windows have a way of their own whatever that is."""
        cls = self.visited[0].cls
        return 0.0 if cls.beside is not None or cls.bursts else cls.floor_s

    # --- in step with other processes ------------------------------------------------------------------------------

    def agree(self, visited: Visited | None = None, **said: Any) -> Agreement:
        """Exchange what each knows, learn who was given up, and wait for the common moment."""
        said |= {"aborted": self.aborted, "gave_up": visited.gave_up if visited else None}
        agreement = self.together.agree(said)
        self.stopped = bool(agreement.any("aborted"))
        gave_up = agreement.any("gave_up")
        if visited is not None and gave_up:
            visited.patience.give_up(**gave_up)
        if (wait_ns := agreement.at_ns - monotonic_ns()) > 0:
            gevent.sleep(wait_ns / 1e9)
        return agreement

    def goes_on(self, visited: Visited) -> bool:
        """Whether all agree to go on with a target; returns at the same moment everywhere."""
        self.agree(visited)
        return not self.stopped and visited.gave_up is None

    def those_left(self) -> list[Visited]:
        """The targets with which all agree to go on."""
        return [visited for visited in self.visited if self.goes_on(visited)]

    def share_pulse(self, visited: Visited) -> None:
        """Take the slowest answers that any process saw for all of them."""
        pulse = vars(visited.rhythm.pulse)
        agreement = self.agree(visited, **pulse)
        visited.rhythm.agreed(Pulse(**{name: agreement.most(name) for name in pulse}))

    # --- time that passes ------------------------------------------------------------------------------------------

    def apart_s(self, several: Sequence[Visited]) -> float:
        """How far apart the schedules of targets begin that are visited at once: evenly over a request's time."""
        return 1 / ((self.order.load.rate_per_s or 1.0) * len(several))

    def sleep(
        self, several: Sequence[Visited], seconds: float, progress: Callable[[float], None] | None = None
    ) -> None:
        """Let the loop run, unless all of these were cut short."""
        began = monotonic_ns()
        while (left_s := seconds - (monotonic_ns() - began) / 1e9) > 0 and not all(each.cut_short for each in several):
            gevent.sleep(min(left_s, STEP_S))
            for visited in several:
                visited.look()
            if progress is not None:
                progress(1 - max(0.0, left_s) / seconds)

    def progress(self, visited: Visited, phase: str, done: float, *, alone: bool = False) -> None:
        """Tell the engine how far this is: where a phase begins, and else not too often.

        `alone`: this target is being counted, and nobody else; so that is where to look.
        """
        now = monotonic_ns()
        new = (visited.id, phase) not in self._begun
        if self.together.index == 0 and (new or now - self._said_at > PROGRESS_S * 1e9):
            self._said_at = now
            self._begun.add((visited.id, phase))
            told = {"target": visited.id, "phase": phase, "done": round(min(done, 1.0), 3), "alone": alone}
            self._say({"event": "progress", **told})

    def say_begun(self, visited: Visited) -> None:
        """Tell the engine that a window has begun, whatever was told just now."""
        self._said_at = 0
        self.progress(visited, "measure", 0.0)

    def progress_of(self, visited: Visited, *, alone: bool = True) -> Callable[[float], None]:
        """Give what a window calls with the share that is done."""
        return lambda done: self.progress(visited, "measure", done, alone=alone)
