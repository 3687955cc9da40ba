"""One run from the request to the last trial on disk: the road that `sgibench run` takes.

Everything that can be refused is refused before the first server starts. From then on nothing measured is lost,
whatever ends the run; `resuming` goes on with the rest of the same plan.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sgibench import __version__, catalogue, ending, machine, units
from sgibench.bench.alone import AloneCosts
from sgibench.bench.asked_for import AskedFor, asked_for, refuse_what_fits_nowhere
from sgibench.bench.going_on import NOTHING, going_on, noting_nothing
from sgibench.bench.learned import learn_answers, learned_info
from sgibench.bench.memory import free_bytes, need_of, split, told
from sgibench.bench.own import Looked, look_at, own_info
from sgibench.bench.pilot import find_rates
from sgibench.bench.plan import make_plan
from sgibench.bench.rates import with_rates
from sgibench.bench.request import Request, Selection, baseline_of, choose, mine_of, refuse_early, why_asleep
from sgibench.bench.services import refuse_unreachable
from sgibench.bench.workshop import Prepared, calibrated, described, equip, load_process, prepare, recorded
from sgibench.engine.ledger import Ledger
from sgibench.engine.runner import run_plan
from sgibench.engine.waking import with_truth
from sgibench.engine.workshop import Listener, Workshop
from sgibench.errors import LoadError, UsageError
from sgibench.laps import Laps
from sgibench.model import SCHEMA, App, Cell, OwnInfo, Plan, RunInfo, Scenario, ServerEntry, Trial
from sgibench.results import store
from sgibench.serve import envs
from sgibench.serve.scratch import scratch_folder
from sgibench.serve.services import House, usual_cpus
from sgibench.stats.settling import is_settled, make_rule

COUNTED = "counted"
"""The phase of windows, as the load process calls it."""
LAYERS = "taking requests apart"
LOOKING, ENVIRONMENTS, CALIBRATING = PREPARING = ("looking things up", "environments", "calibrating")
"""Phases of what is done before the first server starts; what comes between them and the first block is the pilot."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Where the run is, and whether it came to its end."""

    folder: Path
    ended_by: signal.Signals | None = None
    """The signal that broke it off; None where it came to its end."""
    unfinished: tuple[str, ...] = ()
    """What is known of searches that were broken off, in words: their rates are no results."""


def run(request: Request, listener: Listener) -> Outcome:
    """Measure what was asked for; Ctrl-C, SIGTERM and SIGHUP end it early and keep every finished trial."""
    with opened(request, listener) as road:
        chosen = road.chosen
        baseline = baseline_of(request, chosen.servers)
        rule = make_rule(baseline, chosen.blocks, request.settle) if request.until_settled else None
        rates, curve = find_rates(request, road.cells, road.seed, road.workshop, road.parts)
        plan = road.plan_of([*with_rates(road.cells, rates), *curve])
        road.writer.write_info(
            replace(road.writer.info, pilot=tuple(rates), plan=plan, retries=road.workshop.retries, until=rule)
        )
        return measure(road.workshop, road.writer, ())


@dataclass(frozen=True, kw_only=True)
class Road:
    """All that is ready when the first server may be started."""

    chosen: Selection
    cells: tuple[Cell, ...]
    seed: int
    control: bool
    workshop: Workshop
    writer: store.RunWriter
    parts: tuple[tuple[str, ...], ...] = ()
    """Servers that may live together, when not all may."""

    def plan_of(self, cells: Sequence[Cell]) -> Plan:
        """Lay the cells out as the request has it."""
        chosen = self.chosen
        return make_plan(
            cells,
            blocks=chosen.blocks,
            windows=chosen.windows,
            seed=self.seed,
            control=self.control,
            parts=self.parts,
            fewer=chosen.fewer_blocks,
        )


CAPACITY = "capacity"


def refuse_rateless(scenarios: Sequence[Scenario]) -> None:
    """Refuse to search for the capacity of what has no rate, no ceiling or a window of its own; raises UsageError."""
    for scenario in scenarios:
        if why := _why_rateless(scenario):
            raise UsageError(f"--scenario {scenario.id}: {why}; there is no capacity of it: sgibench run measures it")


def _why_rateless(scenario: Scenario) -> str | None:
    watched, terms = scenario.watched, scenario.terms
    if watched.incidents:
        return "servers are killed and started again in its window, and a step at one rate has none of them"
    if watched.wants_s:
        return (
            f"what it watches takes a window of {units.seconds(watched.wants_s)}, and a step is as long as its rate is"
        )
    return None if terms.at_rate and terms.calibrated else "it has no fixed rate"


