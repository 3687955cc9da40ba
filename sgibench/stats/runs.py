"""One run against another: matched cells, and intervals that know that runs differ from one another by themselves.

Blocks of two runs were not measured at the same time, so nothing is paired between them. Inside each run, though, a
cell stands beside others: where at least three cells of other servers in its group have the same packages in both runs,
each block's value is taken relative to their median move, which takes out what moved the whole machine (reported as
`machine_shift`). The error of the ratio is Welch's over the blocks of both runs, plus what separates two runs of the
very same thing, which more blocks do not reduce: estimated from the unchanged cells of other servers, and never less
than a floor. Two versions measured inside one run are compared more sharply still: do that when you can.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Literal

from sgibench.model import Comparison, Estimate, Machine, Run, RunInfo, Trial
from sgibench.stats.intervals import (
    CONFIDENCE,
    DELTA_FLOOR,
    LogRatio,
    Values,
    compare,
    estimate,
    holm_levels,
    judge,
    mean_and_sd,
    measured,
)
from sgibench.stats.ranking import noise_delta

Metric = Literal["cpu_us_per_request", "rps", "p50_us", "p99_us"]
HIGHER_IS_BETTER: Mapping[Metric, bool] = {
    "cpu_us_per_request": False,
    "rps": True,
    "p50_us": False,
    "p99_us": False,
}
BETWEEN_FLOOR: Mapping[Metric, float] = {"cpu_us_per_request": 0.02, "rps": 0.05, "p50_us": 0.05, "p99_us": 0.10}
"""Least standard deviation of one run's level, in log space: on shared machines CPU per request repeats within a few
per cent from run to run, rates and latencies within about twice that or more (method, section 1)."""
REFERENCED_FLOOR: Mapping[Metric, float] = {"cpu_us_per_request": 0.01, "rps": 0.02, "p50_us": 0.03, "p99_us": 0.05}
"""The same for levels relative to unchanged servers beside it (ratios repeat within two per cent)."""
LEAST_UNCHANGED = 3
"""Unchanged cells needed before they may say how much runs differ, or stand as a reference."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One cell in both runs; the comparison is new / old, its verdict about the new."""

    cell: str
    old: Estimate
    new: Estimate
    comparison: Comparison
    unchanged: bool
    """The same packages in both runs: what differs here, all other servers take as noise between runs."""
    between_sd: float
    """Standard deviation between runs that the interval contains (log space, of one run's level)."""
    between_from: int
    """Unchanged cells of other servers that it was estimated from; 0 when it is the floor."""
    machine_shift: float | None
    """How the unchanged servers beside it moved, new / old, already taken out of the comparison's ratio; None where
    there were too few: then the ratio is of plain levels."""


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """What two runs say about each other, for one metric."""

    metric: Metric
    same_machine: bool
    differences: tuple[str, ...]
    """Machine, Python and packages that are not the same, one sentence each: to be shown first."""
    changes: tuple[Change, ...]
    """Matched cells, in the order of the new run."""
    only_in_old: tuple[str, ...]
    """Cells with a value in the old run only: absent, or failed, in the new one."""
    only_in_new: tuple[str, ...]
    delta: float


def compare_runs(old: Run, new: Run, *, metric: Metric, confidence: float = CONFIDENCE) -> RunComparison:
    """Compare matched cells of two runs; corrected together (Holm). Cells without a value in one run are listed."""
    a, b = values_of(old, metric), values_of(new, metric)
    both = [cell for cell in b if cell in a]
    same = frozenset(cell for cell in both if _unchanged(cell, old, new))
    shifts = {cell: shift_of(cell, a, b, same) for cell in both}
    noise = {cell: noise_of(cell, shifts, same, metric) for cell in both}
    ratios = {cell: widened(shift.ratio, *noise[cell]) for cell, shift in shifts.items()}
    levels = holm_levels({cell: ratio.p_value for cell, ratio in ratios.items()}, alpha=1 - confidence)
    delta = max(run_delta(old, metric), run_delta(new, metric))
    changes = []
    for cell in both:
        before, after = estimate(list(a[cell].values())), estimate(list(b[cell].values()))
        if before is None or after is None:  # values_of keeps only cells that have one
            continue
        found = judge(
            ratios[cell],
            delta=delta,
            confidence=confidence,
            higher_is_better=HIGHER_IS_BETTER[metric],
            level=levels[cell],
        )
        changes.append(
            Change(
                cell=cell,
                old=before,
                new=after,
                comparison=replace(found, more_blocks=None),  # more blocks would not settle what separates the runs
                unchanged=cell in same,
                between_sd=math.sqrt(noise[cell][0]),
                between_from=noise[cell][1],
                machine_shift=None if shifts[cell].machine is None else math.exp(shifts[cell].machine or 0.0),
            )
        )
    return RunComparison(
        metric=metric,
        same_machine=machine_key(old.info.machine) == machine_key(new.info.machine),
        differences=differences(old.info, new.info),
        changes=tuple(changes),
        only_in_old=tuple(cell for cell in a if cell not in b),
        only_in_new=tuple(cell for cell in b if cell not in a),
        delta=delta,
    )


