"""How throughput grows with connections, workers or threads: the Universal Scalability Law, with its uncertainty.

X(N) = gamma · N / (1 + alpha (N - 1) + beta N (N - 1)), alpha for waiting on what is shared, beta for keeping it
coherent (Gunther, Guerrilla Capacity Planning, 2007). N / X is linear in 1 / gamma, alpha / gamma and beta / gamma, so
the fit is a non-negative least squares of relative errors, and its uncertainty is Student's, by draws. Never fitted to
fewer than six points, never extrapolated silently, and only kept where it fits: what the law leaves unexplained between
the means at each N is tested against the scatter inside each N (the F test for lack of fit; Draper and Smith, Applied
Regression Analysis, 1998, chapter 2). Without repeats at most N there is no scatter to test against, and no law. What a
block does to all sizes alike is taken out first, and counted: a machine that is slow for a block bends no curve, and
its swings must not hide that a law does not fit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

LEAST_POINTS = 6
PARAMETERS = 3
LACK_LEVEL = 0.05
"""A law that fits is refused once in twenty."""
EXACT = 1e-6
"""Relative residuals below this are rounding, not lack of fit."""
_DRAWS = 4000
_SEED = 20070101
"""Fixed, so that the same points give the same interval."""


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Throughput at one N, from the fit."""

    per_s: float
    extrapolated: bool
    """Whether N lies outside the points that were measured: say so wherever it is shown."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """A fitted curve."""

    gamma: Bounded
    """Throughput of one, per second."""
    alpha: Bounded
    """Contention, a share."""
    beta: Bounded
    """Coherence, a share."""
    peak: Bounded | None
    """N of the highest throughput, sqrt((1 - alpha) / beta); None when the fit never turns down. An infinite upper
    bound says that no turning down can be ruled out."""
    error: float
    """Relative scatter of the points around the curve."""
    smallest: float
    largest: float
    """Range of N that was measured."""

    def at(self, n: float) -> Predicted:
        """Throughput at N, and whether that is beyond what was measured."""
        per_s = self.gamma.value * n / (1 + self.alpha.value * (n - 1) + self.beta.value * n * (n - 1))
        return Predicted(per_s=per_s, extrapolated=not self.smallest <= n <= self.largest)


class Point(NamedTuple):
    """Throughput of one size in one block."""

    n: float
    per_s: float
    block: int


def testable(points: Sequence[Point]) -> bool:
    """Whether the law can be fitted and its fit tested: six different N, most of them repeated, no failed point."""
    sizes = Counter(point.n for point in points)
    repeated = sum(count > 1 for count in sizes.values())
    sound = all(point.per_s > 0 and math.isfinite(point.per_s) and point.n > 0 for point in points)
    spare = len(points) - len(sizes) - len({point.block for point in points}) + 1
    return sound and len(sizes) >= LEAST_POINTS and 2 * repeated > len(sizes) and spare > 0


def fit(points: Sequence[Point]) -> Scaling | None:
    """Fit the law to throughputs, several of which share an N (blocks).

    None where it can't be tested, and where it does not fit.
    """
    if not testable(points):
        return None
    n = np.array([point.n for point in points], dtype=np.float64)
    blocks = _blocks(points)
    cost = n / np.array([point.per_s for point in points], dtype=np.float64) * np.exp(blocks.moved)
    terms = np.column_stack([np.ones_like(n), n - 1, n * (n - 1)]) / cost[:, None]
    size = np.linalg.norm(terms, axis=0)
    scaled, _rest = scipy.optimize.nnls(terms / size, np.ones_like(n))
    if scaled[0] <= 0:
        return None
    left = 1 - terms / size @ scaled
    if lacks_fit(n, left, parameters=int(np.count_nonzero(scaled)), blocks=blocks.count):
        return None
    degrees = len(points) - PARAMETERS - (blocks.count - 1)
    variance = float(left @ left) / degrees
    draws = _draws(scaled, variance * np.linalg.inv((terms / size).T @ (terms / size)), degrees) / size
    best = scaled / size
    return Scaling(
        gamma=_bounded(1 / best[0], blocks.levels(len(draws)) / draws[:, 0]),
        alpha=_bounded(best[1] / best[0], draws[:, 1] / draws[:, 0]),
        beta=_bounded(best[2] / best[0], draws[:, 2] / draws[:, 0]),
        peak=_peak(best, draws),
        error=math.sqrt(variance),
        smallest=float(n.min()),
        largest=float(n.max()),
    )


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """What blocks did to all sizes alike."""

    count: int
    moved: NDArray[np.float64]
    """Of each point, the logarithm by which its block was faster than the blocks are in the mean."""
    error: float
    """Standard error of that mean."""

    def levels(self, count: int) -> NDArray[np.float64]:
        """Draw factors by which the blocks' mean may be off; the shape of a curve does not depend on it."""
        if self.count < 2:  # noqa: PLR2004 - one block scatters around nothing
            return np.ones(count)
        random = np.random.default_rng(_SEED + 1)
        return np.asarray(np.exp(np.clip(random.standard_t(self.count - 1, size=count) * self.error, -700, 700)))


