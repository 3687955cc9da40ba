"""What a run shows while it goes on: a live picture on a terminal, plain lines anywhere else.

It only listens. Everything goes to stderr, so that stdout holds nothing but results.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from sgibench import units
from sgibench.engine.windows import guessed_s, guesses_s, trials_in
from sgibench.errors import plain
from sgibench.model import Block, Cell, Plan, Stage, Trial, Windows
from sgibench.names import shortened
from sgibench.secrets import hidden

LAST_SHOWN = 8
DRAWN_S = 0.2
BESIDE_NAMES = 20
"""Columns that a server's phase and its share take."""


class Silent:
    """A listener that shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def say(self, sentence: str) -> None:
        """Keep it to itself."""

    def planned(self, plan: Plan, done: int) -> None:
        """Take no note."""

    def stage_started(self, block: Block, stage: Stage) -> None:
        """Take no note."""

    def repeating(self, stage: Stage) -> None:
        """Take no note."""

    def step(self, cell: Cell, phase: str, done: float) -> None:
        """Take no note."""

    def trials_ended(self, trials: Sequence[Trial]) -> None:
        """Take no note."""


PHASES = {"starting": (0.0, 0.05), "verifying": (0.05, 0.05), "warmup": (0.1, 0.15), "measure": (0.25, 0.7)}
"""Where a phase begins in the life of a stage, and its share of it; later ones count as the end."""


class Clock:
    """How many trials are left and how long they take: as was guessed, times what that proved to be off by."""

    def __init__(self) -> None:
        self.total = 0
        self.ended = 0
        self.blocks = 0
        self._windows = Windows(window_s=0.0, slice_s=None)
        self._began_s = time.monotonic()
        self._guess_s = 0.0
        """Of all that is, or was, to do."""
        self._done_s = 0.0
        """How much of it stages were that have ended."""
        self._in_stage: dict[str, float] = {}
        """Cell -> its share that is done."""
        self._guesses_s: dict[str, float] = {}
        """The guess of each."""

    def planned(self, plan: Plan, done: int) -> None:
        """Start counting; `done` trials were on disk already."""
        self.total, self.ended, self.blocks = trials_in(plan) - done, 0, len(plan.blocks)
        self._windows = plan.windows
        self._guess_s = guessed_s(plan) * self.total / max(1, trials_in(plan))
        self._began_s = time.monotonic()

    def stage_started(self, stage: Stage) -> None:
        """Open a stage with all of its cells undone."""
        self._done_s += self._done_in_stage_s
        self._guesses_s = guesses_s(self._windows, stage)
        self._in_stage = dict.fromkeys(self._guesses_s, 0.0)

    def repeating(self, stage: Stage) -> None:
        """Count the trials that were not planned."""
        self.total += sum(len(group.cells) for group in stage.groups)
        self._guess_s += sum(guesses_s(self._windows, stage).values())

    def step(self, cell: Cell, phase: str, done: float) -> None:
        """Move a cell of the stage on."""
        start, share = PHASES.get(phase, (1.0, 0.0))
        self._in_stage[cell.id] = max(self._in_stage.get(cell.id, 0.0), start + share * done)

    def trials_ended(self, trials: Sequence[Trial]) -> None:
        """Count those of a load, all of them before anybody asks how much is left."""
        self.ended += len(trials)
        self._in_stage |= dict.fromkeys((trial.cell for trial in trials), 1.0)

    @property
    def _done_in_stage_s(self) -> float:
        return sum(share * self._guesses_s.get(cell, 0.0) for cell, share in self._in_stage.items())

    def left_s(self) -> float:
        """Seconds until the last trial."""
        if self.ended >= self.total:
            return 0.0
        done_s = self._done_s + self._done_in_stage_s
        # The guess weighs as much as one trial, so that the first minute is not ruled by its first second.
        one_s = self._guess_s / self.total
        off_by = (time.monotonic() - self._began_s + one_s) / (done_s + one_s) if one_s else 0.0
        return off_by * max(0.0, self._guess_s - done_s)


class Lines(Silent):
    """One plain line for each stage and trial: for logs, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = Clock()

    def say(self, sentence: str) -> None:
        """Print it."""
        self._console.print(Text(plain(hidden(sentence))), soft_wrap=True)

    def planned(self, plan: Plan, done: int) -> None:
        """Say how much is to come."""
        self._clock.planned(plan, done)
        trials, blocks = units.many(self._clock.total, "trial"), units.many(self._clock.blocks, "block")
        self.say(f"{trials} in {blocks}, about {units.seconds(self._clock.left_s())}")

    def stage_started(self, block: Block, stage: Stage) -> None:
        """Say what comes next."""
        self._clock.stage_started(stage)
        group = stage.groups[0]
        self.say(
            f"block {block.index + 1}/{self._clock.blocks}: {group.scenario}, "
            f"{units.many(sum(not cell.control for cell in group.cells), 'server')}, "
            f"{', '.join(group.load.id for group in stage.groups)}"
        )

    def repeating(self, stage: Stage) -> None:
        """Say why there is more to do."""
        self._clock.repeating(stage)
        self.say(f"{stage.groups[0].scenario} once more: the machine or the generator was in doubt")

    def step(self, cell: Cell, phase: str, done: float) -> None:
        """Only keep the time."""
        self._clock.step(cell, phase, done)

    def trials_ended(self, trials: Sequence[Trial]) -> None:
        """Say what came out, in a line for each; they have ended at one moment, so all have the same time left."""
        first = self._clock.ended + 1
        self._clock.trials_ended(trials)
        left = units.seconds(self._clock.left_s())
        for number, trial in enumerate(trials, first):
            self.say(f"[{number}/{self._clock.total}, {left} left] {tell(trial)}")


