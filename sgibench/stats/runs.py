"""One run against another: matched cells, and intervals that know that runs differ from one another by themselves.

Blocks of two runs were not measured at the same time, so nothing is paired between them. Inside each run, though, a
cell stands beside others: where at least three cells of other servers in its group are unchanged, which is to say that
they have the same packages in both runs and an app that is none of the user's,
each block's value is taken relative to their median move, which takes out what moved the whole machine (reported as
`machine_shift`). The error of the ratio is Welch's over the blocks of both runs, plus what separates two runs of the
very same thing, which more blocks do not reduce: estimated from the unchanged cells of other servers, and never less
than a floor. Two versions measured inside one run are compared more sharply still: do that when you can.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean, median

from sgibench.model import Comparison, Estimate, Metric, Run
from sgibench.stats.conditions import differences, machine_key, unchanged
from sgibench.stats.figures import HIGHER_IS_BETTER, judged_cells, values_of
from sgibench.stats.gaps import Gap, absent_of, gaps_of
from sgibench.stats.intervals import (
    CONFIDENCE,
    DELTA,
    LogRatio,
    Values,
    estimate,
    factor,
    holm_levels,
    judge,
    mean_and_sd,
)
from sgibench.stats.moderation import Spread, moderate

BETWEEN_FLOOR: Mapping[Metric, float] = {
    "cpu_us_per_request": 0.02,
    "rps": 0.05,
    "p50_us": 0.05,
    "p99_us": 0.10,
    "p999_us": 0.15,
}
"""Least standard deviation of one run's level, in log space: on shared machines CPU per request repeats within a few
per cent from run to run, rates and latencies within about twice that or more (method, section 1)."""
REFERENCED_FLOOR: Mapping[Metric, float] = {
    "cpu_us_per_request": 0.01,
    "rps": 0.02,
    "p50_us": 0.03,
    "p99_us": 0.05,
    "p999_us": 0.08,
}
"""The same for levels relative to unchanged servers beside it (ratios repeat within two per cent)."""
LEAST_UNCHANGED = 3
"""Unchanged cells, each of other processes, needed before they say how much runs differ, or stand as a reference."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One cell in both runs; the comparison is new / old, its verdict about the new."""

    cell: str
    old: Estimate
    new: Estimate
    comparison: Comparison
    unchanged: bool
    """The same packages in both runs, and no app of the user's: what differs here, all other servers take as noise."""
    between_sd: float
    """Standard deviation between runs that the interval contains (log space, of one run's level)."""
    between_from: int
    """Unchanged cells of other servers that it was estimated from, one a process; 0 when it is the floor."""
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
    gaps: tuple[Gap, ...]
    """What is not compared, or rests on fewer blocks than were planned, each with its reason."""
    absent: Mapping[str, str]
    """Cells with results in both runs that have this figure in neither, and why."""
    delta: float


