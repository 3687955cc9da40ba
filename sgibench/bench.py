"""One run from the request to the last trial on disk: the road that `sgibench run` takes.

Everything that can be refused is refused before the first server starts: names, scenarios, environments, the folder
for results. From then on nothing measured is lost, whatever ends the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from sgibench import __version__, audit, catalogue, envs, machine, store, units
from sgibench.errors import EnvsError
from sgibench.model import (
    SCHEMA,
    App,
    Cell,
    EnvironmentInfo,
    Load,
    PilotRate,
    Plan,
    Run,
    RunInfo,
    Scenario,
    ServerEntry,
    Settings,
    Trial,
    Windows,
)
from sgibench.orders import LoadProcess
from sgibench.plan import PROFILES, common_rates, make_cells, make_plan, with_rates
from sgibench.progress import Silent
from sgibench.runner import Workshop, environment_key, run_plan

DEFAULT_APPS = ("wsgi_plain", "asgi_plain")
DEFAULT_CONNECTIONS = 64
DEFAULT_THREADS = 8
DEFAULT_SLICE_S = 0.1
PILOT_WINDOW_S = 0.5
ANSWER_TIMEOUT_S = 10.0
"""An answer that takes longer is an error."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; empty tuples and None stand for what the profile says."""

    results: Path
    argv: tuple[str, ...]
    profile: str = "quick"
    servers: tuple[str, ...] = ()
    apps: tuple[str, ...] = DEFAULT_APPS
    scenarios: tuple[str, ...] = ()
    blocks: int | None = None
    window_s: float | None = None
    slice_s: float | None = DEFAULT_SLICE_S
    connections: int = DEFAULT_CONNECTIONS
    workers: int = 1
    threads: int = DEFAULT_THREADS
    seed: int | None = None
    control: bool = True
    """Whether one cell of each stage runs twice, as the noise floor."""
    retries: int | None = None
    """How often a group in doubt is measured again in its block."""
    rate_per_s: float | None = None
    """Rate of the open loads; None for half of the slowest server's saturation, 0 for no open loads."""
    catalogues: tuple[Path, ...] = ()
    server_cpus: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Where the run is, and whether it was broken off."""

    folder: Path
    finished: bool


def run(request: Request, listener: Silent) -> Outcome:
    """Measure what was asked for; a Ctrl-C or SIGTERM ends it early and keeps every finished trial."""
    profile = PROFILES[request.profile]
    found = catalogue.load(request.catalogues)
    servers = catalogue.select("server", found.servers, request.servers or profile.servers)
    apps = catalogue.select("app", found.apps, request.apps)
    paths = select_scenarios(found, request.scenarios or profile.scenarios)
    cpus = _cpus(request)
    started = datetime.now(UTC)
    folder = request.results / store.new_run_id(started)
    windows = Windows(
        window_s=request.window_s or profile.window_s,
        open_window_s=request.window_s or profile.open_window_s,
        slice_s=request.slice_s,
        timeout_s=ANSWER_TIMEOUT_S,
    )
    settings = Settings(workers=request.workers, threads=request.threads)
    load = Load(kind="closed", connections=request.connections)
    seed = request.seed if request.seed is not None else int.from_bytes(os.urandom(4), "big")
    blocks = request.blocks or profile.blocks
    with (
        tempfile.TemporaryDirectory(prefix="sgibench-") as scratch,
        LoadProcess(cpus.load, Path(scratch) / "load.log") as load_process,
    ):
        scenarios = load_process.describe(paths)
        cells = make_cells(servers, apps, scenarios, [load], [settings])
        environments, skipped = _environments(cells, servers, apps, listener)
        cells = [cell for cell in cells if environment_key(cell) in environments]
        plan = make_plan(cells, blocks=blocks, windows=windows, seed=seed, control=request.control)
        info = RunInfo(
            schema=SCHEMA,
            run=folder.name,
            started_at=started.isoformat(timespec="seconds"),
            finished_at=None,
            profile=request.profile,
            seed=seed,
            argv=request.argv,
            version=__version__,
            commit=_commit(),
            machine=machine.describe(cpus),
            environments=_recorded(environments, apps),
            skipped=skipped,
            plan=plan,
        )
        workshop = Workshop(
            catalogue=found,
            environments=environments,
            scenarios={scenario.id: scenario for scenario in scenarios},
            load=load_process,
            cpus=cpus,
            windows=windows,
            listener=listener,
            worth_repeating=_worth_repeating(info),
            retries=profile.retries if request.retries is None else request.retries,
            scratch=Path(scratch),
        )
        with store.RunWriter(folder, info) as writer, ending_on_sigterm():
            rates = _rates(request, cells, seed, workshop)
            plan = make_plan(
                with_rates(cells, rates), blocks=blocks, windows=windows, seed=seed, control=request.control
            )
            writer.write_info(replace(info, pilot=tuple(rates), plan=plan))
            return _measure(plan, workshop, writer)


def _worth_repeating(info: RunInfo) -> Callable[[Trial], bool]:
    around = audit.surroundings_of(Run(path=Path(info.run), info=info, trials=()))
    return lambda trial: audit.worth_repeating(audit.trial_doubts(trial, around))


def _rates(request: Request, cells: Sequence[Cell], seed: int, workshop: Workshop) -> list[PilotRate]:
    """Find the common rate of each group: as asked for, or from a short pilot block that is not counted."""
    if request.rate_per_s == 0:
        return []
    pilot = make_plan(cells, blocks=1, windows=_pilot_windows(workshop.windows), seed=seed, control=False)
    seen: list[Trial] = []
    workshop.listener.say("pilot block: how much can the slowest server do?")
    run_plan(
        pilot,
        replace(workshop, windows=pilot.windows, listener=Silent(), worth_repeating=lambda _trial: False),
        seen.append,
    )
    rates = common_rates(seen)
    if request.rate_per_s is not None:
        rates = [replace(rate, rate_per_s=request.rate_per_s) for rate in rates]
    for rate in rates:
        workshop.listener.say(
            f"{rate.scenario}: {rate.slowest} is the slowest with {units.rate(rate.slowest_rps)}; "
            f"the common rate is {units.rate(rate.rate_per_s)}"
        )
    return rates


def _pilot_windows(windows: Windows) -> Windows:
    return replace(windows, window_s=min(PILOT_WINDOW_S, windows.window_s), warmup_s=min(1.0, windows.warmup_s))


def _measure(plan: Plan, workshop: Workshop, writer: store.RunWriter) -> Outcome:
    """Run the plan and close the books: the end, and how much of the time was measuring."""
    measured_s = 0.0

    def append(trial: Trial) -> None:
        nonlocal measured_s
        writer.append(trial)
        measured_s += trial.window_s or 0.0

    began_s = time.monotonic()
    workshop.listener.planned(plan)
    finished = False
    try:
        run_plan(plan, workshop, append)
        finished = True
    except KeyboardInterrupt:
        workshop.listener.say("stopped: what was measured is kept")
    writer.write_info(
        replace(
            writer.info,
            finished_at=_now() if finished else None,
            measuring_share=measured_s / (time.monotonic() - began_s),
        )
    )
    return Outcome(folder=writer.folder, finished=finished)


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Make SIGTERM end the run the way Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def select_scenarios(found: catalogue.Catalogue, patterns: Sequence[str]) -> list[Path]:
    """Find scenario files by name or glob; raises UsageError with the nearest names."""

    @dataclass(frozen=True)
    class Named:
        id: str
        path: Path

    available = [Named(path.stem, path) for path in found.scenario_paths]
    return [named.path for named in catalogue.select("scenario", available, patterns)]


def _cpus(request: Request) -> machine.CpuPlan:
    planned = machine.plan_cpus(request.workers)
    if request.server_cpus is None:
        return planned
    others = tuple(sorted(set(machine.usable_cpus()) - set(request.server_cpus)))
    note = None if others else "the servers were given every CPU, so the load shares them"
    return machine.CpuPlan(servers=request.server_cpus, load=others[-1:] or request.server_cpus, note=note)


def _environments(
    cells: Sequence[Cell], servers: Sequence[ServerEntry], apps: Sequence[App], listener: Silent
) -> tuple[dict[str, envs.Environment], dict[str, str]]:
    """Make what the cells need; servers without an environment are skipped by name, and none at all is an error."""
    listener.say("preparing the servers' environments")
    packages = {server.id: server.variant.packages for server in servers}
    extra = {app.id: app.packages for app in apps}
    ready, refused = envs.ensure_all(
        {environment_key(cell): (*packages[cell.server], *extra[cell.app]) for cell in cells}
    )
    skipped = {cell.server: refused[environment_key(cell)] for cell in cells if environment_key(cell) in refused}
    for server, reason in skipped.items():
        listener.say(f"skipped {server}: {reason}")
    if not ready:
        raise EnvsError(
            f"not one environment could be made, so there is nothing to measure; {next(iter(skipped.values()))}"
        )
    return ready, skipped


def _recorded(environments: Mapping[str, envs.Environment], apps: Sequence[App]) -> dict[str, EnvironmentInfo]:
    """Name the environments as run.json does."""
    bare = {app.id for app in apps if not app.packages}
    named = {}
    for key, environment in sorted(environments.items()):
        server, _, app = key.partition(" ")
        named[server if app in bare else key] = environment.info
    return named


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def scenarios_of(load_process: LoadProcess, found: catalogue.Catalogue, patterns: Sequence[str]) -> list[Scenario]:
    """Describe the scenarios that the patterns name."""
    return load_process.describe(select_scenarios(found, patterns))
