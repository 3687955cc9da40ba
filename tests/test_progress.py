"""What a run shows: plain lines in a pipe, a live picture on a terminal, and an honest time left."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from rich.console import Console

from sgibench.engine.progress import Clock, Lines, LiveMatrix, Silent, listener_for, tell
from sgibench.engine.windows import guessed_s, guesses_s
from sgibench.model import Plan, Run, Stage
from tests.results_maker import QUICK, Making, make_run


def shown(run: Run, console: Console, *, quiet: bool = False) -> Silent:
    """Play a whole run to the listener that fits the console."""
    plan: Plan = run.info.plan
    with listener_for(console, quiet=quiet) as listener:
        listener.planned(plan, 0)
        for block in plan.blocks:
            for stage in block.stages:
                listener.stage_started(block, stage)
                for group in stage.groups:
                    for cell in group.cells:
                        listener.step(cell, "measure", 0.5)
                    cells = {cell.id for cell in group.cells}
                    listener.trials_ended(
                        [trial for trial in run.trials if trial.block == block.index and trial.cell in cells]
                    )
    return listener


def test_a_pipe_gets_one_plain_line_a_trial() -> None:
    out = io.StringIO()
    run = make_run(Making(blocks=2))
    listener = shown(run, Console(file=out, force_terminal=False))
    assert isinstance(listener, Lines)
    lines = out.getvalue().splitlines()
    assert f"{len(run.trials)} trials in 2 blocks" in lines[0]
    assert sum(line.startswith("[") for line in lines) == len(run.trials)
    assert "\x1b" not in out.getvalue()
    assert f"[{len(run.trials)}/{len(run.trials)}, 0 s left]" in lines[-1]


def test_lines_of_one_load_say_the_same_time_left() -> None:
    """All of them come when it has ended; where each counted by itself, the first said too much and the last less."""
    out = io.StringIO()
    run = make_run(Making(blocks=3))
    shown(run, Console(file=out, force_terminal=False))
    told = [line[1:].split("/", 1) for line in out.getvalue().splitlines() if line.startswith("[")]
    assert [int(number) for number, _ in told] == [*range(1, len(run.trials) + 1)]
    left = [rest.partition(", ")[2].partition(" left]")[0] for _, rest in told]
    sizes = [len(group.cells) for block in run.info.plan.blocks for stage in block.stages for group in stage.groups]
    ends = list(accumulate(sizes))
    assert ends[-1] == len(left)
    assert max(sizes) > 1
    for first, end in pairwise([0, *ends]):
        assert len({*left[first:end]}) == 1, left


def test_a_terminal_gets_a_live_picture_with_bar_and_time_left() -> None:
    out = io.StringIO()
    listener = shown(make_run(Making(blocks=2)), Console(file=out, force_terminal=True, width=80))
    assert isinstance(listener, LiveMatrix)
    assert "left" in out.getvalue()
    assert " of 2 · " in out.getvalue()


def test_quiet_shows_nothing() -> None:
    out = io.StringIO()
    shown(make_run(Making(blocks=2)), Console(file=out), quiet=True)
    assert out.getvalue() == ""


def test_a_failed_trial_says_why_in_its_line() -> None:
    servers = (replace(QUICK[1], fails="crashed"), QUICK[3])
    run = make_run(Making(servers=servers))
    failed = next(trial for trial in run.trials if trial.status == "failed")
    assert "crashed" in tell(failed)
    assert "None" not in tell(failed)


def test_the_time_left_is_right_within_a_stage_too_and_ends_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which everything takes 1.7 times as long as was guessed; trials come when their load has ended."""
    run = make_run(Making(blocks=3))
    blocks = [
        replace(block, stages=(Stage(groups=tuple(group for stage in block.stages for group in stage.groups)),))
        for block in run.info.plan.blocks
    ]
    plan = replace(run.info.plan, blocks=tuple(blocks))
    now_s, left_s = 100.0, 1.7 * guessed_s(plan)
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    clock = Clock()
    clock.planned(plan, 0)
    for block in blocks:
        clock.stage_started(block.stages[0])
        guesses = guesses_s(plan.windows, block.stages[0])
        for group in block.stages[0].groups:
            for cell in group.cells:
                clock.step(cell, "measure", 0.5)
            took_s = 1.7 * sum(guesses[cell.id] for cell in group.cells)
            now_s, left_s = now_s + took_s, left_s - took_s
            cells = {cell.id for cell in group.cells}
            clock.trials_ended([one for one in run.trials if one.block == block.index and one.cell in cells])
            assert clock.left_s() == pytest.approx(left_s, rel=0.1, abs=1e-6)
    assert clock.left_s() == 0


def test_a_terminal_that_can_not_move_its_cursor_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = io.StringIO()
    with listener_for(Console(file=out, force_terminal=True), quiet=False) as listener:
        listener.say("preparing")
        assert out.getvalue() == "preparing\n"


def test_the_live_picture_keeps_servers_apart_on_a_narrow_terminal() -> None:
    long = tuple(replace(QUICK[5], id=f"granian-asgi-with-{end}") for end in ("uvloop", "asyncio", "rloop"))
    run = make_run(Making(servers=long, scenarios=("json",)))
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=40, height=40)
    with listener_for(console, quiet=False) as listener:
        listener.planned(run.info.plan, 0)
        listener.stage_started(run.info.plan.blocks[0], run.info.plan.blocks[0].stages[0])
    lines = [line.strip() for line in out.getvalue().splitlines() if "waiting" in line]
    assert len(set(lines[-4:])) == 4
