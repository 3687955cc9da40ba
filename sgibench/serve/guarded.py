"""One command behind a guard (`guard`): whatever ends this process, nothing that the command started goes on.

Servers, the load process, uv and the compilers that uv runs are all started here and nowhere else. A guard may also
hold a lock for as long as anything of its command lives.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from sgibench import machine
from sgibench.errors import SgibenchError
from sgibench.serve import orphans

GUARD = Path(__file__).with_name("guard.py")
STARTED_S = 30.0
"""A guard is a small script; one that has not started its command by then never will."""
BURIED_S = 15.0
STOPPED_S = 2.0
"""Who is stopped (SIGSTOP) for so long is not waited for."""
BETWEEN_LOOKS_S = 1.0
LOOK_S = 0.1


OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.ENOBUFS})
"""What the machine lacks is nobody's fault whose command it is."""


class NotStartedError(SgibenchError):
    """The command can't be run at all; says why in a few words."""

    def __init__(self, message: str, number: int | None = None) -> None:
        """`number` is the system's error, if it was one."""
        super().__init__(message)
        self.ours = number in OURS
        """Whether the machine had nothing left to start it with."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What is run."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path | None = None
    log: Path | None = None
    """Takes what it writes, as far as that is not piped; None for nowhere."""
    cpus: tuple[int, ...] = ()
    """Where it may run; empty for anywhere."""
    files: int | None = None
    """Most files it may have open, as far as the hard limit allows; None for all that it allows."""
    pipes: frozenset[str] = frozenset()
    """Which of its streams are pipes: `stdin`, `stdout`, `stderr`."""
    account: str | None = None
    """The account that it runs under, when that is another one; only root can ask for it."""
    stop: int = signal.SIGTERM
    """The signal that asks it to end."""
    holds: tuple[int, ...] = ()
    """Descriptors that its guard keeps open until nothing of it lives, e.g. of a lock."""


class Guarded:
    """A command from its start to its burial; a context manager that leaves nothing behind."""

    def __init__(self, command: Command) -> None:
        """Nothing is started before the context is entered."""
        self.command = command
        self.pid = 0
        self.exit_status: int | None = None
        self.exited_s: float | None = None
        """When its first process ended, by the host's monotonic clock."""
        self.pipes: dict[str, int] = {}
        """This process's ends of the streams that are pipes."""
        self._guard: subprocess.Popen[bytes] | None = None
        self._half_heard = b""
        self._born: float | None = None
        """When its first process began."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # --- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it; raises NotStartedError."""
        command = self.command
        theirs: dict[str, int] = {}
        try:
            for stream in sorted(command.pipes):
                reader, writer = os.pipe()
                theirs[stream], self.pipes[stream] = (reader, writer) if stream == "stdin" else (writer, reader)
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), json.dumps(self._order(theirs))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=command.cwd,
                env=dict(command.env),
                process_group=0,
                pass_fds=(*theirs.values(), *command.holds),
            )
        except OSError as error:
            self.kill()
            raise NotStartedError(f"{error.filename or command.argv[0]}: {error.strerror}", error.errno) from None
        except BaseException:
            self.kill()
            raise
        finally:
            for fd in theirs.values():
                os.close(fd)
        self._await_start()

    def _order(self, theirs: Mapping[str, int]) -> dict[str, Any]:
        """Say what the guard is to do; directories and variables it inherits."""
        command = self.command
        return {
            "argv": command.argv,
            "log": None if command.log is None else str(command.log.absolute()),
            "cpus": command.cpus,
            "files": command.files,
            "account": command.account,
            "stop": int(command.stop),
            **{stream: theirs.get(stream) for stream in ("stdin", "stdout", "stderr")},
        }

    def _await_start(self) -> None:
        if self._guard is not None:
            self._keep_off_the_commands_cpus(self._guard.pid)
        told = self.hear(STARTED_S)
        if "pid" not in told:
            self.kill()
            raise NotStartedError(
                told.get("error", f"{self.command.argv[0]}: its guard said nothing"), told.get("errno")
            )
        self.pid = int(told["pid"])
        self._born = orphans.birth_of(self.pid)

    def _keep_off_the_commands_cpus(self, guard: int) -> None:
        others = set(machine.usable_cpus()) - set(self.command.cpus)
        if self.command.cpus and others and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):  # it has ended, and `hear` will find out
                os.sched_setaffinity(guard, others)

    def hear(self, timeout_s: float) -> dict[str, Any]:
        """Read what the guard has said by now, waiting at most so long for its next words; all of it as one."""
        told: dict[str, Any] = {}
        while self._guard is not None and self._guard.stdout is not None and not told:
            pipe = self._guard.stdout.fileno()
            if not readable([pipe], timeout_s) or not (words := os.read(pipe, 4096)):
                break
            *lines, self._half_heard = (self._half_heard + words).split(b"\n")
            for line in lines:
                told |= json.loads(line)
        if "exit" in told:
            self.exit_status = int(told["exit"])
            self.exited_s = float(told["at_s"])
        return told

    def alive(self) -> bool:
        """Whether its first process still runs."""
        if self.exit_status is None:
            self.hear(timeout_s=0)
        return self.exit_status is None and self._guard is not None and self._guard.poll() is None

    def wait(self, timeout_s: float) -> bool:
        """Wait until its first process has ended; whether it has."""
        deadline = time.monotonic() + timeout_s
        while self.alive() and (left := deadline - time.monotonic()) > 0:
            self.hear(min(0.5, left))
        return not self.alive()

    def ask_to_stop(self) -> None:
        """Send its first process the signal that asks it to end, and don't wait."""
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                self._guard.stdin.write(b"stop\n")
                self._guard.stdin.flush()

    def let_go(self) -> None:
        """Have the guard kill everything, and don't wait; so that several commands can be ended at once."""
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()

    def kill(self) -> None:
        """End the guard, which kills every process that the command ever started; find these where it was killed."""
        self.let_go()
        guard, self._guard = self._guard, None
        for fd in self.pipes.values():
            os.close(fd)
        self.pipes = {}
        if guard is None:
            return
        try:
            guard.wait(timeout=BURIED_S)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()
        if guard.stdout is not None:
            guard.stdout.close()
        if guard.returncode < 0 and self.pid:  # it was killed, and buried nobody
            log = self.command.log
            orphans.bury(self.pid, self._born, None if log is None else log.resolve())

    # --- what it is ------------------------------------------------------------------------------------------------

    def pids(self) -> tuple[int, ...]:
        """All its processes that live, those included that left its process group."""
        if self._guard is None:
            return ()
        if sys.platform == "linux" and (found := _descendants(self._guard.pid)) is not None:
            return tuple(sorted(pid for pid in found if not _is_zombie(pid)))
        try:
            children = psutil.Process(self._guard.pid).children(recursive=True)
        except psutil.Error:
            return ()
        return tuple(sorted(child.pid for child in children if _lives(child)))

    def stopped(self) -> bool:
        """Whether its first process was stopped by a signal, and waits to be told to go on."""
        return is_stopped(self.pid)

    # --- what it says ----------------------------------------------------------------------------------------------

    def said(self, timeout_s: float) -> dict[str, bytes] | None:
        """Read what comes through its pipes until they end; gives all of it, or None when that took too long."""
        heard: dict[str, bytes] = {name: b"" for name in self.pipes if name != "stdin"}
        open_still = {self.pipes[name]: name for name in heard}
        deadline = time.monotonic() + timeout_s
        while open_still:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            for fd in readable([*open_still], left_s):
                if words := os.read(fd, 65536):
                    heard[open_still[fd]] += words
                else:
                    del open_still[fd]
        return heard


