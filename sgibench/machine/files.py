"""Files in which the kernel says something: read whole; None where there is no such file, or it isn't ours to read."""

from __future__ import annotations

import os
from pathlib import Path

SYS_CPU = Path("/sys/devices/system/cpu")
AT_ONCE = 4096


def read(path: Path) -> str | None:
    """Give what it says, without the white space around it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_bytes(path: str) -> bytes:
    """Read a file of the kernel's while something is measured: in a third of pathlib's time; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = b""
        while more := os.read(descriptor, AT_ONCE):
            found += more
        return found
    finally:
        os.close(descriptor)


def cgroup_value(v2: str, v1: str) -> str | None:
    """Read a file of the cgroup that this process sees as the first, by its name in version 2 or in version 1."""
    return read(Path("/sys/fs/cgroup") / v2) or read(Path("/sys/fs/cgroup") / v1)
