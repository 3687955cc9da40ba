"""Small JSON on 16 connections beside 512 streams of server-sent events, 20 events 50 ms apart in each."""

from __future__ import annotations

from sgibench.load.events import BESIDE, streams
from sgibench.load.user import BenchUser, get


class StreamsBeside512(BenchUser):
    """Small JSON on 16 connections beside 512 streams of server-sent events, 20 events 50 ms apart in each."""

    terms = BESIDE
    beside = streams(512)
    requests = (get("/json", expect=b'{"message":"Hello, World!"}'),)
