"""One private instance of a service: found, prepared, started behind a guard, ready when it answers, always buried.

It never runs as root: started by root it runs as an account without rights, in a folder that is that account's. What it
writes is read like a server's log.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from sgibench import ending, machine
from sgibench.catalogue.services import client_of, command_of, files_of, preparation_of
from sgibench.errors import MisdeclaredError, ServerError, one_line
from sgibench.model import Memory, ServiceClient, ServiceEntry, ServiceLaunch
from sgibench.secrets import keep
from sgibench.serve.guarded import Command, Guarded, NotStartedError, is_stopped
from sgibench.serve.logs import tail_of
from sgibench.serve.process import HOST, free_port
from sgibench.serve.services.answers import CheckedClient
from sgibench.serve.services.finding import Programs, find, open_to_all
from sgibench.serve.services.patience import TimeLimitError, within

READY_S = 60.0
ANSWER_S = 30.0
"""A service that is silent for so long is out of use: whoever measures must never wait for it without end."""
PREPARED_S = 120.0
STOPPED_S = 10.0
POLL_S = 0.02
NOBODY = "nobody"
"""The account that services run under when root starts them."""
OPEN_FILES = 65536

T = TypeVar("T")


class SilentError(ServerError):
    """A service left a question without an answer."""


class Instance:
    """A service from its first command to its burial; a context manager that leaves nothing behind."""

    def __init__(self, entry: ServiceEntry, folder: Path, cpus: Sequence[int]) -> None:
        """`folder` is made anew at each start; its parents let everybody pass."""
        self.entry = entry
        self.folder = folder
        self.cpus = tuple(cpus)
        self.version = ""
        self.argv: tuple[str, ...] = ()
        self.programs: Programs | None = None
        self._account = NOBODY if os.geteuid() == 0 else None
        self._launch: ServiceLaunch | None = None
        self._running: Guarded | None = None
        self._client: ServiceClient | None = None
        self._silent = False
        """Whether it left a question without an answer; from then on it is asked nothing."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- life ------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start it and wait until it answers; raises ServerError, EnvsError for programs that are not there."""
        self.programs = find(self.entry.service)
        for last in (False, False, True):
            self._launch = self._prepared(self.programs)
            self._run(self._launch)
            try:
                self._wait_ready()
            except ServerError as error:
                self.kill()
                if last or error.reason != "exited" or not _port_taken(error.log_tail):
                    raise
            else:
                return

    def _prepared(self, programs: Programs) -> ServiceLaunch:
        """Make its folder and files, and run its own commands."""
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            launch = ServiceLaunch(
                programs=self._reachable(programs),
                data=self.folder / "data",
                scratch=self.folder,
                host=HOST,
                port=free_port(),
                password=secrets.token_urlsafe(24),
                log=self.folder / "service.log",
            )
            keep({f"password of {self.entry.id}": launch.password})
            for name, text in files_of(self.entry, launch).items():
                self._write(self.folder / name, text)
            launch.log.touch(mode=0o600)
            self._give(self.folder)
        except OSError as error:
            raise ServerError("client", f"no scratch folder for {self.entry.id}: {error.strerror}") from None
        for argv in preparation_of(self.entry, launch):
            self._finish(argv, launch)
        return launch

    @staticmethod
    def _write(path: Path, text: str) -> None:
        """Write a file that may hold a password."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)

    def _give(self, folder: Path) -> None:
        """Let the folder and what is in it be the account's, and nobody else's."""
        folder.chmod(0o700)
        if self._account is not None:
            entry = pwd.getpwnam(self._account)
            for path in (folder, *folder.iterdir()):
                os.chown(path, entry.pw_uid, entry.pw_gid)

    def _reachable(self, programs: Programs) -> dict[str, Path]:
        """Copy the programs of a package when the account can't reach root's cache of environments."""
        if self._account is None or programs.root is None or open_to_all(programs.root):
            return dict(programs.paths)
        copy = self.folder.parent / f"{self.entry.id}-programs"
        inner = copy / "package" / "root"
        if not copy.exists():
            shutil.copytree(programs.root, inner, symlinks=True)
            # Shared libraries of a repaired wheel stand beside its package (`NAME.libs`), found by relative paths.
            for libraries in programs.root.parent.parent.glob("*.libs"):
                shutil.copytree(libraries, copy / libraries.name)
        return {name: inner / path.relative_to(programs.root) for name, path in programs.paths.items()}

    def _command(self, argv: Sequence[str], launch: ServiceLaunch) -> Command:
        return Command(
            argv=tuple(argv),
            env={
                "PATH": f"{Path(argv[0]).parent}:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.folder),
                "LC_ALL": "C",
                "TZ": "UTC",
            },
            cwd=self.folder,
            log=launch.log,
            cpus=self.cpus,
            files=OPEN_FILES,
            account=self._account,
            stop=getattr(signal, f"SIG{self.entry.service.stop}"),
        )

    def _finish(self, argv: Sequence[str], launch: ServiceLaunch) -> None:
        """Run a command to its end."""
        try:
            with Guarded(self._command(argv, launch)) as running:
                if not running.wait(PREPARED_S):
                    raise ServerError(
                        "not-ready", f"{Path(argv[0]).name} took more than {PREPARED_S:g} s", self.log_tail()
                    )
                if running.exit_status:
                    name, status = Path(argv[0]).name, running.exit_status
                    raise ServerError("exited", f"{name} {ending.how(status)}", tail_of(launch.log))
        except NotStartedError as error:
            raise ServerError("client" if error.ours else "not-started", str(error)) from None

    def _run(self, launch: ServiceLaunch) -> None:
        self.argv = tuple(command_of(self.entry, launch))
        running = self._running = Guarded(self._command(self.argv, launch))
        try:
            running.start()
        except NotStartedError as error:
            raise ServerError("client" if error.ours else "not-started", str(error)) from None
        self._client = CheckedClient(self.entry, client_of(self.entry, launch))

    def _wait_ready(self) -> None:
        """Ask until it answers; log lines are not believed."""
        deadline = time.monotonic() + READY_S
        last = "it said nothing"
        while time.monotonic() < deadline:
            if self._running is None or not self._running.alive():
                status = None if self._running is None else self._running.exit_status
                raise ServerError("exited", f"it {ending.how(status)} before it answered", self.log_tail())
            try:
                self.version = within(READY_S, self._asked().version)
            except MisdeclaredError:
                raise
            except Exception as error:  # noqa: BLE001 - a stranger's client may raise anything, and means "not yet"
                last = one_line(f"{type(error).__name__}: {error}")
                time.sleep(POLL_S)
            else:
                return
        raise ServerError("not-ready", f"it did not answer within {READY_S:g} s: {last}", self.log_tail())

    def stop(self) -> None:
        """Ask it to end, wait for a while, and kill what is left."""
        running = self._running
        if self._client is not None and not self._silent:
            with contextlib.suppress(Exception):
                within(STOPPED_S, self._client.close)
        if running is not None and running.alive() and self.ended() is None:
            running.ask_to_stop()
            running.wait(STOPPED_S)
        self.kill()

    def kill(self) -> None:
        """End every process that it ever started, and take away what they left."""
        running, self._running = self._running, None
        if running is not None:
            running.kill()
        if self._launch is not None and self.entry.service.bury is not None:
            with contextlib.suppress(Exception):
                self.entry.service.bury(self._launch)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what it is ------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Its first process."""
        return 0 if self._running is None else self._running.pid

    def pids(self) -> tuple[int, ...]:
        """All its processes that live."""
        return () if self._running is None else self._running.pids()

    def memory(self) -> Memory:
        """Memory of all its processes together."""
        return machine.tree_memory(self.pids())

    def ended(self) -> str | None:
        """How it is out of use, e.g. `was killed (SIGKILL)`: it ended, or was stopped; None when it goes on."""
        running = self._running
        if running is None or not running.alive():
            return _how(None if running is None else running.exit_status)
        if any(is_stopped(pid) for pid in running.pids()):
            return "was stopped (SIGSTOP)"
        return f"did not answer within {ANSWER_S:g} s" if self._silent else None

    def log_tail(self) -> str:
        """Return the end of its log."""
        return "" if self._launch is None else tail_of(self._launch.log)

    # --- what it is asked ------------------------------------------------------------------------------------------

    def ask(self, question: Callable[[ServiceClient], T]) -> T:
        """Ask something; whatever goes wrong is a ServerError that says so."""
        try:
            return asked(self.entry.id, self._asked(), question)
        except SilentError:
            self._silent = True
            raise

    def _asked(self) -> ServiceClient:
        if self._client is None:
            raise AssertionError("a service is asked outside its context")
        return self._client


def asked(name: str, client: ServiceClient, question: Callable[[ServiceClient], T]) -> T:
    """Ask a service something; raises ServerError, of the kind SilentError when there was no answer in time."""
    try:
        return within(ANSWER_S, lambda: question(client))
    except MisdeclaredError:
        raise
    except TimeLimitError:
        raise SilentError("service", f"{name} did not answer within {ANSWER_S:g} s") from None
    except Exception as error:
        raise ServerError("service", one_line(f"{name} did not answer: {type(error).__name__}: {error}")) from error


def _port_taken(log_tail: str) -> bool:
    return "in use" in log_tail.lower()


def _how(status: int | None) -> str:
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed ({signal.Signals(-status).name})"
    return f"was killed (signal {-status})"
