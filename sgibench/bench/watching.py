"""How long windows have to be for scenarios in which something is done to a deployment, or is looked at (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from sgibench import units
from sgibench.errors import UsageError
from sgibench.model import Cell, Scenario, Windows


def long_enough(
    windows: Windows, asked_s: float | None, scenarios: Sequence[Scenario], cells: Collection[Cell]
) -> Windows:
    """Lengthen the windows of scenarios that need it, where the user asked for none; UsageError for one too short."""
    measured = {cell.scenario for cell in cells}
    watched = [one for one in scenarios if one.id in measured and one.watched.any]
    if asked_s is None:
        wanted = {one.id: max(one.watched.least_s, one.watched.wants_s) for one in watched}
        return replace(windows, watched_s={name: least_s for name, least_s in wanted.items() if least_s})
    for one in watched:
        if asked_s < one.watched.least_s:
            raise UsageError(
                f"--window {units.seconds(asked_s)}: {one.id} needs a window of at least "
                f"{units.seconds(one.watched.least_s)}, so that its {units.many(len(one.watched.incidents), 'event')} "
                "can happen in it: ask for a longer one"
            )
    return windows


def too_short(asked_s: float | None, scenarios: Sequence[Scenario], cells: Collection[Cell]) -> Iterator[str]:
    """Say which windows were asked for that may hold too little of what is looked at."""
    measured = {cell.scenario for cell in cells}
    for one in scenarios:
        if one.id in measured and asked_s is not None and asked_s < one.watched.wants_s:
            yield (
                f"{one.id}: a window of {units.seconds(asked_s)} may show too little; without --window it is "
                f"{units.seconds(one.watched.wants_s)}"
            )