@contextlib.contextmanager
def opened(request: Request, listener: Listener, *, profile: str | None = None) -> Iterator[Road]:
    """Refuse what can be refused, then open the workshop and the results; `run.json` is left to the caller."""
    roads: list[Road] = []
    with (
        noting_nothing(lambda: any(road.writer.appended for road in roads)),
        _opened(request, listener, profile=profile) as opened_road,
    ):
        roads.append(opened_road)
        yield opened_road


@contextlib.contextmanager
def _opened(request: Request, listener: Listener, *, profile: str | None = None) -> Iterator[Road]:
    laps = Laps(LOOKING)
    if mine_of(request):
        refuse_early(request)
    looked = look(request, listener)
    chosen = choose(request, looked)
    started = datetime.now(UTC)
    folder = request.results / store.new_run_id(started)
    seed = request.seed if request.seed is not None else int.from_bytes(os.urandom(4), "big")
    baseline_of(request, chosen.servers)
    service_cpus = request.service_cpus or usual_cpus(chosen.cpus)
    with (
        House(chosen.found.services, service_cpus, chosen.database.existing) as house,
        load_process(chosen.cpus, request.load_workers) as (process, scratch),
    ):
        scenarios = described(process, chosen.scenario_paths, looked, scratch)
        if profile == CAPACITY:
            refuse_rateless(scenarios)
        asked = asked_for(request, chosen, looked, scenarios, listener)
        refuse_unreachable(house)
        refuse_what_fits_nowhere(request, asked)
        chosen = asked.chosen
        if (asleep := why_asleep(request, chosen.cpus)) is not None:
            listener.say(asleep)
        laps.to(ENVIRONMENTS)
        ready = prepare(asked.cells, chosen.servers, asked.apps, listener, scenarios)
        lesson = None
        if looked is not None and not chosen.scenario_paths:
            lesson = learn_answers(
                looked,
                ready.cells,
                listener,
                found=chosen.found,
                environments=ready.environments,
                cpus=chosen.cpus,
                scratch=scratch,
            )
            looked = lesson.looked
            scenarios = described(process, (), looked, scratch)
        info = info_of(
            request,
            asked,
            ready,
            run=folder.name,
            started=started,
            profile=profile or request.profile,
            seed=seed,
            service_cpus=service_cpus,
            scenarios=scenarios,
            own=None if looked is None else own_info(looked, request.own, chosen.servers),
        )
        parts = parts_of(request, looked, ready.cells, chosen.servers, listener)
        if info.own is not None:
            info = replace(info, own=replace(learned_info(info.own, lesson), parts=parts))
        with store.RunWriter(folder, info) as writer:
            laps.to(CALIBRATING)
            ceilings = calibrated(process, scenarios, listener)
            writer.info = replace(info, calibration=ceilings.found, uncalibrated=ceilings.unknown)
            workshop = equip(
                writer.info, chosen.found, ready.environments, scenarios, process, scratch, listener, house, looked
            )
            costs = after_block(ready.cells, asked.apps, writer, workshop) if request.layers else None
            yield Road(
                chosen=chosen,
                cells=ready.cells,
                seed=seed,
                control=request.control,
                workshop=replace(
                    workshop, windows=chosen.windows, retries=chosen.retries, after_block=costs, laps=laps
                ),
                writer=writer,
                parts=parts,
            )


def info_of(
    request: Request,
    asked: AskedFor,
    ready: Prepared,
    *,
    run: str,
    started: datetime,
    profile: str,
    seed: int,
    service_cpus: tuple[int, ...],
    scenarios: Sequence[Scenario],
    own: OwnInfo | None,
) -> RunInfo:
    """All that is known of a run before anything was measured: what `run.json` begins with."""
    chosen = asked.chosen
    return RunInfo(
        schema=SCHEMA,
        run=run,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=None,
        profile=profile,
        seed=seed,
        argv=request.argv,
        version=__version__,
        commit=_commit(),
        machine=machine.describe(chosen.cpus),
        environments=recorded(ready.environments, asked.apps),
        skipped={**asked.skipped, **ready.skipped, **asked.left_out},
        service_cpus=service_cpus if any(app.uses for app in asked.apps) else (),
        pool=request.pool,
        plan=Plan(seed=seed, windows=chosen.windows, blocks=()),
        limits={server.id: server.notes for server in chosen.servers if server.notes},
        catalogues=tuple(str(root) for root in chosen.found.roots[1:]),
        load_workers=request.load_workers,
        delta=request.delta,
        scenarios={scenario.id: scenario.summary for scenario in scenarios},
        own=own,
    )


