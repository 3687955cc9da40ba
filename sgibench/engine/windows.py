"""How long each group of a plan is watched, warmed up and sliced: pure, so that plan and runner agree."""

from __future__ import annotations

from dataclasses import replace

from sgibench.model import Group, Plan, Windows

SHORT_WARMUP_S = 0.25
"""For a server that an earlier load of its stage has warmed up."""


def windows_for(windows: Windows, group: Group, *, first: bool) -> Windows:
    """Fit the windows to a group: open loads go in turns, not slices; only a stage's first load has to warm up."""
    warmup_s = windows.warmup_s if first else min(windows.warmup_s, SHORT_WARMUP_S)
    if group.load.kind == "closed":
        return replace(windows, warmup_s=warmup_s)
    return replace(windows, slice_s=None, window_s=open_window_s(windows, group.load.rate_per_s), warmup_s=warmup_s)


SPARE = 1.01
"""Windows are planned for so many times the answers that they need: a schedule may begin a little late."""


def open_window_s(windows: Windows, rate_per_s: float | None) -> float:
    """Counted time of an open load: as asked, and at low rates as long as the answers for a percentile take."""
    asked_s = windows.open_window_s or windows.window_s
    if not windows.least_answers or not rate_per_s:
        return asked_s
    needed_s = windows.least_answers * SPARE / rate_per_s
    return max(asked_s, min(needed_s, needed_s if windows.longest_open_s is None else windows.longest_open_s))


def trials_in(plan: Plan) -> int:
    """How many trials the plan holds."""
    return sum(len(group.cells) for block in plan.blocks for stage in block.stages for group in stage.groups)
