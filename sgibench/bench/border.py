"""Servers and apps on the two sides of the border between them: what of a request's CPU is the server's under that app.

In trials of their own after a block, because the border (`apps/border.py`) costs something: the servers are started
afresh with their apps behind it, verified and loaded as in the block, for a shorter time. A server's layer is not the
same under every app: one that polls between requests does so for fewer requests where the app is slow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from sgibench.engine.contestant import Contestant, Key, key_of
from sgibench.engine.progress import Silent
from sgibench.engine.serving import serving
from sgibench.engine.stage import load_group
from sgibench.engine.trials import Draft
from sgibench.engine.windows import windows_for
from sgibench.engine.workshop import Workshop, folder_name
from sgibench.model import App, BorderCost, Cell, Group, Stage

WINDOW_S = 1.0
"""At most."""
MODULE = "bordered"
"""What stands where a server looks for its app."""
SOURCE = """import sys

sys.path.append({folder!r})
import border

app = border.around({interface!r}, {target!r})
"""
CROSSED = frozenset({"threads", "processes", "event loop"})
"""Kinds of servers in which a thread's clock tells whose time it is; greenlets share one."""


def behind_borders(workshop: Workshop, cells: Iterable[Cell], block: int, seed: int) -> Iterator[BorderCost]:
    """Measure cells on both sides of the border."""
    kept = [cell for cell in cells if workshop.catalogue.server(cell.server).variant.concurrency in CROSSED]
    at_border = replace(
        workshop,
        catalogue=replace(
            workshop.catalogue,
            apps=tuple(behind(app, workshop.scratch / "border") for app in workshop.catalogue.apps),
        ),
        windows=replace(workshop.windows, window_s=min(WINDOW_S, workshop.windows.window_s), singly_s=0.0),
        listener=Silent(),
    )
    for stage in stages_of(kept):
        with serving(at_border, stage, apart=False) as contestants:
            for place, group in enumerate(stage.groups):
                yield from _measured(at_border, group, contestants, (block, seed), first=place == 0)


def stages_of(cells: Iterable[Cell]) -> list[Stage]:
    """Put cells of one size together, and in them those of one scenario and load."""
    groups: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        key = f"{cell.scenario} {cell.load.id}"
        groups.setdefault(cell.settings.id, {}).setdefault(key, []).append(replace(cell, control=False))
    return [
        Stage(
            groups=tuple(
                Group(
                    scenario=some[0].scenario,
                    load=some[0].load,
                    settings=some[0].settings,
                    cells=tuple(dict.fromkeys(some)),
                )
                for some in by_load.values()
            )
        )
        for by_load in groups.values()
    ]


def behind(app: App, folder: Path) -> App:
    """Put an app behind the border, by a module of a few lines that a server imports instead of it."""
    if app.own is not None or app.interface not in {"wsgi", "asgi"}:
        return app
    mine = folder / folder_name(app.id)
    mine.mkdir(parents=True, exist_ok=True)
    source = SOURCE.format(folder=str(app.folder), interface=app.interface, target=app.target)
    (mine / f"{MODULE}.py").write_text(source, encoding="utf-8")
    return replace(app, target=f"{MODULE}:app", folder=mine)


def _measured(
    workshop: Workshop, group: Group, contestants: dict[Key, Contestant], place: tuple[int, int], *, first: bool
) -> Iterator[BorderCost]:
    block, seed = place
    windows = windows_for(workshop.windows, group, first=first)
    for draft in load_group(workshop, windows, group, seed, contestants):
        contestant = contestants[key_of(draft.cell)]
        yield cost_of(draft, block, None if contestant.failure is None else contestant.failure.detail)


def cost_of(draft: Draft, block: int, failed: str | None) -> BorderCost:
    """Read one trial; what failed has no figures."""
    seen, cell = draft.measured, draft.cell
    failure = failed or (None if draft.failure is None else draft.failure.detail)
    cost = BorderCost(
        server=cell.server, app=cell.app, scenario=cell.scenario, block=block, cpu_us=None, within_us=None
    )
    if failure is not None or seen is None or not seen.requests or seen.cpu_s is None or seen.within is None:
        return replace(cost, failure=failure or "nothing was counted at the border")
    within_s, calls = seen.within
    return replace(cost, cpu_us=seen.cpu_s / seen.requests * 1e6, within_us=within_s / calls * 1e6)
