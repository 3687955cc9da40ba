"""One running server: started behind a guard, ready when every worker has answered, always killed with all it started.

The engine owns server processes through this module alone. Nothing here measures load; it says which processes a
server consists of, what they hold in memory, whether they live, and what they logged. A server behind a front is
several commands: the front, and one or more servers of the same kind; all of them are the server to everybody else.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sgibench import machine
from sgibench.errors import ServerError
from sgibench.model import App, Launch, Memory, OwnApp, ServerEntry, Settings
from sgibench.model.terms import TLS, Protocol
from sgibench.serve import certificate, placing
from sgibench.serve.guarded import Command, NotStartedError, is_stopped
from sgibench.serve.own.copying import in_copy
from sgibench.serve.own.preparing import prepare_start
from sgibench.serve.own.spec import MODULE
from sgibench.serve.parts import Parts
from sgibench.serve.placing import FRONT, Placed
from sgibench.serve.variables import import_paths, variables_of

HOST = "127.0.0.1"
READY_TIMEOUT_S = 30.0
OWN_READY_TIMEOUT_S = 90.0
"""An app of the user's may have much to import."""
STOP_TIMEOUT_S = 10.0
"""A server that has no connections left and still runs so long after SIGTERM has ignored it."""
LOG_CAP_BYTES = 8 * 2**20
LOG_TAIL_BYTES = 2000
POLL_S = 0.02
STRAGGLERS_S = 2.0
"""A worker that has not started so long after another one answered is not waited for."""
OPEN_FILES = 65536
"""Files that a server may have open, where the hard limit allows it: the same for all, whatever the shell's limit."""
SAFE_PATH = (3, 11)
OURS = "client"
"""Reason of a failure that is not the server's: the machine had no descriptor, process, memory or disk left for us."""
IN_USE = ("address already in use", "errno 98", "errno 48", "eaddrinuse")


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    """All that is needed to start one server."""

    entry: ServerEntry
    app: App
    settings: Settings
    bin: Path
    """Executables of its environment."""
    cpus: tuple[int, ...]
    """Where it may run; empty for anywhere."""
    scratch: Path
    """A folder of its own, made anew at each start."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version in its environment."""
    protocol: Protocol = "http"
    """What it is started to speak."""
    python: str = ""
    """Version of its interpreter; empty for that of sgibench."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the app is told besides, e.g. where its services are."""


def for_python(argv: Sequence[str], version: str) -> tuple[str, ...]:
    """Leave out the option -P, which keeps a script's folder off the import path, where Python is older than it."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    old = bool(numbers) and numbers < SAFE_PATH
    return tuple(word for place, word in enumerate(argv) if not (old and word == "-P" and place))


_LATELY: deque[int] = deque(maxlen=256)
"""Ports that were given out lately: the servers that got them may not listen yet, and two that share one by
SO_REUSEPORT would both seem to answer."""


def free_port() -> int:
    """Ask the system for a port that nobody uses, and that was not given to another server just now."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in _LATELY:
            _LATELY.append(port)
            return port