class LiveMatrix(Silent):
    """A live picture: what is running, what came out last, how much is left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = Clock()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), console=console
        )
        self._task = self._bar.add_task("trials", total=None)
        self._stage: Stage | None = None
        self._title = ""
        self._now: dict[str, tuple[str, float]] = {}
        self._last: list[Text] = []
        # By itself it would draw while servers are measured, on one of their CPUs or on the load's.
        self._live = Live(get_renderable=self._picture, console=console, auto_refresh=False, transient=True)
        self._drawn_s = -math.inf

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the picture away."""
        self._live.__exit__(None, None, None)

    def say(self, sentence: str) -> None:
        """Print it above the picture."""
        self._console.print(Text(plain(hidden(sentence))))

    def planned(self, plan: Plan, done: int) -> None:
        """Start the clock and the bar."""
        self._clock.planned(plan, done)
        self._bar.update(self._task, total=self._clock.total)

    def stage_started(self, block: Block, stage: Stage) -> None:
        """Show the servers of the stage."""
        self._clock.stage_started(stage)
        group = stage.groups[0]
        loads = ", ".join(group.load.id for group in stage.groups)
        self._title = f"block {block.index + 1} of {self._clock.blocks} · {group.scenario} · {loads}"
        self._stage = stage
        self._now = {}
        self._draw()

    def repeating(self, stage: Stage) -> None:
        """Make the bar longer."""
        self._clock.repeating(stage)
        self._bar.update(self._task, total=self._clock.total)
        self._draw()

    def step(self, cell: Cell, phase: str, done: float) -> None:
        """Move a server on."""
        self._clock.step(cell, phase, done)
        self._now[_label(cell)] = (phase, done)
        self._draw()

    def trials_ended(self, trials: Sequence[Trial]) -> None:
        """Show what came out."""
        self._clock.trials_ended(trials)
        self._bar.update(self._task, completed=self._clock.ended)
        told = [Text(tell(trial), style="red" if trial.status == "failed" else "") for trial in trials]
        self._last = [*self._last, *told][-LAST_SHOWN:]
        self._draw()

    def _draw(self) -> None:
        """Draw it anew, but not again and again."""
        if (now_s := time.monotonic()) - self._drawn_s >= DRAWN_S:
            self._drawn_s = now_s
            self._live.refresh()

    def _picture(self) -> RenderableType:
        matrix = Table.grid(padding=(0, 2))
        cells = [] if self._stage is None else self._stage.groups[0].cells
        names = sorted(_label(cell) for cell in cells)
        short = shortened(names, self._console.width - BESIDE_NAMES)
        for name in names:
            phase, done = self._now.get(name, ("waiting", 0.0))
            share = f"{done:4.0%}" if phase in {"warmup", "measure", "drain"} else ""
            matrix.add_row(Text(short[name]), Text(phase, style="cyan" if phase != "waiting" else "dim"), Text(share))
        left = Text(f"{units.seconds(self._clock.left_s())} left", style="bold")
        return Group(*self._last, Text(self._title, style="bold"), matrix, self._bar, left)


def _label(one: Cell | Trial) -> str:
    return f"{one.server} ({one.app})" + (" A/A control" if one.control else "")


def tell(trial: Trial) -> str:
    """One trial in one line."""
    name = f"{_label(trial)} {trial.scenario} {trial.load.id}"
    if trial.status != "ok":
        reason = hidden(f"{trial.failure.reason}: {trial.failure.detail}") if trial.failure else "no reason recorded"
        return plain(f"{name}: {trial.status}, {reason}")
    if trial.load.kind == "open" and trial.latency_us is None:
        return f"{name}: {units.rate(trial.rps)}, the rate was not kept, so there is no latency"
    p50_us = trial.latency_us.p50 if trial.latency_us else None
    return (
        f"{name}: {units.rate(trial.rps)}, {units.microseconds(trial.cpu_us_per_request)} of CPU per request, "
        f"p50 {units.microseconds(p50_us)}"
    )


def listener_for(console: Console, *, quiet: bool) -> Silent:
    """Choose the display that fits where the words go."""
    if quiet:
        return Silent()
    return LiveMatrix(console) if console.is_terminal and not console.is_dumb_terminal else Lines(console)