def compare_runs(
    old: Run, new: Run, *, metric: Metric, delta: float = DELTA, confidence: float = CONFIDENCE
) -> RunComparison:
    """Compare matched cells of two runs; corrected together (Holm). Cells without a value in one run are gaps.

    Only cells in which the figure is judged: of latency those at a fixed rate, of throughput those at saturation, where
    there are both.
    """
    where = judged_cells((old, new), metric)
    a, b = ({cell: values for cell, values in values_of(run, metric).items() if cell in where} for run in (old, new))
    both = [cell for cell in b if cell in a]
    same = frozenset(cell for cell in both if unchanged(cell, old, new))
    shifts = shifts_of(both, a, b, same)
    noise = {cell: noise_of(cell, shifts, same, metric) for cell in both}
    ratios = {cell: widened(shift.ratio, *noise[cell]) for cell, shift in shifts.items()}
    levels = holm_levels({cell: ratio.p_value for cell, ratio in ratios.items()}, alpha=1 - confidence)
    better = HIGHER_IS_BETTER[metric]
    changes = []
    for cell in both:
        before, after = estimate(list(a[cell].values())), estimate(list(b[cell].values()))
        if before is None or after is None:  # values_of keeps only cells that have one
            continue
        found = judge(ratios[cell], delta=delta, confidence=confidence, higher_is_better=better, level=levels[cell])
        machine = shifts[cell].machine
        changes.append(
            Change(
                cell=cell,
                old=before,
                new=after,
                comparison=replace(found, more_blocks=None),  # more blocks would not settle what separates the runs
                unchanged=cell in same,
                between_sd=math.sqrt(noise[cell][0]),
                between_from=noise[cell][1],
                machine_shift=None if machine is None else factor(machine),
            )
        )
    return RunComparison(
        metric=metric,
        same_machine=machine_key(old.info.machine) == machine_key(new.info.machine),
        differences=differences(old.info, new.info),
        changes=tuple(changes),
        gaps=gaps_of(old, new, metric, where),
        absent=absent_of(old, new, metric, where),
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


# --- noise ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How one cell moved between the runs."""

    ratio: LogRatio
    """New / old, relative to the references where there are any."""
    machine: float | None
    """ln of how the references moved; None without references."""


@dataclass(frozen=True, kw_only=True)
class Relative:
    """One cell's blocks in both runs, relative to the references where there are any."""

    old: Values
    new: Values
    machine: float | None


def shifts_of(
    cells: list[str], old: Mapping[str, Values], new: Mapping[str, Values], same: frozenset[str]
) -> dict[str, Shift]:
    """Find how each cell moved; the scatter of those with references is moderated over their group, run by run."""
    relative = {cell: relative_to(cell, old, new, same) for cell in cells}
    spreads: dict[tuple[str, bool], Spread] = {}
    for group in dict.fromkeys(group_of(cell) for cell in cells):
        members = [cell for cell in cells if group_of(cell) == group and relative[cell].machine is not None]
        for which in (False, True):
            found = _moderated({cell: relative[cell].new if which else relative[cell].old for cell in members})
            spreads |= {(cell, which): spread for cell, spread in found.items()}
    return {
        cell: Shift(
            ratio=welch(each.new, each.old, spreads.get((cell, True)), spreads.get((cell, False))),
            machine=each.machine,
        )
        for cell, each in relative.items()
    }


def _moderated(cells: Mapping[str, Values]) -> dict[str, Spread]:
    scatter = {cell: mean_and_sd([math.log(value) for value in values.values()])[1] for cell, values in cells.items()}
    known = {cell: sd**2 for cell, sd in scatter.items() if sd is not None}
    if len(known) <= LEAST_UNCHANGED:
        return {}
    spreads = moderate(list(known.values()), [len(cells[cell]) - 1.0 for cell in known])
    return dict(zip(known, spreads, strict=True))


def relative_to(cell: str, old: Mapping[str, Values], new: Mapping[str, Values], same: frozenset[str]) -> Relative:
    """Take a cell's blocks relative to unchanged cells of other servers in its group, or plainly without three."""
    beside = [
        other
        for other in same
        if server_of(other) != server_of(cell) and group_of(other) == group_of(cell)
        if old[cell].keys() <= old[other].keys() and new[cell].keys() <= new[other].keys()
    ]
    if len(beside) < LEAST_UNCHANGED:
        return Relative(old=old[cell], new=new[cell], machine=None)
    usual = {other: fmean(math.log(value) for value in old[other].values()) for other in beside}
    levels = [
        {block: median(math.log(run[other][block]) - usual[other] for other in beside) for block in run[cell]}
        for run in (old, new)
    ]
    before, after = (
        {block: value / math.exp(level[block]) for block, value in run[cell].items()}
        for run, level in zip((old, new), levels, strict=True)
    )
    return Relative(old=before, new=after, machine=fmean(levels[1].values()) - fmean(levels[0].values()))


def noise_of(cell: str, shifts: Mapping[str, Shift], same: frozenset[str], metric: Metric) -> tuple[float, int]:
    """Variance between runs for one cell: from other servers' unchanged cells that were treated alike."""
    referenced = shifts[cell].machine is not None
    others = {
        other: shift.ratio
        for other, shift in shifts.items()
        if other in same and server_of(other) != server_of(cell) and (shift.machine is not None) == referenced
    }
    floor_sd = (REFERENCED_FLOOR if referenced else BETWEEN_FLOOR)[metric]
    processes = len({process_of(other) for other in others})
    if processes < LEAST_UNCHANGED:
        return floor_sd**2, 0
    variance, count = between_variance(list(others.values()), floor_sd=floor_sd)
    return variance, min(count, processes)


def welch(new: Values, old: Values, new_spread: Spread | None = None, old_spread: Spread | None = None) -> LogRatio:
    """ln(new / old) of two unpaired sets of blocks: Welch's error and Satterthwaite's degrees of freedom.

    Biometrika 34, 1947. With one block on a side there is no error. A spread that is known better takes the place of a
    side's own variance.
    """
    logs = [[math.log(value) for value in values.values()] for values in (new, old)]
    (mean_new, sd_new), (mean_old, sd_old) = mean_and_sd(logs[0]), mean_and_sd(logs[1])
    blocks = min(len(new), len(old))
    if sd_new is None or sd_old is None:
        return LogRatio(mean=mean_new - mean_old, error=None, degrees=1, blocks=blocks)
    parts = []
    for sd, values, spread in ((sd_new, new, new_spread), (sd_old, old, old_spread)):
        known = spread or Spread(variance=sd**2, degrees=len(values) - 1.0)
        parts.append((known.variance / len(values), known.degrees))
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


def server_of(cell: str) -> str:
    """Name the server of a cell's id."""
    return cell.split("/", 1)[0]


def process_of(cell: str) -> tuple[str, ...]:
    """All of a cell's id but its load: loads of one server share its processes, and move together."""
    return (*cell.split("/")[:3], *cell.split("/")[4:])


def group_of(cell: str) -> tuple[str, ...]:
    """Scenario, load and settings of a cell's id."""
    return tuple(cell.split("/")[2:])
