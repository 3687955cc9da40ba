"""The one loop that acts: for each block and stage serve, load, stop, and append each trial.

It decides nothing about statistics and formats nothing; what happens is told to a listener. A trial is in the ledger as
soon as its group was measured; how its server stopped is added when the stage has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sgibench.engine.ledger import Ledger
from sgibench.engine.serving import serving
from sgibench.engine.stage import load_group
from sgibench.engine.trials import to_trial
from sgibench.engine.windows import windows_for
from sgibench.engine.workshop import Workshop
from sgibench.model import Block, Plan, Stage, Trial

STAGES = 1000
"""More than the stages of any block: numbers an execution as retry x STAGES + stage."""


def run_plan(
    plan: Plan,
    workshop: Workshop,
    ledger: Ledger,
    done: frozenset[tuple[int, str]] = frozenset(),
    enough: Callable[[int], bool] = lambda _blocks: False,
) -> None:
    """Measure all that the plan holds, except the (block, cell) pairs in `done`.

    `enough` is asked after each block, with the number of blocks that are complete, whether the run may end there.

    Groups in which the machine or the generator is in doubt are measured again at the end of their block, at most
    as often as the workshop says; every execution is stored.
    """
    for block in plan.blocks:
        again: list[tuple[int, Stage]] = []
        for number, stage in enumerate(block.stages):
            left = without(stage, block.index, done)
            if left.groups:
                trials = _run_stage(workshop, block, number, left, ledger)
                again += [(number, doubted)] if (doubted := _doubted(workshop, left, trials)).groups else []
        for retry in range(1, workshop.retries + 1):
            still = []
            for number, stage in again:
                workshop.listener.repeating(stage)
                trials = _run_stage(workshop, block, number + STAGES * retry, stage, ledger)
                still += [(number, doubted)] if (doubted := _doubted(workshop, stage, trials)).groups else []
            again = still
        if enough(block.index + 1):
            return


def _run_stage(workshop: Workshop, block: Block, number: int, stage: Stage, ledger: Ledger) -> list[Trial]:
    """Serve the stage's servers and put each of its loads on them; `number` tells its execution apart in the block.

    Gives one trial a cell, with how its server stopped.
    """
    workshop.listener.stage_started(block, stage)
    retries = number // STAGES
    first = len(ledger.trials)
    with serving(workshop, stage, apart=block.index < workshop.apart_blocks) as contestants:
        for place, group in enumerate(stage.groups):
            windows = windows_for(workshop.windows, group, first=place == 0)
            seed = block.seed + STAGES * number + place
            drafts = load_group(workshop, windows, group, seed, contestants)
            ended = [to_trial(draft, block.index, retries=retries) for draft in drafts]
            for trial in ended:
                ledger.add(trial)
            workshop.listener.trials_ended(ended)
    for contestant in contestants.values():
        if contestant.measured:
            ledger.add(contestant.stopped(block.index, retries))
    return ledger.trials[first:]


def _doubted(workshop: Workshop, stage: Stage, trials: Sequence[Trial]) -> Stage:
    """Keep the groups that are worth measuring again: whole groups, because their cells are compared side by side."""
    doubted = {trial.cell for trial in trials if workshop.worth_repeating(trial)}
    return Stage(groups=tuple(group for group in stage.groups if any(cell.id in doubted for cell in group.cells)))


def without(stage: Stage, block: int, done: frozenset[tuple[int, str]]) -> Stage:
    """Leave out the cells that were measured before the run was broken off."""
    groups = [
        replace(group, cells=tuple(cell for cell in group.cells if (block, cell.id) not in done))
        for group in stage.groups
    ]
    return Stage(groups=tuple(group for group in groups if group.cells))
