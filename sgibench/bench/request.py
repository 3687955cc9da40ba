"""What the user asked for, and what of the catalogue that means; everything that can be refused is refused here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sgibench import catalogue, machine, units
from sgibench.bench.choosing import apps_for, choose_servers
from sgibench.bench.own import Looked, OwnRequest, own_apps
from sgibench.bench.plan import servers_of
from sgibench.bench.profiles import PROFILES
from sgibench.bench.services import Database, on_database, parse_database
from sgibench.catalogue.declared import check_name
from sgibench.errors import UsageError, shown
from sgibench.model import App, Configuration, Load, Metric, PilotRate, Protocol, ServerEntry, Settings, Windows
from sgibench.model.terms import MULTIPLEXED
from sgibench.paths import is_file

DEFAULT_APPS = ("wsgi_plain", "asgi_plain")
DEFAULT_CONNECTIONS = 64
DEFAULT_THREADS = 8
DEFAULT_STREAMS = 8
DEFAULT_SLICE_S = 0.04
DEFAULT_TURN_S = 0.03
"""Counted part of a visit at a fixed rate; `--slice none` asks for unbroken windows there, too."""
LEAST_WINDOW_S = 0.01
ANSWER_TIMEOUT_S = 10.0
"""The longest time-out; the one that is used fits the window and the slowest answers."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; empty tuples and None stand for what the profile says."""

    results: Path
    argv: tuple[str, ...]
    profile: str = "quick"
    servers: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    """Empty for the plain app of each server's interface."""
    scenarios: tuple[str, ...] = ()
    blocks: int | None = None
    window_s: float | None = None
    slice_s: float | None = DEFAULT_SLICE_S
    connections: tuple[int, ...] = (DEFAULT_CONNECTIONS,)
    """Several make a curve: throughput against connections."""
    connections_named: bool = True
    """Whether they are what the user said, and not only what is usual; then the profile may know better."""
    protocols: tuple[Protocol, ...] = ("http",)
    """What goes over the wire; several are measured one after the other."""
    streams: int = DEFAULT_STREAMS
    """Requests at once on each connection, where the protocol can."""
    workers: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (DEFAULT_THREADS,)
    backends: tuple[int, ...] = ()
    """Servers behind each front; empty for as many as its name says."""
    seed: int | None = None
    control: bool = True
    """Whether one cell of each stage runs twice, as the noise floor."""
    layers: bool = True
    """Whether requests are taken apart, where frameworks' apps stand beside the plain app."""
    retries: int | None = None
    """How often a group in doubt is measured again in its block."""
    rate_per_s: float | None = None
    """Rate of the open loads; None for a share of the slowest server's saturation, 0 for no open loads."""
    rate_share: float | None = None
    """That share; None for a quarter, or half where a quarter brings too few answers for a p99."""
    curve: bool = False
    """Also measure latency at shares of each server's own saturation."""
    rates: tuple[PilotRate, ...] = ()
    """Rates of another run, which open loads take instead."""
    delta: float = 0.02
    """Ratios from 1 / (1 + delta) to 1 + delta make no difference."""
    settle: tuple[Metric, ...] = ("cpu_us_per_request",)
    """The figures that must be settled."""
    until_settled: bool = False
    """End after the block in which every comparison with the baseline has a verdict."""
    baseline: str | None = None
    """The server that others are compared with; None for the first."""
    configurations: tuple[Configuration, ...] = ("equal",)
    pythons: tuple[str, ...] = ()
    """Interpreters such as 3.12; empty for the one that runs sgibench."""
    load_workers: int = 1
    """Processes that drive the load."""
    catalogues: tuple[Path, ...] = ()
    own: OwnRequest = field(default_factory=OwnRequest)
    """What was said about an app of the user's; `apps` names it."""
    server_cpus: tuple[int, ...] | None = None
    awake: bool | None = None
    """Whether CPUs that wait for requests are kept from sleeping, where that can be done; None for yes, but nobody
    asked."""
    service_cpus: tuple[int, ...] | None = None
    """None for those that servers and load leave over, else the servers'."""
    database: str | None = None
    """Where items stand: sqlite, postgresql, or an address; None as apps and scenarios say."""
    pool: int | None = None
    """Connections to a database for each process of a server; None for as many as it has threads."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The request, looked up in the catalogue."""

    found: catalogue.Catalogue
    servers: tuple[ServerEntry, ...]
    skipped: Mapping[str, str]
    """Servers that can't take part for want of an interpreter, with the reason."""
    pairs: tuple[tuple[ServerEntry, App], ...]
    """Each server with each app that it shall run."""
    scenario_paths: tuple[Path, ...]
    cpus: machine.CpuPlan
    windows: Windows
    settings: tuple[Settings, ...]
    loads: tuple[Load, ...]
    blocks: int
    retries: int
    fewer_blocks: Mapping[str, int] = field(default_factory=dict)
    """Scenario -> the number of blocks that hold it, if not all do."""
    looked: Looked | None = None
    """What was found out about apps of the user's."""
    database: Database = field(default_factory=Database)

    @property
    def apps(self) -> tuple[App, ...]:
        """All apps that take part."""
        return tuple(dict.fromkeys(app for _, app in self.pairs))