def worse_than(found: RunComparison, share: float = 0.0) -> tuple[Change, ...]:
    """Cells whose verdict is slower, by more than `share` (0.05: 5 % worse): what fails a regression check."""
    worse = []
    for change in found.changes:
        ratio = change.comparison.ratio
        loss = 1 / ratio - 1 if HIGHER_IS_BETTER[found.metric] else ratio - 1
        if change.comparison.verdict == "slower" and loss > share:
            worse.append(change)
    return tuple(worse)


# --- values --------------------------------------------------------------------------------------------------------


def value_of(trial: Trial, metric: Metric) -> float | None:
    """Read the metric of a trial; None when it failed or was not measured."""
    if trial.status != "ok":
        return None
    if metric == "cpu_us_per_request":
        return trial.cpu_us_per_request
    if metric == "rps":
        return trial.rps
    latency = trial.latency_us
    return None if latency is None else latency.p50 if metric == "p50_us" else latency.p99


def values_of(run: Run, metric: Metric, *, control: bool = False) -> dict[str, Values]:
    """Cell -> block -> value, only cells with a value; the control's copies only when `control` is asked for."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for trial in run.trials:
        value = value_of(trial, metric)
        if value is not None and measured([value]) and trial.control == control:
            found[trial.cell][trial.block] = value
    return dict(found)


def run_delta(run: Run, metric: Metric) -> float:
    """Largest noise floor that the run's A/A controls show; 2 % without a control."""
    cells, deltas = values_of(run, metric), [DELTA_FLOOR]
    for copy, values in values_of(run, metric, control=True).items():
        original = cells.get(copy.replace("~control/", "/", 1))
        if original is not None:
            deltas.append(noise_delta(compare(values, original, delta=DELTA_FLOOR)))
    return max(deltas)


# --- noise ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How one cell moved between the runs."""

    ratio: LogRatio
    """New / old, relative to the references where there are any."""
    machine: float | None
    """ln of how the references moved; None without references."""


def shift_of(cell: str, old: Mapping[str, Values], new: Mapping[str, Values], same: frozenset[str]) -> Shift:
    """Take a cell's move relative to the unchanged cells of other servers in its group, or plainly without three."""
    beside = [
        other
        for other in same
        if server_of(other) != server_of(cell) and other.split("/")[2:] == cell.split("/")[2:]
        if old[cell].keys() <= old[other].keys() and new[cell].keys() <= new[other].keys()
    ]
    if len(beside) < LEAST_UNCHANGED:
        return Shift(ratio=welch(new[cell], old[cell]), machine=None)
    usual = {other: fmean(math.log(value) for value in old[other].values()) for other in beside}
    levels = [
        {block: median(math.log(run[other][block]) - usual[other] for other in beside) for block in run[cell]}
        for run in (old, new)
    ]
    before, after = (
        {block: value / math.exp(level[block]) for block, value in run[cell].items()}
        for run, level in zip((old, new), levels, strict=True)
    )
    return Shift(ratio=welch(after, before), machine=fmean(levels[1].values()) - fmean(levels[0].values()))


def noise_of(cell: str, shifts: Mapping[str, Shift], same: frozenset[str], metric: Metric) -> tuple[float, int]:
    """Variance between runs for one cell: from other servers' unchanged cells that were treated alike."""
    referenced = shifts[cell].machine is not None
    others = [
        shift.ratio
        for other, shift in shifts.items()
        if other in same and server_of(other) != server_of(cell) and (shift.machine is not None) == referenced
    ]
    return between_variance(others, floor_sd=(REFERENCED_FLOOR if referenced else BETWEEN_FLOOR)[metric])


