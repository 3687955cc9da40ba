"""The nouns of sgibench: frozen, keyword-only, typed; every other module speaks in them.

Units stand in names (`latency_us`, `window_s`, `rss_bytes`). `None` means "not measured", never 0 or -1.
Nothing here computes more than a name, reads a file, or knows where a value came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

SCHEMA = 1
"""Version of what `results/<run>/` holds; a reader refuses a newer one."""

Interface = Literal["wsgi", "asgi", "rsgi"]
Concurrency = Literal["processes", "threads", "greenlets", "event loop"]
Connection = Literal["keep-alive", "close"]
LoadKind = Literal["closed", "open"]
Arrivals = Literal["uniform", "poisson"]
Status = Literal["ok", "failed", "skipped"]
Verdict = Literal["faster", "slower", "tie", "unknown"]
Configuration = Literal["default", "equal", "recommended"]
"""How a server is set up beyond what its id names.

`default`: as installed; the command line says only where to listen, what to serve, with how many workers, and to keep
quiet. `equal`: threads, backlog, keep-alive and TCP_NODELAY alike in all servers: the basis of every comparison.
`recommended`: as the server's own documentation advises for production.
"""


# --- the catalogue -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Launch:
    """All that a server declaration may know when it writes its command line."""

    bin: Path
    """Folder of the environment's executables, absolute."""
    launchers: Path
    """Folder `servers/launchers`, where small launcher scripts stand."""
    scratch: Path
    """An empty folder that belongs to this one server process; a declaration may name files in it."""
    host: str
    port: int
    target: str
    """The app as `module:attribute`, importable from the working directory."""
    options: Mapping[str, str]
    """The chosen variant's options, e.g. `{"loop": "uvloop"}`."""
    workers: int
    threads: int
    backlog: int
    keep_alive_s: int
    configuration: Configuration = "equal"
    """`threads`, `backlog` and `keep_alive_s` are meant for `equal`; a declaration ignores them in the other two."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version in the environment; empty for those that the variant declares."""

    @property
    def python(self) -> str:
        """The environment's interpreter."""
        return str(self.bin / "python")

    @property
    def equal(self) -> bool:
        """Whether what is held equal between servers is to be put on the command line."""
        return self.configuration == "equal"

    def executable(self, name: str) -> str:
        """Path of a console script of the environment."""
        return str(self.bin / name)

    def since(self, package: str, *version: int) -> bool:
        """Whether `package` is of that version or later, so that an option of that age may be used."""
        installed = self.versions.get(package)
        if installed is None:
            return True
        digits = (part for part in installed.split(".") if part.isdigit())
        return tuple(int(part) for part in digits) >= version


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something of the system that a server can't do without and that no Python package brings."""

    name: str
    """A program (`nginx`) or a C header (`ev.h`)."""
    how: str
    """The command that adds it, e.g. `apt-get install nginx-light`."""
    header: bool = False


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What a server's own documentation says for production, and so what `recommended` means."""

    says: str
    source: str
    """Where it says so."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a launched server should turn out to be; None where nothing can be said beforehand.

    The first two are limits that a plan must respect: a server that is asked for more is measured at its queue.
    The rest is read back from the system after a trial (`sgibench.effective`).
    """

    connections: int | None = None
    """So many connections are served side by side; further ones wait until one of these closes. None: no limit."""
    kept_alive: int | None = None
    """So many connections are kept alive; the others are closed after each answer. None: no limit."""
    backlog: int | None = None
    """Of each listening socket, before the system's own limit (`net.core.somaxconn`) is applied."""
    nodelay: bool | None = None
    """Whether accepted connections have TCP_NODELAY."""
    processes: int | None = None
    """All of them: workers, master, helpers, proxies."""
    threads: tuple[int, int] | None = None
    """Fewest and most threads of the process that has the most; a pool may start its threads one by one."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run a server: what a row of the report stands for."""

    id: str
    """Names worker class, parser and loop where they matter; never "auto"."""
    interface: Interface
    concurrency: Concurrency
    packages: tuple[str, ...]
    """Exact requirements, e.g. `("uvicorn==0.54.0", "uvloop==0.22.1")`; the first is the server itself."""
    summary: str
    """One line for people."""
    options: Mapping[str, str] = field(default_factory=dict)
    keep_alive: bool = True
    """False when the server closes every connection: then it is compared only among `close` loads."""
    threads: bool = False
    """Whether the `threads` setting limits how many requests it serves at once."""
    manager: bool = False
    """Whether a master process that serves no requests stands above the workers, even when there is one worker."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files written into the scratch folder before the start, name -> text."""
    workers: bool = True
    """False when it is one process whatever the `workers` setting says."""
    apps: tuple[str, ...] = ()
    """Ids of the only apps that it can run; empty for every app of its interface."""
    needs: tuple[Need, ...] = ()
    """Programs and headers without which it is skipped by name."""
    optional: str | None = None
    """Why it is left out of `*` and runs only when it is named."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Parts of the contract that it is known not to hold: name of the check -> the reason."""
    recommended: Advice | None = None
    """None when its documentation advises no more than its defaults: then `recommended` is the same as `default`."""
    notes: tuple[str, ...] = ()
    """Limits and traps of this variant alone, one sentence each."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """What `SERVER` in a file of `servers/` is: one family, its variants, and how each is launched."""

    variants: tuple[Variant, ...]
    command: Callable[[Launch], list[str]]
    homepage: str
    notes: tuple[str, ...] = ()
    """Known limits and traps of the family, one sentence each."""
    expect: Callable[[Launch], Expected] | None = None
    """What a launch should turn out to be, in any configuration; None when nothing is said."""
    verified: str = ""
    """When and where this was last seen to be so, e.g. `2026-11-22, CPython 3.11.7, Debian 12`."""


@dataclass(frozen=True, kw_only=True)
class ServerEntry:
    """A variant as found in the catalogue, with its family and file."""

    variant: Variant
    family: str
    path: Path
    command: Callable[[Launch], list[str]]
    homepage: str
    notes: tuple[str, ...]
    """The family's, then the variant's."""
    expect: Callable[[Launch], Expected] | None = None
    verified: str = ""
    python: str | None = None
    """Interpreter of its environment; None for the one that runs sgibench."""

    @property
    def id(self) -> str:
        """The variant's id."""
        return self.variant.id

    def runs(self, app: App) -> bool:
        """Whether it can run that app."""
        return app.interface == self.variant.interface and (not self.variant.apps or app.id in self.variant.apps)

    def expected(self, launch: Launch) -> Expected:
        """What that launch should turn out to be."""
        return Expected() if self.expect is None else self.expect(launch)


