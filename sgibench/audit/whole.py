"""What a run as a whole lacks or can't prove: failed trials, missing cells, blocks that are lost, an unequal A/A pair.

A server that breaks leaves no figure to refute; so what is not there is audited as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace

from sgibench.audit.figures import ADVICE, Audited, doubt
from sgibench.model import Doubt, Failure, Metric, Run, Trial
from sgibench.stats import noise_floors
from sgibench.stats.gaps import broken_off
from sgibench.units import many, percent, significant

LEAST_P = 0.001
"""Of a p-value that is written out."""
NAMED = 5
"""Of those without a trial, before the others are only counted."""
LOST = "Measure it anew, in another run: this one came to its end, so what is missing was lost after it was measured."
"""What to do where there is nothing to go on with: `--resume` refuses a run that came to its end."""
BROKEN_OFF = ADVICE["Missing"]
"""What to do about any other run."""


def noise_doubts(run: Run) -> tuple[Doubt, ...]:
    """NoiseFloor: over all groups together, servers beside their own copies differ by more than intervals allow."""
    found = [floor for floor in noise_floors(run.trials, run.info.delta) if floor.differs]
    if not found:
        return ()
    said = [
        f"{NAMES[floor.metric]}: up to {percent(floor.largest - 1)} in {many(floor.pairs, 'A/A pair')}, "
        f"p {'< 0.001' if floor.p_value < LEAST_P else f'= {significant(floor.p_value, 2)}'}"
        for floor in found
    ]
    return (doubt("NoiseFloor", "; ".join(said)),)


NAMES: Mapping[Metric, str] = {
    "cpu_us_per_request": "CPU per request",
    "rps": "requests per second",
    "p50_us": "p50",
    "p99_us": "p99",
    "p999_us": "p99.9",
}


def failed(trial: Trial) -> tuple[Doubt, ...]:
    """Failed: the trial has a reason in place of figures."""
    return (doubt("Failed", _reason(trial.failure)),) if trial.status == "failed" else ()


def told_unlike(run: Run) -> Mapping[tuple[int, str], tuple[Doubt, ...]]:
    """WrongCount, by block and cell: lines that tell of one execution and differ, of which only the last counts.

    An execution is a block, a cell and how often it was measured again. How a server stopped is a line of another kind
    and already part of all of them; copies of one line tell nothing new.
    """
    lines: dict[tuple[int, str, int], list[Trial]] = defaultdict(list)
    for trial in (*run.repeated, *run.trials):
        lines[trial.block, trial.cell, trial.retries].append(trial)
    found: dict[tuple[int, str], tuple[Doubt, ...]] = {}
    for (block, cell, _retries), told in lines.items():
        unlike = next((one for one in told if one != told[-1]), None)
        if unlike is not None:
            differ = _difference(unlike, told[-1])
            detail = f"{len(told)} lines of its file tell of this one execution and differ: {differ}; the last counts"
            found[block, cell] = (doubt("WrongCount", detail),)
    return found


def _difference(one: Trial, last: Trial) -> str:
    """Say in what two lines differ, figures that a person looks at first."""
    for name, unit in (("rps", "/s"), ("cpu_us_per_request", " µs of CPU per request"), ("requests", " right answers")):
        before, after = getattr(one, name), getattr(last, name)
        if before != after:
            return " and ".join("no figure" if each is None else f"{each:,.6g}{unit}" for each in (before, after))
    return next(field.name for field in fields(Trial) if getattr(one, field.name) != getattr(last, field.name))


def _reason(failure: Failure | None) -> str:
    return f"{failure.reason}: {failure.detail}".rstrip(": ") if failure else "no reason is stored"


def thinned(trials: Sequence[Trial], run: Run) -> tuple[Doubt, ...]:
    """Thinned: a cell gave results, but not in all blocks in which it was tried, or not in all of a broken-off run."""
    good = sum(trial.status == "ok" for trial in trials)
    lost = [trial for trial in trials if trial.status == "failed"]
    if good and lost:
        why = _reason(lost[0].failure)
        return (doubt("Thinned", f"{good} of {len(trials)} blocks gave a result; {why}"),)
    fewer = broken_off(trials, run)
    return (_not_there("Thinned", fewer, run),) if good and fewer else ()


def _not_there(kind: str, detail: str, run: Run) -> Doubt:
    """Make a doubt about what is not in the files of a run, with what can still be done about it."""
    return replace(doubt(kind, detail), advice=BROKEN_OFF if run.info.finished_at is None else LOST)


def missing(run: Run) -> tuple[Doubt, ...]:
    """Missing: whom the tables of a run lack altogether, or somewhere, although they were planned."""
    lost = _without_a_trial(run)
    if not lost:
        return ()
    partly = {_who(trial.cell) for trial in run.trials}
    names = list(dict.fromkeys(cell if _who(cell) in partly else _who(cell) for cell in lost))
    others = len(names) - NAMED
    listed = ", ".join(names[:NAMED]) + (f" and {others} more" if others > 0 else "")
    said = "no trial of it is stored, though it was planned"
    if len(names) > 1:
        said = "no trial of them is stored, though they were planned"
    return (_not_there("Missing", f"{listed}: {said}", run),)


def _who(cell: str) -> str:
    """Give the server's part of a cell's name; a name from a file may hold slashes itself."""
    return cell.rsplit("/", 4)[0]


def _planned(run: Run) -> Collection[str]:
    """Give the cells of the plan that could take part, in its order; a search plans no trials."""
    if run.info.slo:
        return ()
    return dict.fromkeys(
        cell.id for block in run.info.plan.blocks for stage in block.stages for group in stage.groups
        for cell in group.cells
        if cell.server not in run.info.skipped
    )  # fmt: skip


def _without_a_trial(run: Run) -> Sequence[str]:
    there = {trial.cell for trial in run.trials}
    return [cell for cell in _planned(run) if cell not in there]


def absent(run: Run) -> tuple[Audited, ...]:
    """Missing: cells of the plan without a single trial; Failed: searches for capacity that ended in a failure."""
    searches = [found for found in run.info.capacity if found.failure is not None]
    return (
        *(
            Audited(id=cell, doubts=(_not_there("Missing", "planned, and no trial of it is stored", run),))
            for cell in _without_a_trial(run)
        ),
        *(
            Audited(
                id=f"capacity of {found.server}/{found.app}/{found.scenario}#{found.block}",
                doubts=(doubt("Failed", _reason(found.failure)),),
            )
            for found in searches
        ),
    )
