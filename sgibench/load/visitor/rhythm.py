"""How slow a target's answers are, as its warm-up showed, and what follows from it: settling, starting, the time-out.

Until processes have agreed on a pulse each goes by its own; from then on all go by the slowest that any of them saw.
"""

from __future__ import annotations

from collections.abc import Callable

from sgibench.histogram import Histogram
from sgibench.load import field as fields
from sgibench.load import rounds
from sgibench.load.loading import load_scenario
from sgibench.load.orders import MeasureOrder
from sgibench.load.target import Target
from sgibench.load.visitor.heard import Heard
from sgibench.load.ways import Pulse, fitting_timeout, middle_pulse

MOST_SETTLE_S = 10.0
BEHIND_S = 0.005
BEHIND_GAPS = 2.0
"""A server has stopped when it answers nothing for so long beyond its median, and so many requests are due meanwhile.
"""


class Rhythm:
    """The pulse of one target."""

    def __init__(self, order: MeasureOrder, target: Target, heard: Heard, *, places: int) -> None:
        """`places`: how many connections, or streams, this process has there."""
        self._order = order
        self._cls = load_scenario(order.scenario)
        self._target = target
        self._heard = heard
        self._places = places
        self.pulse = Pulse()
        self.before: tuple[Histogram, ...] = ()
        """Stretches of earlier rehearsals at the same rate; the look back is at them, too."""
        self.timeout_s = order.timeout_s

    def look_back(self, time_s: float) -> None:
        """Learn from the warm-up so far, which took that long, how slow answers are; and fit the time-out to them.

        Its first stretch has what is only slow once; of the others the middle one counts, so that a single disturbance
        of the machine does not decide.
        """
        self._target.fold()
        stretches = self._heard.stretches
        read = middle_pulse([*self.before, *(tally.histogram for tally in stretches)])
        self.pulse = Pulse(**read) if self._cls.requests else self._of_users(read, time_s)
        if any(tally.requests for tally in stretches):
            self._fit_timeout()

    def _of_users(self, read: dict[str, float], time_s: float) -> Pulse:
        """The same of users with tasks, who may think: what answers were like was read already."""
        target, places = self._target, max(1, self._places)
        return Pulse(
            **read,
            think_s=target.thoughts.longest_s,
            round_s=rounds.round_s(target, places, time_s, read["median_s"]),
            think_share=rounds.thought_s(target) / (places * time_s) if time_s else 0.0,
        )

    @property
    def thinks(self) -> bool:
        """Whether it has users who think, and begin again when they have thought."""
        return self.pulse.thinks and not self._cls.requests

    @property
    def longest_round_s(self) -> float:
        """A round that takes longer can't be measured: users are spread over it before the window."""
        return max(rounds.LONGEST_ROUND_S, self._order.window_s)

    def gather(self, over: Callable[[], bool]) -> float:
        """Let all users come to ask, gate closed; gives how long a round of theirs takes, as far as it was seen."""
        return rounds.gather(self._target, self.pulse, self.longest_round_s, over)

    def agreed(self, pulse: Pulse) -> None:
        """All processes know this pulse."""
        self.pulse = pulse
        self._fit_timeout()

    def _fit_timeout(self) -> None:
        order, cls = self._order, self._cls
        declared_s = fields.declared_timeout_s(cls)
        self.timeout_s = fitting_timeout(order.timeout_s, declared_s, order.window_s, cls.floor_s, self.pulse.p99_s)
        self._target.timeout_ns = round(self.timeout_s * 1e9)

    def settle_s(self, least_s: float) -> float:
        """How long a visit takes to come into its stride, at least so long."""
        pulse = self.pulse
        return min(MOST_SETTLE_S, max(least_s, self._cls.floor_s, pulse.p99_s, pulse.think_s))

    def turn_settle_s(self, least_s: float) -> float:
        """The same of a turn, in which something is to be asked and answered before it counts.

        Else a server that is slow to wake, and sleeps only as others are visited, would do so in the counted part.
        """
        return self.settle_s(max(least_s, self.pulse.p99_s + self._gap_s))

    @property
    def _gap_s(self) -> float:
        """Time between two requests of this process in an open loop."""
        load = self._order.load
        own_rate = (load.rate_per_s or 0.0) * self._places / (load.connections * load.streams)
        return 1 / own_rate if own_rate else 0.0

    @property
    def behind_s(self) -> float:
        """A server of an open loop that answers nothing that was due since for longer than this has stopped."""
        return self.pulse.median_s + max(BEHIND_S, BEHIND_GAPS * self._gap_s)

    @property
    def spread_s(self) -> float:
        """Across how much time connections begin: an answer's, or what a user who thinks takes for a round."""
        return max(self.pulse.median_s, self.pulse.round_s if self.thinks else 0.0)
