"""Large bodies, as the scenarios of uploads and downloads send and expect them: few connections, memory looked at."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from sgibench.load.request import Request, get, post
from sgibench.model import Terms
from sgibench.model.terms import Protocol

HTTP1: tuple[Protocol, ...] = ("http", "https")
"""Where a body comes in chunks, or waits for `100 Continue`."""
ANY: tuple[Protocol, ...] = (*HTTP1, "h2c", "h2")
MIB = 1 << 20
PIECE = 65536
"""Size of a chunk."""


def moving(family: str, protocols: tuple[Protocol, ...] = ANY) -> Terms:
    """Give the terms of a scenario that moves large bodies; those of one family move the same ones.

    Four at once, whatever they go over: on four connections, each with one stream where it could have several.
    """
    return Terms(
        family=family, connections=4, streams=1, protocols=protocols, at_rate=False, calibrated=False, peak=True
    )


def upload(size: int, **how: Any) -> Request:
    """Declare a body of so many bytes that the app reads and counts piece by piece; `how` are fields of Request."""
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    return post("/sink", body=body, expect=b'{"bytes":%d,"crc32":"%08x"}' % (len(body), crc32(body)), **how)


def download(size: int, *, pieces: bool = False) -> Request:
    """Declare an answer of so many bytes: with its length, or in `pieces` of 64 KiB without one."""
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    return get(f"/pieces/{size}" if pieces else f"/bytes/{size}", expect=body)
