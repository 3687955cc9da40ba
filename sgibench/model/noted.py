"""What only some scenarios have, noted beside the window: a cache, jobs, connections held open, handshakes, a peak.

Each is None in a trial whose scenario has none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sgibench.model.deployed import Memory
from sgibench.model.window import HistogramData


@dataclass(frozen=True, kw_only=True)
class CacheUse:
    """How an app's cache fared in a window, by the app's own count."""

    asked: int
    """Pages that were asked of it."""
    missed: int
    """Those that it hadn't got, or couldn't give, and that had to be made."""


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
    unaccounted: int | None = None
    """Jobs of which nothing more came when all that could be done was done: lost ones; below 0, so many were done more
    than were handed in. None where the queue was too long to wait for its end."""


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
    """TLS handshakes of connections whose opening began in the window."""

    full: int
    resumed: int
    """As the TLS library says of each (`session_reused`)."""
    refused: int = 0
    """Of the full ones: a session was offered, which the server did not take up."""


@dataclass(frozen=True, kw_only=True)
class Overflow:
    """What came of the bursts of a window; what was dropped counts from each one's beginning to its end."""

    listen_overflows: int | None
    """Because a queue of connections to accept was full, in the whole network namespace (/proc/PID/net/netstat)."""
    listen_drops: int | None
    """By listening sockets, for whatever reason, in the whole network namespace likewise."""
    bursts: int = 0
    """Bursts that began in the window."""
    opened: int = 0
    """Connections that they tried to open."""
    listener_drops: int | None = None
    """By the listening sockets of the server alone, as the kernel lists them (`ss -ltnm`); None where it does not. It
    counts each SYN once, and twice what follows one and finds the queue full: more than `listen_drops` by these."""
    sent_again: int = 0
    """Connections answered whose first packet (SYN) had to be sent again, as the kernel says of each (TCP_INFO)."""
    sent_again_from_us: float | None = None
    """How long the quickest of those took, from the beginning of its burst."""


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
    inside: bool = False
    """Whether the app was called in the server's own processes, and not in one of its own beside them."""


@dataclass(frozen=True, kw_only=True)
class Crossings:
    """What an app's border (`apps/border.py`) counted: CPU seconds behind it, and calls of the app."""

    calls: int
    """Taken at the border once."""
    once_s: float
    """Used behind it by those, what the border used itself included."""
    tried_s: float
    """How much of that the border used itself, as far as it was tried beforehand."""
    twice: int = 0
    """Calls that passed two borders, to know what one costs where it is used."""
    twice_s: float = 0.0
    """The same of those."""
    threads_s: float = 0.0
    """Used by the app's own threads, for all calls."""
