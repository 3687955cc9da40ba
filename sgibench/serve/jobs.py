"""What an app notes of its jobs, read from the files that its processes write (`apps/jobs.py`), without asking it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgibench.inside import counts

HANDED_IN, FAILED, DONE = "jobs-handed-in", "jobs-failed", "jobs-done"
RECORD = 8


@dataclass(frozen=True, kw_only=True)
class Noted:
    """How things stood at one moment."""

    handed: int
    """Jobs handed in since the server was started."""
    failed: int
    lengths: Mapping[str, int]
    """How many whole records each journal of jobs that were done held."""

    @property
    def done(self) -> int:
        """Jobs that were done."""
        return sum(self.lengths.values())

    @property
    def waiting(self) -> int:
        """Jobs handed in that were neither done nor given up; a job may be noted as done before it is as handed in."""
        return max(0, self.handed - self.done - self.failed)


def look(data: Path) -> Noted:
    """Look at the jobs of a server by its data folder; what was done is read first, so that no job is done too soon."""
    lengths = {path.name: path.stat().st_size // RECORD for path in _journals(data)}
    failed = sum(counts(data, FAILED))
    return Noted(handed=sum(counts(data, HANDED_IN)), failed=failed, lengths=lengths)


def took_us(data: Path, before: Noted, after: Noted) -> NDArray[np.int64]:
    """From handing in until it was done, in microseconds: the jobs that were done between two moments."""
    found = []
    for name, length in after.lengths.items():
        first = before.lengths.get(name, 0)
        with contextlib.suppress(OSError):
            path, wanted = data / DONE / name, length - first
            found.append(np.fromfile(path, dtype=np.int64, count=wanted, offset=first * RECORD))
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def _journals(data: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(path for path in (data / DONE).iterdir() if path.name.isdecimal() and path.is_file())
    return []
