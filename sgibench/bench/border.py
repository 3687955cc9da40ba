"""Servers and apps on the two sides of the border between them: what of a request's CPU is the server's under that app.

In trials of their own after a block, because the border (`apps/border.py`) costs something, though it takes only one
request in several: the servers are started afresh with their apps behind it, verified and loaded as in the block. Each
has a twin without a border, and the two are visited in turn, by themselves, so that the slow answers of a third do not
decide how long their visits are: the layers are held against the twin's CPU, which was taken in the same seconds. A
server's layer is not the same under every app: one that polls between requests does so for fewer requests where the app
is slow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from sgibench.engine.contestant import Contestant, Key, key_of
from sgibench.engine.orders import Measured
from sgibench.engine.progress import Silent
from sgibench.engine.serving import serving
from sgibench.engine.stage import load_group
from sgibench.engine.trials import Draft
from sgibench.engine.windows import windows_for
from sgibench.engine.workshop import Workshop, folder_name
from sgibench.model import App, BorderCost, Cell, Crossings, Group, Stage

WINDOW_S = 1.5
"""At most."""
TIMES_TRIED = 4.0
"""A border costs at most so many times what it cost when it was tried: cold code cost up to three times as much."""
NEGATIVE = 0.10
"""A server's own CPU further below zero than this share of the whole is no figure: too few requests were taken."""
BORDERED = "@border"
"""What the name of an app behind its border ends with."""
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
    """Measure cells on both sides of the border, and without one."""
    kept = [cell for cell in cells if workshop.catalogue.server(cell.server).variant.concurrency in CROSSED]
    at_border = with_borders(workshop)
    bordered = [replace(cell, app=cell.app + BORDERED) for cell in kept]
    twins = [cell for cell in kept if not workshop.catalogue.app(cell.app).uses]  # a service has so many connections
    for stage in stages_of([*bordered, *twins]):
        with serving(at_border, stage, apart=False) as contestants:
            met: set[Key] = set()
            for place, group in enumerate(stage.groups):
                keys = {key_of(cell) for cell in group.cells}
                yield from _measured(at_border, group, contestants, (block, seed + place), first=not keys <= met)
                met |= keys


def with_borders(workshop: Workshop) -> Workshop:
    """Add to the catalogue of a workshop each app behind its border, in the environments of those without one."""
    apps = workshop.catalogue.apps
    return replace(
        workshop,
        catalogue=replace(
            workshop.catalogue,
            apps=(*apps, *(replace(behind(app, workshop.scratch / "border"), id=app.id + BORDERED) for app in apps)),
        ),
        environments={
            **workshop.environments,
            **{f"{key}{BORDERED}": environment for key, environment in workshop.environments.items()},
        },
        windows=replace(workshop.windows, window_s=min(WINDOW_S, workshop.windows.window_s), singly_s=0.0, own_s={}),
        listener=Silent(),
    )


def stages_of(cells: Iterable[Cell]) -> list[Stage]:
    """Put cells of one size together, and in them each with its twin."""
    groups: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        key = replace(cell, app=cell.app.removesuffix(BORDERED)).id
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
    drafts = {draft.cell: draft for draft in load_group(workshop, windows, group, seed, contestants)}
    for cell, draft in drafts.items():
        if cell.app.endswith(BORDERED):
            contestant = contestants[key_of(cell)]
            twin = drafts.get(replace(cell, app=cell.app.removesuffix(BORDERED)))
            yield cost_of(draft, twin, block, None if contestant.failure is None else contestant.failure.detail)


def cost_of(draft: Draft, twin: Draft | None, block: int, failed: str | None) -> BorderCost:
    """Read one trial and its twin's; what failed has no figures."""
    seen, cell = draft.measured, draft.cell
    failure = failed or (None if draft.failure is None else draft.failure.detail)
    app = cell.app.removesuffix(BORDERED)
    cost = BorderCost(server=cell.server, app=app, scenario=cell.scenario, block=block, cpu_us=None, within_us=None)
    if failure is not None or seen is None or not seen.requests or seen.cpu_s is None or seen.within is None:
        return replace(cost, failure=failure or "nothing was counted at the border")
    taken = seen.within
    own_us = own_of(taken)
    found = replace(
        cost,
        cpu_us=whole_of(seen),
        within_us=(taken.once_s / taken.calls + taken.threads_s / seen.requests) * 1e6,
        own_us=own_us,
        share=min(1.0, (taken.calls + 2 * taken.twice) / seen.requests),
        whole_us=None if twin is None or twin.failure is not None else whole_of(twin.measured),
    )
    if found.cpu_us and (found.outside_us or 0.0) < -NEGATIVE * found.cpu_us:
        return replace(
            cost, failure=f"the {taken.calls} requests taken at the border used more than all did on average"
        )
    return found


def own_of(taken: Crossings) -> float:
    """Microseconds that the border costs a request: what a second one adds under load, between what was tried and more.

    Requests differ more than that where each of them takes milliseconds, so it is held within TIMES_TRIED.
    """
    tried_us = taken.tried_s / taken.calls * 1e6
    if not taken.twice:
        return tried_us
    added_us = (taken.twice_s / taken.twice - taken.once_s / taken.calls) * 1e6
    return min(max(tried_us, added_us), TIMES_TRIED * tried_us)


def whole_of(seen: Measured | None) -> float | None:
    """CPU microseconds per request of a trial; None where there is none."""
    return None if seen is None or not seen.requests or seen.cpu_s is None else seen.cpu_s / seen.requests * 1e6
