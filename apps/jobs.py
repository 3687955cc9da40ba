"""Jobs: slow work that a request hands in, what became of it, and how long it took until it was done.

How a job is run is each app's own way: before the answer, in a thread, as a background task of the framework's, or by
Celery (`jobs_celery`). Its state stands in an SQLite file that the processes of one server share; Celery keeps its own.
Whoever hands in or finishes a job notes it in the folder that SGIBENCH_DATA names, so that whoever measures knows
without asking how many wait and how long they took. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import sqlite3
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inside import Tick

if TYPE_CHECKING:
    from contract import Answer

HANDED_IN = Tick("jobs-handed-in")
FAILED = Tick("jobs-failed")
DONE = "jobs-done"
"""Files `jobs-done/PID`: eight bytes a job, the microseconds from handing in until it was done."""
POOL_THREADS = 4


class Job(NamedTuple):
    """A job as it is handed on."""

    number: int
    rounds: int
    handed_ns: int
    """By the clock of the machine, which all its processes share."""


class Finished:
    """The journal of jobs that were done; one file a process, only ever added to."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a process that was forked off another."""
        self._lock = threading.Lock()
        self._file: int | None = None

    def note(self, handed_ns: int) -> None:
        """A job is done."""
        took_us = max(0, time.monotonic_ns() - handed_ns) // 1000
        with self._lock:
            if self._file is None:
                self._file = _opened()
            if self._file >= 0:
                os.write(self._file, struct.pack("=q", took_us))


def _opened() -> int:
    """A file of this process; -1 where there can be none: counting must never break an app."""
    with contextlib.suppress(OSError, KeyError):
        path = Path(os.environ["SGIBENCH_DATA"]) / DONE / str(os.getpid())
        path.parent.mkdir(exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return -1


FINISHED = Finished()
os.register_at_fork(after_in_child=FINISHED.forget)


class Jobs:
    """The jobs of one server, in a table of their own; safe with any number of processes, threads and greenlets."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "jobs.sqlite3"
        self._pool: list[sqlite3.Connection] = []
        self._inherited: list[sqlite3.Connection] = []
        os.register_at_fork(after_in_child=self._forget)
        with (folder / "jobs.lock").open("w") as lock, self._table() as table:
            # SQLite does not wait for a lock while it switches to WAL, so the processes queue here instead.
            fcntl.flock(lock, fcntl.LOCK_EX)
            table.execute("PRAGMA journal_mode=WAL")
            table.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, result TEXT)")

    def _forget(self) -> None:
        """After a fork: SQLite forbids even closing a parent's connection, so keep it, unused."""
        self._inherited += self._pool
        self._pool = []

    @contextlib.contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        """A connection for one statement; a job is handed in and done by different threads."""
        try:
            table = self._pool.pop()
        except IndexError:
            table = sqlite3.connect(self._path, timeout=5, isolation_level=None, check_same_thread=False)
            table.execute("PRAGMA synchronous=OFF")
        yield table
        self._pool.append(table)  # one that failed does not come back here

    def hand_in(self, rounds: int) -> Job:
        """Note a job that is to be done."""
        handed_ns = time.monotonic_ns()
        with self._table() as table:
            number = table.execute("INSERT INTO jobs (result) VALUES (NULL)").lastrowid or 0
        HANDED_IN()
        return Job(number, rounds, handed_ns)

    def do(self, job: Job) -> None:
        """Do it, and note what came of it."""
        result = work(job.rounds)
        with self._table() as table:
            table.execute("UPDATE jobs SET result = ? WHERE id = ?", (result, job.number))
        FINISHED.note(job.handed_ns)

    def result_of(self, number: int) -> tuple[str | None] | None:
        """What came of a job, None as long as nothing has; in place of all that None for a job that there is not."""
        with self._table() as table:
            row: tuple[str | None] | None = table.execute("SELECT result FROM jobs WHERE id = ?", (number,)).fetchone()
        return row


def work(rounds: int) -> str:
    """The work itself: the contract's arithmetic."""
    import contract  # noqa: PLC0415 - which imports this module in its turn

    return contract.get_cpu(str(rounds), "", b"").body.decode()


@functools.cache
def jobs() -> Jobs:
    """Open the table on first use, beside the items where they are in a named folder."""
    folder = os.environ.get("SGIBENCH_DATA")
    if not folder:
        private = Path(tempfile.gettempdir()) / f"sgibench-jobs-{os.getuid()}-{os.getpgrp()}"
        private.mkdir(mode=0o700, exist_ok=True)
        if private.stat().st_uid != os.getuid():
            raise PermissionError(f"{private} belongs to another user; name a folder of yours in SGIBENCH_DATA")
        folder = str(private)
    return Jobs(Path(folder))


def do(job: Job) -> None:
    """Do a job that was handed in."""
    jobs().do(job)


def handed(query: str, body: bytes, run: Callable[[Job], object]) -> Answer:
    """Take a job and have `run` see to it; where that is asked for it is done at once instead."""
    import contract  # noqa: PLC0415 - as in `work`

    inline, rounds = contract.wants_inline(query), contract.read_job(body)
    job = jobs().hand_in(rounds)
    (do if inline else run)(job)
    return contract.accepted(job.number)


@functools.cache
def pool() -> ThreadPoolExecutor:
    """Threads of this process's own that do jobs; made on first use, after a server has forked its workers."""
    return ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="job")