def readable(fds: Sequence[int], timeout_s: float) -> list[int]:
    """Wait until something can be read from some of the descriptors; unlike select, of any number."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(max(0.0, timeout_s) * 1000)]


def _descendants(pid: int) -> list[int] | None:
    """All that a process has started and that still lives; None where the kernel keeps no such lists.

    To look at every process of the system for its parent, as psutil must, takes many times as long.
    """
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        lists: list[Path] = []
        with contextlib.suppress(OSError):  # it may end while its threads are listed
            lists += Path(f"/proc/{parent}/task").glob("*/children")
        if not lists and parent == pid:
            return None
        for children in lists:
            with contextlib.suppress(OSError):
                waiting += map(int, children.read_text(encoding="ascii").split())
        found += [parent] if parent != pid else []
    return found


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and was not buried yet, or is gone."""
    return _state_of(pid) in {b"Z", b"X", None}


def _state_of(pid: int) -> bytes | None:
    """Give a process's state (proc_pid_stat(5): it follows the name); None when it is gone."""
    try:
        return machine.read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0]
    except OSError:
        return None


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal, and waits to be told to go on."""
    if machine.LINUX:
        return _state_of(pid) == b"T"
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


class Standstill:
    """Tells who is stopped (SIGSTOP) for good from who goes on after a moment, by looks that others take now and then.

    Of the time between two looks only a second counts. While this process is stopped itself (Ctrl-Z) nobody looks, and
    what was stopped with it goes on a moment after it: that is no standstill, however long it was.
    """

    def __init__(self) -> None:
        self._stood_s = 0.0
        self._looked_s: float | None = None
        """When it was last seen to be stopped; None when it went on then."""

    def seen(self, *, stopped: bool) -> bool:
        """Take a look; whether it has been stopped in all looks for so long that it is not waited for."""
        if not stopped:
            self._stood_s, self._looked_s = 0.0, None
            return False
        now_s = time.monotonic()
        self._stood_s += 0.0 if self._looked_s is None else min(now_s - self._looked_s, BETWEEN_LOOKS_S)
        self._looked_s = now_s
        return self._stood_s >= STOPPED_S


def stays_stopped(stopped: Callable[[], bool]) -> bool:
    """Whether something that may be stopped stays so for as long as it is waited for; returns as soon as it goes on."""
    standstill = Standstill()
    while stopped():
        if standstill.seen(stopped=True):
            return True
        time.sleep(LOOK_S)
    return False


def said_in(pid: int, words: Sequence[str]) -> bool:
    """Whether one of these stands in a process's command line."""
    try:
        line = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
    return any(one in line for one in words)


def _lives(process: psutil.Process) -> bool:
    """Whether a process runs; one that ended and was not buried yet doesn't."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
