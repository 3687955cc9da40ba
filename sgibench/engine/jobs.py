"""Jobs that a server was handed while it was loaded: how many were done, how soon, and by whose CPU.

Jobs go on when the load has ended, so servers that are handed jobs are loaded one after the other, each in one unbroken
window, with a worker of its own that is started just before and ends with it. Counters and clocks are read at the same
two moments: when the window begins and when the load has ended. Whether each job was done, and once, is seen when
nothing is left to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sgibench import machine
from sgibench.errors import ServerError
from sgibench.histogram import Histogram
from sgibench.model import Failure, Jobs, Windows
from sgibench.serve import jobs
from sgibench.serve.jobs import Noted
from sgibench.serve.process import ServerProcess
from sgibench.serve.worker import Worker

NO_JOB_DONE, JOBS_FAILED, DONE_TWICE, JOBS_LOST = "no-job-done", "jobs-failed", "jobs-done-twice", "jobs-lost"
DRAIN_S = 10.0
"""So long a server that does its jobs itself may go on after the load, before the next one is loaded."""
SHORT_S = 3.0
"""The end of a worker's queue is waited for where it takes no longer than this, at the pace that was seen."""
STILL_S = 5.0
"""Where no job is done for so long, while nothing else is asked, none will be."""
POLL_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What was read at one moment."""

    at_s: float
    noted: Noted
    server_cpu_s: float | None
    worker_cpu_s: float | None


class JobWatch:
    """The jobs of one server during one load."""

    def __init__(self, server: ServerProcess, worker: Worker | None = None) -> None:
        self._server = server
        self.worker = worker
        self._purged = 0 if worker is None else jobs.look(server.data).waiting
        """Jobs of before that nobody will do: a worker empties its queue when it begins."""
        self._first = self._look()

    def begin(self) -> None:
        """The window begins."""
        self._first = self._look()

    def trouble(self) -> ServerError | None:
        """Say why no more jobs are done; None where nothing is wrong."""
        return None if self.worker is None else self.worker.trouble()

    def _look(self) -> Moment:
        return Moment(
            at_s=time.monotonic(),
            noted=jobs.look(self._server.data),
            server_cpu_s=machine.tree_cpu_s(self._server.pids()),
            worker_cpu_s=None if self.worker is None else self.worker.cpu_s(),
        )

    def end(self) -> Jobs:
        """The load has ended: say what came of the jobs."""
        first, last = self._first, self._look()
        took = Histogram()
        took.record(jobs.took_us(self._server.data, first.noted, last.noted) * 1000)
        return Jobs(
            span_s=last.at_s - first.at_s,
            handed=last.noted.handed - first.noted.handed,
            done=last.noted.done - first.noted.done,
            failed=last.noted.failed - first.noted.failed,
            waiting_start=max(0, first.noted.waiting - self._purged),
            waiting_end=max(0, last.noted.waiting - self._purged),
            took_histogram_us=took.to_data() if took.count else None,
            server_cpu_s=_between(first.server_cpu_s, last.server_cpu_s),
            worker_cpu_s=_between(first.worker_cpu_s, last.worker_cpu_s),
            worker_memory=None if self.worker is None else self.worker.memory(),
            worker=() if self.worker is None else self.worker.argv,
        )

    def settle(self) -> int | None:
        """Let the jobs come to their end, so that they are not paid for by the next load; gives `Jobs.unaccounted`.

        Raises ServerError for a worker that goes away meanwhile.
        """
        began_s = moved_s = time.monotonic()
        last = jobs.look(self._server.data)
        if self.worker is not None and self._left(last) > SHORT_S * self._pace(last, began_s):
            return None
        while (left := self._left(now := jobs.look(self._server.data))) and time.monotonic() < began_s + DRAIN_S:
            if (error := self.trouble()) is not None:
                raise error
            if now != last:
                last, moved_s = now, time.monotonic()
            if time.monotonic() > moved_s + STILL_S:
                return left
            time.sleep(POLL_S)
        return None if left else 0

    def _left(self, noted: Noted) -> int:
        """Jobs that were handed in and came to no end; below 0 where more came to one than were handed in."""
        return noted.handed - noted.done - noted.failed - self._purged

    def _pace(self, now: Noted, at_s: float) -> float:
        """Jobs done per second since the window began."""
        return (now.done - self._first.noted.done) / max(at_s - self._first.at_s, POLL_S)


def unbroken(windows: Windows) -> Windows:
    """Give the windows of servers that are handed jobs."""
    return replace(windows, slice_s=None, turn_s=None)


def _between(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else max(0.0, last - first)


@contextmanager
def watching(server: ServerProcess, trouble: Callable[[], ServerError | None]) -> Iterator[JobWatch]:
    """Watch a server's jobs, with its worker beside it where the app has one; raises ServerError.

    `trouble` says that a service is out of use, without which the worker would never be ready.
    """
    app = server.spec.app
    command = next((app.workers[service] for service in app.uses if service in app.workers), None)
    if command is None:
        yield JobWatch(server)
        return

    def meanwhile() -> None:
        if (error := trouble()) is not None:
            raise error

    with Worker(server, command) as worker:
        worker.wait_ready(meanwhile)
        yield JobWatch(server, worker)


def judge_jobs(found: Jobs, log_tail: str, open_ends: int = 0) -> Failure | None:
    """Say what the jobs have to say against a trial.

    `open_ends` requests had no answer: of these the jobs may have been handed in or not.
    """
    if found.failed:
        return Failure(reason=JOBS_FAILED, detail=f"{found.failed:,} jobs failed", log_tail=log_tail)
    if found.done > found.handed + found.waiting_start:
        detail = f"{found.done:,} jobs were done, but {found.handed + found.waiting_start:,} were there to be done"
        return Failure(reason=DONE_TWICE, detail=detail, log_tail=log_tail)
    if found.handed and not found.done:
        detail = f"not one of {found.handed:,} jobs was done in {found.span_s:.1f} s"
        return Failure(reason=NO_JOB_DONE, detail=detail, log_tail=log_tail)
    unaccounted = found.unaccounted or 0
    if unaccounted > open_ends:
        detail = f"{unaccounted:,} jobs that were handed in were never done: nothing went on any more after the load"
        return Failure(reason=JOBS_LOST, detail=detail, log_tail=log_tail)
    if unaccounted < -open_ends:
        detail = f"{-unaccounted:,} more jobs were done than were handed in"
        return Failure(reason=DONE_TWICE, detail=detail, log_tail=log_tail)
    return None
