"""Intervals over blocks, ratios inside blocks, and what may be said about them.

A comparison is made inside blocks, d_i = ln(a_i / b_i), so that what slows both cells down cancels. The interval is
Student's, exp(mean d ± t · s_d / √B), or narrower where the table knows the spread better (`moderation`). A value that
is not a positive, finite number of a size that anything real has is a failed measurement: its block counts as missing.
One block gives a value without an interval; no block at all gives `None`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import scipy

from sgibench.model import Comparison, Estimate, Verdict
from sgibench.stats.advice import CLAIM_BLOCKS, Seen, more_blocks

CONFIDENCE = 0.95
"""Of every interval, and of one table's verdicts taken together."""
DELTA = 0.02
"""Differences of less than 2 % are not worth a verdict, however sure they are; a user may ask for another (`--delta`).
It is fixed before anything is measured: noise widens intervals and moves no limit."""
TAIL_SAMPLES = 10
"""A percentile is shown when at least this many samples lie on its thinner side."""

SMALLEST, LARGEST = 1e-9, 1e15
"""No rate, no time in microseconds and no size that anybody measures lies outside; a file may say what it likes."""

Values = Mapping[int, float]
"""Block index -> value of one cell in that block."""
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class LogRatio:
    """What the blocks say about a / b, in log space: an estimate, its standard error, and how well that is known."""

    mean: float
    """Mean of ln(a / b)."""
    error: float | None
    """Standard error of the mean; None with one block."""
    degrees: float
    """Degrees of freedom of the error."""
    blocks: int
    """Blocks behind it."""

    def half_width(self, level: float) -> float | None:
        """Half of the interval that misses the truth with probability `level`; None without an error."""
        return None if self.error is None else t_quantile(1 - level / 2, self.degrees) * self.error

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference (Student's t); 1 without an error."""
        if self.error is None or self.mean == 0:
            return 1.0
        return 2.0 * float(scipy.special.stdtr(self.degrees, -abs(self.mean) / self.error)) if self.error else 0.0


@lru_cache(maxsize=4096)
def t_quantile(probability: float, degrees: float) -> float:
    """Quantile of Student's t."""
    return float(scipy.special.stdtrit(degrees, probability))


def measured(values: Iterable[float]) -> list[float]:
    """Only what can be a measurement: positive, finite, and neither smaller nor larger than anything real."""
    return [value for value in values if SMALLEST <= value <= LARGEST]


def factor(log: float) -> float:
    """Turn a logarithm into a factor that can be stored, however wide an interval is."""
    return math.exp(max(min(log, 700.0), -700.0))


def mean_and_sd(logs: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1) of at least one number; rounding dust counts as no spread."""
    mean = math.fsum(logs) / len(logs)
    if len(logs) == 1:
        return mean, None
    sd = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
    dust = 1e-12 * max(1.0, *(abs(x) for x in logs))
    return mean, sd if sd > dust else 0.0


def estimate(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate | None:
    """Geometric mean over blocks with its interval (Student's t in log space).

    One value has no interval; equal values have an interval of no width; no measured value at all gives None.
    """
    logs = [math.log(value) for value in measured(values)]
    if not logs:
        return None
    mean, sd = mean_and_sd(logs)
    if sd is None:
        return Estimate(value=math.exp(mean), low=None, high=None, blocks=1)
    half = t_quantile((1 + confidence) / 2, len(logs) - 1) * sd / math.sqrt(len(logs))
    return Estimate(value=math.exp(mean), low=factor(mean - half), high=factor(mean + half), blocks=len(logs))


def log_ratio(a: Values, b: Values) -> LogRatio | None:
    """Summarise ln(a / b) over the blocks in which both were measured; None when there is no such block."""
    ratios = [math.log(a[i] / b[i]) for i in sorted(a.keys() & b.keys()) if len(measured((a[i], b[i]))) == 2]  # noqa: PLR2004 - both of the pair
    if not ratios:
        return None
    mean, sd = mean_and_sd(ratios)
    error = None if sd is None else sd / math.sqrt(len(ratios))
    return LogRatio(mean=mean, error=error, degrees=len(ratios) - 1, blocks=len(ratios))


def compare(
    a: Values, b: Values, *, delta: float, confidence: float = CONFIDENCE, higher_is_better: bool = True
) -> Comparison | None:
    """Compare cell a with cell b, paired by block; None when no block has both (one of them failed throughout).

    `delta` is a share: 0.02 means that ratios from 1/1.02 to 1.02 make no difference to a user. The verdict is about
    a: `faster` means better, whichever way the figure points. This is one comparison on its own; those of a table go
    through `holm` together.
    """
    ratio = log_ratio(a, b)
    if ratio is None:
        return None
    return judge(ratio, delta=delta, confidence=confidence, higher_is_better=higher_is_better)


def holm(
    ratios: Mapping[Key, LogRatio],
    *,
    delta: float,
    confidence: float = CONFIDENCE,
    higher_is_better: bool = True,
) -> dict[Key, Comparison]:
    """Compare all pairs of one table, so that a false "different" anywhere in it is as rare as 1 - `confidence`.

    Holm's step-down (Scandinavian Journal of Statistics 6, 1979): the k-th smallest of m p-values is tested at
    alpha / (m - k + 1), and the first that fails ends the rejections. The intervals shown stay those of the single
    comparison.
    """
    levels = holm_levels({key: ratio.p_value for key, ratio in ratios.items()}, alpha=1 - confidence)
    return {
        key: judge(ratio, delta=delta, confidence=confidence, higher_is_better=higher_is_better, level=levels[key])
        for key, ratio in ratios.items()
    }


def holm_levels(p_values: Mapping[Key, float], *, alpha: float) -> dict[Key, float]:
    """Give each comparison the level at which Holm tests it: p <= level exactly where Holm rejects.

    After the first failure no later one may pass, so they get the level at which that one failed.
    """
    levels: dict[Key, float] = {}
    failed_at: float | None = None
    for rank, key in enumerate(sorted(p_values, key=lambda k: p_values[k])):
        level = failed_at if failed_at is not None else alpha / (len(p_values) - rank)
        levels[key] = level
        if failed_at is None and p_values[key] > level:
            failed_at = level
    return levels


def judge(
    ratio: LogRatio,
    *,
    delta: float,
    confidence: float = CONFIDENCE,
    higher_is_better: bool = True,
    level: float | None = None,
) -> Comparison:
    """Turn a log ratio into a comparison with its verdict (method, section 5).

    tie: the interval lies inside ±delta. faster, slower: no difference is excluded at `level` (smaller than
    1 - `confidence` inside a table or between repeated looks), and the ratio itself lies beyond delta. Else unknown.
    With fewer than CLAIM_BLOCKS blocks there is no tie, and a difference only if the whole interval lies beyond delta.
    """
    alpha = 1 - confidence
    level = alpha if level is None else level
    half = ratio.half_width(alpha)
    verdict = _verdict(ratio, math.log1p(delta), alpha=alpha, level=level, higher_is_better=higher_is_better)
    return Comparison(
        ratio=math.exp(ratio.mean),
        low=None if half is None else factor(ratio.mean - half),
        high=None if half is None else factor(ratio.mean + half),
        blocks=ratio.blocks,
        verdict=verdict,
        more_blocks=_advice(ratio, math.log1p(delta), alpha=alpha, level=level) if verdict == "unknown" else None,
    )


def _verdict(ratio: LogRatio, delta: float, *, alpha: float, level: float, higher_is_better: bool) -> Verdict:
    half = ratio.half_width(alpha)
    if half is None:
        return "unknown"
    few = ratio.blocks < CLAIM_BLOCKS
    if not few and abs(ratio.mean) + half <= delta:
        return "tie"
    beyond = abs(ratio.mean) - (half if few else 0.0) > delta
    if beyond and ratio.p_value <= level:
        return "faster" if (ratio.mean > 0) == higher_is_better else "slower"
    return "unknown"


def _advice(ratio: LogRatio, delta: float, *, alpha: float, level: float) -> int | None:
    """Say how many further blocks would settle an unknown; without a spread, what makes CLAIM_BLOCKS."""
    if ratio.error is None:
        return max(CLAIM_BLOCKS - ratio.blocks, 1)
    seen = Seen(mean=ratio.mean, error=ratio.error, degrees=ratio.degrees, blocks=ratio.blocks)
    return more_blocks(seen, delta, alpha=alpha, level=level)


def percentile_allowed(q: float, samples: int) -> bool:
    """Whether `samples` answers are enough to show the quantile q: p50 needs 20, p90 100, p99 1,000, p99.9 10,000.

    Raises ValueError unless 0 < q < 1.
    """
    if not 0 < q < 1:
        raise ValueError(f"expected a quantile between 0 and 1, got {q}")
    return samples * min(q, 1 - q) >= TAIL_SAMPLES * (1 - 1e-9)
