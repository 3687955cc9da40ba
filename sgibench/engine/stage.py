"""The servers of one stage while they live: started afresh, verified, loaded together, stopped, always buried.

A server that fails takes only its own trials with it. What is seen becomes drafts; `trials` turns them into what is
stored. Nothing here decides what is measured next or writes a file of results.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sgibench import machine, units, verify
from sgibench.catalogue.reading import Catalogue
from sgibench.engine import noted
from sgibench.engine.directing import Directors
from sgibench.engine.jobs import JobWatch, judge_jobs, unbroken, watching
from sgibench.engine.memory_watch import MemoryWatch
from sgibench.engine.orders import BesideTarget, LoadProcess, Measured, Step, Target
from sgibench.engine.services import OUT_OF_CONNECTIONS, Used, Witness, families_of, use
from sgibench.engine.trials import TOO_LITTLE, Draft, judge
from sgibench.errors import ServerError
from sgibench.laps import Laps
from sgibench.model import (
    App,
    Asked,
    Block,
    Cell,
    Effective,
    Expected,
    Failure,
    Group,
    Jobs,
    Place,
    Plan,
    Scenario,
    ServerEntry,
    Stage,
    Stopped,
    Trial,
    Visits,
    Windows,
)
from sgibench.serve import effective, place
from sgibench.serve.envs import Environment
from sgibench.serve.fronts import share_of, told_lost
from sgibench.serve.guarded import NotStartedError
from sgibench.serve.own.driving import Beside
from sgibench.serve.process import HOST, LOG_CAP_BYTES, ServerProcess, ServerSpec, idle_cpu
from sgibench.serve.services import House

IDLE_CHECK_S = 0.3
AT_ONCE = 8
"""Most servers that are started at the same time: on one CPU each takes as many times as long."""


class Listener(Protocol):
    """Who wants to know what happens; see `progress`."""

    def say(self, sentence: str) -> None:
        """Something a person should read."""

    def planned(self, plan: Plan, done: int) -> None:
        """The plan is made, `done` of its trials are on disk, and the rest is about to begin."""

    def stage_started(self, block: Block, stage: Stage) -> None:
        """Servers of a stage are about to be started."""

    def repeating(self, stage: Stage) -> None:
        """Measure groups again, because the machine or the generator was in doubt."""

    def step(self, cell: Cell, phase: str, done: float) -> None:
        """Something moved on inside a cell: `starting`, `verifying`, `warmup`, `measure`, `stopping`."""

    def trial_ended(self, trial: Trial) -> None:
        """A trial is on disk."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """All that trials need and that stays the same for the whole run."""

    catalogue: Catalogue
    environments: Mapping[str, Environment]
    """By `server` or `server app` as `environment_key` says."""
    scenarios: Mapping[str, Scenario]
    load: LoadProcess
    cpus: machine.CpuPlan
    windows: Windows
    listener: Listener
    worth_repeating: Callable[[Trial], bool]
    """Whether the machine or the generator, not the server, spoilt a trial."""
    retries: int
    """How often a group may be measured again in a block."""
    scratch: Path
    """Where servers keep their logs and data; emptied at each start."""
    services: House | None = None
    """What apps need besides; None when this command starts no services."""
    pool: int | None = None
    """Connections to a database for each process of a server; None for as many as it has threads."""
    apart_blocks: int = 1
    """In so many blocks servers start one after the other, so that the time each takes is known."""
    after_block: Callable[[int], None] | None = None
    """Called with the index of each block that is complete, while no server runs."""
    laps: Laps = field(default_factory=lambda: Laps("starting"))
    """Where the time goes."""
    asked: tuple[Asked, ...] = ()
    """Requests of the user's; their app then also lives beside its servers, called without one."""
    singly: tuple[int, ...] = ()
    """Places of those that are asked by themselves, too."""
    told: set[str] = field(default_factory=set)
    """Sentences about how windows are made that were said already; each is said once."""


