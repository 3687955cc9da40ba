"""Catalogue, selection and seed to blocks of cells: what will be measured, in which order, decided beforehand (pure).

A plan knows no process and no file. The same selection and seed give the same plan, so a run can be repeated and
resumed. Servers that close every connection are never put into a group with those that keep them alive.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sgibench.bench.services import for_scenario, unfit_for
from sgibench.errors import UsageError
from sgibench.model import (
    App,
    Block,
    Cell,
    Group,
    Load,
    Plan,
    Scenario,
    ServerEntry,
    Settings,
    Stage,
    Terms,
    Windows,
)
from sgibench.model.terms import MULTIPLEXED

Parts = Sequence[Sequence[str]]
"""Servers that live together, the reference first in each."""
SPARE_CONNECTIONS = 64
"""So many more may be open for a moment: those that are opened anew, and the questions whether all is well."""


def make_cells(
    pairs: Sequence[tuple[ServerEntry, App]],
    scenarios: Sequence[Scenario],
    loads: Sequence[Load],
    settings: Sequence[Settings],
) -> list[Cell]:
    """Combine what fits together; raises UsageError when nothing does.

    A server runs the apps of its interface, a scenario runs on the interfaces it names and on apps that can use the
    services it needs, and a server that never keeps a connection alive is loaded with one connection per request.
    """
    cells = list(
        dict.fromkeys(
            Cell(
                server=server.id,
                app=app.id,
                scenario=scenario.id,
                load=_load_for(server, scenario.terms, load),
                settings=replace(setting, connections=_room_for(scenario.terms, loads)),
            )
            for scenario in scenarios
            for setting in settings
            for load in loads
            for server, app in for_scenario(pairs, scenario)
            if server.runs(app) and app.interface in scenario.interfaces and load.protocol in scenario.terms.protocols
            if servers_of(server) >= scenario.watched.servers
        )
    )
    if not cells and (unfit := unfit_for(pairs, scenarios)):
        raise UsageError("nothing to measure: " + "; ".join(f"{app}: {why}" for app, why in unfit.items()))
    if not cells:
        reasons = _by_reason(unasked(pairs, scenarios, loads, cells))
        raise UsageError("nothing to measure: " + "; ".join(reasons))
    return cells


def servers_of(entry: ServerEntry) -> int:
    """How many servers stand behind its front; 1 without one."""
    return 1 if entry.front is None else entry.front.variant.backends


def too_few_servers(pairs: Sequence[tuple[ServerEntry, App]], scenarios: Sequence[Scenario]) -> list[str]:
    """Say which servers a scenario leaves out because it takes one of several away."""
    told = []
    for scenario in scenarios:
        wanted = scenario.watched.servers
        names = dict.fromkeys(server.id for server, _ in pairs if servers_of(server) < wanted)
        if names:
            told.append(
                f"{scenario.id} needs {wanted} servers behind a front, such as nginx-rr2+waitress: "
                f"without {', '.join(names)}"
            )
    return told


def unasked(
    pairs: Sequence[tuple[ServerEntry, App]],
    scenarios: Sequence[Scenario],
    loads: Sequence[Load],
    cells: Sequence[Cell],
) -> dict[str, str]:
    """Say of each server and scenario that make no cell why they don't: `SERVER in SCENARIO` -> the reason."""
    measured = {(cell.server, cell.scenario) for cell in cells}
    found = {}
    for scenario in scenarios:
        for server, _ in pairs:
            if (server.id, scenario.id) in measured:
                continue
            found[f"{server.id} in {scenario.id}"] = _why_unasked(server, scenario, loads)
    return found


MOST_NAMED = 4
"""So many of those that share a reason are named in a refusal, and then how many more there are."""


def _by_reason(unasked: Mapping[str, str]) -> list[str]:
    """Say each reason once, after the names that it is about."""
    names = defaultdict(list)
    for name, why in unasked.items():
        names[why].append(name)
    return [
        ", ".join(some[:MOST_NAMED])
        + (f" and {len(some) - MOST_NAMED} more" if len(some) > MOST_NAMED else "")
        + f": {why}"
        for why, some in names.items()
    ]


def _why_unasked(server: ServerEntry, scenario: Scenario, loads: Sequence[Load]) -> str:
    """Say why a scenario is not asked of a server; there is a reason."""
    protocols, wanted = scenario.terms.protocols, scenario.watched.servers
    if server.variant.interface not in scenario.interfaces:
        needs = "/".join(name.upper() for name in scenario.interfaces)
        return f"it needs {needs}, and the server serves {server.variant.interface.upper()} apps"
    asked = dict.fromkeys(load.protocol for load in loads)
    if not asked.keys() & set(protocols):
        return f"it goes over {', '.join(protocols)}, and not over {', '.join(asked)}: add --protocol {protocols[0]}"
    if servers_of(server) < wanted:
        return f"it takes one of {wanted} servers behind a front away, such as nginx-rr2+waitress has"
    return f"it needs {' and '.join(scenario.services)}, which the app can't use"


