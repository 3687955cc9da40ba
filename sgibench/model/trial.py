"""What was measured of one cell in one block: a line of trials.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sgibench.model.behaviour import Behaviour
from sgibench.model.plan import Load, Settings
from sgibench.model.terms import Concurrency, Configuration, Interface, Link, Speech, Status, Unit, Visits


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
class ServiceUse:
    """What a trial used of one service."""

    service: str
    version: str | None = None
    private: bool = True
    """Whether the instance was started for the run; of one that existed, CPU and memory are not known."""
    cpu_s: float | None = None
    """CPU of all its processes over exactly the counted time of this trial."""
    cpu_us_per_request: float | None = None
    memory: Memory | None = None
    """Of the whole instance, which all servers of a group share."""
    connections_opened: int | None = None
    """Ever opened to this server's share of it."""
    connections_most: int | None = None
    """Most open at once, as looked at several times in each window."""


@dataclass(frozen=True, kw_only=True)
class MemoryLook:
    """What a server's processes held at one moment under load."""

    at_s: float
    """Since the first look."""
    resident_bytes: int
    """Shared pages counted in each process: only its growth means something."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server's threads run, all of them together (`sgibench.serve.place`)."""

    cpus: tuple[int, ...]
    """On which some thread may run."""
    nices: tuple[int, ...]
    schedulers: tuple[str, ...]
    """`other`, `batch`, `fifo`, …"""
    groups: tuple[str, ...]
    """Control groups, as /proc/PID/cgroup says."""


@dataclass(frozen=True, kw_only=True)
class Effective:
    """What a running server turned out to be, as the system shows it (`sgibench.serve.effective`)."""

    backlogs: tuple[int, ...] | None
    """In effect, of each socket that listens on the server's port."""
    nodelay: bool | None
    """Whether an accepted connection has TCP_NODELAY."""
    processes: int | None
    threads: int | None
    """Of the process that has the most."""
    place: Place | None = None
    """None where the system doesn't tell."""


@dataclass(frozen=True, kw_only=True)
class FrontShare:
    """What stood before the server, and its part of what the whole deployment used."""

    id: str
    """The front's variant, e.g. `nginx-rr2`."""
    program: str
    """E.g. `nginx`."""
    behind: str
    """The server behind it."""
    backends: int = 1
    """How many of these."""
    link: Link = "tcp"
    speech: Speech = "http"
    version: str | None = None
    """What the program says of itself; None when it doesn't."""
    argv: tuple[str, ...] | None = None
    cpu_s: float | None = None
    """Of the trial's CPU time, what the front's processes used."""
    memory: Memory | None = None
    """Of the trial's memory, what they hold."""


@dataclass(frozen=True, kw_only=True)
class LoadWorker:
    """How one of several load processes fared."""

    requests: int
    utilisation: float | None
    lag_us_p99: float | None


@dataclass(frozen=True, kw_only=True)
class Generator:
    """How the load process fared during the window."""

    cpu_s: float | None
    utilisation: float | None
    """Share of the window in which it worked, 1 = one full CPU; of several load workers, the busiest one's. In open
    loops, CPU time spent waiting for a moment too near to sleep until it is left out (`cpu_s` has it)."""
    lag_us_p99: float | None
    """Closed: how late the loop woke up. Open: how late requests were sent after they were due."""
    connections_established: int | None
    jain: float | None
    """Jain's fairness index over requests per connection; 1 = all equal."""
    slowest_share: float | None
    """Requests of the slowest connection over the median connection's."""
    connect_us_p50: float | None = None
    """How long it took to open a connection; never part of a request's time."""
    queue_max: int | None = None
    """Open: most requests that were due while no connection was idle."""
    reopened: int | None = None
    """Connections that the server closed between visits and that were opened anew, outside counted time."""
    workers: tuple[LoadWorker, ...] = ()
    """Of each load process; the figures above are their sums, or the worst of them."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One visit of a trial: `requests` right answers in `window_s`, `cpu_s` of the server's tree meanwhile."""

    round: int
    window_s: float
    requests: int
    cpu_s: float | None


