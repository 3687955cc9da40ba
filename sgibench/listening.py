"""Listening TCP sockets as the system shows them: backlog, who waits to be accepted, what was dropped (Linux).

Two sources. The kernel's list of sockets (`ss -ltnm` reads it, too) tells of each socket by itself; its count of drops
is the listener's own, whatever else goes on on the machine. `/proc/PID/net/netstat` counts for a whole network
namespace, that of the process. None stands for what the system doesn't tell, and never for zero.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LINUX = sys.platform.startswith("linux")
TIMEOUT_S = 1.0
PROC = Path("/proc")

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, linux/tcp.h
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
TCP_LISTEN = 10
UNIX_LISTENS = 0x10000
"""`__SO_ACCEPTCON` of linux/net.h among the flags of a Unix socket."""
HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
REQUEST = struct.Struct("=BBBBI48s")
"""struct inet_diag_req_v2: family, protocol, extensions, padding, states, socket id."""
MESSAGE = struct.Struct("=BBBBHH44sIIIII")
"""struct inet_diag_msg up to its inode; of a listening socket `idiag_rqueue` wait, `idiag_wqueue` is the backlog."""
ATTRIBUTE = struct.Struct("=HH")
"""struct nlattr: length, type."""
INET_DIAG_SKMEMINFO = 7
DROPS = struct.Struct("=32xI")
"""SK_MEMINFO_DROPS, the ninth number of that attribute (Linux 4.7)."""
TCP_INFO_RETRANSMITTED = struct.Struct("=100xI")
"""`tcpi_total_retrans` of struct tcp_info (Linux 2.6.8): segments sent again, the SYN among them."""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """One listening socket."""

    port: int
    backlog: int
    """In effect: what was asked for, or the system's limit."""
    waiting: int
    """Connections that nobody has accepted yet."""
    drops: int | None
    """What it dropped since it listens: each SYN once; the last packet of a handshake, and what came on one that it did
    not take, twice (Linux 6.18), where `ListenDrops` counts once."""


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """What was dropped so far; differences between two of them count."""

    listener: int | None
    """By the listening sockets of one port."""
    overflows: int | None
    """In the whole network namespace: because the queue of connections to accept was full (ListenOverflows)."""
    drops: int | None
    """In the whole network namespace, for whatever reason (ListenDrops)."""


def listeners(port: int) -> tuple[Listener, ...] | None:
    """The sockets that listen on a port (IPv4) in this network namespace; None where the system doesn't tell."""
    if not LINUX:
        return None
    try:
        return tuple(found for found in _all() if found.port == port)
    except OSError:
        return None


def dropped(port: int, pids: Sequence[int] = ()) -> Dropped:
    """Read what the listeners of a port dropped, and their namespace: that of those processes, else this one."""
    found = listeners(port)
    of_each = [one.drops for one in found or ()]
    counted = _netstat([*map(str, pids), "self"])
    return Dropped(
        listener=sum(of_each) if of_each and None not in of_each else None,  # type: ignore[arg-type]  # no None is there
        overflows=counted.get("ListenOverflows"),
        drops=counted.get("ListenDrops"),
    )


def holders(pids: Sequence[int]) -> tuple[int, ...]:
    """Those of some processes that hold a listening socket, TCP or Unix: who serves; all where the system can't say."""
    if not LINUX:
        return tuple(pids)
    try:
        listening = {f"socket:[{inode}]" for inode in _listening_inodes()}
    except (OSError, ValueError, IndexError):
        return tuple(pids)
    return tuple(pid for pid in pids if not listening.isdisjoint(_open_by(pid)))


def _listening_inodes() -> Iterator[str]:
    """Of all listening sockets of this network namespace (proc_pid_net(5))."""
    for name in ("tcp", "tcp6", "unix"):
        file = PROC / "net" / name
        rows = [line.split() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()[1:]]
        if name == "unix":
            yield from (row[6] for row in rows if int(row[3], 16) & UNIX_LISTENS)
        else:
            yield from (row[9] for row in rows if int(row[3], 16) == TCP_LISTEN)


def _open_by(pid: int) -> Iterator[str]:
    """What a process's descriptors lead to; nothing of one that is gone."""
    with contextlib.suppress(OSError):
        for link in (PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(link.readlink())


def sent_again(sock: socket.SocketType) -> int | None:
    """How many segments a connection had to send again so far, its SYN included; None where the system doesn't tell."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return int(TCP_INFO_RETRANSMITTED.unpack_from(info)[0])
    except (AttributeError, OSError, struct.error):
        return None


def _netstat(processes: Sequence[str]) -> dict[str, int]:
    """TCP's extended counters in the network namespace of the first of these processes that tells."""
    for process in processes:
        try:
            lines = (PROC / process / "net" / "netstat").read_text(encoding="ascii").splitlines()
            for names, values in zip(lines[::2], lines[1::2], strict=True):
                if names.startswith("TcpExt:"):
                    return dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
        except (OSError, ValueError):
            continue
    return {}


def _all() -> Iterator[Listener]:
    """Ask the kernel for all listening TCP sockets."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(TIMEOUT_S)
        wanted = 1 << (INET_DIAG_SKMEMINFO - 1)
        asked = REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, wanted, 0, 1 << TCP_LISTEN, bytes(48))
        head = HEADER.pack(HEADER.size + len(asked), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
        kernel.send(head + asked)
        while True:
            for kind, body in _messages(kernel.recv(1 << 16)):
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    raise OSError("the kernel refused to list its sockets")
                if len(body) >= MESSAGE.size:
                    fields = MESSAGE.unpack_from(body)
                    yield Listener(
                        port=socket.ntohs(fields[4]),
                        waiting=fields[8],
                        backlog=fields[9],
                        drops=_drops(body[MESSAGE.size :]),
                    )


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= HEADER.size:
        length, kind, *_ = HEADER.unpack_from(data)
        if length < HEADER.size:
            return
        yield kind, data[HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _drops(attributes: bytes) -> int | None:
    """Find the count of drops among a socket's attributes."""
    while len(attributes) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(attributes)
        if length < ATTRIBUTE.size:
            return None
        body = attributes[ATTRIBUTE.size : length]
        if kind == INET_DIAG_SKMEMINFO:
            return int(DROPS.unpack_from(body)[0]) if len(body) >= DROPS.size else None
        attributes = attributes[(length + 3) & ~3 :]
    return None