def welch(new: Values, old: Values) -> LogRatio:
    """ln(new / old) of two unpaired sets of blocks: Welch's error and Satterthwaite's degrees of freedom.

    Biometrika 34, 1947. With one block on a side there is no error.
    """
    logs = [[math.log(value) for value in values.values()] for values in (new, old)]
    (mean_new, sd_new), (mean_old, sd_old) = mean_and_sd(logs[0]), mean_and_sd(logs[1])
    blocks = min(len(new), len(old))
    if sd_new is None or sd_old is None:
        return LogRatio(mean=mean_new - mean_old, error=None, degrees=1, blocks=blocks)
    parts = [(sd_new**2 / len(new), len(new) - 1.0), (sd_old**2 / len(old), len(old) - 1.0)]
    error, degrees = satterthwaite(parts)
    return LogRatio(mean=mean_new - mean_old, error=error, degrees=degrees, blocks=blocks)


def satterthwaite(parts: list[tuple[float, float]]) -> tuple[float, float]:
    """Error and degrees of freedom of a sum of variances, each with its degrees; smallest degrees without variance."""
    total = math.fsum(variance for variance, _degrees in parts)
    weight = math.fsum(variance**2 / degrees for variance, degrees in parts)
    return math.sqrt(total), total**2 / weight if weight > 0 else min(degrees for _variance, degrees in parts)


def between_variance(unchanged: list[LogRatio], *, floor_sd: float) -> tuple[float, int]:
    """Variance of one run's level beyond its blocks' scatter, and how many cells it comes from (0: the floor).

    An unchanged cell's shift has variance 2 · between + its own error²; the mean over the cells gives `between`. A
    shift that they share counts too: a whole run may be faster than another.
    """
    known = [(shift.mean, shift.error) for shift in unchanged if shift.error is not None]
    if len(known) < LEAST_UNCHANGED:
        return floor_sd**2, 0
    seen = math.fsum(mean**2 - error**2 for mean, error in known) / len(known) / 2
    return (seen, len(known)) if seen > floor_sd**2 else (floor_sd**2, 0)


def widened(shift: LogRatio, between: float, count: int) -> LogRatio:
    """Add the variance between two runs to a shift's error; the floor (`count` 0) is taken as known."""
    if shift.error is None:
        return shift
    parts = [(shift.error**2, shift.degrees), (2 * between, float(count or 1000))]
    error, degrees = satterthwaite(parts)
    return replace(shift, error=error, degrees=degrees)


# --- what differs --------------------------------------------------------------------------------------------------


def machine_key(machine: Machine) -> tuple[object, ...]:
    """What makes two hosts the same machine for a comparison."""
    return (machine.hostname_hash, machine.cpu_model, machine.cores, machine.cpu_quota)


def differences(old: RunInfo, new: RunInfo) -> tuple[str, ...]:
    """All that differs between the conditions of two runs, one sentence each; the machine comes first."""
    a, b = old.machine, new.machine
    named = [
        ("machine", a.hostname_hash, b.hostname_hash),
        ("CPU", a.cpu_model, b.cpu_model),
        ("cores", a.cores, b.cores),
        ("CPU quota", a.cpu_quota, b.cpu_quota),
        ("server CPUs", len(a.server_cpus), len(b.server_cpus)),
        ("kernel", a.kernel, b.kernel),
        ("governor", a.governor, b.governor),
        ("Python", a.python, b.python),
        ("sgibench", old.version, new.version),
        ("profile", old.profile, new.profile),
    ]
    found = [f"{name}: {before} in the old run, {after} in the new" for name, before, after in named if before != after]
    for server in sorted(old.environments.keys() & new.environments.keys()):
        before, after = (_versions(info.environments[server].packages) for info in (old, new))
        moved = [
            f"{name} {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
        if moved:
            found.append(f"{server}: {', '.join(moved)}")
    return tuple(found)


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: version for name, _equals, version in (package.partition("==") for package in packages)}


def server_of(cell: str) -> str:
    """Name the server of a cell's id."""
    return cell.split("/", 1)[0]


def _unchanged(cell: str, old: Run, new: Run) -> bool:
    """Whether what was installed for the cell, and from where, is the same in both runs."""
    server, app = cell.split("/")[:2]
    before, after = (
        run.info.environments.get(f"{server} {app}", run.info.environments.get(server)) for run in (old, new)
    )
    if before is None or after is None:
        return False
    same = before.packages == after.packages and sorted(before.requirements) == sorted(after.requirements)
    return same and before.python == after.python
