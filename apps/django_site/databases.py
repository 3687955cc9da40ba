"""Django's own connection handling, for the embedded database and for PostgreSQL.

On WSGI connections to PostgreSQL are persistent, one for each thread (CONN_MAX_AGE), unless SGIBENCH_DJANGO_POOL asks
for the pool that Django has since 5.1. On ASGI it is always the pool: Django's documentation advises against persistent
connections there.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import contract


def default() -> dict[str, Any]:
    """Settings of the default database."""
    url = os.environ.get(contract.POSTGRESQL)
    return embedded() if not url else postgresql(url, pooled=bool(os.environ.get("SGIBENCH_DJANGO_POOL")))


def embedded() -> dict[str, Any]:
    """The contract's file of items."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": contract.items_file(),
        "CONN_MAX_AGE": None,
        "OPTIONS": {"timeout": 5, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA synchronous=OFF"},
    }


def postgresql(url: str, *, pooled: bool) -> dict[str, Any]:
    """The address in Django's words."""
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    size = max(1, int(os.environ.get("SGIBENCH_POOL") or 8))
    if pooled:
        options["pool"] = {"min_size": size, "max_size": size}
    return {
        "ENGINE": "django_site.counted",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0 if pooled else None,
        "OPTIONS": options,
    }