@dataclass(frozen=True, kw_only=True)
class App:
    """One implementation of the contract, as found in `apps/`."""

    id: str
    interface: Interface
    target: str
    """`module:attribute`, importable with `folder` on the path."""
    folder: Path
    packages: tuple[str, ...]
    summary: str


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and the answer it must get, as a scenario declares it."""

    name: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    expected_body: bytes | None
    """None when a check function decides."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is asked of an app, as the load process describes it."""

    id: str
    summary: str
    path: Path
    exchanges: tuple[Exchange, ...]
    """Declared requests; empty for a scenario of `@task` methods."""
    floor_s: float
    """No right answer can take less than this; 0 when nothing is declared."""
    interfaces: tuple[Interface, ...]
    """Interfaces that can serve it."""


# --- the plan ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Load:
    """How hard: closed (C connections, next request when the last is answered) or open (R arrivals per second)."""

    kind: LoadKind
    connections: int
    """Connections held open (closed), or the most that may be open (open)."""
    connection: Connection = "keep-alive"
    rate_per_s: float | None = None
    """Arrivals per second; only for open loads."""
    arrivals: Arrivals = "uniform"
    share: float | None = None
    """The rate as a share of the server's own saturation, when it was chosen so (latency against load)."""

    @property
    def id(self) -> str:
        """E.g. `closed-64`, `open-500`, `open-80%` (of the server's own saturation), `closed-64-close`."""
        amount = f"{self.connections}" if self.kind == "closed" else f"{self.rate_per_s:g}"
        if self.share is not None:
            amount = f"{self.share * 100:g}%"
        return f"{self.kind}-{amount}" + ("-close" if self.connection == "close" else "")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is held equal between the servers of a group."""

    workers: int
    threads: int
    backlog: int = 1024
    keep_alive_s: int = 75
    configuration: Configuration = "equal"

    @property
    def id(self) -> str:
        """E.g. `w1t8`, `w1t8-recommended`."""
        return f"w{self.workers}t{self.threads}" + ("" if self.configuration == "equal" else f"-{self.configuration}")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """server x app x scenario x load x settings."""

    server: str
    app: str
    scenario: str
    load: Load
    settings: Settings
    control: bool = False
    """True for the second copy of a cell that runs twice in every block (the A/A control)."""

    @property
    def id(self) -> str:
        """One string that names the cell, the same in every block and every run."""
        server = f"{self.server}~control" if self.control else self.server
        return f"{server}/{self.app}/{self.scenario}/{self.load.id}/{self.settings.id}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The cells compared with one another: same scenario, load and settings, in the order they are visited."""

    scenario: str
    load: Load
    settings: Settings
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The groups of a block that differ only in load and so share one fresh process per server."""

    groups: tuple[Group, ...]


@dataclass(frozen=True, kw_only=True)
class Block:
    """One seeded random pass over all groups, every server started afresh."""

    index: int
    seed: int
    stages: tuple[Stage, ...]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How long things are measured, in seconds."""

    window_s: float
    """Counted time of each trial."""
    slice_s: float | None
    """Length of a visit's counted part; None for one unbroken window per server."""
    settle_s: float = 0.02
    """Not counted at the start of each visit."""
    open_window_s: float | None = None
    """Counted time of open loads, which are never sliced; None for the same as `window_s`."""
    warmup_s: float = 3.0
    """The longest warm-up; it ends earlier once the rate is steady."""
    timeout_s: float = 10.0
    """An answer that takes longer is an error of the kind `timeout`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All blocks of one run."""

    seed: int
    windows: Windows
    blocks: tuple[Block, ...]


