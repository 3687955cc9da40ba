"""What the system lets one user's processes have, and how to have all of it.

The usual soft limit of open files is a leftover of programs that use select(); everything here uses poll or epoll. So
every process of ours begins by raising it as far as the hard limit allows, and only the hard limit counts.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

MOST_FILES = 1 << 20
"""More than anything here opens; some systems call their limit infinite and then refuse to grant it."""
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
