"""What was measured together: run.json, and a run as it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgibench.model.alone import AloneCost, BorderCost
from sgibench.model.own import OwnInfo
from sgibench.model.plan import Plan
from sgibench.model.services import ServiceInfo
from sgibench.model.terms import Connection, Metric
from sgibench.model.trial import Failure, Trial


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
    awake: bool = False
    """Whether the CPUs of servers and load were kept from sleeping while they waited for requests."""

    @property
    def sharing(self) -> str | None:
        """Why servers and load got in each other's way, or None when each had cores of its own."""
        return self.not_measured.get("pinning")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The generator's ceiling for one scenario on this machine."""

    scenario: str
    rps_per_core: float
    """Requests per CPU-second of the generator, against a server that only sends prepared bytes."""
    requests: int | None = None
    """Right answers behind that figure."""
    cpu_s: float | None = None
    """What they cost the generator."""
    utilisation: float | None = None
    """CPU seconds of the generator per second of the window."""


@dataclass(frozen=True, kw_only=True)
class Slo:
    """A limit on latency: `p99<50ms`."""

    quantile: float
    """0.99 for p99."""
    limit_us: float

    @property
    def percentile(self) -> str:
        """E.g. `p99`."""
        return f"p{self.quantile * 100:g}"

    @property
    def id(self) -> str:
        """E.g. `p99<50ms`."""
        return f"{self.percentile}<{self.limit_us / 1000:g}ms"


@dataclass(frozen=True, kw_only=True)
class CapacityRule:
    """How the steps of searches are judged: the same for all servers and rates that are compared."""

    scenario: str
    connection: Connection
    workers: int
    threads: int
    answers: int
    """A step needs so many."""
    over: int
    """So many of them may be over the limit or unanswered; of k times as many answers, k times as many."""


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
    too_few_at_per_s: float | None = None
    """The rate at which too few answers came, again and again, so that nothing was decided."""
    failure: Failure | None = None
    """Why there is no outcome: the server failed."""


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """`--until settled`: fixed before the run, looked at after each of these numbers of blocks."""

    baseline: str
    """The server with which all others are compared."""
    looks: tuple[int, ...]
    """Numbers of blocks, rising; the last is the most there can be."""
    figures: tuple[Metric, ...] = ("cpu_us_per_request",)
    """What must be settled."""


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
    servers: tuple[str, ...] = ()
    """A class of faster servers that is measured at a rate of its own as well; empty for all of the group."""


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
    limits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Server id -> its declared limits and traps, one sentence each."""
    scenarios: Mapping[str, str] = field(default_factory=dict)
    """Scenario id -> its summary, so that a report can say what was asked."""
    calibration: tuple[Calibration, ...] = ()
    uncalibrated: Mapping[str, str] = field(default_factory=dict)
    """Scenario id -> why the generator's ceiling could not be found out, although a server of prepared answers can
    answer it."""
    pilot: tuple[PilotRate, ...] = ()
    load_workers: int = 1
    """Processes that drove the load."""
    catalogues: tuple[str, ...] = ()
    """The user's own folders that were added to the catalogue."""
    retries: int = 0
    """How often a group in doubt may be measured again in its block."""
    delta: float = 0.02
    """Ratios from 1 / (1 + delta) to 1 + delta make no difference; fixed before the run."""
    until: StopRule | None = None
    """The rule by which the run may end before its last block; None: it may not."""
    slo: Slo | None = None
    """The limit of a search for capacity; None for any other run."""
    resolution: float | None = None
    """A search ends when the lowest rate that failed is within this factor of the highest that held."""
    rules: tuple[CapacityRule, ...] = ()
    """How the steps of those searches are judged, fixed before the first of them."""
    capacity: tuple[CapacityFound, ...] = ()
    """What searches for capacity found, one a server and block."""
    services: Mapping[str, ServiceInfo] = field(default_factory=dict)
    """Services that its apps used, by id."""
    service_cpus: tuple[int, ...] = ()
    """Where they may run."""
    pool: int | None = None
    """Connections to a database for each process of a server; None for as many as it has threads."""
    own: OwnInfo | None = None
    """What was measured when it was an app of the user's own; None for those of the catalogue."""
    alone: tuple[AloneCost, ...] = ()
    """What apps of the catalogue cost without a server, block by block, where layers can be told with it."""
    borders: tuple[BorderCost, ...] = ()
    """What servers cost on either side of the border to those apps, block by block."""
    stopped: str | None = None
    """Why it ended before its last block, by that rule."""
    measuring_share: float | None = None
    """Share of the run's time inside measuring windows."""
    spent_s: Mapping[str, float] = field(default_factory=dict)
    """Where the time of the run went, or of what was left when it was resumed: seconds by phase, no two at once."""

    @property
    def ceilings_rps(self) -> Mapping[str, float]:
        """Scenario -> what the whole generator can do: one CPU's calibrated rate, times the processes that drive."""
        return {each.scenario: each.rps_per_core * self.load_workers for each in self.calibration}


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
