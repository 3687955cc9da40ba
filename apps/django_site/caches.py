"""Where Django's cache keeps its pages: in memcached, in Redis, or in local memory."""

from __future__ import annotations

from typing import Any

import caching


def default() -> dict[str, Any]:
    """Settings of the default cache."""
    if named := caching.memcached():
        address, prefix = named
        backend = "django.core.cache.backends.memcached.PyMemcacheCache"
        return {"BACKEND": backend, "LOCATION": address, "KEY_PREFIX": prefix}
    if url := caching.redis_url():
        return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}
    return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
