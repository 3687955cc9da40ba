"""What an app counts of itself: requests that are inside it at once, and whatever else a module of its wants counted.

`with INSIDE:` stands around whatever takes time: a wait, a call that blocks, a query, its wait for a connection
included; what waits for a thread or a turn is not inside. Each process keeps a count in a page of memory which is a
file of the folder that SGIBENCH_DATA names: whoever measures reads it, and sets it back to 0, without asking the app
anything. Standard library only.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from pathlib import Path

BYTES = 8
"""A page is a file `NAME/PID` below SGIBENCH_DATA and holds one whole number."""


class Inside:
    """Counts who is inside; threads, coroutines and greenlets alike."""

    __slots__ = ("_here", "_lock", "_name", "_page")

    def __init__(self, name: str = "inside") -> None:
        self._name = name
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self.forget)
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a process that was forked off another."""
        self._here: list[None] = []
        self._page: memoryview | None = None

    def __enter__(self) -> None:
        """Go in. Both steps are atomic, with a global interpreter lock and without one."""
        self._here.append(None)
        page = self._page or self._opened()
        if len(self._here) > page[0]:
            with self._lock:
                page[0] = max(page[0], len(self._here))

    def __exit__(self, *_: object) -> None:
        """Come out."""
        self._here.pop()

    @property
    def most(self) -> int:
        """The most that were inside at once."""
        return int(self._page[0]) if self._page else 0

    def _opened(self) -> memoryview:
        """Make the page on first use, so that each worker process has its own."""
        with self._lock:
            if self._page is None:
                self._page = page_of(self._name)
            return self._page


def page_of(name: str) -> memoryview:
    """A page that others can read; where that can't be had, one of our own: counting must never break an app."""
    folder = os.environ.get("SGIBENCH_DATA")
    if folder:
        with contextlib.suppress(OSError, ValueError):
            path = Path(folder) / name / str(os.getpid())
            path.parent.mkdir(exist_ok=True)
            with path.open("w+b") as file:
                file.write(bytes(BYTES))
                file.flush()
                return memoryview(mmap.mmap(file.fileno(), BYTES)).cast("q")
    return memoryview(bytearray(BYTES)).cast("q")


class Tick:
    """Counts what happened, e.g. the misses of a cache."""

    __slots__ = ("_lock", "_name", "_page")

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._page: memoryview | None = None
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin anew, in a process that was forked off another."""
        self._lock = threading.Lock()
        self._page = None

    def __call__(self) -> None:
        """Once more."""
        with self._lock:
            if self._page is None:
                self._page = page_of(self._name)
            self._page[0] += 1

    @property
    def count(self) -> int:
        """How often."""
        return int(self._page[0]) if self._page else 0


INSIDE = Inside()
ASKING = Inside("asking")
"""Of those, who ask a database or wait for a connection to it: what a pool has to be large enough for."""