def _room_for(terms: Terms, loads: Sequence[Load]) -> int:
    """How many connections servers must be set up for: where a scenario has its own, they may be more than by default.

    The same for all loads of a scenario, because they share a server's process.
    """
    most = terms.connections or max(load.connections for load in loads)
    return terms.held + most + SPARE_CONNECTIONS if terms.held or terms.connections else 0


def _load_for(server: ServerEntry, terms: Terms, load: Load) -> Load:
    """Fit a load to what scenario and server leave no choice about."""
    connection = (terms.connection or load.connection) if server.variant.keep_alive else "close"
    streams = terms.streams if terms.streams and load.protocol in MULTIPLEXED else load.streams
    return replace(
        load,
        connections=terms.connections or load.connections,
        connection=connection,
        streams=streams if connection == "keep-alive" else 1,
        arrivals=terms.arrivals,
    )


def with_usual_connections(cells: Sequence[Cell], usual: Mapping[str, int]) -> list[Cell]:
    """Give the cells of some scenarios the connections that a profile has for them."""
    return [
        replace(cell, load=replace(cell.load, connections=usual.get(cell.scenario, cell.load.connections)))
        for cell in cells
    ]


def make_plan(
    cells: Sequence[Cell],
    *,
    blocks: int,
    windows: Windows,
    seed: int,
    control: bool,
    parts: Parts = (),
    fewer: Mapping[str, int] | None = None,
) -> Plan:
    """Lay the cells out in `blocks` seeded random passes; with `control`, one cell of each stage runs twice.

    `parts` names the servers that may live together, when not all may; the first of each is the reference. Scenarios of
    `fewer` are held by so many blocks only, spread over the run.
    """
    stages = _stages(in_parts(cells, parts))
    doubled = {
        key: random.Random(f"{seed}/control/{key}").choice(names)
        for key, names in _servers_of(stages).items()
        if key[3] == 0
    }
    return Plan(
        seed=seed,
        windows=windows,
        blocks=tuple(
            _block(
                index,
                seed,
                {key: groups for key, groups in stages.items() if holds(index, blocks, (fewer or {}).get(key[0]))},
                doubled if control else {},
            )
            for index in range(blocks)
        ),
    )


def holds(index: int, blocks: int, fewer: int | None) -> bool:
    """Whether a block is among `fewer` that are spread evenly over all, the first and the last among them."""
    if fewer is None or fewer >= blocks:
        return True
    return index in {round(place * (blocks - 1) / max(1, fewer - 1)) for place in range(fewer)}


def in_parts(cells: Sequence[Cell], parts: Parts) -> list[Cell]:
    """Give each cell its part, and each further part a copy of the reference's cells."""
    if len(parts) < 2:  # noqa: PLR2004 - one part is the whole
        return [*cells]
    begun = {part[0]: number for number, part in reversed([*enumerate(parts)])}
    return [
        replace(cell, part=number, again=begun.get(cell.server, number) != number)
        for number, part in enumerate(parts)
        for cell in cells
        if cell.server in part
    ]


StageKey = tuple[str, Settings, str, int]
"""What the groups of a stage share: scenario, settings, connection policy and protocol, part."""


def _spoken(load: Load) -> str:
    """How connections are kept, and what goes over them: what the process that is asked was started for."""
    return f"{load.connection} {load.protocol}"


def _stages(cells: Sequence[Cell]) -> dict[StageKey, dict[Load, list[Cell]]]:
    stages: dict[StageKey, dict[Load, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        stages[cell.scenario, cell.settings, _spoken(cell.load), cell.part][cell.load].append(cell)
    return stages


def _servers_of(stages: dict[StageKey, dict[Load, list[Cell]]]) -> dict[StageKey, list[tuple[str, str]]]:
    return {
        key: sorted({(cell.server, cell.app) for cells in groups.values() for cell in cells if not cell.again})
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
    twins = [replace(cell, control=True) for cell in cells if (cell.server, cell.app) == doubled and not cell.again]
    shuffled = [*cells, *twins]
    order.shuffle(shuffled)
    return Group(scenario=cells[0].scenario, load=load, settings=cells[0].settings, cells=tuple(shuffled))
