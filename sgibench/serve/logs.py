"""What a process that was started has logged: how much, and the end of it, with which its failure is told.

A log that is not there, or can't be read, has said nothing.
"""

from __future__ import annotations

from pathlib import Path

TAIL_BYTES = 2000


def size_of(log: Path) -> int:
    """How much stands in it, in bytes."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def tail_of(log: Path, most_bytes: int = TAIL_BYTES) -> str:
    """Give its end, at most so much."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, size_of(log) - most_bytes))
            return file.read(most_bytes).decode("utf-8", errors="replace").strip()
    except OSError:
        return ""
