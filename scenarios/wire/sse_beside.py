"""Small JSON on 16 connections beside 64 streams of server-sent events, 20 events 50 ms apart in each."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Beside, Terms, get

EVENTS = 20
PAUSE_MS = 50
STREAM = get(
    f"/stream/{EVENTS}?pause_ms={PAUSE_MS}",
    name="/stream",
    expect=b"".join(b"data: chunk %d\n\n" % number for number in range(EVENTS)),
    streams=True,
)


class StreamsBeside(BenchUser):
    """Small JSON on 16 connections beside 64 streams of server-sent events, 20 events 50 ms apart in each."""

    terms = Terms(connections=16, protocols=("http", "https"))
    beside = Beside(count=64, asks=STREAM, repeats=True, silent_s=2.0)
    requests = (get("/json", expect=b'{"message":"Hello, World!"}'),)
