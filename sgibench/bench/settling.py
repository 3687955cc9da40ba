"""`--until settled`: a rule fixed beforehand by which a run may end early, and nothing else may end it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sgibench import stats
from sgibench.model import Comparison, StopRule, Trial

FIRST_LOOK = 3
"""Two blocks have an interval, but not one that a stop should rest on."""


def make_rule(baseline: str, blocks: int) -> StopRule:
    """Look after every block from the third on; the last planned block is the last look."""
    return StopRule(baseline=baseline, looks=tuple(range(min(FIRST_LOOK, blocks), blocks + 1)))


def comparisons_at(trials: Sequence[Trial], rule: StopRule, blocks: int) -> dict[str, Comparison]:
    """Compare each cell's CPU per request with the baseline's, as sure as looking this often demands."""
    if blocks not in rule.looks:
        return {}
    values: dict[str, dict[int, float]] = defaultdict(dict)
    for trial in trials:
        if trial.cpu_us_per_request is not None:
            values[trial.cell][trial.block] = trial.cpu_us_per_request
    pairs = {}
    for trial in trials:
        beside = _baseline_cell(trial, trials, rule.baseline)
        if not trial.control and trial.server != rule.baseline and beside and trial.cell in values and beside in values:
            pairs[trial.cell] = (values[trial.cell], values[beside])
    delta = max([stats.DELTA_FLOOR, *(_noise(cell, values) for cell in values if "~control/" in cell)])
    return stats.look(pairs, at=blocks, looks=rule.looks, delta=delta, higher_is_better=False)


def settled(trials: Sequence[Trial], rule: StopRule, blocks: int) -> bool:
    """Whether every comparison with the baseline has a verdict by now."""
    return stats.settled(comparisons_at(trials, rule, blocks))


def _baseline_cell(trial: Trial, trials: Sequence[Trial], baseline: str) -> str | None:
    """Find the baseline's cell in the trial's group."""
    group = (trial.scenario, trial.load, trial.workers, trial.threads)
    return next(
        (
            other.cell
            for other in trials
            if other.server == baseline
            and not other.control
            and (other.scenario, other.load, other.workers, other.threads) == group
        ),
        None,
    )


def _noise(control: str, values: dict[str, dict[int, float]]) -> float:
    original = values.get(control.replace("~control/", "/", 1))
    if original is None:
        return stats.DELTA_FLOOR
    return stats.noise_delta(stats.compare(values[control], original, delta=stats.DELTA_FLOOR))
