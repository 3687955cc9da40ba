"""Samples in, judgement out: intervals, ratios, verdicts, tie groups, capacity, scaling curves. Pure.

Laws: the process is what is replicated, so one block gives one value and spread is taken over blocks. Everything
is computed in log space, because machines slow down by a factor and not by an amount. A failed or missing block is
left out and never a zero, outliers stay in, and where the data do not carry an answer the answer is `None` or
`unknown`.
"""

from __future__ import annotations

from sgibench.stats import capacity, usl
from sgibench.stats.advice import CLAIM_BLOCKS
from sgibench.stats.control import Floor, noise_floors
from sgibench.stats.figures import (
    HIGHER_IS_BETTER,
    LATENCIES,
    METRICS,
    SHORT_NAMES,
    block_values,
    judged,
    judged_cells,
    lacking,
    shown_histogram,
    value_of,
    values_of,
)
from sgibench.stats.gaps import Gap
from sgibench.stats.intervals import (
    CONFIDENCE,
    DELTA,
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
from sgibench.stats.layers import Layers, Mean, layers_of, mean_of
from sgibench.stats.looks import look, nominal_levels, settled
from sgibench.stats.moderation import Spread, Table, moderate, table_of
from sgibench.stats.pace import at_one_pace, spread_us
from sgibench.stats.parts import levelled
from sgibench.stats.ranking import Ranking, rank
from sgibench.stats.runs import Change, RunComparison, compare_runs, worse_than
from sgibench.stats.twoway import Contrast, TwoWay, two_way

__all__ = [
    "CLAIM_BLOCKS",
    "CONFIDENCE",
    "DELTA",
    "HIGHER_IS_BETTER",
    "LATENCIES",
    "METRICS",
    "SHORT_NAMES",
    "Change",
    "Contrast",
    "Floor",
    "Gap",
    "Layers",
    "LogRatio",
    "Mean",
    "Ranking",
    "RunComparison",
    "Spread",
    "Table",
    "TwoWay",
    "Values",
    "at_one_pace",
    "block_values",
    "capacity",
    "compare",
    "compare_runs",
    "estimate",
    "holm",
    "holm_levels",
    "judge",
    "judged",
    "judged_cells",
    "lacking",
    "layers_of",
    "levelled",
    "log_ratio",
    "look",
    "mean_of",
    "moderate",
    "noise_floors",
    "nominal_levels",
    "percentile_allowed",
    "rank",
    "settled",
    "shown_histogram",
    "spread_us",
    "table_of",
    "two_way",
    "usl",
    "value_of",
    "values_of",
    "worse_than",
]
