"""The A/A control as a check of its own: whether a server comes out equal to its own copy, over a whole run.

Each group has one such pair, which few blocks can hardly refute. So the pairs of all groups are looked at together, for
each figure where it is judged: under no difference their normal scores z have a sum of squares that is chi-squared.
What it finds is a reason to doubt the run, and moves no limit.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import scipy

from sgibench.model import LoadKind, Metric, Trial
from sgibench.stats.figures import METRICS, block_values, judged
from sgibench.stats.intervals import DELTA, LogRatio
from sgibench.stats.moderation import table_of
from sgibench.stats.parts import levelled

LEVEL = 0.01
"""Of the check, for each figure: with four of them, one sound run in twenty-five is doubted at most."""
FARTHEST = 8.0
"""Standard deviations; beyond, a p-value is too small for a normal score."""

GroupKey = tuple[str, int, int, str, object]


@dataclass(frozen=True, kw_only=True)
class Floor:
    """What the controls of a run say about one figure."""

    metric: Metric
    pairs: int
    """Groups whose control was measured."""
    largest: float
    """The largest of the ratios, copy / original or the other way round, at least 1."""
    p_value: float
    """Of no difference in any of them."""
    delta: float

    @property
    def differs(self) -> bool:
        """Whether copies differ from their originals by more than their intervals allow, and by more than matters."""
        return self.p_value < LEVEL and self.largest > 1 + self.delta


def noise_floors(trials: Sequence[Trial], delta: float = DELTA) -> tuple[Floor, ...]:
    """Pool the A/A controls of all groups, figure by figure; a figure without a control is left out."""
    groups: dict[GroupKey, dict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    kinds: dict[tuple[object, ...], set[LoadKind]] = defaultdict(set)
    for trial in levelled(trials):
        stage = (trial.scenario, trial.workers, trial.threads, trial.configuration)
        kinds[stage].add(trial.load.kind)
        groups[(*stage, trial.load)][trial.cell].append(trial)
    floors = []
    for metric in METRICS:
        found = [
            ratio
            for key, cells in groups.items()
            if judged(metric, next(iter(cells.values()))[0].load.kind, kinds[key[:4]])
            if (ratio := _pair(cells, metric)) is not None and ratio.error is not None
        ]
        if found:
            floors.append(pooled(metric, found, delta))
    return tuple(floors)


def _pair(cells: Mapping[str, Sequence[Trial]], metric: Metric) -> LogRatio | None:
    """Compare the group's copy with its original, the group's spread behind it."""
    copy = next((cell for cell, members in cells.items() if members[0].control), "")
    original = copy.replace("~control", "", 1)
    if not copy or original not in cells:
        return None
    table = table_of({cell: block_values(members, metric) for cell, members in cells.items()})
    return table.ratio(copy, original)


def pooled(metric: Metric, ratios: Sequence[LogRatio], delta: float) -> Floor:
    """Look at the A/A pairs of all groups together."""
    scores = [min(-float(scipy.special.ndtri(max(ratio.p_value, 1e-15) / 2)), FARTHEST) for ratio in ratios]
    return Floor(
        metric=metric,
        pairs=len(ratios),
        largest=math.exp(max(abs(ratio.mean) for ratio in ratios)),
        p_value=float(scipy.special.chdtrc(len(scores), math.fsum(score**2 for score in scores))),
        delta=delta,
    )
