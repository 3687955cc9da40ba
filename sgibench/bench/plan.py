"""Catalogue, selection and seed to blocks of cells: what will be measured, in which order, decided beforehand (pure).

A plan knows no process and no file. The same selection and seed give the same plan, so a run can be repeated and
resumed. Servers that close every connection are never put into a group with those that keep them alive.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from sgibench.bench.services import for_scenario, unfit_for
from sgibench.engine.windows import P99_ANSWERS, windows_for
from sgibench.errors import UsageError
from sgibench.model import (
    App,
    Block,
    Cell,
    Connection,
    Group,
    Load,
    PilotRate,
    Plan,
    Scenario,
    ServerEntry,
    Settings,
    Stage,
    Terms,
    Trial,
    Windows,
)

CLASS_GAP = 4.0
"""Servers whose saturation lies so many times above the next slower one's are another class: threads that wait and
event loops, for example. Half of a rate is within one; noise and ordinary differences are far from it."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named amount of care."""

    name: str
    blocks: int
    window_s: float
    open_window_s: float
    retries: int
    """How often a group in doubt is measured again in its block (method, section 6: at most twice)."""
    servers: tuple[str, ...]
    scenarios: tuple[str, ...]
    promise: str
    """What its result may be used for."""
    p99_from: Literal["blocks together", "each block"] = "each block"
    """Where the 1,000 answers behind a p99 have to come from, as far as `longest_open_s` allows."""
    longest_open_s: float = 15.0
    """The longest window of an open load."""
    own_percentile_s: float = 0.0
    """With answers of all blocks together: where a window of this length holds those of a block's own p99, it does."""
    fewer_blocks: Mapping[str, int] = field(default_factory=dict)
    """Scenario -> the number of blocks that hold it, where it is known to take fewer: of work that only waits, servers
    differ by many times, or not at all."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """Scenario -> connections, where the user names none and the usual number would make visits long: a visit lasts ten
    times the slowest answers, and with many connections each waits for all the others."""
    class_rates: bool = True
    """Whether servers that are many times as fast as the slowest are measured at a rate of their own, too."""

    def answers(self, blocks: int) -> int:
        """How many requests should be due in a window of an open load, where so many blocks hold it."""
        return P99_ANSWERS if self.p99_from == "each block" else math.ceil(P99_ANSWERS / blocks)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="quick",
            blocks=6,
            window_s=0.6,
            open_window_s=0.9,
            retries=0,
            servers=(
                "gunicorn-gthread",
                "waitress",
                "granian-wsgi",
                "uvicorn-httptools",
                "hypercorn-uvloop",
                "granian-asgi",
            ),
            scenarios=("json", "wait"),
            promise="a look in a few minutes: json in six blocks, enough for verdicts, and waiting work in three",
            p99_from="blocks together",
            longest_open_s=5.0,
            own_percentile_s=3.0,
            fewer_blocks={"wait": 3},
            connections={"json": 16},
            class_rates=False,
        ),
        Profile(
            name="standard",
            blocks=6,
            window_s=5.0,
            open_window_s=5.0,
            retries=2,
            servers=("*",),
            scenarios=("site", "json", "wait", "crud"),
            promise="all servers on four scenarios, with enough blocks for verdicts",
        ),
        Profile(
            name="full",
            blocks=10,
            window_s=5.0,
            open_window_s=5.0,
            retries=2,
            servers=("*",),
            scenarios=("*",),
            promise="the whole catalogue, for publication",
        ),
    )
}


Parts = Sequence[Sequence[str]]
"""Servers that live together, the reference first in each."""


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
                settings=setting,
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
        raise UsageError(
            "nothing to measure: no chosen app speaks the interface of a chosen server, in the chosen protocol "
            f"(servers: {_kinds(server.variant.interface for server, _ in pairs)}; "
            f"scenarios: {_kinds(name for scenario in scenarios for name in scenario.interfaces)}; "
            f"protocols: {_kinds(load.protocol for load in loads)}, of "
            f"{_kinds(name for scenario in scenarios for name in scenario.terms.protocols)})"
            + "".join(f"; {sentence}" for sentence in too_few_servers(pairs, scenarios))
        )
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
            spoken = {load.protocol for load in loads} & set(scenario.terms.protocols)
            needs = "/".join(name.upper() for name in scenario.interfaces)
            found[f"{server.id} in {scenario.id}"] = (
                f"it goes over {', '.join(scenario.terms.protocols)}: add --protocol {scenario.terms.protocols[0]}"
                if not spoken
                else f"it needs {needs}, and the server serves {server.variant.interface.upper()} apps"
            )
    return found


def _load_for(server: ServerEntry, terms: Terms, load: Load) -> Load:
    """Fit a load to what scenario and server leave no choice about."""
    connection = terms.connection or load.connection
    return replace(
        load,
        connections=terms.connections or load.connections,
        connection=connection if server.variant.keep_alive else "close",
    )


def _kinds(interfaces: Iterable[str]) -> str:
    return ", ".join(sorted(set(interfaces))) or "none"


def with_most_connections(cells: Sequence[Cell]) -> list[Cell]:
    """Keep, of a scenario's closed loads, those with the most connections: open loads are derived from them."""
    most: dict[str, int] = defaultdict(int)
    for cell in cells:
        most[cell.scenario] = max(most[cell.scenario], cell.load.connections)
    return [cell for cell in cells if cell.load.connections == most[cell.scenario]]


