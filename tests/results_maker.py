"""Makes runs that look measured: deterministic by seed, with a truth that a test can know.

Every server has a true cost and a true behaviour (`Contestant`); blocks and processes scatter around it the way a
shared machine makes them scatter. Nothing here is a measurement, and nothing here is read by the product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sgibench.histogram import Histogram
from sgibench.model import (
    SCHEMA,
    Block,
    Calibration,
    CapacityFound,
    Cell,
    Concurrency,
    EnvironmentInfo,
    Failure,
    Generator,
    Group,
    Interface,
    Latency,
    Load,
    Machine,
    Memory,
    Plan,
    Run,
    RunInfo,
    Settings,
    Slice,
    Slo,
    Stage,
    Trial,
    Windows,
)
from sgibench.results.store import RunWriter

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A server and the truth about it."""

    id: str
    interface: Interface
    concurrency: Concurrency
    cpu_us: float
    """CPU per request for the scenario `json`."""
    pss_mib: float = 30.0
    startup_s: float = 0.4
    threads: bool = False
    tail: float = 1.0
    """How heavy its latency tail is, 1 = ordinary."""
    fails: str | None = None
    """The reason with which each of its trials fails."""
    fails_in: frozenset[int] | None = None
    """Only in these blocks; None = in all."""


QUICK: tuple[Contestant, ...] = (
    Contestant(
        id="gunicorn-gthread", interface="wsgi", concurrency="threads", cpu_us=205, pss_mib=42, threads=True, tail=1.5
    ),
    Contestant(id="waitress", interface="wsgi", concurrency="threads", cpu_us=160, pss_mib=24, threads=True),
    Contestant(id="granian-wsgi", interface="wsgi", concurrency="threads", cpu_us=52, pss_mib=33, threads=True),
    Contestant(id="uvicorn-httptools", interface="asgi", concurrency="event loop", cpu_us=61, pss_mib=28),
    Contestant(
        id="hypercorn-uvloop", interface="asgi", concurrency="event loop", cpu_us=190, pss_mib=46, startup_s=0.9, tail=2
    ),
    Contestant(id="granian-asgi", interface="asgi", concurrency="event loop", cpu_us=60.7, pss_mib=36, startup_s=0.7),
)
"""The six servers of the quick profile."""

CATALOGUE: tuple[Contestant, ...] = (
    *QUICK,
    Contestant(id="gunicorn-sync", interface="wsgi", concurrency="processes", cpu_us=310, pss_mib=38),
    Contestant(id="gunicorn-gevent", interface="wsgi", concurrency="greenlets", cpu_us=180, pss_mib=47),
    Contestant(id="gunicorn-asgi", interface="asgi", concurrency="event loop", cpu_us=120, pss_mib=41),
    Contestant(id="gunicorn-uvicorn-worker", interface="asgi", concurrency="event loop", cpu_us=68, pss_mib=52),
    Contestant(id="uvicorn-h11", interface="asgi", concurrency="event loop", cpu_us=240, pss_mib=27),
    Contestant(id="hypercorn-asyncio", interface="asgi", concurrency="event loop", cpu_us=260, pss_mib=45),
)
"""The twelve variants of the catalogue."""

