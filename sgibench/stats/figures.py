"""The figures by which cells are judged: one value a cell and block, alike for cost, throughput and latency.

A failed trial, one whose rate was not kept, and a percentile with too few answers behind it have no value: there is
nothing to rank, which is not the same as being slow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from sgibench.histogram import Histogram
from sgibench.model import HistogramData, LoadKind, Metric, Run, Trial
from sgibench.stats.intervals import Values, measured, percentile_allowed
from sgibench.stats.parts import levelled
from sgibench.stats.rates import rate_kept

METRICS: tuple[Metric, ...] = ("cpu_us_per_request", "rps", "p50_us", "p99_us", "p999_us")
LATENCIES: Mapping[Metric, float] = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999}
"""The figures that are percentiles of latency, with their quantiles."""
HIGHER_IS_BETTER: Mapping[Metric, bool] = {metric: metric == "rps" for metric in METRICS}
SHORT_NAMES: Mapping[str, Metric] = {
    "cpu": "cpu_us_per_request",
    "rps": "rps",
    "p50": "p50_us",
    "p99": "p99_us",
    "p999": "p999_us",
}
"""What a person types."""


def value_of(trial: Trial, metric: Metric) -> float | None:
    """Read the figure of a trial; None when it failed or the figure is none."""
    if trial.status != "ok":
        return None
    value = _latency_of(trial, metric) if metric in LATENCIES else _PLAIN[metric](trial)
    return value if value is not None and measured([value]) else None


_PLAIN: Mapping[Metric, Callable[[Trial], float | None]] = {
    "cpu_us_per_request": lambda trial: trial.cpu_us_per_request,
    "rps": lambda trial: trial.rps,
}


def _latency_of(trial: Trial, metric: Metric) -> float | None:
    """Give the percentile as stored, or, where only the histogram was, as it says."""
    quantile = LATENCIES[metric]
    if not rate_kept(trial) or not percentile_allowed(quantile, answers_of(trial)):
        return None
    stored = trial.latency_us
    known = {"p50_us": stored.p50, "p99_us": stored.p99, "p999_us": stored.p999}[metric] if stored else None
    if known is not None:
        return known
    histogram = shown_histogram(trial)
    return histogram.percentile_us(quantile) if histogram else None


def lacking(trials: Iterable[Trial], metric: Metric) -> str:
    """Say why good trials have no value of a figure."""
    for trial in trials:
        if trial.status != "ok" or value_of(trial, metric) is not None:
            continue
        if metric in LATENCIES and not rate_kept(trial):
            return "the rate was not kept, so there is no latency"
        if metric == "cpu_us_per_request" and trial.rps is not None and not rate_kept(trial):
            return "the rate was not kept, so a request has no cost at it"
        if metric in LATENCIES and not percentile_allowed(LATENCIES[metric], answers_of(trial)):
            return f"too few answers: {answers_of(trial)}"
        return "not measured, or no number that can be one"
    return "not measured"


def answers_of(trial: Trial) -> int:
    """How many answers stand behind a trial's latency."""
    data = _shown_data(trial)
    return sum(data.counts) if data is not None else trial.requests or 0


def shown_histogram(trial: Trial) -> Histogram | None:
    """Give the latencies that are shown: at an open load from the time a request was due.

    No percentile is read from among requests that were given up: only how long they waited at least is known.
    """
    data = _shown_data(trial)
    bound_us = trial.window.censored_from_us if trial.window else None
    return None if data is None else Histogram.from_data(data).bounded(bound_us)


def _shown_data(trial: Trial) -> HistogramData | None:
    due = trial.intended_histogram_us if trial.load.kind == "open" else None
    return due or trial.histogram_us


def judged(metric: Metric, kind: LoadKind, beside: Collection[LoadKind]) -> bool:
    """Whether a figure is judged at a kind of load, given all kinds that its scenario and settings were measured at.

    Latency at saturation says how many connections waited, and the rate of an open load is given: where both kinds were
    measured, the rate is read from the closed one and latency from the open ones.
    """
    if metric in LATENCIES:
        return kind == "open" or "open" not in beside
    return metric != "rps" or kind == "closed" or "closed" not in beside


def judged_cells(runs: Sequence[Run], metric: Metric) -> frozenset[str]:
    """Find the cells in which a figure is judged, given all loads that were measured in any of the runs."""
    kinds: dict[tuple[object, ...], set[LoadKind]] = defaultdict(set)
    where: dict[str, tuple[LoadKind, tuple[object, ...]]] = {}
    for run in runs:
        for trial in run.trials:
            stage = (trial.scenario, trial.workers, trial.threads, trial.configuration)
            kinds[stage].add(trial.load.kind)
            where[trial.cell] = trial.load.kind, stage
    return frozenset(cell for cell, (kind, stage) in where.items() if judged(metric, kind, kinds[stage]))


def block_values(trials: Iterable[Trial], metric: Metric) -> dict[int, float]:
    """Block -> value of one cell's trials.

    Blocks that are short of answers for p99.9, but not for p99, would have a row's two percentiles speak of different
    times, and p99.9 could come out below p99: then there is no p99.9. Nor is there a p99 where half of the blocks or
    more are short of answers for it: a window that has more than was due is one that a stall made longer.
    """
    asked = list(trials)
    found = _by_block(asked, metric)
    if metric == "p99_us" and 2 * len(found) <= len(_by_block(asked, "p50_us")):
        return {}
    lower = BESIDE.get(metric)
    return found if lower is None or found.keys() == block_values(asked, lower).keys() else {}


BESIDE: Mapping[Metric, Metric] = {"p999_us": "p99_us"}
"""Figures that are one only over the blocks of another."""


def _by_block(trials: Sequence[Trial], metric: Metric) -> dict[int, float]:
    found = ((trial.block, value_of(trial, metric)) for trial in trials)
    return {block: value for block, value in found if value is not None}


def values_of(run: Run, metric: Metric, *, control: bool = False) -> dict[str, Values]:
    """Cell -> block -> value, only cells with a value; the control's copies only when `control` is asked for."""
    cells: dict[str, list[Trial]] = defaultdict(list)
    for trial in levelled(run.trials):
        if trial.control == control:
            cells[trial.cell].append(trial)
    found = {cell: block_values(trials, metric) for cell, trials in cells.items()}
    return {cell: values for cell, values in found.items() if values}
