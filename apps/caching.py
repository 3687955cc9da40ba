"""The page from a cache: what is common to all apps, and a small cache of its own for those without a framework's.

An app asks its framework's cache, on local memory, or on memcached or Redis where SGIBENCH_MEMCACHED or SGIBENCH_REDIS
gives an address. What is asked and what has to be made is counted, so that whoever measures knows how often the cache
had it. Standard library only.
"""

from __future__ import annotations

import os
import threading
import time
from urllib.parse import urlsplit

from inside import Tick

TIMEOUT_S = 300
"""For so long a page is kept."""
MOST = 300
"""Pages that the cache in local memory holds, as many as Django's holds by default; then the oldest go."""
ASKED = Tick("cache-asked")
MISSED = Tick("cache-missed")


def redis_url() -> str | None:
    """Address of the Redis that this app is to use; None for local memory."""
    return os.environ.get("SGIBENCH_REDIS")


def memcached() -> tuple[str, str] | None:
    """Address of the memcached that this app is to use, `host:port`, and the prefix of its keys; None without one."""
    parts = urlsplit(os.environ.get("SGIBENCH_MEMCACHED", ""))
    return (parts.netloc, parts.path.strip("/")) if parts.netloc else None


def key_of(number: int) -> str:
    """Name a page in the cache."""
    return f"page:{number}"


class LocalCache:
    """Pages in this process's memory: each is kept for its time, and when there are too many the oldest goes."""

    def __init__(self, most: int = MOST, timeout_s: float = TIMEOUT_S) -> None:
        self._most = most
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, bytes]] = {}

    def get(self, key: str) -> bytes | None:
        """Give what is kept under a key; None when there is nothing, or its time is up."""
        found = self._kept.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def set(self, key: str, value: bytes) -> None:
        """Keep it."""
        with self._lock:
            self._kept.pop(key, None)
            while len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = (time.monotonic() + self._timeout_s, value)


LOCAL = LocalCache()
