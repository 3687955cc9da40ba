"""The pilot block: how much the slowest server of each group can do, so that all can be given a share of it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from sgibench import units
from sgibench.bench.plan import Parts, make_plan
from sgibench.bench.profiles import PROFILES
from sgibench.bench.rates import common_rates, curve_cells, with_most_connections
from sgibench.bench.request import Request
from sgibench.engine.ledger import Ledger
from sgibench.engine.progress import Silent
from sgibench.engine.runner import run_plan
from sgibench.engine.windows import P99_ANSWERS, enough_for_p99, open_window_s
from sgibench.engine.workshop import Workshop
from sgibench.errors import UsageError
from sgibench.model import Block, Cell, Connection, Group, PilotRate, Plan, Stage, Trial, Windows
from sgibench.model.failed import is_lost

PILOT_WINDOW_S = 0.3
PILOT_WARMUP_S = 0.3


def find_rates(
    request: Request, cells: Sequence[Cell], seed: int, workshop: Workshop, parts: Parts = ()
) -> tuple[list[PilotRate], list[Cell]]:
    """Find the common rate of each group, and the cells of latency against load when they were asked for.

    Both rest on a short pilot block that is not counted; a rate that was asked for needs none.
    """
    if request.rate_per_s == 0 and not request.curve:
        return [], []
    cells = with_most_connections([cell for cell in cells if workshop.scenarios[cell.scenario].terms.at_rate])
    if not cells:
        return [], []
    taken = taken_rates(request.rates, cells)
    if taken and not request.curve:
        return taken, []
    seen = _pilot_block(cells, seed, workshop, parts)
    rates = taken or ([] if request.rate_per_s == 0 else _common_rates(request, seen, workshop.windows))
    if request.rate_per_s is not None:
        rates = [replace(rate, rate_per_s=request.rate_per_s) for rate in rates]
    for rate in rates:
        workshop.listener.say(told(rate, workshop.windows))
    return rates, curve_cells(cells, seen) if request.curve else []


def _common_rates(request: Request, seen: Sequence[Trial], windows: Windows) -> list[PilotRate]:
    classes = request.rate_per_s is None and PROFILES[request.profile].class_rates
    return common_rates(seen, request.rate_share, enough=partial(enough_for_p99, windows), classes=classes)


def told(rate: PilotRate, windows: Windows) -> str:
    """Say how a rate was found, and what its windows are too short for."""
    whose = (
        f"{units.many(len(rate.servers), 'faster server')} are measured at" if rate.servers else "the common rate is"
    )
    window_s = open_window_s(windows, rate.rate_per_s)
    due = math.floor(window_s * rate.rate_per_s)
    lacking = "" if due >= P99_ANSWERS else f"; {units.count(due)} answers in a window of {units.seconds(window_s)}"
    if lacking:
        together = windows.least_answers and due >= windows.least_answers
        lacking += " have a p99 only with all blocks together" if together else " are too few for a p99"
    return (
        f"{rate.scenario} ({rate.connection}): {rate.slowest} is the slowest with {units.rate(rate.slowest_rps)}; "
        f"{whose} {units.rate(rate.rate_per_s)}{lacking}"
    )


def taken_rates(rates: Sequence[PilotRate], cells: Sequence[Cell]) -> list[PilotRate]:
    """Take those of another run's rates that fit a group of this one; raises UsageError where a group has none."""
    if not rates:
        return []
    groups = dict.fromkeys(
        (cell.scenario, cell.load.connection, cell.settings.workers, cell.settings.threads) for cell in cells
    )
    known = {group: [rate for rate in rates if _group(rate) == group] for group in groups}
    for (scenario, connection, workers, threads), found in known.items():
        if not found:
            raise UsageError(
                f"--rate-of: that run has no rate for {scenario} ({connection}) with {units.many(workers, 'worker')} "
                f"and {units.many(threads, 'thread')}: choose scenarios and sizes that it measured"
            )
    return [rate for found in known.values() for rate in found]


def _group(rate: PilotRate) -> tuple[str, Connection, int, int]:
    return rate.scenario, rate.connection, rate.workers, rate.threads


def _pilot_block(cells: Sequence[Cell], seed: int, workshop: Workshop, parts: Parts) -> list[Trial]:
    windows = pilot_windows(workshop.windows)
    plan = make_plan(cells, blocks=1, windows=windows, seed=seed, control=False, parts=parts)
    workshop.listener.say("pilot block: how much can the slowest server do?")
    pilots = replace(
        workshop, windows=windows, listener=Silent(), retries=0, apart_blocks=0, after_block=None, told=set()
    )
    with_services = {cell.scenario for cell in cells if workshop.catalogue.app(cell.app).uses}
    plain = {name for name, one in workshop.scenarios.items() if not (one.watched.any or one.jobs)} - with_services
    attempts = [*dict.fromkeys((in_few_stages(plan, plain), plan))]
    again = True
    while attempts:
        seen = Ledger()
        run_plan(attempts[0], pilots, seen)
        if all(trial.rps for trial in seen.trials):
            break  # else what failed at one scenario is asked the others by itself
        if again and any(map(is_lost, seen.trials)):
            workshop.listener.say("the load process was lost in the pilot block: once more")
            again = False
        else:
            attempts.pop(0)
    return seen.trials


def in_few_stages(pilot: Plan, plain: Collection[str]) -> Plan:
    """Ask all `plain` scenarios of the same servers; a run starts them afresh for each, but nothing is counted here."""

    def alike(stage: Stage) -> tuple[object, ...]:
        first = stage.groups[0]
        servers = frozenset((cell.server, cell.app, cell.again) for cell in first.cells)
        scenario = None if first.scenario in plain else first.scenario
        return scenario, first.settings, first.load.connection, first.load.protocol, first.cells[0].part, servers

    def merged(block: Block) -> Block:
        groups: dict[tuple[object, ...], list[Group]] = defaultdict(list)
        for stage in block.stages:
            groups[alike(stage)] += stage.groups
        return replace(block, stages=tuple(Stage(groups=tuple(each)) for each in groups.values()))

    return replace(pilot, blocks=tuple(map(merged, pilot.blocks)))


def pilot_windows(windows: Windows) -> Windows:
    """Shorten the windows: a pilot only has to find the order of magnitude."""
    return replace(
        windows,
        window_s=min(PILOT_WINDOW_S, windows.window_s),
        warmup_s=min(PILOT_WARMUP_S, windows.warmup_s),
        singly_s=0.0,
        own_s={},
    )
