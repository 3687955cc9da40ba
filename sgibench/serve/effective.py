"""What a running server turned out to be, read from the system and not from its command line.

A backlog may be silently replaced, a pool larger than asked for, TCP_NODELAY missing: what was measured is what the
system shows. Nothing here asks the server for more than one short answer; what can't be read is None, never a guess.
Linux tells all of it without special rights, because the servers are our own descendants; other systems tell less.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from h2.exceptions import ProtocolError

from sgibench import listening
from sgibench.model import Effective, Expected
from sgibench.model.terms import TLS, Protocol
from sgibench.serve import place
from sgibench.serve.certificate import trusting
from sgibench.serve.getting import by_http2

LINUX = sys.platform.startswith("linux")
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
ACCEPT_TIMEOUT_S = 1.0
"""A server whose worker is free accepts within microseconds; one that takes longer is not waited for."""
SECOND_LOOK_S = 0.02
"""An answered connection is either open and found at once, or closed and gone."""

PIDFD_GETFD = 438
"""The number of the system call, the same on every architecture (Linux 5.6)."""


def read(host: str, port: int, pids: Sequence[int], path: str = "/pid", *, protocol: Protocol = "http") -> Effective:
    """Look at the server that listens there and consists of these processes.

    It is asked one `GET` of that path on a connection of its own, in the protocol that it was started for, to see how
    accepted connections are set.
    """
    threads = _threads(pids)
    return Effective(
        backlogs=backlogs(port),
        nodelay=_nodelay((host, port), pids, path, protocol),
        processes=len(threads) or None,
        threads=max(threads, default=None),
        place=place.read(pids),
    )


def differences(effective: Effective, expected: Expected) -> list[str]:
    """Say in one sentence each where a server is not what was declared; silent about what wasn't read."""
    told = []
    if effective.backlogs is not None and expected.backlog is not None:
        backlog = min(expected.backlog, somaxconn() or expected.backlog)
        if set(effective.backlogs) != {backlog}:
            told.append(f"backlog: declared {backlog}, in effect {_listed(effective.backlogs)}")
    if effective.nodelay is not None and expected.nodelay is not None and effective.nodelay != expected.nodelay:
        words = {True: "set", False: "not set"}
        told.append(f"TCP_NODELAY: declared {words[expected.nodelay]}, in effect {words[effective.nodelay]}")
    if effective.processes is not None and expected.processes is not None:
        told += _unless(effective.processes == expected.processes, "processes", expected.processes, effective.processes)
    if effective.threads is not None and expected.threads is not None:
        fewest, most = expected.threads
        declared = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        told += _unless(fewest <= effective.threads <= most, "threads of a process", declared, effective.threads)
    return told


def _unless(right: bool, what: str, declared: object, seen: object) -> list[str]:  # noqa: FBT001 - read aloud
    return [] if right else [f"{what}: declared {declared}, in effect {seen}"]


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(str(number) for number in sorted(set(numbers))) or "none: nothing listens"


def somaxconn() -> int | None:
    """The system's own limit of any backlog; None where it doesn't tell."""
    try:
        return int(SOMAXCONN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


# --- processes and threads ------------------------------------------------------------------------------------------


def _threads(pids: Sequence[int]) -> list[int]:
    """Threads of each process that lives."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(pid).num_threads())
    return found


# --- listening sockets ----------------------------------------------------------------------------------------------


def backlogs(port: int) -> tuple[int, ...] | None:
    """The backlog in effect of each socket that listens on that port (IPv4); None where the system doesn't tell."""
    found = listening.listeners(port)
    return None if found is None else tuple(one.backlog for one in found)


# --- an accepted connection -----------------------------------------------------------------------------------------


def _nodelay(address: tuple[str, int], pids: Sequence[int], path: str, protocol: Protocol) -> bool | None:
    """Whether the server's end of a connection has TCP_NODELAY; None where it can't be looked at."""
    if not LINUX:
        return None
    try:
        with socket.create_connection(address, timeout=ACCEPT_TIMEOUT_S) as ours:
            ends = (address[1], int(ours.getsockname()[1]))
            if protocol == "h2c":
                by_http2(ours, path, time.monotonic() + ACCEPT_TIMEOUT_S)
                return _look(*ends, pids, SECOND_LOOK_S)
            if protocol not in TLS:
                return _in_two_looks(ours, ends, pids, path)
            with trusting("http/1.1").wrap_socket(ours) as secured:
                return _in_two_looks(secured, ends, pids, path)
    except (OSError, ProtocolError):
        return None


def _in_two_looks(ours: socket.socket, ends: tuple[int, int], pids: Sequence[int], path: str) -> bool | None:
    """Look twice, because nginx sets the option only once it has decided to keep the connection.

    First in the middle of a request, when no server may close it yet, and again after the answer if it is still open.
    """
    ours.sendall(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % (path.encode(), ends[0]))
    found = _look(*ends, pids, ACCEPT_TIMEOUT_S)
    if found is False:
        ours.sendall(b"\r\n")
        if ours.recv(1 << 16):
            found = bool(_look(*ends, pids, SECOND_LOOK_S))
    return found


def _look(port: int, client_port: int, pids: Sequence[int], within_s: float) -> bool | None:
    """Find the server's socket of that connection in its processes, and ask it; waits until it was accepted."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        inode = _inode(port, client_port)
        if inode is not None:
            for pid in pids:
                if (fd := _descriptor(pid, inode)) is not None:
                    return _is_nodelay(pid, fd)
        time.sleep(0.005)
    return None


def _inode(port: int, client_port: int) -> str | None:
    """Inode of the accepted end of a connection, from /proc/net/tcp; None while it waits in the backlog (inode 0)."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        ends = [int(address.rpartition(":")[2], 16) for address in fields[1:3]]
        if ends == [port, client_port] and fields[9] != "0":
            return fields[9]
    return None


def _descriptor(pid: int, inode: str) -> int | None:
    """The number under which a process holds a socket."""
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(link.readlink()) == f"socket:[{inode}]":
                    return int(link.name)
    return None


def _is_nodelay(pid: int, fd: int) -> bool:
    """Look at a socket of another process through a copy of its descriptor, which is closed at once."""
    handle = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, handle, fd, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), "a descriptor of the server can't be looked at")
        with socket.socket(fileno=copy) as theirs:
            return theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    finally:
        os.close(handle)
