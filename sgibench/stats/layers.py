"""What a request costs, taken apart: the server's layer, the framework's and the app's own work (pure).

Figures of one block: CPU per request under a server of the framework's app, what that app and the plain one cost by
themselves (behind the server's border to them, or called without a server), and what the server costs outside its
border to that app. Then own work = plain app; framework = framework's app - plain app; server = what is outside the
border. Their sum is held against the whole that was measured, which none of them was made from: what is left over is
not explained, and stays so. Where there was no border, server = plain app under the server - plain app alone. Costs of
layers add up, so these are means and differences of microseconds and no ratios; intervals are Student's, over blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sgibench.stats.intervals import CONFIDENCE, Values, mean_and_sd, measured, t_quantile

EXPLAINED_WITHIN = 0.10
"""Layers that add up to the whole within this share of it are said to explain it."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over blocks; it may be below zero."""

    value: float
    half: float | None
    """Half of its 95 % interval; None with one block."""
    blocks: int


@dataclass(frozen=True, kw_only=True)
class Layers:
    """CPU microseconds per request, layer by layer; the four add up to `total`."""

    total: Mean
    """Of the whole process tree under load."""
    server: Mean
    framework: Mean
    """0 for the plain app."""
    work: Mean
    rest: Mean
    """Not explained: total less the three layers; 0 for the plain app without a border, from which two were made."""

    @property
    def explained(self) -> bool:
        """Whether the layers add up to the whole, within EXPLAINED_WITHIN of it."""
        return abs(self.rest.value) <= EXPLAINED_WITHIN * self.total.value


def layers_of(
    total: Values, plain_total: Values, alone: Values, plain_alone: Values, outside: Values | None = None
) -> Layers | None:
    """Take a request apart over the blocks that have all figures; None when there is none.

    `outside` is the server's own CPU at its border to the app; without it the plain app under the server stands in.
    """
    server = outside or {
        block: plain_total[block] - plain_alone[block] for block in plain_total.keys() & plain_alone.keys()
    }
    given = (total, server, alone, plain_alone)
    blocks = [
        block
        for block in sorted(total)
        if all(block in values for values in given)
        and len(measured([values[block] for values in (total, alone, plain_alone)])) == len(given) - 1
    ]
    if not blocks:
        return None

    def mean(weights: Mapping[int, int]) -> Mean:
        return mean_of([added_up(sign * given[place][block] for place, sign in weights.items()) for block in blocks])

    return Layers(
        total=mean({0: 1}),
        server=mean({1: 1}),
        framework=mean({2: 1, 3: -1}),
        work=mean({3: 1}),
        rest=mean({0: 1, 1: -1, 2: -1}),
    )


def added_up(values: Iterable[float]) -> float:
    """Add microseconds; what floating point leaves of nothing is nothing."""
    return round(sum(values), 9)


def mean_of(values: Sequence[float]) -> Mean:
    """Give the mean of at least one value with its interval."""
    mean, sd = mean_and_sd(values)
    half = None if sd is None else t_quantile((1 + CONFIDENCE) / 2, len(values) - 1) * sd / math.sqrt(len(values))
    return Mean(value=mean, half=half, blocks=len(values))
