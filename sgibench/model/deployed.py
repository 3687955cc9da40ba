"""What was measured, as the system shows it: the server's processes, the front before it, the services behind it.

What their files declare stands in `catalogue`, `fronts` and `services`; here is what came of it when they ran.
"""

from __future__ import annotations

from dataclasses import dataclass

from sgibench.model.terms import Link, Speech


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of the server's whole process tree, after the window."""

    pss_bytes: int | None
    uss_bytes: int | None
    processes: int


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
    one: str | None = None
    """Of several, the front's variant that is the same before a single one."""
    balance: str | None = None
    """Of several, how requests were spread over them, e.g. `round robin`."""
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
    pool: int | None = None
    """Connections to it that each process of the server may hold; None where an app keeps no pool of them."""
    connections_most: int | None = None
    """Most open at once, as looked at several times in each window."""