@dataclass(kw_only=True)
class Contestant:
    """One server of a stage while it runs, what it did so far, and what went wrong."""

    entry: ServerEntry
    process: ServerProcess
    failure: Failure | None = None
    """From here on it takes no part."""
    beside: Beside | None = None
    """Its app, called without a server beside it."""
    idle_cpu: float | None = None
    measured: list[str] = field(default_factory=list)
    """Cells that were measured on it."""
    jobs: JobWatch | None = None
    """What watches its jobs while it is loaded."""
    did: Jobs | None = None
    """What came of the jobs of its last load."""
    stop_failure: Failure | None = None
    """Why all of them count for nothing."""
    eventful: bool = False
    """Whether a scenario has something done to it, so that requests may be lost."""
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The processes of each of its parts when a load began, by what a person calls it."""
    used: Used = field(default_factory=Used)
    """What it uses of services."""

    def fail(self, error: ServerError) -> None:
        """Keep the first thing that went wrong."""
        if self.failure is None:
            self.failure = Failure(reason=error.reason, detail=error.detail, log_tail=error.log_tail)

    def fail_with_services(self) -> None:
        """Fail when a service is out of use or of room: that outweighs what the server did for want of it."""
        if self.failure is not None and self.failure.reason in {"service", OUT_OF_CONNECTIONS}:
            return
        if (error := self.trouble()) is not None:
            self.failure = Failure(reason=error.reason, detail=error.detail, log_tail=error.log_tail)
        elif (refusal := self.used.refusal()) is not None:
            self.failure = replace(refusal, log_tail=self.process.log_tail())

    def trouble(self) -> ServerError | None:
        """Say that a service that it uses is out of use; None when none is."""
        house = self.used.house
        found = None if house is None else house.trouble(self.used.shares)
        return None if found is None else found.error()

    def stopped(self, block: int, retries: int) -> Stopped:
        """Say how it stopped, to those who read about what was measured on it."""
        return Stopped(
            stopped=tuple(self.measured),
            block=block,
            retries=retries,
            stop_s=self.process.stop_s,
            failure=self.stop_failure,
        )


def environment_key(cell: Cell) -> str:
    """Name the environment of a cell: one for each server and app."""
    return f"{cell.server} {cell.app}"


def folder_name(text: str) -> str:
    """Make a name of a server or an app fit for a folder and for a list of folders."""
    return re.sub(r"[^\w.@+-]", "-", text)


Key = tuple[str, str, bool]
"""Server, app, control: what names a process inside a stage; its cells are all of one part."""


def key_of(cell: Cell) -> Key:
    """Name the process that serves a cell."""
    return cell.server, cell.app, cell.control


@contextlib.contextmanager
def serving(workshop: Workshop, stage: Stage, *, apart: bool = True) -> Iterator[dict[Key, Contestant]]:
    """Serve all servers of a stage: ready, verified and known to be idle; afterwards they have been stopped.

    `apart`: they are started one after the other, so that the time each takes is its own and is known; those of the
    user's own apps and of apps that use services always are, since what they do when they start is theirs. How a server
    stops belongs to what was measured on it; that is known after the context.
    """
    contestants: dict[Key, Contestant] = {}
    with contextlib.ExitStack() as alive:
        try:
            workshop.laps.to("starting")
            _start_all(workshop, stage, alive, contestants, apart=apart)
            workshop.laps.to("verifying")
            _verify(workshop, stage, contestants)
            _check_idle(contestants.values())
            yield contestants
        except BaseException:
            for contestant in contestants.values():
                contestant.process.let_go()  # all at once; leaving the context waits for each
            raise
        workshop.laps.to("stopping")
        for contestant in contestants.values():
            contestant.process.ask_to_stop()
        for key, cell in _first_cells(stage).items():
            workshop.listener.step(cell, "stopping", 0)
            _stop(workshop, contestants[key])
            contestants[key].used.drop()


def _first_cells(stage: Stage) -> dict[Key, Cell]:
    """One cell for each process that the stage needs."""
    cells = [cell for group in stage.groups for cell in group.cells]
    return {key_of(cell): cell for cell in reversed(cells)}


def _start_all(
    workshop: Workshop, stage: Stage, alive: contextlib.ExitStack, contestants: dict[Key, Contestant], *, apart: bool
) -> None:
    """Start the servers of a stage, one after the other or a few at once, and wait until they are ready."""
    alone = _beside(workshop, stage, alive)
    cells = [*_first_cells(stage).items()]
    apps = [workshop.catalogue.app(cell.app) for _key, cell in cells]
    apart = apart or any(app.own is not None or app.uses for app in apps)
    each = 1 if apart else AT_ONCE
    for some in (cells[first : first + each] for first in range(0, len(cells), each)):
        for key, cell in some:
            contestants[key] = _start(workshop, cell, alive)
            contestants[key].beside = alone.get(cell.app)
        for key, _cell in some:
            _await_ready(contestants[key])
            if not apart:
                contestants[key].process.startup_s = None  # it is no time of its own


def _await_ready(contestant: Contestant) -> None:
    """Wait until a server that could be started is ready."""
    if contestant.failure is not None:
        return
    try:
        contestant.process.wait_ready()
    except ServerError as error:
        contestant.fail(error)
        contestant.fail_with_services()
        contestant.process.kill()


def _beside(workshop: Workshop, stage: Stage, alive: contextlib.ExitStack) -> dict[str, Beside]:
    """Start the user's apps without a server, where requests are to be asked singly; one that can't be is said to be.

    They start before the servers, so that what `--prepare` does for them is not done under a server that is ready.
    """
    if not workshop.singly or not workshop.windows.singly_s or all(g.load.kind == "open" for g in stage.groups):
        return {}
    found = {}
    for app in dict.fromkeys(cell.app for group in stage.groups for cell in group.cells):
        scratch = workshop.scratch / folder_name(f"beside-{app}")
        try:
            beside = Beside(workshop.catalogue.app(app), workshop.asked, scratch, workshop.cpus.servers)
            found[app] = alive.enter_context(beside)
        except (ServerError, NotStartedError) as error:
            workshop.listener.say(f"{error}, so in this block nothing is said about the servers' share of a request")
    return found


def _start(workshop: Workshop, cell: Cell, alive: contextlib.ExitStack) -> Contestant:
    """Start one server."""
    workshop.listener.step(cell, "starting", 0)
    entry = workshop.catalogue.server(cell.server)
    environment = workshop.environments[environment_key(cell)]
    app = workshop.catalogue.app(cell.app)
    name = folder_name(f"{cell.server}-{cell.app}{'-control' if cell.control else ''}")
    spec = ServerSpec(
        entry=entry,
        app=app,
        settings=cell.settings,
        protocol=cell.load.protocol,
        bin=environment.bin,
        versions=environment.versions,
        python=environment.info.python,
        cpus=workshop.cpus.servers,
        scratch=workshop.scratch / name,
    )
    try:
        used = use(workshop.services, app, name, spec.scratch)
    except ServerError as error:
        contestant = Contestant(entry=entry, process=ServerProcess(spec))
        contestant.fail(error)
        return contestant
    if app.uses:
        used.pool = workshop.pool or cell.settings.threads
    process = ServerProcess(replace(spec, variables=used.variables))
    contestant = Contestant(entry=entry, process=process, used=used)
    try:
        alive.enter_context(process)
    except ServerError as error:
        contestant.fail(error)
        contestant.fail_with_services()
        process.kill()
    return contestant


def _verify(workshop: Workshop, stage: Stage, contestants: Mapping[Key, Contestant]) -> None:
    """Ask every server for the answers of each scenario before it is loaded."""
    asked = {(key_of(cell), cell.scenario): cell for group in reversed(stage.groups) for cell in group.cells}
    for (key, _scenario), cell in asked.items():
        contestant = contestants[key]
        if contestant.failure is not None:
            continue
        workshop.listener.step(cell, "verifying", 0)
        try:
            verify.verify_scenario(
                HOST,
                contestant.process.port,
                workshop.scenarios[cell.scenario],
                keep_alive=contestant.entry.variant.keep_alive,
                protocol=cell.load.protocol,
            )
        except ServerError as error:
            contestant.fail(ServerError(error.reason, error.detail, contestant.process.log_tail()))
            contestant.fail_with_services()


def _check_idle(contestants: Collection[Contestant]) -> None:
    """Find servers that burn CPU while nothing is asked of them: they would be paid for by their neighbours."""
    running = [contestant for contestant in contestants if contestant.failure is None]
    burned = idle_cpu([contestant.process for contestant in running], IDLE_CHECK_S)
    for contestant, cpus in zip(running, burned, strict=True):
        contestant.idle_cpu = cpus


def load_group(
    workshop: Workshop, windows: Windows, group: Group, seed: int, contestants: Mapping[Key, Contestant]
) -> list[Draft]:
    """Put one load on all servers of a group; keeps and returns a draft for each of its cells, in their order."""
    runners = {cell.id: contestants[key_of(cell)] for cell in group.cells}
    fit = {cell_id: contestant for cell_id, contestant in runners.items() if contestant.failure is None}
    targets = [_target(cell_id, one) for cell_id, one in fit.items()]
    workshop.laps.to("loading")
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    pids = [pid for target in targets for pid in target.pids]
    memory = MemoryWatch({target.id: target.pids for target in targets}, workshop.cpus.load)
    used = {cell_id: one.used for cell_id, one in fit.items()}
    witness = Witness(workshop.scenarios[group.scenario], used)
    before = machine.snapshot(workshop.cpus.servers, pids, families_of(used.values()))
    measured = _loaded(workshop, windows, group, seed, targets, fit, memory, witness) if targets else {}
    disturbance = before.until(machine.snapshot(workshop.cpus.servers, pids, families_of(used.values())))
    workshop.laps.to("looking at servers")
    if any(target.spawns for target in targets) or any(one.did and one.did.worker for one in fit.values()):
        disturbance = replace(disturbance, foreign_cpu=None)  # their other processes look like somebody else's
    for target in targets:
        if target.id in measured:
            _judge(fit[target.id], target, measured[target.id], witness)
    ours = place.read([os.getpid()])
    drafts = [
        replace(
            _draft(cell, runners[cell.id], workshop.cpus.servers, ours),
            order=order,
            started_at=started_at,
            floor_s=workshop.scenarios[cell.scenario].floor_s,
            terms=workshop.scenarios[cell.scenario].terms,
            measured=(seen := measured.get(cell.id)),
            disturbance=disturbance,
            memory_looks=memory.looks_of(cell.id, _visits(seen, windows)),
            services=witness.uses_of(cell.id, seen),
            pool=runners[cell.id].used.pool,
        )
        for order, cell in enumerate(group.cells)
    ]
    for draft in drafts:
        runners[draft.cell.id].measured.append(draft.cell.id)
        if draft.failure is not None and draft.failure.reason == TOO_LITTLE:
            runners[draft.cell.id].failure = None  # it did nothing wrong, and takes part in what comes next
    return drafts


def _target(cell_id: str, contestant: Contestant) -> Target:
    """What the load process needs to know of a server; what it consists of now is kept."""
    process, beside = contestant.process, contestant.beside
    contestant.parts = process.pids_by_part()
    return Target(
        id=cell_id,
        host=HOST,
        port=process.port,
        pids=tuple(sorted(pid for pids in contestant.parts.values() for pid in pids)),
        front_pids=process.front_pids(),
        spawns=contestant.entry.variant.script is not None,
        services=contestant.used.roots,
        data=None if contestant.entry.variant.script is not None else str(process.data),
        beside=None if beside is None else BesideTarget(port=beside.port, pid=beside.pid),
    )


def _loaded(  # noqa: PLR0917 - as below
    workshop: Workshop,
    windows: Windows,
    group: Group,
    seed: int,
    targets: Sequence[Target],
    fit: Mapping[str, Contestant],
    memory: MemoryWatch,
    witness: Witness,
) -> dict[str, Measured]:
    """Load the targets together; those that are handed jobs one after the other, each beside its worker."""
    for one in fit.values():
        one.did = None
    if not workshop.scenarios[group.scenario].jobs:
        return _measured(workshop, windows, group, seed, targets, fit, memory, witness)
    found: dict[str, Measured] = {}
    for target in targets:
        contestant = fit[target.id]
        try:
            with watching(contestant.process) as contestant.jobs:
                alone = {target.id: contestant}
                found |= _measured(workshop, unbroken(windows), group, seed, [target], alone, memory, witness)
                contestant.did = contestant.jobs.end()
        except ServerError as error:
            contestant.fail(error)
        finally:
            contestant.jobs = None
    return found


def _measured(  # noqa: PLR0917 - what an order consists of
    workshop: Workshop,
    windows: Windows,
    group: Group,
    seed: int,
    targets: Sequence[Target],
    fit: Mapping[str, Contestant],
    memory: MemoryWatch,
    witness: Witness,
) -> dict[str, Measured]:
    """Have the load process load the targets, and watch the servers meanwhile."""
    cells = {cell.id: cell for cell in group.cells}
    begun: set[str] = set()

    scenario = workshop.scenarios[group.scenario]
    watched = scenario.watched
    windows = replace(windows, slice_s=None, turn_s=None) if watched.any else windows
    directors = Directors(watched, {name: one.process for name, one in fit.items()}, windows.window_s)

    def stepped(step: Step) -> None:
        if step.phase == "measure" and step.target not in begun:
            begun.add(step.target)
            if (handed := fit[step.target].jobs) is not None:
                handed.begin()  # before all else, which takes its time
        directors.stepped(step.target, step.phase, step.done)
        memory.stepped(step.target, step.phase)
        workshop.listener.step(cells[step.target], step.phase, step.done)

    def watch() -> dict[str, str]:
        memory.look()
        witness.look()
        directors.act()
        return _watch(fit)

    contract = all(one.process.spec.app.own is None for one in fit.values())
    seen = workshop.load.measure(
        scenario,
        targets,
        group.load,
        windows,
        seed,
        on_step=stepped,
        watch=watch,
        identify=contract and not watched.any,
        samples=watched.any,
        singly=workshop.singly if any(target.beside for target in targets) else (),
    )
    workshop.laps.shared(workshop.load.spent_s)
    _tell_way(workshop, windows, group, seen)
    for each in seen:
        one = fit[each.id]
        one.eventful = bool(watched.incidents)
        if each.gave_up_reason is None and (missed := directors.missed(each)) is not None:
            one.fail(missed)
    return {one.id: directors.seen(_as_seen_here(one, fit[one.id])) for one in seen}


def _as_seen_here(measured: Measured, contestant: Contestant) -> Measured:
    """Add what the load process can't know: the CPU of processes that served a request and ended; who answered."""
    process = contestant.process
    if contestant.entry.front is None:
        return measured
    measured = replace(measured, requests_by_pid=None)  # one connection to a front has answers of many
    if contestant.entry.variant.script is None:
        return measured
    spent_s = noted.spent_s(process.spec.scratch / "data", measured.edges_ns)
    whole = None if measured.cpu_s is None or spent_s is None else measured.cpu_s + spent_s
    return replace(measured, cpu_s=whole, slices=tuple(replace(one, cpu_s=None) for one in measured.slices))