def after_block(
    cells: Sequence[Cell], apps: Sequence[App], writer: store.RunWriter, workshop: Workshop
) -> Callable[[int], None]:
    """Say what is measured after each block, while no server runs: what apps of the catalogue cost by themselves."""
    return AloneCosts(cells, apps, writer, workshop)


def parts_of(
    request: Request, looked: Looked | None, cells: Sequence[Cell], servers: Sequence[ServerEntry], listener: Listener
) -> tuple[tuple[str, ...], ...]:
    """Say which servers of the user's app may live together; raises UsageError when not even two may."""
    if looked is None:
        return ()
    each = max((one.peak_bytes for driven in looked.driven.values() for one in driven), default=0) * len(looked.apps)
    limit = max(0, (request.own.memory_bytes or free_bytes()) - each)  # the app lives beside its servers, too
    wanted = baseline_of(request, servers)
    parts: list[tuple[str, ...]] = []
    for policy in dict.fromkeys(cell.load.connection for cell in cells):
        # Those that close every connection are a group of their own, and never alive beside the others.
        left = {cell.server for cell in cells if cell.load.connection == policy}
        needs = {one.id: need_of(one, each, max(request.workers)) for one in servers if one.id in left}
        found = split(needs, limit, wanted if wanted in needs else next(iter(needs)), control=request.control)
        if len(found) > 1:
            listener.say(told(found, limit))
        parts += found
    return tuple(parts)


def look(request: Request, listener: Listener) -> Looked | None:
    """Look at the user's own apps, if the request names any."""
    mine = mine_of(request)
    if not mine:
        return None
    with scratch_folder() as scratch:
        return look_at(mine, request.own, scratch, listener, python_of(request))


def python_of(request: Request) -> str | None:
    """Find the interpreter for an environment that is made for the user's app."""
    return next((envs.find_python(python) for python in request.pythons), None)


def measure(workshop: Workshop, writer: store.RunWriter, before: Sequence[Trial]) -> Outcome:
    """Run what is left of the plan and close the books: the end, and how much of the time was measuring."""
    info, listener = writer.info, workshop.listener
    ledger = Ledger(writer.append, before)
    laps = workshop.laps
    before_s = laps.spent_s
    preparing_s = {phase: seconds for phase, seconds in before_s.items() if phase in PREPARING}

    def enough(blocks: int) -> bool:
        if workshop.after_block is not None:
            laps.to(LAYERS)
            workshop.after_block(blocks - 1)
        if info.until is None or blocks >= len(info.plan.blocks):
            return False
        return is_settled(ledger.trials, info.until, blocks, info.delta)

    done = frozenset((trial.block, trial.cell) for trial in before)
    listener.planned(info.plan, len(done))
    again = partial(going_on, "run", info, workshop.services)
    ended_by = None
    try:
        run_plan(info.plan, workshop, ledger, done, enough)
    except KeyboardInterrupt as interrupt:
        ended_by = ending.signal_of(interrupt)
        kept = "what was measured is kept" if ledger.trials else f"{NOTHING} yet"
        listener.say(f"stopped{ending.by(ended_by)}; {kept}: {again()}")
    except LoadError as error:
        raise LoadError(f"{error}. What was measured is kept: {again()}") from None
    finished, trials = ended_by is None, ledger.trials
    blocks = len({trial.block for trial in trials})
    early = finished and blocks < len(info.plan.blocks)
    services = workshop.services.infos(workshop.cpus.servers) if workshop.services else {}
    waited = any(trial.load.kind == "open" or trial.floor_s for trial in trials)
    spent_s = laps.since(before_s)
    counted_s = spent_s.get(COUNTED) or sum(trial.window_s or 0.0 for trial in trials[len(before) :])
    pilot_s = sum(before_s.values()) - sum(preparing_s.values())
    writer.write_info(
        replace(
            writer.info,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds") if finished else None,
            machine=with_truth(info.machine, workshop.told, waited=waited or not finished),
            services={**info.services, **services},
            stopped=f"settled after {blocks} of {len(info.plan.blocks)} blocks" if early else None,
            measuring_share=min(1.0, counted_s / sum(spent_s.values())),
            spent_s={
                phase: round(seconds, 3) for phase, seconds in {**preparing_s, "pilot": pilot_s, **spent_s}.items()
            },
        )
    )
    return Outcome(folder=writer.folder, ended_by=ended_by)


def _commit() -> str | None:
    """Name the commit of the checkout, when this is one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(catalogue.home()), "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
            capture_output=True,
            check=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
