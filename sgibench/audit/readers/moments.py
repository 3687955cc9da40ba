"""What the mean, the standard deviation and the extremes of the same figures can be together.

No figures between a minimum and a maximum scatter by more than sqrt((max - mean)(mean - min)), where half of them lie
at either end (Bhatia and Davis, 2000). A deviation beyond that is none, and explains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sgibench.audit.figures import Twice, ms

_ROUNDED = 0.01
"""Tools print three digits, and bound the relative error of a histogram at 0.1 %."""
_FEWEST = 2
"""A deviation needs so many figures."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Latencies of one run, in milliseconds; None where they were not printed."""

    mean_ms: float | None
    spread_ms: float | None
    """The standard deviation."""
    max_ms: float | None
    min_ms: float = 0.0
    """0 where nothing is known of it: no latency is less."""
    count: float | None = None
    """So many figures; None where nobody knows."""
    step_ms: float = 0.0
    """What the tool rounds to, where that is more than its digits."""

    @property
    def most_ms(self) -> float | None:
        """The largest standard deviation that mean and extremes allow, as they were rounded."""
        if self.mean_ms is None or self.max_ms is None:
            return None
        above = self.max_ms * (1 + _ROUNDED) - self.mean_ms * (1 - _ROUNDED) + self.step_ms
        below = self.mean_ms * (1 + _ROUNDED) - self.min_ms * (1 - _ROUNDED) + self.step_ms
        n = max(self.count or _FEWEST, _FEWEST)
        return math.sqrt(max(above, 0.0) * max(below, 0.0) * n / (n - 1)) * (1 + _ROUNDED) + self.step_ms

    @property
    def edge_ms(self) -> float | None:
        """What one connection loses when a run ends in the middle of its answer.

        A moment meets long answers rather than short ones: the one that is cut off lasts E[L²]/E[L] on average (the
        inspection paradox), which is far above the mean where a tenth of the answers takes ten times as long. None for
        a deviation that is impossible.
        """
        if not self.mean_ms or self.spread_ms is None or (self.most_ms is not None and self.spread_ms > self.most_ms):
            return None
        return self.mean_ms + self.spread_ms * self.spread_ms / self.mean_ms

    def told_twice(self) -> Iterator[Twice]:
        """Compare the deviation with the largest that there can be."""
        if self.spread_ms is None or self.mean_ms is None or self.max_ms is None or self.most_ms is None:
            return
        given = f"a mean of {ms(self.mean_ms)} and a maximum of {ms(self.max_ms)}"
        yield Twice(
            told=f"a standard deviation of {ms(self.spread_ms)}",
            parts=f"with {given} it is {ms(self.most_ms)} at most",
            agree=self.spread_ms <= self.most_ms,
        )