def with_usual_connections(cells: Sequence[Cell], usual: Mapping[str, int]) -> list[Cell]:
    """Give the cells of some scenarios the connections that a profile has for them."""
    return [
        replace(cell, load=replace(cell.load, connections=usual.get(cell.scenario, cell.load.connections)))
        for cell in cells
    ]


def with_rates(cells: Sequence[Cell], rates: Sequence[PilotRate]) -> list[Cell]:
    """Add to each closed cell the open ones at its group's common rate and at its class's own, where there are such."""
    by_group: dict[tuple[str, Connection, int, int], list[PilotRate]] = defaultdict(list)
    for rate in rates:
        by_group[rate.scenario, rate.connection, rate.workers, rate.threads].append(rate)
    extra = [
        replace(cell, load=replace(cell.load, kind="open", rate_per_s=rate.rate_per_s))
        for cell in with_most_connections(cells)
        if cell.load.kind == "closed"
        for rate in by_group[cell.scenario, cell.load.connection, cell.settings.workers, cell.settings.threads]
        if not rate.servers or cell.server in rate.servers
    ]
    return [*cells, *extra]


def common_rates(pilot: Sequence[Trial], share: float = 0.5, *, classes: bool = False) -> list[PilotRate]:
    """Choose the rate of each group from the pilot block: a share of the slowest server's saturation, two digits.

    With `classes`, those that are many times as fast get a rate of their own besides, by the slowest of their class. A
    group in which no server gave a result gets no rate.
    """
    groups: dict[tuple[str, Connection, int, int], list[Trial]] = defaultdict(list)
    for trial in pilot:
        if trial.rps:
            groups[trial.scenario, trial.load.connection, trial.workers, trial.threads].append(trial)
    rates = []
    for trials in groups.values():
        everybody, *faster = classes_of(trials)
        slowest = everybody[0]
        rates.append(_rate_by(slowest, share, ()))
        if classes:
            rates += [_rate_by(some[0], share, [trial.server for trial in some]) for some in faster]
    return rates


def classes_of(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Sort servers by saturation into classes, the slowest first; there is a gap between one class and the next."""
    ordered = sorted(trials, key=lambda trial: trial.rps or 0.0)
    found = [ordered[:1]]
    for before, trial in pairwise(ordered):
        if (trial.rps or 0.0) >= CLASS_GAP * (before.rps or 0.0):
            found.append([])
        found[-1].append(trial)
    return found


def _rate_by(slowest: Trial, share: float, servers: Iterable[str]) -> PilotRate:
    rps = slowest.rps or 0.0
    return PilotRate(
        scenario=slowest.scenario,
        connection=slowest.load.connection,
        workers=slowest.workers,
        threads=slowest.threads,
        slowest=slowest.server,
        slowest_rps=rps,
        rate_per_s=float(f"{rps * share:.2g}"),
        servers=tuple(dict.fromkeys(servers)),
    )


CURVE_SHARES = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
"""Loads of the curve of latency, as shares of a server's own saturation."""


def curve_cells(cells: Sequence[Cell], pilot: Sequence[Trial]) -> list[Cell]:
    """Make the cells of latency against load: each server at shares of its own saturation, two digits each."""
    saturation = {trial.cell: trial.rps for trial in pilot if trial.rps is not None}

    def at(cell: Cell, share: float) -> Cell:
        rate = float(f"{share * saturation[cell.id]:.2g}")
        return replace(cell, load=replace(cell.load, kind="open", rate_per_s=rate, share=share))

    return [at(cell, share) for cell in cells if cell.id in saturation for share in CURVE_SHARES]


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


def measuring_s(plan: Plan) -> float:
    """Counted seconds of the whole plan."""
    return sum(
        windows_for(plan.windows, group, first=True).window_s * len(group.cells)
        for block in plan.blocks
        for stage in block.stages
        for group in stage.groups
    )
