"""Samples in, judgement out: intervals, ratios, verdicts, tie groups, capacity, scaling curves. Pure.

Laws: the process is what is replicated, so one block gives one value and spread is taken over blocks. Everything
is computed in log space, because machines slow down by a factor and not by an amount. A failed or missing block is
left out and never a zero, outliers stay in, and where the data do not carry an answer the answer is `None` or
`unknown`.
"""

from __future__ import annotations

from sgibench.stats import capacity, usl
from sgibench.stats.intervals import (
    CLAIM_BLOCKS,
    CONFIDENCE,
    DELTA_FLOOR,
    LogRatio,
    Values,
    compare,
    estimate,
    holm,
    holm_levels,
    judge,
    log_ratio,
    percentile_allowed,
)
from sgibench.stats.looks import look, nominal_levels, settled
from sgibench.stats.ranking import Ranking, noise_delta, rank
from sgibench.stats.runs import Change, Metric, RunComparison, compare_runs, values_of, worse_than

__all__ = [
    "CLAIM_BLOCKS",
    "CONFIDENCE",
    "DELTA_FLOOR",
    "Change",
    "LogRatio",
    "Metric",
    "Ranking",
    "RunComparison",
    "Values",
    "capacity",
    "compare",
    "compare_runs",
    "estimate",
    "holm",
    "holm_levels",
    "judge",
    "log_ratio",
    "look",
    "noise_delta",
    "nominal_levels",
    "percentile_allowed",
    "rank",
    "settled",
    "usl",
    "values_of",
    "worse_than",
]
