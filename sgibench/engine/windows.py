"""How long each group of a plan is watched, warmed up and sliced: pure, so that plan and runner agree."""

from __future__ import annotations

import math
from dataclasses import replace

from sgibench.model import Group, Plan, Stage, Windows

SHORT_WARMUP_S = 0.25
"""For a server that an earlier load of its stage has warmed up."""


def windows_for(windows: Windows, group: Group, *, first: bool) -> Windows:
    """Fit the windows to a group: open loads go in turns, not slices; only a stage's first load has to warm up."""
    windows = _long_enough(windows, group.scenario)
    warmup_s = windows.warmup_s if first else min(windows.warmup_s, SHORT_WARMUP_S)
    if group.load.kind == "closed":
        return replace(windows, warmup_s=warmup_s)
    return replace(windows, slice_s=None, window_s=open_window_s(windows, group.load.rate_per_s), warmup_s=warmup_s)


def _long_enough(windows: Windows, scenario: str) -> Windows:
    """Make them as long as is meant for the scenario, and as what is watched in them takes."""
    asked_s = windows.own_s.get(scenario, windows.window_s)
    least_s = windows.watched_s.get(scenario, 0.0)
    open_s = None if windows.open_window_s is None else max(windows.open_window_s, least_s)
    return replace(windows, window_s=max(asked_s, least_s), open_window_s=open_s, own_s={}, watched_s={})


P99_ANSWERS = 1000
"""No p99 with fewer (`stats.percentile_allowed`)."""
SPARE = 1.01
"""Windows are planned for so many times the answers that they need: a schedule may begin a little late."""


def open_window_s(windows: Windows, rate_per_s: float | None) -> float:
    """Counted time of an open load: as asked, and at low rates as long as the answers for a percentile take."""
    asked_s = windows.open_window_s or windows.window_s
    if not windows.least_answers or not rate_per_s:
        return asked_s
    own_s = P99_ANSWERS * SPARE / rate_per_s
    if own_s <= windows.own_percentile_s:
        return max(asked_s, own_s)
    needed_s = windows.least_answers * SPARE / rate_per_s
    return max(asked_s, min(needed_s, needed_s if windows.longest_open_s is None else windows.longest_open_s))


def enough_for_p99(windows: Windows, rate_per_s: float) -> bool:
    """Whether an open load's windows bring the answers that a p99 needs, each or all blocks together."""
    due = math.floor(open_window_s(windows, rate_per_s) * rate_per_s)
    return due >= (windows.least_answers or P99_ANSWERS)


START_S, AROUND_S, AROUND_SHARE = 0.5, 0.7, 0.35
"""Guesses: of what a server's start takes; and a load on it beside its window, in seconds and as a share of that."""


LENGTHENED, LOW_RATE_PER_S = 2.0, 200.0
"""A window that its rate makes so many times as long as it was meant is one of a low rate, which is at most this: eight
threads that wait for 50 ms do 160/s."""


def guessed_s(plan: Plan) -> float:
    """About how long a plan will take, before anything of it was timed."""
    return sum(sum(guesses_s(plan.windows, stage).values()) for block in plan.blocks for stage in block.stages)


def guesses_s(windows: Windows, stage: Stage) -> dict[str, float]:
    """The same of one stage, by cell; the first load on a server has its start."""
    guesses = dict[str, float]()
    for place, group in enumerate(stage.groups):
        window_s = windows_for(windows, group, first=place == 0).window_s
        share = 1 / len(group.cells) if _likely_at_once(windows, group, window_s) else 1.0
        around_s = AROUND_S * min(1.0, 2 * share)
        each_s = window_s * (1 + AROUND_SHARE) * share + around_s + (0.0 if place else START_S)
        guesses |= {cell.id: each_s for cell in group.cells}
    return guesses


def _likely_at_once(windows: Windows, group: Group, window_s: float) -> bool:
    """Whether a group's servers will, as a guess, be asked at once: rates are so low only where answers wait."""
    asked_s = windows.open_window_s or windows.window_s
    low = group.load.kind == "open" and (group.load.rate_per_s or 0.0) <= LOW_RATE_PER_S
    return low and windows.turn_s is not None and window_s > LENGTHENED * asked_s


def trials_in(plan: Plan) -> int:
    """How many trials the plan holds."""
    return sum(len(group.cells) for block in plan.blocks for stage in block.stages for group in stage.groups)
