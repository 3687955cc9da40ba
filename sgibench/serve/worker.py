"""An app's own worker process: it does the jobs that the app's server hands to a queue, and is counted apart.

It runs in the server's environment, behind a guard like a server, on the CPUs that it is given. It is ready when it
says so by a file in the data folder that it shares with its server; its log is believed in nothing.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import Self

from sgibench import machine
from sgibench.errors import ServerError
from sgibench.model import Memory
from sgibench.serve.guarded import Command, Guarded, NotStartedError, Standstill, is_stopped
from sgibench.serve.logs import tail_of
from sgibench.serve.process import ServerProcess

READY = "worker-ready"
"""The file by which it says that it takes jobs."""
READY_TIMEOUT_S = 60.0
POLL_S = 0.05


class Worker:
    """The worker of one server's app; a context manager that leaves nothing behind."""

    def __init__(self, server: ServerProcess, command: str, cpus: tuple[int, ...] = ()) -> None:
        """Nothing is started before the context is entered."""
        self._server = server
        program, *words = shlex.split(command)
        self.argv = (str(server.spec.bin / program), *words)
        self._cpus = cpus
        self._log = server.spec.scratch / "worker.log"
        self._running: Guarded | None = None
        self._complete: tuple[int, ...] = ()
        """Its processes once it was ready."""
        self._standstill = Standstill()
        """Of any of its processes."""

    def __enter__(self) -> Self:
        (self._server.data / READY).unlink(missing_ok=True)
        self._running = Guarded(
            Command(
                argv=self.argv,
                env=self._server.environment,
                cwd=self._server.spec.app.folder,
                log=self._log,
                cpus=self._cpus or self._server.spec.cpus,
            )
        )
        try:
            self._running.start()
        except NotStartedError as error:
            raise ServerError("worker-not-started", str(error)) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.kill()

    def wait_ready(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until it takes jobs; `meanwhile` is called between two looks. Raises ServerError."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not (self._server.data / READY).exists():
            meanwhile()
            if not self.alive():
                detail = f"its worker ended with {self._status} before it took jobs"
                raise ServerError("worker-died", detail, self.log_tail())
            if time.monotonic() > deadline:
                raise ServerError(
                    "worker-not-ready", f"its worker took no jobs within {READY_TIMEOUT_S:g} s", self.log_tail()
                )
            time.sleep(POLL_S)
        self._complete = self.pids()

    @property
    def _status(self) -> str:
        return f"status {None if self._running is None else self._running.exit_status}"

    def alive(self) -> bool:
        """Whether its first process still runs."""
        return self._running is not None and self._running.alive()

    def pids(self) -> tuple[int, ...]:
        """All its processes that live."""
        return () if self._running is None else self._running.pids()

    def trouble(self) -> ServerError | None:
        """Say why it does no jobs any more; None while it seems to. To be asked again and again."""
        if not self.alive():
            return ServerError("worker-died", f"its worker ended with {self._status} under load", self.log_tail())
        now = self.pids()
        if lost := len({*self._complete} - {*now}):
            detail = f"{lost} of the {len(self._complete)} processes of its worker ended under load"
            return ServerError("worker-died", detail, self.log_tail())
        if not self._standstill.seen(stopped=any(map(is_stopped, now))):
            return None
        return ServerError("worker-stopped", "its worker was stopped (SIGSTOP)", self.log_tail())

    def cpu_s(self) -> float | None:
        """CPU that its processes have used."""
        return machine.tree_cpu_s(self.pids())

    def memory(self) -> Memory:
        """Memory of all its processes."""
        return machine.tree_memory(self.pids())

    def log_tail(self) -> str:
        """Return the end of its log."""
        return tail_of(self._log)
