"""What the two ends tell each other: whom to load, how far that is, and what was seen of it.

Field by field what the protocol's JSON says, in the engine's own nouns; nothing here is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sgibench.model import (
    CacheUse,
    Crossings,
    Handshakes,
    Held,
    HistogramData,
    LoadWorker,
    Overflow,
    Peak,
    RequestCpu,
    Slice,
    Window,
)
from sgibench.model.behaviour import Behaviour, Sample


@dataclass(frozen=True, kw_only=True)
class BesideTarget:
    """The user's app without a server, beside the servers: where it is told what to call, and its process."""

    port: int
    pid: int


@dataclass(frozen=True, kw_only=True)
class Target:
    """One server, as the load process needs to know it."""

    id: str
    host: str
    port: int
    pids: tuple[int, ...]
    front_pids: tuple[int, ...] = ()
    """Those of them that are its front's."""
    spawns: bool = False
    """Whether it starts a process for each request."""
    services: Mapping[str, int] = field(default_factory=dict)
    """First process of each private service that it uses, by id."""
    data: str | None = None
    """The folder in which its app counts what goes on inside it; None where each request has a process of its own."""
    beside: BesideTarget | None = None
    within: bool = False
    """Whether it can be asked to call the user's app within its own process."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Progress inside a running order."""

    target: str
    phase: str
    done: float
    alone: bool = False
    """Whether this target is being counted, and nobody else; otherwise either nobody is, or several are at once."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the load process saw of one target; field by field what the protocol says."""

    id: str
    warmup_s: float | None = None
    warmup_rps: float | None = None
    window_s: float = 0.0
    requests: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    errors_uncounted: Mapping[str, int] = field(default_factory=dict)
    error_samples: Mapping[str, str] = field(default_factory=dict)
    cpu_s: float | None = None
    front_cpu_s: float | None = None
    """The front's part of it."""
    behaviour: Behaviour | None = None
    """What the engine makes of it where something was done to the deployment, or noted by the app."""
    slow: int | None = None
    """Slow clients that had a connection when the window ended; None where there were to be none."""
    samples: tuple[Sample, ...] = ()
    """Of an unbroken window, where they were asked for."""
    edges_ns: tuple[tuple[int, int], ...] = ()
    """Where the counted part of each visit began and ended, by the host's monotonic clock."""
    service_cpu_s: Mapping[str, float] = field(default_factory=dict)
    """CPU of each service over the same counted time."""
    inside: tuple[int, ...] | None = None
    """Most requests at once inside each process of the app in the same counted time; None where none was counted."""
    asking: tuple[int, ...] | None = None
    """The same of those that asked a database or waited for a connection to it."""
    cache: CacheUse | None = None
    """How the app's cache fared in it; None when it was not asked."""
    within: Crossings | None = None
    """What was counted at the border of its app in the same counted time; None without a border."""
    answers: Mapping[str, int] = field(default_factory=dict)
    """All right answers, counted or not, by `METHOD name`."""
    mean_us: float | None = None
    max_us: float | None = None
    histogram: HistogramData | None = None
    intended_histogram: HistogramData | None = None
    first_chunk_histogram: HistogramData | None = None
    gap_histogram: HistogramData | None = None
    window: Window | None = None
    held: Held | None = None
    handshakes: Handshakes | None = None
    overflow: Overflow | None = None
    peak: Peak | None = None
    slices: tuple[Slice, ...] = ()
    singly: tuple[RequestCpu, ...] = ()
    series: tuple[int, ...] = ()
    connections_established: int | None = None
    jain: float | None = None
    slowest_share: float | None = None
    lag_us_p99: float | None = None
    generator_cpu_s: float | None = None
    generator_utilisation: float | None = None
    generator_workers: tuple[LoadWorker, ...] = ()
    connect_us_p50: float | None = None
    queue_max: int | None = None
    reopened: int | None = None
    answer_bytes: float | None = None
    requests_by_pid: Mapping[str, int] | None = None
    by_request: Mapping[str, HistogramData] = field(default_factory=dict)
    gave_up_reason: str | None = None
    gave_up_detail: str = ""

    @property
    def open_ends(self) -> int:
        """Requests without an answer, counted or not: what they asked for may have been done or not."""
        return sum(self.errors.values()) + sum(self.errors_uncounted.values())