def choose(request: Request, looked: Looked | None = None) -> Selection:
    """Look everything up; raises UsageError or DeclarationError in one line.

    `looked` has the user's own apps, when the request names some.
    """
    profile = PROFILES[request.profile]
    fewer = {} if request.blocks or request.until_settled else profile.fewer_blocks
    shorter_s = {} if request.window_s else profile.shorter_s
    least_blocks = min([request.blocks or profile.blocks, *fewer.values()])
    refuse_too_little(request)
    found = catalogue.load(request.catalogues)
    servers, skipped = choose_servers(found, request.servers or profile.servers, request.pythons, request.backends)
    if looked is not None:
        found = replace(found, apps=(*found.apps, *looked.apps))
        if request.servers:
            skipped = {**skipped, **unfit(servers, looked)}
        servers = _fitting(servers, looked)
    named = looked.apps if looked else _of_the_catalogue(found, request.apps or DEFAULT_APPS)
    pairs = [
        (server, app) for server in servers for app in apps_for(server, named, found.apps, named=bool(request.apps))
    ]
    if not pairs:
        raise UsageError(
            "nothing to measure: no chosen app speaks the interface of a chosen server "
            f"(servers: {', '.join(sorted({server.variant.interface for server in servers}))}; "
            f"apps: {', '.join(sorted({app.interface for app in named}))})"
        )
    database = parse_database(request.database)
    if looked is not None and database.service is not None:
        raise UsageError("--database is for the apps of the catalogue; give an app of your own its address with --env")
    pairs, unfit_apps = on_database(pairs, database)
    skipped = {**skipped, **unfit_apps}
    paths = scenario_paths(request, found, looked)
    chosen = Selection(
        database=database,
        found=replace(found, servers=tuple(servers)),
        servers=tuple(servers),
        skipped=skipped,
        pairs=tuple(pairs),
        scenario_paths=paths,
        cpus=cpu_plan(request, max(map(servers_of, servers), default=1)),
        windows=Windows(
            window_s=request.window_s or profile.window_s,
            open_window_s=request.window_s or profile.open_window_s,
            slice_s=request.slice_s,
            turn_s=None if request.slice_s is None else DEFAULT_TURN_S,
            singly_s=SINGLY_SHARE * (request.window_s or profile.window_s) if looked and not request.scenarios else 0.0,
            timeout_s=ANSWER_TIMEOUT_S,
            # A window that was asked for is taken as it is.
            least_answers=0 if request.window_s else profile.answers(least_blocks),
            longest_open_s=profile.longest_open_s,
            own_percentile_s=profile.own_percentile_s,
            own_s={path.stem: shorter_s[path.stem] for path in paths if path.stem in shorter_s},
        ),
        settings=tuple(
            Settings(workers=workers, threads=threads, configuration=configuration)
            for configuration in dict.fromkeys(request.configurations)
            for workers in dict.fromkeys(request.workers)
            for threads in dict.fromkeys(request.threads)
        ),
        loads=tuple(
            Load(
                kind="closed",
                connections=count,
                protocol=protocol,
                streams=request.streams if protocol in MULTIPLEXED else 1,
            )
            for protocol in dict.fromkeys(request.protocols)
            for count in dict.fromkeys(request.connections)
        ),
        blocks=request.blocks or profile.blocks,
        fewer_blocks=fewer,
        retries=profile.retries if request.retries is None else request.retries,
        looked=looked,
    )
    refuse_endless(chosen)
    return chosen


