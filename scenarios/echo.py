"""A posted kibibyte comes back: reading request bodies."""

from __future__ import annotations

from sgibench.load.user import BenchUser, post

BODY = bytes(range(256)) * 4


class Echo(BenchUser):
    """A posted kibibyte comes back: reading request bodies."""

    requests = (post("/echo", body=BODY, headers=(("Content-Type", "application/octet-stream"),), expect=BODY),)