@dataclass(frozen=True, kw_only=True)
class RequestCpu:
    """One request of the user's by itself: asked of a server, and called without one in turn, on the same CPUs."""

    request: str
    requests: int
    """Right answers of the server."""
    cpu_s: float
    """CPU of the server's tree for exactly these."""
    calls: int
    """Of the app, without a server."""
    app_cpu_s: float
    """CPU of the app's process tree for these; what calling an app that does nothing costs is taken off."""
    app_wait_s: float = 0.0
    """Time of these calls in which it neither computed nor queued for a CPU."""
    crowd_requests: int = 0
    """The same with many requests at once, where `requests` were asked a few at a time because they are long."""
    crowd_cpu_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class HistogramData:
    """A latency histogram as it is stored; `sgibench.histogram` turns it into one and back.

    `gaps[i]` is the distance of the i-th used bucket from the one before (the first: from bucket 0).
    """

    gaps: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Window:
    """What a trial's window owned, and how it was made.

    A window owns the requests that were due in it (open loops) or sent in it (all else), and no others. Those in flight
    at its edge are drained and counted in it; each that got no answer is an error of it, of the kind `timeout`,
    `unanswered` (sent, and the drain was over) or `unsent` (due, and the drain was over).
    """

    visits: Visits
    """sliced: in turn with the group's other servers, in slices; turns: the same for open loops; together: in one, all
    servers of the group at the same time; unbroken: in one, one server after the other."""
    why: str = ""
    """Why so, in one sentence."""
    pieces: int = 1
    """Visits that it is made of."""
    timeout_s: float | None = None
    """The time-out that fitted window and scenario; also the longest drain of an open loop's queue."""
    due: int | None = None
    """Open: requests that were due in the window."""
    sent: int | None = None
    """Requests of the window that were sent: right answers, wrong ones and none."""
    in_time: int | None = None
    """Right answers of the window that came before its edge; the others came while it was drained."""
    censored: int = 0
    """Values in the histograms that are lower bounds: requests that were still waiting when they were given up."""
    censored_from_us: float | None = None
    """The smallest of them. A percentile below it is exact; above it only a bound is known, and none is given."""
    queue_start: int | None = None
    """Open: requests due and not sent, for want of a free connection, when the window began (all visits together)."""
    queue_end: int | None = None
    """The same at its edge: a queue that has grown says that the rate was not kept."""
    queue_max: int | None = None
    """The longest that it was."""
    waiting_start: int | None = None
    """Open: requests due and not answered, sent or not, when the window began (all visits together)."""
    waiting_end: int | None = None
    """The same at its edge. With a connection for each, a server that falls behind has no queue, but more of these."""
    in_flight: float | None = None
    """Mean number of requests of the window in flight, those that failed included: their times over the window."""
    thinking: float | None = None
    """Tasks: mean number of users between an answer and their next request: think time, pacing, work of their own."""
    thinks: bool = False
    """Whether users wait between tasks (`wait_time`), so that they are not all meant to have a request in flight."""
    sessions: int | None = None
    """Whole sessions that ended well in the window: @task methods, passes of a SequentialTaskSet, and of declared
    requests that depend on one another."""
    uncounted: Mapping[str, int] = field(default_factory=dict)
    """Requests that are in no window, by the reason: warm-up, settling, …; with `sent`, all that the server got."""
    lateness_histogram_us: HistogramData | None = None
    """Open: for each request, what passed between due and sent although a connection was free: the generator's."""


@dataclass(frozen=True, kw_only=True)
class CacheUse:
    """How an app's cache fared in a window, by the app's own count."""

    asked: int
    """Pages that were asked of it."""
    missed: int
    """Those that it hadn't got, or couldn't give, and that had to be made."""

    @property
    def hit_rate(self) -> float:
        """Share that it had."""
        return 1 - self.missed / self.asked


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Jobs that an app was handed, from when its window began until the load had ended."""

    span_s: float
    handed: int
    done: int
    failed: int
    waiting_start: int
    """Jobs handed in and not done yet at its beginning."""
    waiting_end: int
    """The same at its end: a queue that has grown says that more was handed in than is done."""
    took_histogram_us: HistogramData | None = None
    """From handing in until it was done, of the jobs that were done."""
    server_cpu_s: float | None = None
    worker_cpu_s: float | None = None
    """CPU of the worker process; None for an app that does its jobs in its server."""
    worker_memory: Memory | None = None
    worker: tuple[str, ...] = ()
    """Command line of the worker."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Connections that were held open beside those that were measured."""

    wanted: int
    stood: int
    """Open when the window began."""
    stood_end: int
    """Open at its edge."""
    closed: int
    """How often one ended since they were opened; each was opened again."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """What went wrong on them, by kind."""
    answers: int = 0
    """Right answers on them: one each, or as many streams as came to their end."""
    before_bytes: int | None = None
    """Proportional memory of the server's tree before the first was opened."""
    held_bytes: int | None = None
    """The same once all of them stood."""

    @property
    def each_bytes(self) -> float | None:
        """What one of them costs in memory; the kernel's own buffers are not in it."""
        if self.before_bytes is None or self.held_bytes is None or not self.stood:
            return None
        return (self.held_bytes - self.before_bytes) / self.stood


@dataclass(frozen=True, kw_only=True)
class Handshakes:
    """TLS handshakes in the window, of connections that were opened in it."""

    full: int
    resumed: int
    """As the TLS library says of each (`session_reused`)."""


@dataclass(frozen=True, kw_only=True)
class Overflow:
    """What the system counted during the window; of the whole machine, as differences (/proc/net/netstat)."""

    listen_overflows: int
    """Connections that found a full queue of connections nobody had accepted."""
    listen_drops: int
    """SYN dropped by listening sockets, for whatever reason."""
    bursts: int = 0
    """Bursts that began in the window."""


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Resident memory of the server's processes, shared pages counted in each (Linux: VmRSS and VmHWM)."""

    before_bytes: int
    """Before this load asked anything."""
    most_bytes: int
    """The most since then, warm-up included; of several processes the sum of what each had at most."""

    @property
    def grown_bytes(self) -> int:
        """By how much it grew."""
        return max(0, self.most_bytes - self.before_bytes)


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
    jobs: Jobs | None = None
    """What became of the jobs that it was handed; None where the scenario hands in none."""
    cache: CacheUse | None = None
    """How the app's cache fared; None when it was not asked."""
    by_request: Mapping[str, HistogramData] = field(default_factory=dict)
    """Service times by kind of request (`GET /json`), where the scenario has several: right answers of the window."""
    answer_bytes: float | None = None
    """Mean size of an answer on the wire, head and body."""
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
