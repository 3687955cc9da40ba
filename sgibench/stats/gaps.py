"""What a comparison of two runs can't say: cells that failed, lack a figure, lack blocks, or stand in one run only.

A server that breaks must never pass a check by leaving nothing to compare, so each gap carries its reason, and whether
one may wave it through.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sgibench.model import Metric, Run, Trial
from sgibench.stats.figures import block_values, lacking

GapKind = Literal["failed", "thinned", "no-figure", "missing"]
NAMES: Mapping[bool, str] = {False: "first", True: "second"}


@dataclass(frozen=True, kw_only=True)
class Gap:
    """One cell, and why it is not compared, or not as planned."""

    cell: str
    kind: GapKind
    """failed: it gave no result in the second run. thinned: in some of its blocks. no-figure: results without this
    figure. missing: it was not measured in one of the runs, or only failed in the first."""
    detail: str
    """In which run, and why."""

    @property
    def allowable(self) -> bool:
        """Whether `--allow-missing` may wave it through; what broke in the second run never is."""
        return self.kind == "missing"


@dataclass(frozen=True, kw_only=True)
class Both:
    """One cell's trials in both runs."""

    cell: str
    before: Sequence[Trial]
    after: Sequence[Trial]
    old: Run
    new: Run


def gaps_of(old: Run, new: Run, metric: Metric, where: Collection[str]) -> tuple[Gap, ...]:
    """Find the gaps of one figure in some cells, in the order of the second run, then what only the first has."""
    before, after = _cells(old, where), _cells(new, where)
    found = [
        _gap(Both(cell=cell, before=before.get(cell, ()), after=after.get(cell, ()), old=old, new=new), metric)
        for cell in {**after, **before}
    ]
    return tuple(gap for gap in found if gap is not None)


def absent_of(old: Run, new: Run, metric: Metric, where: Collection[str]) -> dict[str, str]:
    """Find the cells with results in both runs but this figure in neither, and why: no gap, as nothing was lost."""
    before, after = _cells(old, where), _cells(new, where)
    return {
        cell: lacking(trials, metric)
        for cell, trials in after.items()
        if not block_values(trials, metric) and not block_values(before.get(cell, ()), metric)
        if all(any(trial.status == "ok" for trial in run.get(cell, ())) for run in (before, after))
    }


def _cells(run: Run, where: Collection[str]) -> dict[str, list[Trial]]:
    cells: dict[str, list[Trial]] = defaultdict(list)
    for trial in run.trials:
        if not trial.control and trial.cell in where:
            cells[trial.cell].append(trial)
    return cells


def _gap(both: Both, metric: Metric) -> Gap | None:
    """Say what is wrong with one cell, what broke in the second run first; None when it can be compared."""
    had, has = block_values(both.before, metric), block_values(both.after, metric)
    if not both.after or all(trial.status == "skipped" for trial in both.after):
        return _missing(both, metric, later=True) if had else None
    if not any(trial.status == "ok" for trial in both.after):
        return Gap(cell=both.cell, kind="failed", detail=f"second run: {_failed(both.after)}")
    if had and not has:
        return Gap(cell=both.cell, kind="no-figure", detail=f"second run: {lacking(both.after, metric)}")
    if has and not had:
        return _missing(both, metric, later=False)
    if has and (thin := _thin(both.after, both.new, len(has), metric)):
        return Gap(cell=both.cell, kind="thinned", detail=f"second run: {thin}")
    return None


def _missing(both: Both, metric: Metric, *, later: bool) -> Gap:
    """Say why a cell has nothing in one of the runs."""
    skipped = (both.new if later else both.old).info.skipped
    server = both.cell.split("/", 1)[0]
    if server in skipped:
        why = f"skipped: {skipped[server]}"
    elif not later and both.before:
        good = any(trial.status == "ok" for trial in both.before)
        why = lacking(both.before, metric) if good else _failed(both.before)
    else:
        why = "not measured"
        run = both.new if later else both.old
        if "/open-" in both.cell and any(one.server == server and one.load.kind == "open" for one in run.trials):
            why += " at this rate (measure the second run with --rate-of the first)"
    return Gap(cell=both.cell, kind="missing", detail=f"{NAMES[later]} run: {why}")


def _failed(trials: Sequence[Trial]) -> str:
    """Count what failed, with the first reason."""
    failed = [trial for trial in trials if trial.status != "ok"]
    failure = next((trial.failure for trial in failed if trial.failure), None)
    why = f": {failure.reason}: {failure.detail}".rstrip(": ") if failure else ""
    return f"failed in {len(failed)} of {len(trials)} blocks{why}"


def _thin(trials: Sequence[Trial], run: Run, values: int, metric: Metric) -> str | None:
    if any(trial.status != "ok" for trial in trials):
        return _failed(trials)
    if values < len(trials):
        return f"{values} of {len(trials)} blocks have the figure: {lacking(trials, metric)}"
    return broken_off(trials, run)


def broken_off(trials: Sequence[Trial], run: Run) -> str | None:
    """Say how many of a cell's planned blocks are there, where some are not and no rule ended the run before them."""
    planned = run.info.plan.blocks_with(trials[0].cell) if trials else 0
    if len(trials) >= planned or run.info.stopped:
        return None
    why = "the run was broken off" if run.info.finished_at is None else "the others are not in its file"
    return f"{len(trials)} of {planned} planned blocks: {why}"