# --- what was measured ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a trial has no numbers."""

    reason: str
    """A short kind: exited, not-ready, wrong-answer, crashed, hung, ignored-sigterm, log-flood, environment, …"""
    detail: str
    log_tail: str = ""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Microseconds; None where too few samples stand behind the figure."""

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    p999: float | None
    max: float | None


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of the server's whole process tree, after the window."""

    pss_bytes: int | None
    uss_bytes: int | None
    processes: int


@dataclass(frozen=True, kw_only=True)
class Effective:
    """What a running server turned out to be, as the system shows it (`sgibench.effective`)."""

    backlogs: tuple[int, ...] | None
    """In effect, of each socket that listens on the server's port."""
    nodelay: bool | None
    """Whether an accepted connection has TCP_NODELAY."""
    processes: int | None
    threads: int | None
    """Of the process that has the most."""


@dataclass(frozen=True, kw_only=True)
class Generator:
    """How the load process fared during the window."""

    cpu_s: float | None
    utilisation: float | None
    """CPU seconds per second of window, 1 = one full CPU of each load worker."""
    lag_us_p99: float | None
    """Closed: how late the loop woke up. Open: how late requests were sent after they were due."""
    connections_established: int | None
    jain: float | None
    """Jain's fairness index over requests per connection; 1 = all equal."""
    slowest_share: float | None
    """Requests of the slowest connection over the median connection's."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One visit of a trial: `requests` right answers in `window_s`, `cpu_s` of the server's tree meanwhile."""

    round: int
    window_s: float
    requests: int
    cpu_s: float | None