SINGLY_SHARE = 0.6
"""Of a window, for each server, to ask each request of the user's by itself."""


def refuse_early(request: Request) -> None:
    """Refuse what needs no look at the user's app, before it is started; raises UsageError."""
    refuse_too_little(request)
    found = catalogue.load(request.catalogues)
    named = request.servers or PROFILES[request.profile].servers
    servers, _ = choose_servers(found, named, request.pythons, request.backends)
    baseline_of(request, servers)
    if request.scenarios:
        select_scenarios(found, request.scenarios)
    cpu_plan(request)


MOST_TRIALS = 100_000
"""Of closed loads in one run: weeks of measuring, and as much as `run.json` may hold."""
AROUND_S = 2.0
"""About what a trial takes beside its window: start, verification, warm-up, stop."""


def refuse_endless(chosen: Selection) -> None:
    """Refuse a plan that is longer than anybody waits, in one line with the time that it would take."""
    once = len(chosen.pairs) * len(chosen.scenario_paths) * len(chosen.settings) * len(chosen.loads)
    trials = once * chosen.blocks
    if trials > MOST_TRIALS:
        days = trials * (chosen.windows.window_s + AROUND_S) / 86_400
        raise UsageError(
            f"{chosen.blocks:,} blocks are {trials:,} trials and would take about {days:,.0f} days; at most "
            f"{MOST_TRIALS:,} fit one run: ask for at most {max(1, MOST_TRIALS // once):,} blocks, or for fewer cells"
        )


def refuse_too_little(request: Request) -> None:
    """Refuse a window in which nothing can happen, and a rate of which nothing is due in it; raises UsageError."""
    profile = PROFILES[request.profile]
    if request.window_s is not None and request.window_s < LEAST_WINDOW_S:
        raise UsageError(
            f"--window: expected at least {units.seconds(LEAST_WINDOW_S)}, got {units.seconds(request.window_s)}: "
            "in less there is hardly an answer"
        )
    window_s = request.window_s or profile.longest_open_s
    if request.rate_per_s and request.rate_per_s * window_s < 1:
        raise UsageError(
            f"--rate {request.rate_per_s:g}: not one request is due in a window of {units.seconds(window_s)}: "
            f"raise it to at least {1 / window_s:g}, or --window to {units.seconds(1 / request.rate_per_s)}"
        )


def _of_the_catalogue(found: catalogue.Catalogue, patterns: Sequence[str]) -> Sequence[App]:
    try:
        return catalogue.select_apps(found.apps, patterns)
    except UsageError as error:
        raise UsageError(f"{error}; an app of your own is named as module:attribute") from None


def _fitting(servers: list[ServerEntry], looked: Looked) -> list[ServerEntry]:
    """Choose the servers of the apps' interface; raises UsageError when the user named others."""
    fitting = [server for server in servers if any(server.runs(app) for app in looked.apps)]
    if fitting:
        return fitting
    kinds = " and ".join(sorted({app.interface.upper() for app in looked.apps}))
    named = ", ".join(server.id for server in servers)
    raise UsageError(f"--server: expected servers of {kinds} apps such as {looked.apps[0].id}, got {named}")


def unfit(servers: Sequence[ServerEntry], looked: Looked) -> dict[str, str]:
    """Say of each server that was named and can't run the apps why it can't."""
    kinds = " and ".join(f"{app.id} is {app.interface.upper()}" for app in looked.apps)
    spoken = {app.interface for app in looked.apps}
    return {
        server.id: f"it runs {' and '.join(server.variant.apps)} of the catalogue only"
        if server.variant.interface in spoken
        else f"it serves {server.variant.interface.upper()} apps, and {kinds}"
        for server in servers
        if not any(server.runs(app) for app in looked.apps)
    }


