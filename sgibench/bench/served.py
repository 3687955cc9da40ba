"""What the web UI loads at one moment, a server of ours or the user's own target, and what is said about it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from sgibench import machine, units
from sgibench.bench.choice import Choice
from sgibench.bench.ui_services import InUse
from sgibench.engine.orders import Measured
from sgibench.engine.trials import Draft, to_trial
from sgibench.engine.turned_out import path_of
from sgibench.errors import MisdeclaredError, ServerError
from sgibench.model import Cell, Expected, Failure, Scenario, ServerEntry, ServiceUse, Settings, Trial, Variant
from sgibench.serve import effective
from sgibench.serve.fronts import share_of
from sgibench.serve.guarded import Standstill
from sgibench.serve.process import HOST, ServerProcess

TAIL_LINES = 3
"""Of a failed server's log, shown in the form."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """A target that the user named on the command line."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """As a base URL."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(kw_only=True)
class Served:
    """What is loaded now: a server of ours, or the user's own target."""

    choice: Choice
    scenario: Scenario
    cpus: machine.CpuPlan
    process: ServerProcess | None
    """None for the user's own target."""
    first_test: int
    """How many tests ended before it was started."""
    services: InUse
    """Nothing, for the user's own target."""
    idle_cpu: float | None = None
    failure: Failure | None = None
    pids: tuple[int, ...] = ()
    """Its processes when counting began."""
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The same by the part that they belong to."""
    front_s: float | None = None
    """CPU time of its front when counting began."""
    began: machine.Snapshot | None = None
    started_at: str = ""
    clocks: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Of each process: when it was last looked at, and its CPU clock then."""
    standstill: Standstill = field(default_factory=Standstill)
    """Of any of its processes."""


def cell_of(choice: Choice, target: Address | None = None) -> Cell:
    """Name what was chosen as a cell; a target of the user's own stands under its address."""
    return Cell(
        server=choice.server.id if choice.server is not None else (target.url if target is not None else "?"),
        app=choice.app.id if choice.app is not None else "",
        scenario=choice.scenario,
        load=choice.load,
        settings=choice.settings or Settings(workers=1, threads=1),
    )


def stranger(name: str) -> ServerEntry:
    """Stand in for the declaration that a target of the user's own does not have."""
    return ServerEntry(
        variant=Variant(id=name, interface="asgi", concurrency="event loop", packages=(), summary=""),
        family="",
        path=Path(),
        command=lambda _launch: [],
        homepage="",
        notes=(),
    )


def about(choice: Choice) -> dict[str, str]:
    """What is served and how it is loaded, in words."""
    load = choice.load
    how = "closed loop" if load.kind == "closed" else f"open loop, {units.rate(load.rate_per_s)}"
    said = {"scenario": choice.scenario, "load": how + (", a connection each" if load.connection == "close" else "")}
    if choice.server is None or choice.app is None or choice.settings is None:
        return said
    workers = units.many(choice.settings.workers, "worker")
    threads = f" × {choice.settings.threads} threads" if choice.server.variant.threads else ""
    configuration = choice.settings.configuration
    size = workers + threads + ("" if configuration == "equal" else f", {configuration} settings")
    return {"server": choice.server.id, "app": choice.app.id, **said, "size": size}


def facts(trial: Trial) -> dict[str, str]:
    """What else is known about the server, in words."""
    memory = trial.memory
    said = {
        "Command line": None if trial.argv is None else shlex.join([Path(trial.argv[0]).name, *trial.argv[1:]]),
        "Started within": None if trial.startup_s is None else units.seconds(trial.startup_s),
        "Memory, shared pages once (PSS)": None if memory is None else units.size(memory.pss_bytes),
        "Memory of its own (USS)": None if memory is None else units.size(memory.uss_bytes),
        "CPU while idle": None if trial.idle_cpu is None else units.percent(trial.idle_cpu),
        "CPU per request over the whole test": units.microseconds(trial.cpu_us_per_request),
        "Time stolen by the hypervisor": None if trial.steal is None else units.percent(trial.steal),
        "Its CPUs used by others": None if trial.foreign_cpu is None else units.percent(trial.foreign_cpu),
        **{one.version or one.service: _told_use(one) for one in trial.services},
    }
    return {name: words for name, words in said.items() if words is not None}


