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
    return replace(windows, slice_s=None, window_s=windows.open_window_s or windows.window_s, warmup_s=warmup_s)


def trials_in(plan: Plan) -> int:
    """How many trials the plan holds."""
    return sum(len(group.cells) for block in plan.blocks for stage in block.stages for group in stage.groups)
