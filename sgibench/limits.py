"""What the system lets one user's processes have, and how to have all of it.

The usual soft limit of open files is a leftover of programs that use select(); everything here uses poll or epoll. So
every process of ours begins by raising it as far as the hard limit allows, and only the hard limit counts.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MOST_FILES = 1 << 20
"""More than anything here opens; some systems call their limit infinite and then refuse to grant it."""
STDERR = 2
CGROUP = Path("/sys/fs/cgroup")
KERNEL = Path("/proc/sys/kernel")
PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one; gives what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard if hard != resource.RLIM_INFINITY else MOST_FILES, 10240):  # macOS grants 10,240 in any case
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            break
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft if soft != resource.RLIM_INFINITY else MOST_FILES


def open_standard_streams() -> None:
    """Have the first three files open, if only to nothing: what is opened later would be taken for them."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= STDERR:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - positional only
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


@dataclass(frozen=True, kw_only=True)
class Room:
    """What this system has for us; None where it doesn't say, or sets no limit."""

    files: int
    """Open files of one process."""
    ports: int | None
    """Client ports towards one address of a server."""
    memory_bytes: int | None
    """Free for new work."""
    processes: int | None
    """Processes and threads that may still be started."""


def room() -> Room:
    """Ask the system; raises the soft limit of open files on the way."""
    return Room(
        files=raise_open_files(),
        ports=client_ports(),
        memory_bytes=_least(psutil.virtual_memory().available, _left("memory.max", "memory/memory.limit_in_bytes")),
        processes=_least(_user_processes(), _left("pids.max", "pids/pids.max"), _number(KERNEL / "threads-max")),
    )


def client_ports() -> int | None:
    """Ports that connections to one address of a server can begin at."""
    try:
        first, last = map(int, PORTS.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return None
    return max(0, last - first + 1)


def _user_processes() -> int | None:
    """The user's limit of processes; it does not hold for root."""
    if os.geteuid() == 0:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    return None if resource.RLIM_INFINITY in {soft, hard} else soft


def _left(v2: str, v1: str) -> int | None:
    """What a control group still allows: its limit without what is in use (cgroup v2, else v1); None without one."""
    for limit, used in ((v2, v2.replace("max", "current")), (v1, _USED_V1.get(v1, v1.replace("max", "current")))):
        most, now = _number(CGROUP / limit), _number(CGROUP / used)
        if most is not None and now is not None:
            return max(0, most - now)
    return None


_USED_V1 = {"memory/memory.limit_in_bytes": "memory/memory.usage_in_bytes"}


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
