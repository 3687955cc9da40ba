"""How much memory the processes of a server held at most: the kernel's own mark of each, set back and read again.

No sampling can miss a peak that way. Each process counts pages that it shares, so only what is above the level before
the load says something; the marks of several processes need not be of one moment, so their sum is an upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SET_BACK = "5"
"""proc_pid_clear_refs(5): set the peak resident set size back to what is resident now."""


def set_back(pids: Sequence[int]) -> int | None:
    """Set the marks back; gives what is resident now, in bytes, or None where the system does not tell."""
    try:
        for pid in pids:
            Path(f"/proc/{pid}/clear_refs").write_text(SET_BACK, encoding="ascii")
    except OSError:
        return None
    return _sum(pids, "VmRSS")


def highest(pids: Sequence[int]) -> int | None:
    """What was resident at most since then, in bytes; None where a process is gone or the system does not tell."""
    return _sum(pids, "VmHWM")


def _sum(pids: Sequence[int], name: str) -> int | None:
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024
        except (OSError, StopIteration, ValueError, IndexError):
            return None
    return total if pids else None
