"""A small process between the engine and one server, so that no server outlives the engine, however that dies.

It starts the command in a session of its own, tells the engine the pid, and waits. When the engine asks, or its end of
the pipe closes (Ctrl-C, a crash, SIGKILL), everything that the command ever started is killed: on Linux this process
is a subreaper, so even a process that left its group becomes its child and is found. It runs as a plain script with
nothing but the standard library, sleeps in between, and is counted in no measurement.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
LINUX = sys.platform.startswith("linux")


def prctl(option: int, value: int) -> None:
    """Set a process attribute on Linux; nothing elsewhere."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def main() -> None:
    """Run the order that stands, as one JSON object, in the first argument."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    woken = wake_on_child()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    leader = start(order)
    say({"pid": leader})
    try:
        attend(leader, woken)
    finally:
        kill_all(leader)


def wake_on_child() -> int:
    """Make SIGCHLD readable on a descriptor, so that waiting costs nothing."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def start(order: dict[str, Any]) -> int:
    """Start the server: its own session, its CPUs, its log file, more descriptors. Returns its pid."""
    with open(order["log"], "ab") as log:  # noqa: PTH123 - pathlib costs more start-up than this whole script
        try:
            return subprocess.Popen(
                order["argv"],
                cwd=order["cwd"],
                env=order["env"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: prepare(order["cpus"]),  # noqa: PLW1509 - this process has one thread
            ).pid
        except OSError as error:
            say({"error": f"{order['argv'][0]}: {error.strerror}"})
            raise SystemExit(1) from None


def prepare(cpus: list[int]) -> None:
    """In the new process, before the server: CPUs, descriptors, default signals, death with the guard."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    if cpus and LINUX:
        os.sched_setaffinity(0, cpus)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def attend(leader: int, woken: int) -> None:
    """Wait for the engine's word (`term`, `kill`, or the end of the pipe) and report the server's end."""
    alive = True
    while True:
        ready, _, _ = select.select([sys.stdin, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            alive = reap(leader) and alive
        if sys.stdin in ready:
            word = os.read(sys.stdin.fileno(), 64).decode()
            if "term" not in word:
                return
            if alive:  # only the first process: a master passes it on to its workers
                os.kill(leader, signal.SIGTERM)


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
            say({"exit": os.waitstatus_to_exitcode(status)})


def kill_all(leader: int) -> None:
    """SIGKILL the session and every descendant until none is left, for at most five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        alive = descendants() | {leader}
        try:
            os.killpg(leader, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            alive.discard(leader)
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
        except ChildProcessError:
            return
        time.sleep(0.01)


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
