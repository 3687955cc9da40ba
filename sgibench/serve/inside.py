"""What an app counts of itself, read from the pages that its processes keep (`apps/inside.py`).

Nothing is asked of the server: a page is a file `NAME/PID` that its process has mapped into its memory. An app that
counts nothing has no page, and its figure is not 0 but None.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from sgibench.model import CacheUse

BYTES = 8
INSIDE, CACHE_ASKED, CACHE_MISSED = "inside", "cache-asked", "cache-missed"
COUNTED = (INSIDE, CACHE_ASKED, CACHE_MISSED)


def forget(data: Path) -> None:
    """Set the pages of a server's data folder back to 0: from now on counts what goes on from now on."""
    for name in COUNTED:
        for page in _pages(data, name):
            with contextlib.suppress(OSError), page.open("r+b") as file:
                file.write(bytes(BYTES))


def read(data: Path) -> tuple[int, ...] | None:
    """Most requests at once in each process that had any, the busiest first; None when none counted any."""
    return tuple(sorted(counts(data, INSIDE), reverse=True)) or None


def read_cache(data: Path) -> CacheUse | None:
    """How often pages were asked of the app's cache and had to be made; None when it was never asked."""
    asked = sum(counts(data, CACHE_ASKED))
    return CacheUse(asked=asked, missed=min(asked, sum(counts(data, CACHE_MISSED)))) if asked else None


def _pages(data: Path, name: str) -> list[Path]:
    with contextlib.suppress(OSError):
        return [path for path in (data / name).iterdir() if path.name.isdecimal() and path.is_file()]
    return []


def counts(data: Path, name: str) -> list[int]:
    """What stands in the pages of one name, where it is more than 0."""
    return [count for page in _pages(data, name) if (count := _count(page)) > 0]


def _count(page: Path) -> int:
    """What stands in a page; 0 for one that was made a moment ago and holds nothing yet."""
    try:
        content = page.read_bytes()
    except OSError:
        return 0
    return int.from_bytes(content, sys.byteorder, signed=True) if len(content) == BYTES else 0
