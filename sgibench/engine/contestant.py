"""One server of a stage while it runs: what it did so far, what it uses, and what went wrong first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sgibench.engine.jobs import JobWatch
from sgibench.engine.services import OUT_OF_CONNECTIONS, Used
from sgibench.errors import ServerError
from sgibench.model import (
    Cell,
    Failure,
    Jobs,
    ServerEntry,
    Stopped,
)
from sgibench.serve.guarded import Standstill
from sgibench.serve.own.driving import Beside
from sgibench.serve.process import ServerProcess


@dataclass(kw_only=True)
class Contestant:
    """One server of a stage while it runs, what it did so far, and what went wrong."""

    entry: ServerEntry
    process: ServerProcess
    failure: Failure | None = None
    """From here on it takes no part."""
    beside: Beside | None = None
    """Its app, called without a server beside it."""
    within: bool = False
    """Whether it calls the user's app within its own process when it is asked to."""
    idle_cpu: float | None = None
    measured: list[str] = field(default_factory=list)
    """Cells that were measured on it."""
    jobs: JobWatch | None = None
    """What watches its jobs while it is loaded."""
    did: Jobs | None = None
    """What came of the jobs of its last load."""
    proved: bool = False
    """Whether what it notes of its jobs was found to be so."""
    stop_failure: Failure | None = None
    """Why all of them count for nothing."""
    eventful: bool = False
    """Whether a scenario has something done to it, so that requests may be lost."""
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The processes of each of its parts when a load began, by what a person calls it."""
    standstill: Standstill = field(default_factory=Standstill)
    """Of any of its processes, while it is loaded."""
    used: Used = field(default_factory=Used)
    """What it uses of services."""

    def fail(self, error: ServerError) -> None:
        """Keep the first thing that went wrong."""
        if self.failure is None:
            self.failure = Failure(reason=error.reason, detail=error.detail, log_tail=error.log_tail)

    def fail_with_services(self) -> None:
        """Fail when a service is out of use or of room: that outweighs what the server did for want of it."""
        if self.failure is not None and self.failure.reason in {"service", OUT_OF_CONNECTIONS}:
            return
        if (found := self.used.out_of_use()) is not None:
            self.failure = replace(found, log_tail=found.log_tail or self.process.log_tail())

    def trouble(self) -> ServerError | None:
        """Say that a service that it uses is out of use; None when none is."""
        return self.used.trouble()

    def stopped(self, block: int, retries: int) -> Stopped:
        """Say how it stopped, to those who read about what was measured on it."""
        return Stopped(
            stopped=tuple(self.measured),
            block=block,
            retries=retries,
            stop_s=self.process.stop_s,
            failure=self.stop_failure,
        )


Key = tuple[str, str, bool]
"""Server, app, control: what names a process inside a stage; its cells are all of one part."""


def key_of(cell: Cell) -> Key:
    """Name the process that serves a cell."""
    return cell.server, cell.app, cell.control
