"""What apps and CGI programs note about themselves while they are loaded, read from their scratch folder afterwards.

Two kinds of files of fixed records, appended in one write each: `spent`, of a process that served one request and ends
(when, and the CPU that it used), and `noted-PID`, of requests that reached the app (when). All times are of the host's
monotonic clock, so they are held against the edges of what the load process counted.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

SPENT = struct.Struct("=qq")
NOTED = struct.Struct("=q")
Edges = Sequence[tuple[int, int]]


def spent_s(data: Path, edges_ns: Edges) -> float | None:
    """CPU of the processes that ended between edges; None when none noted anything."""
    records = _records(data / "spent", SPENT)
    if not records:
        return None
    return sum(cpu_ns for at_ns, cpu_ns in records if _within(at_ns, edges_ns)) / 1e9


def noted_ns(data: Path) -> dict[int, list[int]]:
    """Process -> when requests reached it, in order."""
    found = {}
    for path in data.glob("noted-*"):
        pid = path.name.rpartition("-")[2]
        if pid.isdigit():
            found[int(pid)] = sorted(at_ns for (at_ns,) in _records(path, NOTED))
    return found


def _records(path: Path, kind: struct.Struct) -> list[tuple[int, ...]]:
    """Whole records of a file; what an ending process left unfinished is none."""
    try:
        data = path.read_bytes()
    except OSError:
        return []
    return [*kind.iter_unpack(data[: len(data) - len(data) % kind.size])]


def _within(at_ns: int, edges_ns: Edges) -> bool:
    place = bisect_left(edges_ns, (at_ns + 1,)) - 1
    return place >= 0 and at_ns < edges_ns[place][1]
