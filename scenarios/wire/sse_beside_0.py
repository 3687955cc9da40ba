"""Small JSON on 16 connections beside no stream: what sse_beside is to be compared with."""

from __future__ import annotations

from sgibench.load.events import BESIDE
from sgibench.load.user import BenchUser, get


class StreamsBeside0(BenchUser):
    """Small JSON on 16 connections beside no stream: what sse_beside is to be compared with."""

    terms = BESIDE
    requests = (get("/json", expect=b'{"message":"Hello, World!"}'),)