def _told_use(one: ServiceUse) -> str:
    """What a service cost, and its connections."""
    kind = "a private instance" if one.private else "one that existed"
    cost = f"CPU per request {units.microseconds(one.cpu_us_per_request)}"
    known = (one.connections_opened, one.connections_most, one.pool)
    counts = [units.NOT_MEASURED if it is None else units.count(it) for it in known]
    return f"{kind}; {cost}; connections opened / at once / pool: {' / '.join(counts)}"


def expected_of(
    entry: ServerEntry, process: ServerProcess | None, failure: Failure | None
) -> tuple[Expected, Failure | None]:
    """What the declaration says of what runs; one that can't say it is a failure, unless there is one already."""
    if process is None or process.launch is None:
        return Expected(), failure
    try:
        return entry.expected(process.launch), failure
    except MisdeclaredError as error:
        return Expected(), failure or Failure(reason=error.reason, detail=error.detail)


def processes_of(now: Served) -> list[dict[str, Any]]:
    """Each process of the server, with the CPU that it used since it was last looked at."""
    found = []
    for pid in now.process.pids() if now.process is not None else ():
        at_s, clock_s = time.monotonic(), machine.cpu_clock_s(pid)
        if clock_s is None:
            continue
        before = now.clocks.get(pid)
        now.clocks[pid] = (at_s, clock_s)
        memory = machine.tree_memory([pid])
        found.append(
            {
                "pid": pid,
                "name": name_of(pid),
                "cpus": None if before is None else (clock_s - before[1]) / max(at_s - before[0], 1e-9),
                "pss_bytes": memory.pss_bytes,
                "uss_bytes": memory.uss_bytes,
            }
        )
    return found


def name_of(pid: int) -> str:
    """Name a process; empty when it is gone."""
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return ""


def told_detail(error: ServerError) -> str:
    """One sentence about a server's failure, with the last lines of its log."""
    lines = [line.strip() for line in error.log_tail.splitlines() if line.strip()][-TAIL_LINES:]
    return error.detail + (f". The end of its log: {' | '.join(lines)}" if lines else "")


def told(error: ServerError) -> str:
    """Tell a failure with its reason."""
    return f"{error.reason}: {told_detail(error)}"


def trial_of(
    now: Served, cell: Cell, block: int, measured: Measured, failure: Failure | None = None, *, is_last: bool = False
) -> Trial:
    """Make what was counted a trial, by the rules of every other trial; the last look asks the system more."""
    disturbance = None
    if now.began is not None:
        disturbance = now.began.until(machine.snapshot(now.cpus.servers, now.pids, now.services.families()))
    process = now.process
    if process is not None and now.front_s is not None:
        used_s = machine.tree_cpu_s(process.front_pids())
        measured = replace(measured, front_cpu_s=None if used_s is None else used_s - now.front_s)
    measured = now.services.counted(measured)
    entry = now.choice.server or stranger(cell.server)
    expected, failure = expected_of(entry, process, failure)
    draft = Draft(
        cell=cell,
        entry=entry,
        expected=expected,
        effective=effective.read(HOST, process.port, process.pids(), path_of(process.spec.app))
        if is_last and process is not None and failure is None
        else None,
        order=0,
        started_at=now.started_at,
        floor_s=now.scenario.floor_s,
        terms=now.scenario.terms,
        argv=process.argv if process is not None else None,
        front=share_of(process, living=failure is None) if process is not None else None,
        startup_s=process.startup_s if process is not None else None,
        idle_cpu=now.idle_cpu,
        measured=measured if measured.requests else None,
        disturbance=disturbance,
        memory=process.memory() if process is not None and failure is None else None,
        services=now.services.uses(measured),
        pool=now.services.pool,
        failure=failure,
    )
    trial = to_trial(draft, block, retries=0)
    return trial if process is not None else replace(trial, interface=None, concurrency=None)
