"""What is held open beside one target's window, and whether enough of it stood for the figures to be beside that.

Connections are held only while the target's own window lasts: opened before it, counted at both of its edges, and let
go. A process holds its share of them; whether enough stood is judged by the sums over all processes.
"""

from __future__ import annotations

from typing import Any

from sgibench.load.holding import LEAST_SHARE, Holding
from sgibench.load.loading import load_scenario
from sgibench.load.orders import MeasureOrder, TargetOrder
from sgibench.load.target import Target
from sgibench.load.together import Together
from sgibench.load.visitor.patience import Patience


class Held:
    """The connections held beside a target, now or before."""

    def __init__(
        self, order: MeasureOrder, spec: TargetOrder, target: Target, together: Together, patience: Patience
    ) -> None:
        self._load = order.load
        self._beside = None if order.alone else load_scenario(order.scenario).beside
        self._spec = spec
        self._target = target
        self._together = together
        self._patience = patience
        self.holding: Holding | None = None
        """What is held open now."""
        self.share: dict[str, Any] | None = None
        """What was held beside the window."""

    def open(self) -> tuple[int, int]:
        """Open what its scenario wants to have held beside it; how many were wanted and stand, in this process."""
        if self._beside is None:
            return 0, 0
        of, index = self._together.of, self._together.index
        count = self._beside.count // of + (index < self._beside.count % of)
        pids = self._spec.pids if index == 0 else ()
        self.holding = Holding(self._beside, (self._spec.host, self._spec.port), self._load, count, pids)
        self.holding.open()
        return count, self.holding.stood

    def at_end(self) -> tuple[int, int]:
        """How many were wanted, and stood at the window's edge; or now, where it came to none."""
        if self.holding is None:
            return 0, 0
        self.holding.stood_end = self.holding.stood_end or self.holding.standing
        return self.holding.count, self.holding.stood_end

    def judge(self, wanted: float, stood: float, when: str) -> None:
        """Give the target up when fewer connections were held than the figures are meant to be beside."""
        if self.holding is None or stood >= LEAST_SHARE * wanted:
            return
        samples = self.holding.share()["samples"]
        first = f"; {next(iter(samples))}: {next(iter(samples.values()))}" if samples else ""
        told = f"of {wanted:g} connections to be held open, {stood:g} stood {when}"
        self._patience.give_up("not-held", f"{told}, opened for {self.holding.opening_s:.1f} s{first}")

    def join(self) -> None:
        """A visit begins: their events are handled in the target's loop, too."""
        if self.holding is not None:
            self.holding.join(self._target)

    def leave(self) -> None:
        """The visit ends."""
        if self.holding is not None:
            self.holding.leave(self._target)

    def let_go(self) -> None:
        """The window is over: note what was held, and close it."""
        holding, self.holding = self.holding, None
        if holding is None:
            return
        if holding.streams.first.count or holding.streams.gaps.count:
            self._target.streams = holding.streams
        self.share = holding.share()
        holding.close()

    def close(self) -> None:
        """Close what is held, whatever comes of it."""
        if self.holding is not None:
            self.holding.close()
