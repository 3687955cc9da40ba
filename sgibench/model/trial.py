"""What was measured of one cell in one block: a line of trials.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sgibench.model.behaviour import Behaviour
from sgibench.model.deployed import Effective, FrontShare, Memory, MemoryLook, ServiceUse
from sgibench.model.generator import Generator
from sgibench.model.noted import CacheUse, Handshakes, Held, Jobs, Overflow, Peak, RequestCpu
from sgibench.model.plan import Load, Settings
from sgibench.model.terms import Concurrency, Configuration, Interface, Status, Unit
from sgibench.model.window import HistogramData, Latency, Slice, Window


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a trial has no numbers."""

    reason: str
    """A short kind: exited, not-ready, wrong-answer, crashed, hung, ignored-sigterm, log-flood, environment, …"""
    detail: str
    log_tail: str = ""


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
    part: int = 0
    """Which part of a group that was split for want of memory it was measured in."""
    again: bool = False
    """Whether it is a copy of the reference server in a further part."""
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
    warmup_rps: float | None = None
    """Closed: answers per second in the fastest window of the warm-up, of those that had enough for a rate."""
    window_s: float | None = None
    """Counted time, the sum of the slices."""
    requests: int | None = None
    """Right answers in the counted time."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Everything else, by kind."""
    rps: float | None = None
    cpu_s: float | None = None
    cpu_us_per_request: float | None = None
    front: FrontShare | None = None
    """What stood before the server; None when it was asked directly. All other figures are of both together."""
    latency_us: Latency | None = None
    """Open loads: from the time a request was due."""
    histogram_us: HistogramData | None = None
    """Service time: from sending to the whole answer."""
    intended_histogram_us: HistogramData | None = None
    """From the time it was due; only for open loads."""
    first_chunk_histogram_us: HistogramData | None = None
    """Streams: from sending to the first chunk of the answer's body."""
    gap_histogram_us: HistogramData | None = None
    """Streams: between one chunk and the next."""
    unit: Unit = "request"
    """What is counted: in all figures and names, "request" stands for it."""
    family: str = ""
    """What scenarios have in common that ask the same in other ways; empty for the scenario's own name."""
    held: Held | None = None
    """What was held open beside; None when nothing was."""
    handshakes: Handshakes | None = None
    """Over TLS with a connection for each request."""
    overflow: Overflow | None = None
    """Of bursts."""
    peak: Peak | None = None
    """Of the server's memory; None where the system does not tell."""
    window: Window | None = None
    """What the window owned and how it was made; None in results of before there were such facts."""
    behaviour: Behaviour | None = None
    """What happened to the deployment in the window, and how it took it; None for most scenarios."""
    slices: tuple[Slice, ...] = ()
    series: tuple[int, ...] = ()
    """Right answers in each second of an unbroken window."""
    singly: tuple[RequestCpu, ...] = ()
    """Apps of the user's at saturation: each request by itself."""
    memory: Memory | None = None
    effective: Effective | None = None
    """What the server turned out to be, read from the system after the load."""
    not_as_declared: tuple[str, ...] = ()
    """Where that differs from what its file declares, one sentence each."""
    outside: tuple[str, ...] = ()
    """In which ways it did not run where it was put (CPUs, nice, scheduler, control group), one phrase each."""
    memory_looks: tuple[MemoryLook, ...] = ()
    """Its memory while it was measured."""
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
    inside: tuple[int, ...] | None = None
    """Most requests at once at work in the app's own code, by the app's own counter (`apps/inside.py`), in each process
    that had any, the busiest first; None where nothing was counted: no request waited, blocked or asked a service."""
    asking: tuple[int, ...] | None = None
    """The same of those that asked a database or waited for a connection to it; None where nobody counted any."""
    jobs: Jobs | None = None
    """What became of the jobs that it was handed; None where the scenario hands in none."""
    cache: CacheUse | None = None
    """How the app's cache fared; None when it was not asked."""
    by_request: Mapping[str, HistogramData] = field(default_factory=dict)
    """Service times by kind of request (`GET /json`), where the scenario has several: right answers of the window."""
    answer_bytes: float | None = None
    """Mean size of an answer on the wire, head and body, to 1 %; None where kinds of answers leave it open by more."""
    retries: int = 0
    """How often the trial was measured again because of a machine or generator doubt."""
    step: int | None = None
    """Its place in a search for capacity; None for an ordinary trial."""
    services: tuple[ServiceUse, ...] = ()
    """What it used of the services that its app needs."""
    pool: int | None = None
    """Connections to a database that each process of the server may hold; None for an app without one."""
    stop_s: float | None = None
    """How long its server took to end after SIGTERM; None when it had to be killed, or nobody was there to see it."""

    @property
    def connections(self) -> int:
        """Connections of the load."""
        return self.load.connections

    @property
    def settings(self) -> Settings:
        """What was held equal in its group, as far as it is stored with the trial."""
        return Settings(workers=self.workers, threads=self.threads, configuration=self.configuration)
