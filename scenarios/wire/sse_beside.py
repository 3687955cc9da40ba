"""Small JSON on 16 connections beside 64 streams of server-sent events, 20 events 50 ms apart in each."""

from __future__ import annotations

from sgibench.load.events import BESIDE, streams
from sgibench.load.user import BenchUser, get


class StreamsBeside(BenchUser):
    """Small JSON on 16 connections beside 64 streams of server-sent events, 20 events 50 ms apart in each."""

    terms = BESIDE
    beside = streams(64)
    requests = (get("/json", expect=b'{"message":"Hello, World!"}'),)