class ServerProcess:
    """A server from launch to burial; a context manager that never leaves a process behind."""

    def __init__(self, spec: ServerSpec) -> None:
        """Nothing is started before the context is entered."""
        self.spec = spec
        self.port = 0
        self.argv: tuple[str, ...] = ()
        self.launch: Launch | None = None
        self.pid = 0
        self.startup_s: float | None = None
        self.log = spec.scratch / "server.log"
        self.data = spec.scratch / "data"
        """What the app may write to; SGIBENCH_DATA names it."""
        self._own = spec.app.own
        """The user's app as this start serves it: in a copy of the project where that is wanted."""
        self._parts = Parts()
        self._placed: tuple[Placed, ...] = ()
        """The servers behind the front, or the one server without."""
        self.front_argv: tuple[str, ...] | None = None
        """How its front was started; None without one, and before that."""
        self._started_s = 0.0
        self._asked_s: float | None = None
        """When it was asked to stop."""
        self.stop_s: float | None = None
        """How long it took to end after that; None as long as it has not, and when it had to be killed."""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # --- life ------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        try:
            self.port = free_port()
            self._prepare_scratch()
        except OSError as error:
            raise ServerError(OURS, f"this machine gave it no port or scratch folder: {error.strerror}") from None
        self._parts, self.launch, self.front_argv = Parts(), self._placed[0].launch, None
        self._started_s = time.monotonic()
        for one in self._placed:
            argv = for_python(one.entry.command(one.launch), self.spec.python)
            pid = self._start_part(one.name, argv)
            if one is self._placed[0]:
                self.pid, self.argv = pid, argv

    def _start_part(self, name: str, argv: tuple[str, ...]) -> int:
        """Start one command; raises ServerError."""
        try:
            return self._parts.start(
                name,
                Command(
                    argv=argv,
                    env=self._environment(),
                    cwd=self.spec.app.folder if self._own is None else self._own.project,
                    log=self.log,
                    cpus=self.spec.cpus,
                    files=OPEN_FILES,
                ),
            )
        except NotStartedError as error:
            raise ServerError(OURS if error.ours else "not-started", str(error)) from None

    def _prepare_scratch(self) -> None:
        shutil.rmtree(self.spec.scratch, ignore_errors=True)
        self.data.mkdir(parents=True)
        self._placed = placing.servers(self.spec.entry, self._launch(), free_port)
        for one in self._placed:
            placing.write(one.launch.scratch, one.entry.variant.files)
            if one.launch.tls:
                certificate.make(one.launch.certificate, one.launch.key)
        if (own := self.spec.app.own) is not None:
            self._own = own = in_copy(own, self.spec.scratch) if own.copied else own
            (self.spec.scratch / "app").mkdir()
            (self.spec.scratch / "app" / f"{MODULE}.py").write_text(own.source, encoding="utf-8")
            prepare_start(own, self.spec.scratch, self._environment())

    def _launch(self) -> Launch:
        return Launch(
            bin=self.spec.bin,
            launchers=self.spec.entry.path.parent / "launchers",
            scratch=self.spec.scratch,
            host=HOST,
            port=self.port,
            target=self.spec.app.target,
            options=self.spec.entry.variant.options,
            workers=self.spec.settings.workers,
            threads=self.spec.settings.threads,
            backlog=self.spec.settings.backlog,
            keep_alive_s=self.spec.settings.keep_alive_s,
            configuration=self.spec.settings.configuration,
            versions=self.spec.versions,
            protocol=self.spec.protocol,
            lifespan=self.spec.app.own is None or self.spec.app.own.lifespan == "supported",
        )

    def _environment(self) -> dict[str, str]:
        """Give the server little, and the same every time: no variable of the user's changes a result."""
        own = self._own
        paths = import_paths(self.spec.app.folder, own, self.spec.scratch / "app")
        return {**variables_of(self.spec.bin, self.data, paths, own), **self.spec.variables}

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its processes find, and those of a worker beside it."""
        return self._environment()

    @property
    def end(self) -> str:
        """How it, or the part of it that ended first, came to its end, as `it ended with status 3`."""
        ended = self._parts.ended()
        if ended is None:
            return "it runs"
        return f"{self._told(ended.name)} ended with status {ended.status}"

    def _told(self, name: str) -> str:
        """What a person calls a part."""
        front = self.spec.entry.front
        if front is None:
            return "it"
        if name == FRONT:
            return f"its front {front.family}"
        behind = next(one.entry.id for one in self._placed if one.name == name)
        return f"{behind} behind {front.family}" + (f" ({name})" if len(self._placed) > 1 else "")

    def alive(self) -> bool:
        """Whether its first process still runs, and that of each of its parts."""
        return self._parts.alive()

    # --- what is done to it ----------------------------------------------------------------------------------------

    @property
    def servers(self) -> int:
        """How many of the kind stand behind its front; 1 without one."""
        return max(1, len(self._placed))

    def take_away(self, number: int) -> None:
        """Kill one of the servers behind its front; from here on nobody misses it."""
        self._parts.take_away(self._placed[number - 1].name)

    def bring_back(self, number: int) -> None:
        """Start that one again, where it was; whether it is ready is not waited for. Raises ServerError."""
        one = self._placed[number - 1]
        if one.launch.socket is not None:
            one.launch.socket.unlink(missing_ok=True)
        self._start_part(one.name, for_python(one.entry.command(one.launch), self.spec.python))

    def is_away(self, part: str) -> bool:
        """Whether a part, by what a person calls it, was taken away and is not back, or is a new one."""
        return any(self._told(name) == part for name in self._parts.replaced)

    def wait_ready(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Poll `GET /pid` on new connections until every worker has answered; log lines are not believed.

        Tries again on another port when this one turns out to be taken. `meanwhile` is called between two questions,
        and what it raises ends the waiting. Raises ServerError.
        """
        for _attempt in range(3):
            try:
                self._wait_for_workers(meanwhile)
            except ServerError as error:
                if error.reason != "exited" or not any(sign in self.log_tail().lower() for sign in IN_USE):
                    raise
                self.kill()
                self._start()
            else:
                self.startup_s = time.monotonic() - self._started_s
                return
        raise ServerError("not-started", "three ports in a row were taken", self.log_tail())

    def _wait_for_workers(self, meanwhile: Callable[[], None]) -> None:
        limit_s = READY_TIMEOUT_S if self.spec.app.own is None else OWN_READY_TIMEOUT_S
        deadline = self._started_s + limit_s
        if self.spec.entry.front is not None:
            self._start_front(meanwhile, deadline)
        workers = self.spec.settings.workers * len(self._placed)
        seen: set[int] = set()
        last = "nothing listened"
        answers = 0
        first_s = 0.0
        while time.monotonic() < deadline:
            meanwhile()
            if not self.alive():
                raise ServerError("exited", f"{self.end} before it answered", self.log_tail())
            answer = self._ask()
            if isinstance(answer, int):
                seen.add(answer)
                answers += 1
                first_s = first_s or time.monotonic()
                # A shared socket may give one worker nearly everything: after so many answers the rest is taken as up,
                # once as many processes run as were declared, or there was ample time for them to be started.
                enough = answers >= 8 * workers and (self._complete() or time.monotonic() > first_s + STRAGGLERS_S)
                if len(seen) >= workers or enough:
                    return
            else:
                last = answer
                time.sleep(POLL_S)
        raise ServerError("not-ready", f"not ready within {limit_s:g} s: {last}", self.log_tail())

    def _start_front(self, meanwhile: Callable[[], None], deadline: float) -> None:
        """Start what stands before the servers once each of them listens: a balancer would take the others for dead."""
        for one in self._placed:
            while not one.listens():
                meanwhile()
                if not self.alive():
                    raise ServerError("exited", f"{self.end} before it listened", self.log_tail())
                if time.monotonic() > deadline:
                    raise ServerError("not-ready", f"{self._told(one.name)} never listened", self.log_tail())
                time.sleep(POLL_S)
        self.front_argv = placing.front(self.spec.entry, self._launch(), self._placed)
        self._start_part(FRONT, self.front_argv)

    def _ask(self) -> int | str:
        """Ask whether it is ready: which process answered, or what is wrong. An app of the user's can't say which."""
        own = self.spec.app.own
        tls = self.spec.protocol in TLS
        return ask_pid(self.port, tls=tls) if own is None else ask_ready(self.port, own, tls=tls)

    def _complete(self) -> bool:
        """Whether as many of its processes run as its declaration says."""
        expected = None if self.launch is None else self.spec.entry.expected(self.launch).processes
        return expected is None or len(self.pids()) >= expected

    def ask_to_stop(self) -> None:
        """Send SIGTERM and don't wait, so that several servers can end at once; `stop` does the rest."""
        if self._asked_s is None and self._parts.alive():
            self._asked_s = time.monotonic()
            self._parts.ask_to_stop()

    def stop(self) -> None:
        """Ask it to end and wait; raises ServerError when it had to be killed. Everything is killed in any case."""
        self.ask_to_stop()
        asked_s, self._asked_s = self._asked_s, None
        ignored = False
        if asked_s is not None:
            ignored = not self._parts.wait(asked_s + STOP_TIMEOUT_S - time.monotonic())
            exited_s = self._parts.exited_s
            self.stop_s = None if exited_s is None else max(0.0, exited_s - asked_s)
        tail = self.log_tail()
        self.kill()
        if ignored:
            raise ServerError("ignored-sigterm", f"still ran {STOP_TIMEOUT_S:g} s after SIGTERM and was killed", tail)

    def let_go(self) -> None:
        """Have all its processes killed, and don't wait; `kill` does."""
        self._parts.let_go()

    def kill(self) -> None:
        """End every process that it ever started."""
        self._parts.kill()

    # --- what it is ------------------------------------------------------------------------------------------------

    def pids(self) -> tuple[int, ...]:
        """All its processes that live, those included that left its process group."""
        return self._parts.pids()

    def front_pids(self) -> tuple[int, ...]:
        """Those of them that are the front's; none without one."""
        return () if self.front_argv is None else self._parts.pids([FRONT])

    def pids_by_part(self) -> Mapping[str, tuple[int, ...]]:
        """The processes of each of its parts, by what a person calls it."""
        return {self._told(name): pids for name, pids in self._parts.pids_by_name().items()}

    def stopped(self) -> str | None:
        """Say which part of it was stopped by a signal (SIGSTOP) and waits to be told to go on; None when none was."""
        for name, pids in self.pids_by_part().items():
            still = sum(map(is_stopped, pids))
            if still:
                some = f"{still} of {'its processes' if name == 'it' else f'the processes of {name}'}"
                who = name if still == len(pids) else some
                return f"{who} {'was' if who == name or still == 1 else 'were'} stopped from outside (SIGSTOP)"
        return None

    def memory(self) -> Memory:
        """Memory of the whole tree."""
        return machine.tree_memory(self.pids())

    def log_bytes(self) -> int:
        """How much it has logged."""
        try:
            return self.log.stat().st_size
        except OSError:
            return 0

    def log_tail(self) -> str:
        """Return the end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log_bytes() - LOG_TAIL_BYTES))
                return file.read(LOG_TAIL_BYTES).decode("utf-8", errors="replace").strip()
        except OSError:
            return ""


def ask_pid(port: int, timeout_s: float = 1.0, *, tls: bool = False) -> int | str:
    """Ask `GET /pid` on a new connection, over HTTP/1.1: the worker's pid, or what went wrong in a few words."""
    connection = _connection(port, timeout_s, tls=tls)
    try:
        connection.request("GET", "/pid", headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"GET /pid: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    if response.status != http.client.OK or not body.isdigit():
        return f"GET /pid answered {response.status} {body[:60]!r}"
    return int(body)


def ask_ready(port: int, own: OwnApp, timeout_s: float = 10.0, *, tls: bool = False) -> int | str:
    """Ask an app of the user's whether it is ready: 0 for yes, or what is wrong in a few words.

    The path that the user named must be answered with a status under 400, any other one with one under 500.
    """
    path, limit = (own.first, 500) if own.ready is None else (own.ready, 400)
    connection = _connection(port, timeout_s, tls=tls)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"GET {path}: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return 0 if response.status < limit else f"GET {path} answered {response.status} {body[:60]!r}"


def _connection(port: int, timeout_s: float, *, tls: bool) -> http.client.HTTPConnection:
    """Make a connection over HTTP/1.1, which every server here speaks beside whatever it is asked in."""
    if not tls:
        return http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    return http.client.HTTPSConnection(HOST, port, timeout=timeout_s, context=certificate.trusting("http/1.1"))


def idle_cpu(servers: Sequence[ServerProcess], for_s: float) -> list[float | None]:
    """CPUs that each server burns while nothing is asked of any, over `for_s` seconds."""
    trees = [server.pids() for server in servers]
    before = [machine.tree_cpu_s(pids) for pids in trees]
    began_s = time.monotonic()
    time.sleep(for_s)
    elapsed_s = time.monotonic() - began_s
    after = [machine.tree_cpu_s(pids) for pids in trees]
    return [
        None if first is None or last is None else (last - first) / elapsed_s
        for first, last in zip(before, after, strict=True)
    ]