@dataclass(frozen=True, kw_only=True)
class HistogramData:
    """A latency histogram as it is stored; `sgibench.histogram` turns it into one and back.

    `gaps[i]` is the distance of the i-th used bucket from the one before (the first: from bucket 0).
    """

    gaps: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One execution of a cell: a line of trials.jsonl (design, section 6)."""

    cell: str
    server: str
    app: str
    scenario: str
    load: Load
    workers: int
    threads: int
    block: int
    order: int
    """Place in the random order of its group."""
    started_at: str
    """UTC, ISO 8601."""
    status: Status
    control: bool = False
    configuration: Configuration = "equal"
    interface: Interface | None = None
    concurrency: Concurrency | None = None
    """The variant's concurrency model, so that a report needs no catalogue."""
    floor_s: float | None = None
    """The scenario's declared floor: no right answer can take less; 0 when nothing is declared."""
    failure: Failure | None = None
    argv: tuple[str, ...] | None = None
    startup_s: float | None = None
    """From launch until every worker answered."""
    warmup_s: float | None = None
    window_s: float | None = None
    """Counted time, the sum of the slices."""
    requests: int | None = None
    """Right answers in the counted time."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Everything else, by kind."""
    rps: float | None = None
    cpu_s: float | None = None
    cpu_us_per_request: float | None = None
    latency_us: Latency | None = None
    """Open loads: from the time a request was due."""
    histogram_us: HistogramData | None = None
    """Service time: from sending to the whole answer."""
    intended_histogram_us: HistogramData | None = None
    """From the time it was due; only for open loads."""
    slices: tuple[Slice, ...] = ()
    series: tuple[int, ...] = ()
    """Right answers in each second of an unbroken window."""
    memory: Memory | None = None
    effective: Effective | None = None
    """What the server turned out to be, read from the system after the load."""
    not_as_declared: tuple[str, ...] = ()
    """Where that differs from what its file declares, one sentence each."""
    generator: Generator | None = None
    steal: float | None = None
    """Share of the server CPUs' time that the hypervisor took away during the group."""
    throttled_s: float | None = None
    """Seconds for which a container's CPU quota held processes back during the group."""
    pressure: float | None = None
    """Share of time some task waited for a CPU (Linux PSI) during the group."""
    foreign_cpu: float | None = None
    """Share of the server CPUs' time that went to processes which are no servers of the group."""
    idle_cpu: float | None = None
    """CPUs that the server's tree burned while nothing was asked of it."""
    requests_by_pid: Mapping[str, int] | None = None
    answer_bytes: float | None = None
    """Mean size of an answer on the wire, head and body."""
    retries: int = 0
    """How often the trial was measured again because of a machine or generator doubt."""
    step: int | None = None
    """Its place in a search for capacity; None for an ordinary trial."""

    @property
    def connections(self) -> int:
        """Connections of the load."""
        return self.load.connections

    @property
    def settings(self) -> Settings:
        """What was held equal in its group, as far as it is stored with the trial."""
        return Settings(workers=self.workers, threads=self.threads, configuration=self.configuration)


@dataclass(frozen=True, kw_only=True)
class EnvironmentInfo:
    """One isolated environment, as it really is."""

    key: str
    python: str
    requirements: tuple[str, ...]
    packages: tuple[str, ...]
    """Every package in it, `name==version`."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The host, as far as it can be known."""

    hostname_hash: str
    """Tells machines apart without naming them."""
    cpu_model: str
    cores: int
    cpus_usable: tuple[int, ...]
    server_cpus: tuple[int, ...]
    load_cpus: tuple[int, ...]
    kernel: str
    system: str
    governor: str | None
    python: str
    memory_bytes: int
    container: str | None
    cpu_quota: float | None
    """CPUs that a container limit allows; None without a limit."""
    sysctls: Mapping[str, str]
    not_measured: Mapping[str, str]
    """What this host can't tell, and why."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The generator's ceiling for one scenario on this machine."""

    scenario: str
    rps_per_core: float
    """Requests per CPU-second of the generator, against a server that only sends prepared bytes."""


