"""The running server itself: started behind a guard, waited for, asked to stop, buried with all it started."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from sgibench import ending, machine
from sgibench.errors import ServerError
from sgibench.listening import holders
from sgibench.model import Launch, Memory
from sgibench.serve import placing
from sgibench.serve.guarded import Command, NotStartedError, is_stopped, said_in, stays_stopped
from sgibench.serve.logs import size_of, tail_of
from sgibench.serve.parts import Parts
from sgibench.serve.placing import FRONT, Placed
from sgibench.serve.process.asking import RollCall, ask_pid, ask_ready
from sgibench.serve.process.ports import free_port
from sgibench.serve.process.spec import Prepared, ServerSpec, for_python, prepare

READY_TIMEOUT_S = 30.0
OWN_READY_TIMEOUT_S = 90.0
"""An app of the user's may have much to import."""
STOP_TIMEOUT_S = 10.0
"""A server that has no connections left and still runs so long after SIGTERM has ignored it."""
LOG_CAP_BYTES, OWN_LOG_CAP_BYTES = 8 * 2**20, 64 * 2**20
"""An app of the user's may write a line or two for each request, as it does where it is used."""
POLL_S = 0.02
LOOK_S = 0.5
"""While it is waited for, it is looked so often whether it was stopped."""
OPEN_FILES = 65536
"""Files that a server may have open, where the hard limit allows it: the same for all, whatever the shell's limit."""
OURS = "client"
"""Reason of a failure that is not the server's: the machine had no descriptor, process, memory or disk left for us."""
IN_USE = ("address already in use", "errno 98", "errno 48", "eaddrinuse")


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
        self._parts = Parts()
        self._prepared = Prepared(placed=(), own=spec.app.own, environment={})
        self.front_argv: tuple[str, ...] | None = None
        """How its front was started; None without one, and before that."""
        self._started_s = 0.0
        self._looked_s = 0.0
        """When it was last looked whether it was stopped."""
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
            self._prepared = prepare(self.spec, self.port)
        except OSError as error:
            raise ServerError(OURS, f"this machine gave it no port or scratch folder: {error.strerror}") from None
        except NotStartedError as error:
            raise ServerError(OURS if error.ours else "not-prepared", str(error)) from None
        first = self._prepared.placed[0]
        self._parts, self.launch, self.front_argv = Parts(), first.launch, None
        self._started_s = time.monotonic()
        for one in self._prepared.placed:
            argv = self._command(one)
            pid = self._start_part(one.name, argv)
            if one is first:
                self.pid, self.argv = pid, argv

    def _command(self, one: Placed) -> tuple[str, ...]:
        return for_python(one.entry.command(one.launch), self.spec.python)

    def _start_part(self, name: str, argv: tuple[str, ...]) -> int:
        """Start one command; raises ServerError."""
        own = self._prepared.own
        try:
            return self._parts.start(
                name,
                Command(
                    argv=argv,
                    env=self._prepared.environment,
                    cwd=self.spec.app.folder if own is None else own.project,
                    log=self.log,
                    cpus=self.spec.cpus,
                    files=OPEN_FILES,
                ),
            )
        except NotStartedError as error:
            raise ServerError(OURS if error.ours else "not-started", str(error)) from None

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that its processes find, and those of a worker beside it."""
        return self._prepared.environment

    @property
    def data(self) -> Path:
        """What the app may write to."""
        return self.spec.data

    @property
    def end(self) -> str:
        """How it, or the part of it that ended first, came to its end, as `it ended with status 3`."""
        ended = self._parts.ended()
        if ended is None:
            return "it runs"
        return f"{self._told(ended.name)} {ending.how(ended.status)}"

    def _told(self, name: str) -> str:
        """What a person calls a part."""
        front = self.spec.entry.front
        if front is None:
            return "it"
        if name == FRONT:
            return f"its front {front.family}"
        behind = next(one.entry.id for one in self._prepared.placed if one.name == name)
        return f"{behind} behind {front.family}" + (f" ({name})" if len(self._prepared.placed) > 1 else "")

    def alive(self) -> bool:
        """Whether its first process still runs, and that of each of its parts."""
        return self._parts.alive()

    # --- what is done to it ----------------------------------------------------------------------------------------

    @property
    def servers(self) -> int:
        """How many of the kind stand behind its front; 1 without one."""
        return max(1, len(self._prepared.placed))

    def take_away(self, number: int) -> None:
        """Kill one of the servers behind its front; from here on nobody misses it."""
        self._parts.take_away(self._prepared.placed[number - 1].name)

    def bring_back(self, number: int) -> None:
        """Start that one again, where it was; whether it is ready is not waited for. Raises ServerError."""
        one = self._prepared.placed[number - 1]
        if one.launch.socket is not None:
            one.launch.socket.unlink(missing_ok=True)
        self._start_part(one.name, self._command(one))

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
        roll = RollCall(workers=self.spec.settings.workers * len(self._prepared.placed))
        last = "nothing listened"
        while time.monotonic() < deadline:
            meanwhile()
            if not self.alive():
                raise ServerError("exited", f"{self.end} before it answered", self.log_tail())
            answer = self._ask()
            if isinstance(answer, int):
                roll.heard(answer, time.monotonic())
                if roll.full or (roll.asked_often and (self._complete() or roll.waited(time.monotonic()))):
                    return
            else:
                last = answer
                self._refuse_standstill()
                time.sleep(POLL_S)
        raise ServerError("not-ready", f"not ready within {limit_s:g} s: {self._unready(last)}", self.log_tail())

    def _unready(self, last: str) -> str:
        """Say what kept it from being ready: who was stopped, else what came of the last question, asked of whom."""
        if (told := self.stopped()) is not None:
            return told
        return last if self.spec.entry.front is None else f"{last}, asked of {self._told(FRONT)}"

    def _refuse_standstill(self) -> None:
        """Raise ServerError when a part of it was stopped and does not go on: it would be waited for in vain."""
        if (now_s := time.monotonic()) - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        told = self.stopped()
        if told is not None and stays_stopped(lambda: self.stopped() is not None):
            raise ServerError("stopped", f"{told} before it answered", self.log_tail())

    def _start_front(self, meanwhile: Callable[[], None], deadline: float) -> None:
        """Start what stands before the servers once each of them listens: a balancer would take the others for dead."""
        for one in self._prepared.placed:
            while not one.listens():
                meanwhile()
                if not self.alive():
                    raise ServerError("exited", f"{self.end} before it listened", self.log_tail())
                if time.monotonic() > deadline:
                    told = self.stopped() or f"{self._told(one.name)} never listened"
                    raise ServerError("not-ready", told, self.log_tail())
                self._refuse_standstill()
                time.sleep(POLL_S)
        try:
            self.front_argv = placing.front(self.spec.entry, self.spec.launch(self.port), self._prepared.placed)
        except OSError as error:
            raise ServerError(OURS, f"this machine gave its front no scratch folder: {error.strerror}") from None
        self._start_part(FRONT, self.front_argv)

    def _ask(self) -> int | str:
        """Ask whether it is ready: which process answered, or what is wrong. An app of the user's can't say which."""
        own = self.spec.app.own
        protocol = self.spec.protocol
        return ask_pid(self.port, protocol=protocol) if own is None else ask_ready(self.port, own, protocol=protocol)

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

    def lasting_by_part(self) -> Mapping[str, tuple[int, ...]]:
        """Those of them whose end is a loss: those that serve, as an app of the user's may start others as it likes."""
        parts = self.steady_by_part()
        return parts if self.spec.app.own is None else {name: holders(pids) for name, pids in parts.items()}

    def steady_by_part(self) -> Mapping[str, tuple[int, ...]]:
        """The processes of each of its parts, but for what a front says comes and goes by itself."""
        front, parts = self.spec.entry.front, dict(self.pids_by_part())
        passing = () if front is None else front.variant.passing
        if passing and (name := self._told(FRONT)) in parts:
            parts[name] = tuple(pid for pid in parts[name] if not said_in(pid, passing))
        return parts

    def stopped(self) -> str | None:
        """Say which part of it was stopped by a signal (SIGSTOP) and waits to be told to go on; None when none was."""
        for name, pids in self.pids_by_part().items():
            still = sum(map(is_stopped, pids))
            if still:
                some = f"{still} of {'its processes' if name == 'it' else f'the processes of {name}'}"
                who = name if still == len(pids) else some
                return f"{who} {'was' if who == name or still == 1 else 'were'} stopped (SIGSTOP)"
        return None

    def memory(self) -> Memory:
        """Memory of the whole tree."""
        return machine.tree_memory(self.pids())

    @property
    def log_cap_bytes(self) -> int:
        """So much it may log."""
        return LOG_CAP_BYTES if self.spec.app.own is None else OWN_LOG_CAP_BYTES

    def log_bytes(self) -> int:
        """How much it has logged."""
        return size_of(self.log)

    def log_tail(self) -> str:
        """Return the end of its log."""
        return tail_of(self.log)


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
