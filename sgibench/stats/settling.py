"""`--until settled`: a rule fixed beforehand by which a run may end early, and nothing else may end it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sgibench.model import Comparison, Load, StopRule, Trial
from sgibench.stats.intervals import DELTA_FLOOR, compare
from sgibench.stats.looks import look, settled
from sgibench.stats.ranking import noise_delta

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
    baselines = {_group(trial): trial.cell for trial in trials if trial.server == rule.baseline and not trial.control}
    pairs = {}
    for trial in trials:
        beside = baselines.get(_group(trial))
        if not trial.control and trial.server != rule.baseline and beside and trial.cell in values and beside in values:
            pairs[trial.cell] = (values[trial.cell], values[beside])
    delta = max([DELTA_FLOOR, *(_noise(cell, values) for cell in values if "~control/" in cell)])
    return look(pairs, at=blocks, looks=rule.looks, delta=delta, higher_is_better=False)


def is_settled(trials: Sequence[Trial], rule: StopRule, blocks: int) -> bool:
    """Whether every comparison with the baseline has a verdict by now."""
    return settled(comparisons_at(trials, rule, blocks))


def _group(trial: Trial) -> tuple[str, Load, int, int, str]:
    """What a trial and the baseline's must have in common."""
    return trial.scenario, trial.load, trial.workers, trial.threads, trial.configuration


def _noise(control: str, values: dict[str, dict[int, float]]) -> float:
    original = values.get(control.replace("~control/", "/", 1))
    if original is None:
        return DELTA_FLOOR
    return noise_delta(compare(values[control], original, delta=DELTA_FLOOR))
