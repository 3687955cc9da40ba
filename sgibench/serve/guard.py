"""A small process between the engine and one command, so that nothing outlives the engine, however that dies.

It starts the command in a group of its own, tells the engine the pid, and waits. When the engine asks, or its end of
the pipe closes (Ctrl-C, a crash, SIGKILL), everything that the command ever started is killed: on Linux this process
is a subreaper, so even a process that left its group becomes its child and is found. Where this process itself is
killed, Linux does it: the command's group holds a leash, and dies when its other end is gone. It runs as a plain script
with nothing but the standard library, sleeps in between, and is counted in no measurement.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pwd
import resource
import select
import signal
import subprocess
import sys
import termios
import time
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
LINUX = sys.platform.startswith("linux")
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""They are for the engine, which tells this process by closing the pipe."""


def prctl(option: int, value: int) -> None:
    """Set a process attribute on Linux; nothing elsewhere."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def main() -> None:
    """Run the order that stands, as one JSON object, in the first argument; the rest is inherited."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    woken = wake_on_child()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    if engine_is_gone():
        return
    command = start(order)  # kept: a Popen that is thrown away buries its process, and its status is lost
    leader = command.pid
    try:
        say({"pid": leader})
        attend(leader, woken, order)
    finally:
        kill_all(leader)


def engine_is_gone() -> bool:
    """Whether the engine died before the command was started: it says nothing before that, so words are the end."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def wake_on_child() -> int:
    """Make SIGCHLD readable on a descriptor, so that waiting costs nothing."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the command: its own group, its CPUs, its streams, which are its alone from here on."""
    try:
        log = os.open(order["log"] or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        give_up(order["log"], error)  # its folder is gone where the engine was ended meanwhile
    streams = [log if fd is None else fd for fd in (order["stdout"], order["stderr"])]
    guard = os.getpid()
    leash, _held = os.pipe()  # the other end stays open for as long as this process lives
    try:
        return subprocess.Popen(
            order["argv"],
            stdin=subprocess.DEVNULL if order["stdin"] is None else order["stdin"],
            stdout=streams[0],
            stderr=streams[1],
            process_group=0,
            pass_fds=(leash,) if LINUX else (),
            preexec_fn=lambda: prepare(guard, order, leash),  # noqa: PLW1509 - one thread only
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        give_up(order["argv"][0], error)
    finally:
        for fd in {log, leash, *(fd for fd in (order["stdin"], *streams) if fd is not None)}:
            os.close(fd)


def give_up(what: str, error: Exception) -> NoReturn:
    """Tell the engine why the command can't be started, and end."""
    why = error.strerror if isinstance(error, OSError) else str(error)
    say({"error": f"{what}: {why}", "errno": getattr(error, "errno", None)})
    raise SystemExit(1) from None


def prepare(guard: int, order: dict[str, Any], leash: int) -> None:
    """In the new process, before the command: its account, death with the guard, default signals, CPUs, descriptors."""
    cpus, files = order["cpus"], order["files"]
    if order["account"] is not None:
        become(order["account"])  # first: a change of account takes back what is asked for next
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    leave_terminal()
    put_on(leash)
    if os.getppid() != guard:
        os._exit(1)  # it died before this process had said that it wants to follow
    for number in (*ENDINGS, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    if cpus and LINUX:
        os.sched_setaffinity(0, cpus)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if files is None else files if hard == resource.RLIM_INFINITY else min(hard, files)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return  # macOS refuses more than its own limit; what it has is kept


def leave_terminal() -> None:
    """Give up the engine's terminal, as a session of its own would: who reads from it stops where it is in no front.

    It stays in the engine's session all the same, since that is what the kernel shares CPUs out to (see `waking`).
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return  # there is none
    try:
        fcntl.ioctl(terminal, termios.TIOCNOTTY)
    except OSError:
        return
    finally:
        os.close(terminal)


def put_on(leash: int) -> None:
    """Have Linux kill this process's whole group when the last holder of the pipe's other end, the guard, is gone.

    PR_SET_PDEATHSIG is not inherited, so a worker (of nginx, say) would outlive a master that died with its guard. The
    pipe is inherited: it sends its signal to the group for as long as one member has it (fcntl(2), F_SETSIG), and no
    process has to live that could be killed as well.
    """
    if not LINUX:
        return
    fcntl.fcntl(leash, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(leash, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(leash, fcntl.F_SETFL, os.O_ASYNC)


def become(account: str) -> None:
    """Give up root's rights for those of an account, for good."""
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def attend(leader: int, woken: int, order: dict[str, Any]) -> None:
    """Wait for the engine's word (`stop`, `kill`, or the end of the pipe) and report the command's end."""
    alive = True
    while True:
        ready, _, _ = select.select([sys.stdin, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            alive = reap(leader) and alive
        if sys.stdin in ready:
            word = os.read(sys.stdin.fileno(), 64).decode()
            if word.split()[-1:] != ["stop"]:
                return
            if alive:  # only the first process: a master passes it on to its workers
                os.kill(leader, order["stop"])


def reap(leader: int) -> bool:
    """Bury what ended, adopted processes included; report the leader's end and return False for it."""
    alive = True
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return alive
        if pid == 0:
            return alive
        if pid == leader:
            alive = False
            say({"exit": os.waitstatus_to_exitcode(status), "at_s": time.monotonic()})


def kill_all(leader: int) -> None:
    """SIGKILL the group and every descendant until none is left, for at most five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        alive = descendants() if LINUX else {leader}
        if alive:  # else the number may be another process's by now
            send_to_group(leader)
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
        except ChildProcessError:
            return
        time.sleep(0.005)


def send_to_group(leader: int) -> None:
    """SIGKILL all that stayed in the command's own group, at one stroke: something may fork faster than it is found."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def descendants() -> set[int]:
    """All processes below this one."""
    found: set[int] = set()
    fresh = {os.getpid()}
    while fresh:
        fresh = children_of(fresh) - found
        found |= fresh
    return found


def children_of(parents: set[int]) -> set[int]:
    """Processes whose parent is among `parents`; read from /proc, empty where there is none."""
    found = set()
    for entry in os.listdir("/proc") if LINUX else ():  # noqa: PTH208 - pathlib costs more start-up than this script
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123 - see above
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[1]) in parents:
            found.add(int(entry))
    return found


def say(message: dict[str, Any]) -> None:
    """Send one line to the engine, which may be gone."""
    try:
        os.write(sys.stdout.fileno(), (json.dumps(message) + "\n").encode())
    except OSError:
        return


if __name__ == "__main__":
    main()
