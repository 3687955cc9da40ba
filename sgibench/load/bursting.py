"""BurstUser: all connections of a scenario are opened at the same moment, each for one small request, again and again.

How many is the one thing that a scenario says; that they come from one load process, once each, timed from their
burst's beginning, is what makes them a burst (`bursts` has the law of what is counted).
"""

from __future__ import annotations

from typing import Any, ClassVar

from sgibench.load.bursts import BurstPace
from sgibench.load.lines import Pace
from sgibench.load.request import Request, get
from sgibench.load.target import Target
from sgibench.load.user import BenchUser
from sgibench.model import Connection, Settings, Terms

__all__ = ["BACKLOG", "BurstUser"]

BACKLOG = Settings(workers=1, threads=1).backlog
"""What servers are told to listen with."""


class BurstUser(BenchUser):
    """One connection of a burst."""

    abstract = True
    connections: ClassVar[int] = BACKLOG
    """So many are opened at the same moment."""
    stopped_s: ClassVar[float] = 0.0
    """So long the server's processes are stopped (SIGSTOP) when a burst begins, as far as they are known: what comes
    meanwhile waits in the queue of its listening socket, or is dropped."""
    connection: ClassVar[Connection] = "close"
    times_opening: ClassVar[bool] = True
    bursts: ClassVar[bool] = True
    requests: ClassVar[tuple[Request, ...]] = (get("/plaintext", expect=b"Hello, World!"),)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "terms" not in cls.__dict__:
            cls.terms = Terms(
                unit="connection",
                connections=cls.connections,
                connection="close",
                protocols=("http",),
                at_rate=False,
                calibrated=False,
            )
        super().__init_subclass__(**kwargs)

    @classmethod
    def pace(cls, target: Target) -> Pace | None:
        """A burst has a pace of its own."""
        return BurstPace(target, stopped_s=cls.stopped_s)