WORK: Mapping[str, float] = {
    "plaintext": 0.9, "json": 1.0, "bytes": 1.1, "echo": 1.2, "wait": 1.6, "cpu": 9.0, "crud": 5.0, "page": 3.0,
}  # fmt: skip
"""Cost of a scenario, json = 1."""
WAIT_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Making:
    """What kind of run to make."""

    seed: int = 1
    run: str = "20261122-153000-1a2b"
    started_at: str = "2026-11-22T15:30:00+00:00"
    profile: str = "quick"
    servers: Sequence[Contestant] = QUICK
    scenarios: Sequence[str] = ("json", "wait")
    blocks: int = 3
    window_s: float = 3.0
    slice_s: float | None = 0.1
    connections: Sequence[int] = (64,)
    rates: Sequence[float] = ()
    """Open rates, requests per second, beside the saturation."""
    curve: Sequence[float] = ()
    """Open rates as shares of each server's own saturation."""
    settings: Sequence[tuple[int, int]] = ((1, 8),)
    """Pairs of workers and threads."""
    scatter: float = 0.02
    """Standard deviation of a fresh process's cost, in log space."""
    control: bool = True
    apps: Sequence[str] = ("plain",)
    samples: int = 4000
    """Latencies that are drawn: they stand for all requests of a closed loop; an open one ends with them."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    finished: bool = True


def make_run(making: Making | None = None) -> Run:
    """Make a run in memory."""
    making = making or Making()
    dice = np.random.default_rng(making.seed)
    plan = _plan(making)
    by_id = {contestant.id: contestant for contestant in making.servers}
    trials = []
    for block in plan.blocks:
        drift = float(np.exp(dice.normal(0, 0.08)))
        for stage in block.stages:
            fresh = {
                cell.id.split("/")[0] + cell.app: float(np.exp(dice.normal(0, making.scatter)))
                for group in stage.groups
                for cell in group.cells
            }
            for group in stage.groups:
                for order, cell in enumerate(group.cells):
                    factor = drift * fresh[cell.id.split("/")[0] + cell.app]
                    trials.append(
                        _trial(
                            making,
                            by_id[cell.server],
                            cell,
                            block=block.index,
                            order=order,
                            factor=factor,
                            dice=dice,
                        )
                    )
    return Run(path=Path("results") / making.run, info=_info(making, plan), trials=tuple(trials))


def write_run(run: Run, results: Path) -> Path:
    """Store a run the way the product does, under `results`; returns its folder."""
    folder = results / run.info.run
    with RunWriter(folder, run.info) as writer:
        writer.write_info(run.info)
        for trial in run.trials:
            writer.append(trial)
    return folder


def on_one_cpu(run: Run) -> Run:
    """Let a run say that its servers and its load shared a CPU."""
    shared = {"pinning": "there is one CPU only, which servers and load share"}
    return replace(run, info=replace(run.info, machine=replace(run.info.machine, not_measured=shared)))


def with_capacity(run: Run, *, slo: Slo, rates: Mapping[str, float | None], blocks: int = 3, seed: int = 1) -> Run:
    """Add searches for capacity: server -> its true capacity, None = no rate holds the limit."""
    dice = np.random.default_rng(seed)
    found = []
    for block in range(blocks):
        for server, rate in rates.items():
            held = None if rate is None else round(rate * float(np.exp(dice.normal(0, 0.03))), 1)
            found.append(
                CapacityFound(
                    server=server,
                    app="asgi_plain",
                    scenario="json",
                    connections=64,
                    workers=1,
                    threads=8,
                    block=block,
                    slo=slo,
                    rate_per_s=held,
                    failed_at_per_s=None if held is None else held * 1.05,
                    trials=12,
                )
            )
    return replace(run, info=replace(run.info, capacity=tuple(found)))


def hostile_run(name: str = "<script>alert(1)</script>") -> Run:
    """Make a run in which every string from outside tries to break out of the page."""
    quotes = f"\"'><img src=x onerror=alert(2)>{name}\x00\u202e$x_1$]]>"
    servers = (
        replace(QUICK[0], id=name),
        replace(QUICK[3], id=f"{name}-fails", fails=quotes),
        QUICK[5],
    )
    run = make_run(Making(run="20261122-160000-bad0", servers=servers, skipped={quotes: quotes}, rates=(200.0,)))
    machine = replace(run.info.machine, cpu_model=quotes, not_measured={quotes: quotes}, sysctls={quotes: quotes})
    info = replace(run.info, machine=machine, argv=("sgibench", quotes), profile=quotes, commit=quotes)
    trials = tuple(
        replace(
            trial,
            argv=trial.argv and (*trial.argv, quotes),
            errors={quotes: 3} if trial.status == "ok" else trial.errors,
            failure=trial.failure and Failure(reason=quotes, detail=quotes, log_tail=quotes),
        )
        for trial in run.trials
    )
    return replace(run, info=info, trials=trials)


def _plan(making: Making) -> Plan:
    windows = Windows(window_s=making.window_s, slice_s=making.slice_s)
    blocks = []
    for index in range(making.blocks):
        stages = [
            Stage(groups=tuple(_groups(making, scenario, workers, threads)))
            for scenario in making.scenarios
            for workers, threads in making.settings
        ]
        blocks.append(Block(index=index, seed=making.seed * 1000 + index, stages=tuple(stages)))
    return Plan(seed=making.seed, windows=windows, blocks=tuple(blocks))


def _loads(making: Making) -> list[Load]:
    closed = [Load(kind="closed", connections=count) for count in making.connections]
    return closed + [Load(kind="open", connections=256, rate_per_s=rate) for rate in making.rates]


def _groups(making: Making, scenario: str, workers: int, threads: int) -> list[Group]:
    groups = [_group(making, scenario, load, workers, threads) for load in _loads(making)]
    for one in making.servers if making.curve else ():
        alone = replace(making, servers=(one,), control=False)
        for share in making.curve:
            rate = float(f"{share * 1e6 / (one.cpu_us * WORK.get(scenario, 1.0)):.2g}")
            load = Load(kind="open", connections=256, rate_per_s=rate, share=share)
            groups.append(_group(alone, scenario, load, workers, threads))
    return groups


def _group(making: Making, scenario: str, load: Load, workers: int, threads: int) -> Group:
    settings = Settings(workers=workers, threads=threads)
    cells = [
        Cell(server=one.id, app=f"{one.interface}_{app}", scenario=scenario, load=load, settings=settings)
        for one in making.servers
        for app in making.apps
    ]
    if making.control:
        cells.append(replace(cells[0], control=True))
    return Group(scenario=scenario, load=load, settings=settings, cells=tuple(cells))


def _trial(
    making: Making, one: Contestant, cell: Cell, *, block: int, order: int, factor: float, dice: np.random.Generator
) -> Trial:
    blank = Trial(
        cell=cell.id,
        server=cell.server,
        app=cell.app,
        scenario=cell.scenario,
        load=cell.load,
        workers=cell.settings.workers,
        threads=cell.settings.threads,
        block=block,
        order=order,
        started_at=making.started_at,
        status="failed",
        control=cell.control,
        interface=one.interface,
        concurrency=one.concurrency,
        argv=(f"environments/{one.id}/bin/{one.id.split('-')[0]}", "--bind", f"127.0.0.1:{40000 + order}", cell.app),
        startup_s=round(one.startup_s * float(np.exp(dice.normal(0, 0.05))), 4),
    )
    if one.fails is not None and (one.fails_in is None or block in one.fails_in):
        log = "Traceback (most recent call last):\n  …\nRuntimeError: the worker gave up"
        return replace(blank, failure=Failure(reason=one.fails, detail="exit status 3 in mid-trial", log_tail=log))
    return _measured(making, one, cell, blank=blank, factor=factor, dice=dice)


def _measured(
    making: Making, one: Contestant, cell: Cell, *, blank: Trial, factor: float, dice: np.random.Generator
) -> Trial:
    cpu_us = one.cpu_us * WORK.get(cell.scenario, 1.0) * factor
    workers = cell.settings.workers
    most = 1e6 / cpu_us * workers / (1 + 0.03 * (workers - 1))
    if cell.scenario == "wait":
        at_once = min(cell.settings.threads * workers if one.threads else math.inf, cell.load.connections)
        most = min(most, at_once / WAIT_S * 0.985)
    rps = most * float(np.exp(dice.normal(0, 0.004)))
    if cell.load.rate_per_s is not None:
        rps = min(rps, cell.load.rate_per_s)
    window_s = making.window_s if cell.load.kind == "closed" else making.samples / rps
    requests = max(round(rps * window_s), 1)
    service_us, due_us = _latencies(making, one, cell, rps=rps, most=most, dice=dice)
    cpu_s = requests * cpu_us / 1e6
    histogram = Histogram()
    histogram.record(np.resize((service_us * 1000).astype(np.int64), requests))
    intended = Histogram()
    intended.record(np.resize((due_us * 1000).astype(np.int64), requests))
    split = dice.multinomial(requests, [1 / workers] * workers).tolist()
    return replace(
        blank,
        status="ok",
        warmup_s=0.75,
        window_s=window_s,
        requests=requests,
        rps=requests / window_s,
        cpu_s=cpu_s,
        cpu_us_per_request=cpu_us,
        latency_us=latency_of(intended if cell.load.kind == "open" else histogram),
        histogram_us=histogram.to_data(),
        intended_histogram_us=intended.to_data() if cell.load.kind == "open" else None,
        slices=_slices(making, requests, cpu_s, dice) if cell.load.kind == "closed" else (),
        series=_series(window_s, requests, dice) if cell.load.kind == "open" or making.slice_s is None else (),
        memory=Memory(
            pss_bytes=round(one.pss_mib * MIB * workers),
            uss_bytes=round(one.pss_mib * MIB * workers * 0.8),
            processes=workers + 1,
        ),
        generator=Generator(
            cpu_s=requests * 28e-6,
            utilisation=min(requests * 28e-6 / window_s, 0.97),
            lag_us_p99=6.0,
            connections_established=cell.load.connections,
            jain=0.97,
            slowest_share=0.8,
        ),
        steal=float(abs(dice.normal(0, 0.01))),
        pressure=0.05,
        idle_cpu=0.0005,
        requests_by_pid={str(4000 + index): count for index, count in enumerate(split)},
        answer_bytes=180.0,
    )


def _latencies(
    making: Making, one: Contestant, cell: Cell, *, rps: float, most: float, dice: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Service times and times from due, in microseconds."""
    floor_us = WAIT_S * 1e6 if cell.scenario == "wait" else 0.0
    if cell.load.kind == "closed":
        mean = max(cell.load.connections / rps * 1e6 - floor_us, 1.0)
        drawn = dice.gamma(12 / one.tail, one.tail / 12, making.samples)
        service = floor_us + mean * drawn / drawn.mean()  # Little's law holds exactly
        return service, service
    own = 1e6 / most
    load_share = min(rps / most, 0.98)
    service = floor_us + own * np.exp(dice.normal(0.4, 0.35 * one.tail, making.samples)) / (1 - load_share)
    return service, service + own * dice.exponential(0.6 * one.tail / (1 - load_share), making.samples)


