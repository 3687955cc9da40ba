"""What a declaration needs of the system, and what its process should turn out to be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something of the system that a server can't do without and that no Python package brings."""

    name: str
    """A program (`nginx`) or a C header (`ev.h`)."""
    how: str
    """The command that adds it, e.g. `apt-get install nginx-light`."""
    header: bool = False


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a launched server should turn out to be; None where nothing can be said beforehand.

    The first two are limits that a plan must respect: a server that is asked for more is measured at its queue.
    The rest is read back from the system after a trial (`sgibench.serve.effective`).
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