def _tell_way(workshop: Workshop, windows: Windows, group: Group, seen: Sequence[Measured]) -> None:
    """Say once of each scenario and load when its windows were not made in visits of the usual kind."""
    asked = windows.turn_s if group.load.kind == "open" else windows.slice_s
    window = next((one.window for one in seen if one.window is not None), None)
    name = f"{group.scenario} {group.load.id}"
    if asked is not None and window is not None and window.visits == "unbroken" and name not in workshop.told:
        workshop.told.add(name)
        workshop.listener.say(f"{name}: one unbroken window for each server; {window.why}")


def _draft(cell: Cell, contestant: Contestant, cpus: Sequence[int], ours: Place | None) -> Draft:
    """Read from the system what a server turned out to be after a load; what was measured is added to it."""
    seen = _effective(contestant)
    process = contestant.process
    return Draft(
        cell=cell,
        entry=contestant.entry,
        order=0,
        started_at="",
        floor_s=0.0,
        argv=process.argv or None,
        front=share_of(process, living=contestant.failure is None),
        startup_s=process.startup_s,
        idle_cpu=contestant.idle_cpu,
        memory=process.memory() if contestant.failure is None else None,
        expected=_expected(contestant),
        effective=seen,
        outside=place.outside(seen.place if seen else None, cpus, ours),
        jobs=contestant.did,
        failure=contestant.failure,
    )