@dataclass(frozen=True, kw_only=True)
class Slo:
    """A limit on latency: `p99<50ms`."""

    quantile: float
    """0.99 for p99."""
    limit_us: float

    @property
    def id(self) -> str:
        """E.g. `p99<50ms`."""
        return f"p{self.quantile * 100:g}<{self.limit_us / 1000:g}ms"


@dataclass(frozen=True, kw_only=True)
class CapacityFound:
    """The outcome of one search: the capacity of one server in one block lies in [rate_per_s, failed_at_per_s)."""

    server: str
    app: str
    scenario: str
    connections: int
    workers: int
    threads: int
    block: int
    slo: Slo
    rate_per_s: float | None
    """Highest rate that held and was confirmed; None when not even the lowest did."""
    failed_at_per_s: float | None
    """None when the highest rate that the generator can offer still held."""
    trials: int
    failure: Failure | None = None
    """Why there is no outcome: the server failed."""


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """`--until settled`: fixed before the run, looked at after each of these numbers of blocks."""

    baseline: str
    """The server with which all others are compared."""
    looks: tuple[int, ...]
    """Numbers of blocks, rising; the last is the most there can be."""


@dataclass(frozen=True, kw_only=True)
class PilotRate:
    """How the common rate of a group of open loads was found, before anything was counted."""

    scenario: str
    connection: Connection
    workers: int
    threads: int
    slowest: str
    """The server with the lowest saturation in the pilot block."""
    slowest_rps: float
    rate_per_s: float


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """run.json."""

    schema: int
    run: str
    started_at: str
    finished_at: str | None
    profile: str
    seed: int
    argv: tuple[str, ...]
    version: str
    commit: str | None
    machine: Machine
    environments: Mapping[str, EnvironmentInfo]
    """By server id; by `server app` for an app that brings packages of its own."""
    skipped: Mapping[str, str]
    """Server id -> why it could not take part."""
    plan: Plan
    scenarios: Mapping[str, str] = field(default_factory=dict)
    """Scenario id -> its summary, so that a report can say what was asked."""
    calibration: tuple[Calibration, ...] = ()
    pilot: tuple[PilotRate, ...] = ()
    load_workers: int = 1
    """Processes that drove the load."""
    catalogues: tuple[str, ...] = ()
    """The user's own folders that were added to the catalogue."""
    retries: int = 0
    """How often a group in doubt may be measured again in its block."""
    until: StopRule | None = None
    """The rule by which the run may end before its last block; None: it may not."""
    capacity: tuple[CapacityFound, ...] = ()
    """What searches for capacity found, one a server and block."""
    stopped: str | None = None
    """Why it ended before its last block, by that rule."""
    measuring_share: float | None = None
    """Share of the run's time inside measuring windows."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as read from disk."""

    path: Path
    info: RunInfo
    trials: tuple[Trial, ...]
    """The last execution of each cell in each block."""
    notices: tuple[str, ...] = ()
    """What was odd about the files, e.g. a half-written last line that was left out."""
    steps: tuple[Trial, ...] = ()
    """Trials of searches for capacity."""
    repeated: tuple[Trial, ...] = ()
    """Executions that were measured again in the same block, because the machine or the generator was in doubt."""


# --- the judgement -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its 95 % interval over blocks; the interval is None with fewer than two blocks."""

    value: float
    low: float | None
    high: float | None
    blocks: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Cell a against cell b: `ratio` = a / b with its interval, and what may be said about it."""

    ratio: float
    low: float | None
    high: float | None
    blocks: int
    verdict: Verdict
    more_blocks: int | None
    """For `unknown`: about how many further blocks would settle it."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One row of a ranking; rows with the same `place` are not told apart."""

    cell: str
    place: int
    estimate: Estimate
    worst_place: int | None = None
    """The lowest place that it may really have: `place` to `worst_place` is the interval of its rank."""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """A typed reason not to believe a trial or a comparison."""

    kind: str
    detail: str
    """The numbers that raised it."""
    advice: str
    """One sentence: what to do about it."""
