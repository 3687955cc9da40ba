"""`--until settled`: a rule fixed beforehand by which a run may end early, and nothing else may end it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sgibench.model import Comparison, LoadKind, Metric, StopRule, Trial
from sgibench.stats.figures import HIGHER_IS_BETTER, block_values, judged
from sgibench.stats.intervals import DELTA, LogRatio
from sgibench.stats.looks import look, settled
from sgibench.stats.moderation import table_of
from sgibench.stats.parts import levelled

FIRST_LOOK = 3
"""Two blocks have an interval, but not one that a stop should rest on."""

Where = tuple[Metric, str]
"""A figure and a cell."""
StageKey = tuple[str, int, int, str]
"""Scenario, workers, threads, configuration: what loads of one server have in common."""


def make_rule(baseline: str, blocks: int, figures: Sequence[Metric] = ("cpu_us_per_request",)) -> StopRule:
    """Look after every block from the third on; the last planned block is the last look."""
    looks = tuple(range(min(FIRST_LOOK, blocks), blocks + 1))
    return StopRule(baseline=baseline, looks=looks, figures=tuple(dict.fromkeys(figures)))


def comparisons_at(
    trials: Sequence[Trial], rule: StopRule, blocks: int, delta: float = DELTA
) -> dict[Where, Comparison]:
    """Compare each cell with the baseline by each of the rule's figures, as sure as looking this often demands."""
    if blocks not in rule.looks:
        return {}
    ratios: dict[Where, LogRatio] = {}
    for metric in rule.figures:
        ratios |= {(metric, cell): ratio for cell, ratio in _against(trials, rule.baseline, metric).items()}
    found: dict[Where, Comparison] = {}
    for up in (False, True):
        sense = {where for where in ratios if HIGHER_IS_BETTER[where[0]] == up}
        compared = look(ratios, at=blocks, looks=rule.looks, delta=delta, higher_is_better=up)
        found |= {where: each for where, each in compared.items() if where in sense}
    return {where: found[where] for where in ratios}


def is_settled(trials: Sequence[Trial], rule: StopRule, blocks: int, delta: float = DELTA) -> bool:
    """Whether every comparison with the baseline has a verdict by now."""
    return settled(comparisons_at(trials, rule, blocks, delta))


def _against(trials: Sequence[Trial], baseline: str, metric: Metric) -> dict[str, LogRatio]:
    """Cell -> its ratio to the baseline's in the same group, the group's spread behind it."""
    kinds: dict[StageKey, set[LoadKind]] = defaultdict(set)
    groups: dict[tuple[StageKey, object], dict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in levelled(trials):
        kinds[_stage(trial)].add(trial.load.kind)
        groups[_stage(trial), trial.load][trial.cell].append(trial)
    found: dict[str, LogRatio] = {}
    for (stage, _load), cells in groups.items():
        first = {cell: members[0] for cell, members in cells.items()}
        if judged(metric, next(iter(first.values())).load.kind, kinds[stage]):
            found |= _in_group(cells, first, baseline, metric)
    return found


def _in_group(
    cells: Mapping[str, Sequence[Trial]], first: Mapping[str, Trial], baseline: str, metric: Metric
) -> dict[str, LogRatio]:
    own = [cell for cell, trial in first.items() if not trial.control]
    beside = next((cell for cell in own if first[cell].server == baseline), None)
    if beside is None:
        return {}
    table = table_of({cell: block_values(members, metric) for cell, members in cells.items()})
    others = [cell for cell in own if first[cell].server != baseline]
    return {cell: ratio for cell in others if (ratio := table.ratio(cell, beside)) is not None}


def _stage(trial: Trial) -> StageKey:
    return trial.scenario, trial.workers, trial.threads, trial.configuration