def _visits(measured: Measured | None, windows: Windows) -> Visits:
    """How the window was made."""
    if measured is not None and measured.window is not None:
        return measured.window.visits
    return "unbroken" if windows.slice_s is None else "sliced"


def _expected(contestant: Contestant) -> Expected:
    """What its declaration says of the launch; a declaration that can't say it fails.

    An app of the user's may have processes and threads of its own, so nothing is said about their number.
    """
    launch = contestant.process.launch
    try:
        expected = Expected() if launch is None else contestant.entry.expected(launch)
        own = contestant.process.spec.app.own
        return expected if own is None else replace(expected, processes=None, threads=None)
    except ServerError as error:
        contestant.fail(error)
        return Expected()


def _effective(contestant: Contestant) -> Effective | None:
    """Read from the system what a server that lives turned out to be."""
    if contestant.failure is not None:
        return None
    process = contestant.process
    return effective.read(HOST, process.port, process.pids(), path_of(process.spec.app))


def path_of(app: App) -> str:
    """Name a path that the app answers and that changes nothing."""
    return "/pid" if app.own is None else app.own.ready or app.own.first


def _watch(contestants: Mapping[str, Contestant]) -> dict[str, str]:
    """Name the servers that ended or flood their log; a flood is stopped at once, before it fills the disk."""
    gone = {}
    for cell_id, contestant in contestants.items():
        process = contestant.process
        if contestant.failure is None and process.log_bytes() > LOG_CAP_BYTES:
            tail = process.log_tail()
            process.kill()
            contestant.fail(ServerError("log-flood", f"it logged more than {units.size(LOG_CAP_BYTES)}", tail))
        if contestant.failure is None and not process.alive():
            contestant.fail(ServerError("crashed", f"{process.end} under load", process.log_tail()))
        if contestant.failure is None and contestant.jobs and (trouble := contestant.jobs.trouble()):
            contestant.fail(trouble)
        if contestant.failure is None and (trouble := contestant.trouble()) is not None:
            contestant.fail(trouble)
        if contestant.failure is not None:
            gone[cell_id] = contestant.failure.reason
    return gone