def _blocks(points: Sequence[Point]) -> Blocks:
    """Find it: least squares of the logarithms on sizes and blocks."""
    sizes, size = np.unique([point.n for point in points], return_inverse=True)
    names, block = np.unique([point.block for point in points], return_inverse=True)
    design = np.hstack([np.eye(len(sizes))[size], np.eye(len(names))[block]])
    logs = np.log([point.per_s for point in points])
    effects = np.linalg.lstsq(design, logs, rcond=None)[0][len(sizes) :]
    effects -= effects.mean()
    error = float(effects.std(ddof=1) / math.sqrt(len(names))) if len(names) > 1 else 0.0
    return Blocks(count=len(names), moved=np.asarray(effects[block], dtype=np.float64), error=error)


def lacks_fit(n: NDArray[np.float64], left: NDArray[np.float64], parameters: int, blocks: int = 1) -> bool:
    """Whether residuals differ more between sizes than repeats of one size differ among themselves.

    `left` are relative residuals; `parameters` those of the law that are not at their bound of 0; `blocks` those whose
    means were taken out.
    """
    sizes, place = np.unique(n, return_inverse=True)
    counts = np.bincount(place)
    means = np.bincount(place, weights=left) / counts
    lack = float((counts * means**2).sum())
    pure = float(((left - means[place]) ** 2).sum())
    between, inside = len(sizes) - parameters, len(n) - len(sizes) - (blocks - 1)
    if lack <= EXACT**2 * len(n):
        return False
    if pure <= EXACT**2 * len(n):
        return True
    return float(scipy.special.fdtrc(between, inside, (lack / between) / (pure / inside))) < LACK_LEVEL


def _draws(centre: NDArray[np.float64], covariance: NDArray[np.float64], degrees: int) -> NDArray[np.float64]:
    """Multivariate Student draws around the fit; what can't be negative is cut at 0."""
    random = np.random.default_rng(_SEED)
    normal = random.multivariate_normal(np.zeros(PARAMETERS), covariance, size=_DRAWS, method="eigh")
    drawn = centre + normal * np.sqrt(degrees / random.chisquare(degrees, size=_DRAWS))[:, None]
    drawn = np.maximum(drawn, 0.0)
    return np.asarray(drawn[drawn[:, 0] > 0])


def _bounded(value: float, draws: NDArray[np.float64]) -> Bounded:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Bounded(value=float(value), low=min(float(low), float(value)), high=max(float(high), float(value)))


def _peak(best: NDArray[np.float64], draws: NDArray[np.float64]) -> Bounded | None:
    """(1 - alpha) / beta = (a - b) / c in the linear coefficients; at least 1."""
    if best[2] <= 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.where(draws[:, 2] > 0, np.maximum(draws[:, 0] - draws[:, 1], 0.0) / draws[:, 2], np.inf)
    peaks = np.maximum(np.sqrt(squares), 1.0)
    value = max(math.sqrt(max(best[0] - best[1], 0.0) / best[2]), 1.0)
    low, high = np.quantile(peaks, (0.025, 0.975), method="inverted_cdf")
    return Bounded(value=value, low=min(float(low), value), high=max(float(high), value))
