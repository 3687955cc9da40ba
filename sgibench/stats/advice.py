"""How many further blocks would settle what is unknown, said so that it comes true four times in five.

Both the spread and the ratio itself are known from few blocks only. So the advice is the number of blocks with which a
verdict is found in nine of ten futures: the spread is drawn from what its degrees of freedom leave open, the mean of
all blocks moves by what the further ones may add. A ratio near delta itself may never settle; then there is no advice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

CLAIM_BLOCKS = 6
"""With fewer blocks (the quick profile) no tie is claimed, and a difference only when the interval clears delta."""
PREDICTED_BLOCKS = 500
"""A comparison that would need more blocks than this is not said to settle at all."""
OFTEN = 0.9
"""Share of futures in which the advice must come true. They are reckoned with normal noise; where one server is louder
than the others, or a block is disturbed now and then, nine of ten so reckoned are four of five (0.8 were seven of ten:
`benchmarks/judgement_simulation.py`)."""
NODES = 8
"""Equally likely values of the spread that stand for all of them."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A comparison so far, in log space."""

    mean: float
    error: float
    degrees: float
    blocks: int


def more_blocks(seen: Seen, delta: float, *, alpha: float, level: float) -> int | None:
    """Give the fewest further blocks with which the comparison is settled in OFTEN of its futures; None: too many.

    `delta` in log space; `alpha` of the interval, `level` of the test, both two-sided. Where no difference at all is
    still plausible, the advice must come true for two equal cells, too: a tie takes more blocks than a difference.
    """
    totals = _totals(max(seen.blocks + 1, CLAIM_BLOCKS))
    truths = (
        [None, 0.0]
        if seen.error and 2 * scipy.special.stdtr(seen.degrees, -abs(seen.mean) / seen.error) > alpha
        else [None]
    )
    needed = []
    for truth in truths:
        settled = np.maximum.accumulate(_settled(seen, totals, delta, alpha=alpha, level=level, truth=truth))
        enough = int(np.searchsorted(settled, OFTEN))
        if enough == len(totals):
            return None
        needed.append(int(totals[enough]))
    return max(needed) - seen.blocks


def _totals(first: int) -> Floats:
    """Numbers of blocks that are looked at: each at first, then in steps of a twelfth."""
    found = [float(first)]
    while found[-1] < PREDICTED_BLOCKS:
        found.append(min(math.ceil(found[-1] * 13 / 12), PREDICTED_BLOCKS))
    return np.array(found)


def _settled(seen: Seen, totals: Floats, delta: float, *, alpha: float, level: float, truth: float | None) -> Floats:
    """Share of futures with a verdict, after each number of blocks in all.

    `truth`: the true mean, or None for what the blocks so far leave open. The mean of all N blocks is, of B so far with
    mean m, (B m + (N - B) further) / N; the further ones scatter around the truth.
    """
    shares = (np.arange(NODES) + 0.5) / NODES
    error_now = max(seen.error, 1e-9)
    spread = error_now * math.sqrt(seen.blocks * seen.degrees) / np.sqrt(scipy.special.chdtri(seen.degrees, 1 - shares))
    degrees = seen.degrees * (totals - 1) / max(seen.blocks - 1, 1)
    error = spread[:, None] / np.sqrt(totals)
    further = totals - seen.blocks
    if truth is None:
        centre = np.full_like(totals, seen.mean)
        moves = spread[:, None] * np.sqrt(further / (totals * seen.blocks))
    else:
        centre = (seen.blocks * seen.mean + further * truth) / totals
        moves = spread[:, None] * np.sqrt(further) / totals
    inside = delta - scipy.special.stdtrit(degrees, 1 - alpha / 2) * error
    beyond = np.maximum(delta, scipy.special.stdtrit(degrees, 1 - level / 2) * error)

    def within(limit: Floats) -> Floats:
        share = scipy.special.ndtr((limit - centre) / moves) - scipy.special.ndtr((-limit - centre) / moves)
        return np.where(limit > 0, share, 0.0)

    return np.asarray((within(inside) + 1 - within(beyond)).mean(axis=0))
