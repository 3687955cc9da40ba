"""How throughput grows with connections, workers or threads: the Universal Scalability Law, with its uncertainty.

X(N) = gamma · N / (1 + alpha (N - 1) + beta N (N - 1)), alpha for waiting on what is shared, beta for keeping it
coherent (Gunther, Guerrilla Capacity Planning, 2007). N / X is linear in 1 / gamma, alpha / gamma and beta / gamma, so
the fit is a non-negative least squares of relative errors, and its uncertainty is Student's, by draws. Never fitted to
fewer than six points, never extrapolated silently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

LEAST_POINTS = 6
PARAMETERS = 3
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


def fit(points: Sequence[tuple[float, float]]) -> Scaling | None:
    """Fit the law to (N, throughput per second) pairs; several pairs may share an N (blocks).

    None with fewer than six different N, or when a throughput is not positive: there is no curve to speak of.
    """
    if len({n for n, _x in points}) < LEAST_POINTS or any(x <= 0 or not math.isfinite(x) or n <= 0 for n, x in points):
        return None
    n = np.array([each[0] for each in points], dtype=np.float64)
    cost = n / np.array([each[1] for each in points], dtype=np.float64)
    terms = np.column_stack([np.ones_like(n), n - 1, n * (n - 1)]) / cost[:, None]
    size = np.linalg.norm(terms, axis=0)
    scaled, _rest = nnls(terms / size, np.ones_like(n))
    if scaled[0] <= 0:
        return None
    left = 1 - terms / size @ scaled
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
