"""What an app counts of itself, read from the pages that its processes keep (`apps/inside.py`).

Nothing is asked of the server: a page is a file `NAME/PID` that its process has mapped into its memory. An app that
counts nothing has no page, and its figure is not 0 but None. Whoever loads it reads the pages at the edges of what it
counts, so that they tell of the same time.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgibench.model import CacheUse, Crossings

BYTES = 8
INSIDE, ASKING = "inside", "asking"
PEAKS = (INSIDE, ASKING)
CACHE_ASKED, CACHE_MISSED = "cache-asked", "cache-missed"
WITHIN_NS, WITHIN_CALLS, WITHIN_OWN = "within-ns", "within-calls", "within-own-ns"
TWICE_NS, TWICE_CALLS, THREADS_NS = "within-twice-ns", "within-twice-calls", "within-threads-ns"
TICKS = (CACHE_ASKED, CACHE_MISSED, WITHIN_NS, WITHIN_CALLS, WITHIN_OWN, TWICE_NS, TWICE_CALLS, THREADS_NS)
COUNTED = (*PEAKS, *TICKS)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What the pages of an app told of one stretch."""

    most: Mapping[str, int] = field(default_factory=dict)
    """Process -> the most requests that were inside it at once."""
    asking: Mapping[str, int] = field(default_factory=dict)
    """Process -> the most that asked a database at once, or waited for a connection to it."""
    ticks: Mapping[str, int] = field(default_factory=dict)
    """Name -> how often it happened."""


class PageClock:
    """Reads an app's pages at both edges of a stretch; what it does not find at the first edge began within."""

    def __init__(self, data: Path | None) -> None:
        """`data` is the server's folder; None counts nothing."""
        self._data = data
        self._pages: dict[str, list[Path]] = {}
        self._before: dict[Path, int] = {}
        self._at_edge: dict[Path, int] | None = None

    def look(self) -> None:
        """Find the pages, outside counted time."""
        self._pages = {} if self._data is None else {name: _pages(self._data, name) for name in COUNTED}

    def ready(self) -> None:
        """A stretch is near: from here on a peak is its own."""
        for page in (page for name in PEAKS for page in self._pages.get(name, ())):
            _set_back(page)

    def start(self) -> None:
        """The stretch begins."""
        self._before = {page: _count(page) for name in TICKS for page in self._pages.get(name, ())}
        self._at_edge = None

    def edge(self) -> None:
        """It ends at this moment; `stop` says what was counted, when there is time for it."""
        self._at_edge = {page: _count(page) for page in self._before}

    def stop(self) -> Stretch:
        """Say what was counted in the stretch, which ends now if it had no edge yet."""
        if self._at_edge is None:
            self.edge()
        at_edge = self._at_edge or {}
        self.look()
        ticks: Counter[str] = Counter(dict.fromkeys(TICKS, 0))
        for name in TICKS:
            for page in self._pages.get(name, ()):
                count = at_edge[page] if page in at_edge else _count(page)
                ticks[name] += max(0, count - self._before.get(page, 0))
        return Stretch(most=self._peaks(INSIDE), asking=self._peaks(ASKING), ticks=ticks)

    def _peaks(self, name: str) -> dict[str, int]:
        return {page.name: count for page in self._pages.get(name, ()) if (count := _count(page)) > 0}


def cache_use(ticks: Mapping[str, int]) -> CacheUse | None:
    """Say how a cache fared by how often it was asked and missed; None when it was never asked."""
    asked = ticks.get(CACHE_ASKED, 0)
    return CacheUse(asked=asked, missed=min(asked, ticks.get(CACHE_MISSED, 0))) if asked else None


def within(ticks: Mapping[str, int]) -> Crossings | None:
    """Say what was counted at the border of an app (`apps/border.py`); None where nothing was taken there."""
    calls = ticks.get(WITHIN_CALLS, 0)
    if not calls:
        return None
    return Crossings(
        calls=calls,
        once_s=ticks.get(WITHIN_NS, 0) / 1e9,
        tried_s=ticks.get(WITHIN_OWN, 0) / 1e9,
        twice=ticks.get(TWICE_CALLS, 0),
        twice_s=ticks.get(TWICE_NS, 0) / 1e9,
        threads_s=ticks.get(THREADS_NS, 0) / 1e9,
    )


def forget(data: Path) -> None:
    """Set the pages of a server's data folder back to 0: from now on counts what goes on from now on."""
    for name in COUNTED:
        for page in _pages(data, name):
            _set_back(page)


def read(data: Path) -> tuple[int, ...] | None:
    """Most requests at once in each process that had any, the busiest first; None when none counted any."""
    return tuple(sorted(counts(data, INSIDE), reverse=True)) or None


def read_cache(data: Path) -> CacheUse | None:
    """How often pages were asked of the app's cache and had to be made; None when it was never asked."""
    return cache_use({name: sum(counts(data, name)) for name in TICKS})


def _pages(data: Path, name: str) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(data / name) as found:
        return [Path(page.path) for page in found if page.name.isdecimal() and page.is_file()]
    return []


def _set_back(page: Path) -> None:
    with contextlib.suppress(OSError), page.open("r+b") as file:
        file.write(bytes(BYTES))


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
