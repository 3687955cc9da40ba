"""How throughput grows with connections, workers or threads: the Universal Scalability Law, with its uncertainty.

X(N) = gamma · N / (1 + alpha (N - 1) + beta N (N - 1)), alpha for waiting on what is shared, beta for keeping it
coherent (Gunther, Guerrilla Capacity Planning, 2007). N / X is linear in 1 / gamma, alpha / gamma and beta / gamma, so
the fit is a non-negative least squares of relative errors, and its uncertainty is Student's, by draws. Never fitted to
fewer than six points, never extrapolated silently, and only kept where it fits: what the law leaves unexplained between
the means at each N is tested against the scatter inside each N (the F test for lack of fit; Draper and Smith, Applied
Regression Analysis, 1998, chapter 2). Without repeats at most N there is no scatter to test against, and no law.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

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


def testable(points: Sequence[tuple[float, float]]) -> bool:
    """Whether the law can be fitted and its fit tested: six different N, most of them repeated, no failed point."""
    sizes = Counter(n for n, _x in points)
    repeated = sum(count > 1 for count in sizes.values())
    sound = all(x > 0 and math.isfinite(x) and n > 0 for n, x in points)
    return sound and len(sizes) >= LEAST_POINTS and 2 * repeated > len(sizes)


def fit(points: Sequence[tuple[float, float]]) -> Scaling | None:
    """Fit the law to (N, throughput per second) pairs; several pairs share an N (blocks).

    None where it can't be tested, and where it does not fit.
    """
    if not testable(points):
        return None
    n = np.array([each[0] for each in points], dtype=np.float64)
    cost = n / np.array([each[1] for each in points], dtype=np.float64)
    terms = np.column_stack([np.ones_like(n), n - 1, n * (n - 1)]) / cost[:, None]
    size = np.linalg.norm(terms, axis=0)
    scaled, _rest = scipy.optimize.nnls(terms / size, np.ones_like(n))
    if scaled[0] <= 0:
        return None
    left = 1 - terms / size @ scaled
    if lacks_fit(n, left, parameters=int(np.count_nonzero(scaled))):
        return None
    degrees = len(points) - PARAMETERS
    variance = float(left @ left) / degrees
    draws = _draws(scaled, variance * np.linalg.inv((terms / size).T @ (terms / size)), degrees) / size
    best = scaled / size
    return Scaling(
        gamma=_bounded(1 / best[0], 1 / draws[:, 0]),
        alpha=_bounded(best[1] / best[0], draws[:, 1] / draws[:, 0]),
        beta=_bounded(best[2] / best[0], draws[:, 2] / draws[:, 0]),
        peak=_peak(best, draws),
        error=math.sqrt(variance),
        smallest=float(n.min()),
        largest=float(n.max()),
    )


def lacks_fit(n: NDArray[np.float64], left: NDArray[np.float64], parameters: int) -> bool:
    """Whether residuals differ more between sizes than repeats of one size differ among themselves.

    `left` are relative residuals; `parameters` those of the law that are not at their bound of 0.
    """
    sizes, place = np.unique(n, return_inverse=True)
    counts = np.bincount(place)
    means = np.bincount(place, weights=left) / counts
    lack = float((counts * means**2).sum())
    pure = float(((left - means[place]) ** 2).sum())
    between, inside = len(sizes) - parameters, len(n) - len(sizes)
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