def latency_of(told: Histogram) -> Latency:
    """Give what the histogram says; what so few answers can't know is left out."""
    p50, p90, p99 = (told.percentile_us(q) or 0.0 for q in (0.5, 0.9, 0.99))
    p999 = told.percentile_us(0.999) if told.count >= 10_000 else None
    return Latency(mean=told.mean_us or 0.0, p50=p50, p90=p90, p99=p99, p999=p999, max=told.max_us or 0.0)


def _slices(making: Making, requests: int, cpu_s: float, dice: np.random.Generator) -> tuple[Slice, ...]:
    if making.slice_s is None:
        return ()
    rounds = max(round(making.window_s / making.slice_s), 1)
    split = dice.multinomial(requests, [1 / rounds] * rounds).tolist()
    return tuple(
        Slice(round=index, window_s=making.slice_s, requests=count, cpu_s=cpu_s * count / requests)
        for index, count in enumerate(split)
    )


def _series(window_s: float, requests: int, dice: np.random.Generator) -> tuple[int, ...]:
    seconds = max(round(window_s), 1)
    return tuple(dice.multinomial(requests, [1 / seconds] * seconds).tolist())


def _info(making: Making, plan: Plan) -> RunInfo:
    most = max(workers for workers, _threads in making.settings)
    machine = Machine(
        hostname_hash="5f1c9a",
        cpu_model="Example CPU @ 2.60GHz",
        cores=most + 1,
        cpus_usable=tuple(range(most + 1)),
        server_cpus=tuple(range(most)),
        load_cpus=(most,),
        kernel="6.1.0",
        system="Linux",
        governor=None,
        python="3.11.2",
        memory_bytes=8 << 30,
        container=None,
        cpu_quota=None,
        sysctls={"net.core.somaxconn": "4096"},
        not_measured={"governor": "the kernel offers no cpufreq: probably a virtual machine"},
    )
    environments = {
        one.id: EnvironmentInfo(
            key=f"{index:08x}",
            python="3.11.2",
            requirements=(f"{one.id.split('-')[0]}==1.2.3",),
            packages=(f"{one.id.split('-')[0]}==1.2.3", "h11==0.16.0"),
        )
        for index, one in enumerate(making.servers)
    }
    return RunInfo(
        schema=SCHEMA,
        run=making.run,
        started_at=making.started_at,
        finished_at=making.started_at.replace("15:30", "15:35") if making.finished else None,
        profile=making.profile,
        seed=making.seed,
        argv=("sgibench", "run", "--profile", making.profile),
        version="0.1.0",
        commit="0123456789abcdef",
        machine=machine,
        environments=environments,
        skipped=making.skipped,
        plan=plan,
        scenarios={name: f"What {name} asks of the app." for name in making.scenarios},
        calibration=tuple(Calibration(scenario=name, rps_per_core=31000.0) for name in making.scenarios),
        measuring_share=0.62,
    )