def scenario_paths(request: Request, found: catalogue.Catalogue, looked: Looked | None) -> tuple[Path, ...]:
    """Find the files of the scenarios; an app of the user's is asked their requests, unless a scenario is named."""
    if looked is not None and not request.scenarios:
        return ()
    return tuple(select_scenarios(found, request.scenarios or PROFILES[request.profile].scenarios))


@dataclass(frozen=True)
class _Named:
    id: str
    path: Path

    @property
    def only_named(self) -> bool:
        """Whether `*` leaves it out."""
        return self.path.parent.name in catalogue.ONLY_NAMED


def is_scenario_file(name: str) -> bool:
    """Whether a word names a scenario of the user's own by its file."""
    return name.endswith(".py")


def select_scenarios(found: catalogue.Catalogue, patterns: Sequence[str]) -> list[Path]:
    """Find scenario files by name or glob; raises UsageError with the nearest names."""
    available = [_Named(path.stem, path) for path in found.scenario_paths]
    files = [Path(pattern) for pattern in patterns if is_scenario_file(pattern)]
    named = [pattern for pattern in patterns if not is_scenario_file(pattern)]
    if missing := [file for file in files if not is_file(file)]:
        raise UsageError(f"--scenario {shown(missing[0])}: there is no such file")
    for file in files:
        check_name(file, "a file's name", file.stem)
    chosen = [
        *(one.path for one in catalogue.select("scenario", available, named)),
        *(file.resolve() for file in files),
    ]
    twins = [path for path in chosen if [one.stem for one in chosen].count(path.stem) > 1]
    if len({*twins}) > 1:
        raise UsageError(f"--scenario: two are called {twins[0].stem!r}, {twins[0]} and {twins[1]}: rename one")
    return list(dict.fromkeys(chosen))


def mine_of(request: Request) -> tuple[str, ...]:
    """Name the user's own apps that a request asks for; raises UsageError for what can't go with them."""
    mine = own_apps(request.apps)
    if mine and len(request.pythons) > 1:
        raise UsageError("--python: expected one Python for an app of your own, as its environment has one")
    return mine


def cpu_plan(request: Request, backends: int = 1) -> machine.CpuPlan:
    """Share the CPUs out as asked for, or as fits the largest deployment; UsageError for more load workers than CPUs.

    `backends` is how many servers stand behind one front at most.
    """
    workers = request.load_workers
    if request.server_cpus is not None:
        plan = machine.plan_beside(request.server_cpus, workers)
        there = len(plan.load)
    else:
        plan = machine.plan_cpus(max(request.workers) * backends, workers)
        there = len(machine.usable_cpus())
    if workers > max(1, there):
        raise UsageError(
            f"--load-workers {workers}: each drives load on a CPU of its own, and there are {there} for them"
        )
    plan = machine.with_load_on(plan, workers) if len(plan.load) < workers else plan
    return machine.kept_awake(plan) if request.awake is not False and _not_ours(request) is None else plan


def _not_ours(request: Request) -> str | None:
    """Name what programs may work for that sgibench did not start: they would share awake CPUs in pieces; or None."""
    if own_apps(request.apps):
        return "an app of your own"
    return "a database that existed" if parse_database(request.database).existing else None


def why_asleep(request: Request, plan: machine.CpuPlan) -> str | None:
    """Say why CPUs may sleep although `--awake` was asked for; None when they are kept awake, or nobody asked."""
    if not request.awake or plan.awake:
        return None
    if (theirs := _not_ours(request)) is not None:
        return (
            f"--awake: with {theirs} CPUs may sleep while they wait for requests: programs that sgibench did not "
            "start may work there, and would get half of a CPU that is kept awake"
        )
    return f"--awake: CPUs may sleep while they wait for requests: {machine.why_not_awake(plan)}"


def baseline_of(request: Request, servers: Sequence[ServerEntry]) -> str:
    """Name the server that all others are compared with; raises UsageError when it takes no part."""
    chosen = request.baseline or servers[0].id
    if chosen not in {server.id for server in servers}:
        hint = catalogue.nearest(chosen, [server.id for server in servers])
        raise UsageError(f"--baseline {chosen!r} takes no part in this run: {hint}")
    return chosen
