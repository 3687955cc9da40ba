"""Catalogue, selection and seed to blocks of cells: what will be measured, in which order, decided beforehand (pure).

A plan knows no process and no file. The same selection and seed give the same plan, so a run can be repeated and
resumed. Servers that close every connection are never put into a group with those that keep them alive.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sgibench.errors import UsageError
from sgibench.model import App, Block, Cell, Group, Load, Plan, Scenario, ServerEntry, Settings, Stage, Windows


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named amount of care."""

    name: str
    blocks: int
    window_s: float
    servers: tuple[str, ...]
    scenarios: tuple[str, ...]
    promise: str
    """What its result may be used for."""


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="quick",
            blocks=3,
            window_s=3.0,
            servers=(
                "gunicorn-gthread",
                "waitress",
                "granian-wsgi",
                "uvicorn-httptools",
                "hypercorn-uvloop",
                "granian-asgi",
            ),
            scenarios=("json", "wait"),
            promise="a first look in a few minutes; it can only tell what is clearly different",
        ),
        Profile(
            name="standard",
            blocks=6,
            window_s=5.0,
            servers=("*",),
            scenarios=("plaintext", "json", "wait", "crud"),
            promise="all servers on four scenarios, with enough blocks for verdicts",
        ),
        Profile(
            name="full",
            blocks=10,
            window_s=5.0,
            servers=("*",),
            scenarios=("*",),
            promise="the whole catalogue, for publication",
        ),
    )
}


def make_cells(
    servers: Sequence[ServerEntry],
    apps: Sequence[App],
    scenarios: Sequence[Scenario],
    loads: Sequence[Load],
    settings: Sequence[Settings],
) -> list[Cell]:
    """Combine what fits together; raises UsageError when nothing does.

    A server runs the apps of its interface, a scenario runs on the interfaces it names, and a server that never keeps a
    connection alive is loaded with one connection per request.
    """
    cells = [
        Cell(server=server.id, app=app.id, scenario=scenario.id, load=_load_for(server, load), settings=setting)
        for scenario in scenarios
        for setting in settings
        for load in loads
        for server in servers
        for app in apps
        if app.interface == server.variant.interface and app.interface in scenario.interfaces
    ]
    if not cells:
        raise UsageError(
            "nothing to measure: no chosen app speaks the interface of a chosen server "
            f"(servers: {_kinds(s.variant.interface for s in servers)}; apps: {_kinds(a.interface for a in apps)})"
        )
    return cells


def _load_for(server: ServerEntry, load: Load) -> Load:
    return load if server.variant.keep_alive else replace(load, connection="close")


def _kinds(interfaces: Iterable[str]) -> str:
    return ", ".join(sorted(set(interfaces))) or "none"


def make_plan(cells: Sequence[Cell], *, blocks: int, windows: Windows, seed: int, control: bool) -> Plan:
    """Lay the cells out in `blocks` seeded random passes; with `control`, one cell of each stage runs twice."""
    stages = _stages(cells)
    doubled = {key: random.Random(f"{seed}/control/{key}").choice(names) for key, names in _servers_of(stages).items()}
    return Plan(
        seed=seed,
        windows=windows,
        blocks=tuple(_block(index, seed, stages, doubled if control else {}) for index in range(blocks)),
    )


StageKey = tuple[str, Settings, str]
"""What the groups of a stage share: scenario, settings, connection policy."""


def _stages(cells: Sequence[Cell]) -> dict[StageKey, dict[Load, list[Cell]]]:
    stages: dict[StageKey, dict[Load, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        stages[cell.scenario, cell.settings, cell.load.connection][cell.load].append(cell)
    return stages


def _servers_of(stages: dict[StageKey, dict[Load, list[Cell]]]) -> dict[StageKey, list[tuple[str, str]]]:
    return {
        key: sorted({(cell.server, cell.app) for cells in groups.values() for cell in cells})
        for key, groups in stages.items()
    }


def _block(
    index: int,
    seed: int,
    stages: dict[StageKey, dict[Load, list[Cell]]],
    doubled: dict[StageKey, tuple[str, str]],
) -> Block:
    block_seed = random.Random(f"{seed}/block/{index}").randrange(2**31)
    order = random.Random(block_seed)
    shuffled = list(stages.items())
    order.shuffle(shuffled)
    return Block(
        index=index,
        seed=block_seed,
        stages=tuple(_stage(groups, order, doubled.get(key)) for key, groups in shuffled),
    )


def _stage(groups: dict[Load, list[Cell]], order: random.Random, doubled: tuple[str, str] | None) -> Stage:
    """Saturation first, then the open rates, slowest first; inside a group the servers in random order."""
    by_load = sorted(groups.items(), key=lambda item: (item[0].kind == "open", item[0].rate_per_s or 0))
    return Stage(groups=tuple(_group(load, cells, order, doubled) for load, cells in by_load))


def _group(load: Load, cells: list[Cell], order: random.Random, doubled: tuple[str, str] | None) -> Group:
    twins = [replace(cell, control=True) for cell in cells if (cell.server, cell.app) == doubled]
    shuffled = [*cells, *twins]
    order.shuffle(shuffled)
    return Group(scenario=cells[0].scenario, load=load, settings=cells[0].settings, cells=tuple(shuffled))


def trials_in(plan: Plan) -> int:
    """How many trials the plan holds."""
    return sum(len(group.cells) for block in plan.blocks for stage in block.stages for group in stage.groups)
