"""Repeated looks at growing data: how sure each look must be, so that all of them together stay at 5 %.

A run with `--until settled` looks after every block and stops when all comparisons have a verdict. Looking often finds
differences by chance, so the error is spent over the looks by a function that is fixed before the run (Lan and DeMets,
Biometrika 70, 1983; the Pocock-like function, which leaves room for stopping early). The boundaries of the normal
process come from Armitage, McPherson and Rowe's recursion (JRSS A 132, 1969) and become nominal levels for Student's t
(the significance-level approach: Jennison and Turnbull, Group Sequential Methods, 2000, section 4.4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import scipy
from numpy.typing import NDArray

from sgibench.model import Comparison
from sgibench.stats.intervals import CONFIDENCE, Key, LogRatio, judge

_GRID = 801
"""Points of the recursion's integrals; doubling them changes no level by more than 1e-6."""
_FARTHEST = 8.5
"""Standard deviations at which a boundary counts as out of reach."""


def spent(share: float, alpha: float) -> float:
    """Error that may be spent when `share` (0 to 1) of the blocks are in: alpha · ln(1 + (e - 1) · share)."""
    return alpha * math.log1p((math.e - 1) * share)


@lru_cache(maxsize=256)
def nominal_levels(looks: tuple[int, ...], alpha: float = 1 - CONFIDENCE) -> tuple[float, ...]:
    """Two-sided level at which each look tests; `looks` are the block counts at the looks, rising.

    The last one is the maximum of blocks. One look gets all of alpha. Raises ValueError when they do not rise.
    """
    if not looks or looks[0] < 1 or any(a >= b for a, b in pairwise(looks)):
        raise ValueError(f"expected rising numbers of blocks, got {looks}")
    levels: list[float] = []
    points: NDArray[np.float64] = np.zeros(1)
    weights: NDArray[np.float64] = np.ones(
        1
    )  # probability mass that has not stopped, at `points` of the summed process
    before, already = 0, 0.0
    for blocks in looks:
        step = math.sqrt(blocks - before)
        allowed = spent(blocks / looks[-1], alpha) - already
        bound = _bound(points, weights, step, math.sqrt(blocks), allowed)
        levels.append(2 * float(scipy.special.ndtr(-bound / math.sqrt(blocks))))
        grid = np.linspace(-bound, bound, _GRID)
        simpson = np.where(np.arange(_GRID) % 2, 4.0, 2.0)
        simpson[[0, -1]] = 1.0
        density = (
            np.exp(-0.5 * ((grid[:, None] - points[None, :]) / step) ** 2) @ weights / (step * math.sqrt(2 * math.pi))
        )
        weights = density * simpson * (grid[1] - grid[0]) / 3
        points, before, already = grid, blocks, already + allowed
    return tuple(levels)


def _bound(
    points: NDArray[np.float64], weights: NDArray[np.float64], step: float, scale: float, allowed: float
) -> float:
    """Boundary of the summed process that the surviving mass crosses with probability `allowed`."""

    def excess(bound: float) -> float:
        beyond = scipy.special.ndtr((points - bound) / step) + scipy.special.ndtr((-bound - points) / step)
        return float(beyond @ weights) - allowed

    return float(scipy.optimize.brentq(excess, 0.0, _FARTHEST * scale, xtol=1e-9))


def look(
    ratios: Mapping[Key, LogRatio],
    *,
    at: int,
    looks: Sequence[int],
    delta: float,
    confidence: float = CONFIDENCE,
    higher_is_better: bool = True,
) -> dict[Key, Comparison]:
    """Compare with the baseline at one of the planned looks; `at` is the number of blocks so far.

    The error is shared out over the comparisons (Bonferroni) and then over the looks, so a false difference anywhere
    at any look is as rare as 1 - `confidence`. Intervals are repeated ones: all looks' intervals of one comparison
    cover the truth together, so a tie is as sure as without looking. Raises ValueError when `at` is no planned look.
    """
    if at not in looks:
        raise ValueError(f"no look was planned at {at} blocks, only at {', '.join(map(str, looks))}")
    alpha = 1 - confidence
    place = list(looks).index(at)
    single = nominal_levels(tuple(looks), alpha)[place]
    shared = nominal_levels(tuple(looks), alpha / max(len(ratios), 1))[place]
    return {
        key: judge(ratio, delta=delta, confidence=1 - single, higher_is_better=higher_is_better, level=shared)
        for key, ratio in ratios.items()
    }


def settled(comparisons: Mapping[Key, Comparison]) -> bool:
    """Whether every comparison has a verdict, so that a run until settled may stop. Nothing compared is not settled."""
    return bool(comparisons) and all(found.verdict != "unknown" for found in comparisons.values())
