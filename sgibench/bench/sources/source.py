"""What a source gave, and how its file is read: within limits, gzipped or not, refused in one line."""

from __future__ import annotations

import gzip
import json
import stat
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import gcd
from pathlib import Path
from typing import Any

from sgibench import units
from sgibench.errors import UsageError
from sgibench.model import Asked

MOST_BYTES = 512 * 2**20
MOST_WEIGHT = 1000
GZIP = b"\x1f\x8b"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Requests, and what was left out of them."""

    asked: tuple[Asked, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason -> how many."""

    def said(self, flag: str) -> str:
        """Say in a sentence what was taken and what was not."""
        count = len(self.asked)
        taken = f"{flag}: {count} {'request' if count == 1 else 'requests'} taken"
        out = "; ".join(f"{number} {reason}" for reason, number in self.left_out.most_common())
        return f"{taken}; left out: {out}" if out else taken


def read_source(flag: str, path: Path) -> bytes:
    """Read a file, unpacked if it is gzipped; raises UsageError."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{flag} {path}: expected a file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if data[:2] == GZIP:
            data = _unpacked(data)
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror or error}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{flag} {path}: expected a whole gzip file, but {error}") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{flag} {path}: expected at most {units.size(MOST_BYTES)}; take a part of it")
    if not data.strip():
        raise UsageError(f"{flag} {path}: expected requests, but the file is empty")
    return data


def _unpacked(data: bytes) -> bytes:
    """Unpack no more than the most that is read."""
    unpacker = zlib.decompressobj(wbits=31)
    out = unpacker.decompress(data, MOST_BYTES + 1)
    if not unpacker.eof and len(out) <= MOST_BYTES:
        raise EOFError("it ends early")
    return out


def parse_json(flag: str, path: object, data: bytes) -> Any:
    """Parse JSON; raises UsageError."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{flag} {path}: expected JSON, but {told}") from None


def weighted(asked: Sequence[tuple[Asked, int]]) -> tuple[Asked, ...]:
    """Give requests weights in the proportion of their counts, as small as they can be, at most 1,000."""
    if not asked:
        return ()
    counts = [count for _, count in asked]
    most = max(counts)
    if most > MOST_WEIGHT:
        counts = [max(1, round(count * MOST_WEIGHT / most)) for count in counts]
    part = gcd(*counts)
    return tuple(replace(one, weight=count // part) for (one, _), count in zip(asked, counts, strict=True))


def refuse_none(flag: str, path: object, source: Source) -> Source:
    """Refuse a source that gives nothing; raises UsageError with what was left out."""
    if not source.asked:
        out = "; ".join(f"{number} {reason}" for reason, number in source.left_out.most_common()) or "it holds none"
        raise UsageError(f"{flag} {path}: expected at least one request that can be asked; {out}")
    return source