def _judge(contestant: Contestant, target: Target, measured: Measured, witness: Witness) -> None:
    """Decide whether what was seen is a result."""
    process = contestant.process
    _watch({target.id: contestant})
    if contestant.failure is None:
        parts = {name: pids for name, pids in contestant.parts.items() if not process.is_away(name)}
        if lost := told_lost(parts, process.pids()):
            contestant.fail(ServerError("crashed", f"{lost} under load", process.log_tail()))
        elif stopped := process.stopped():
            contestant.fail(ServerError("stopped", stopped, process.log_tail()))
        else:
            contestant.failure = judge(measured, process.log_tail(), eventful=contestant.eventful)
    contestant.fail_with_services()
    if contestant.failure is None and contestant.did is not None:
        contestant.failure = judge_jobs(contestant.did, process.log_tail())
    if contestant.failure is None:
        contestant.failure = witness.judge(target.id, measured)


def _stop(workshop: Workshop, contestant: Contestant) -> None:
    """End a server; one that has to be killed fails all that was measured on it."""
    try:
        contestant.process.stop()
    except ServerError as error:
        failed_before = contestant.failure is not None
        contestant.fail(error)
        contestant.stop_failure = contestant.failure
        if not failed_before:
            workshop.listener.say(f"{contestant.entry.id}: {error}; what was measured on it counts for nothing")
    shutil.rmtree(contestant.process.data, ignore_errors=True)
