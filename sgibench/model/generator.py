"""How the load process fared: figures about the instrument, not about the server."""

from __future__ import annotations

from dataclasses import dataclass


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
