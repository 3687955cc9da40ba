"""Streams of server-sent events held open beside requests, as the scenarios of streams declare them."""

from __future__ import annotations

from sgibench.load.beside import Beside
from sgibench.load.request import get
from sgibench.model import Terms

EVENTS = 20
PAUSE_MS = 50
SILENT_S = 2.0
"""A stream that says nothing for so long is a time-out."""
BESIDE = Terms(family="beside streams", connections=16, protocols=("http", "https"))
"""Terms of the requests that are measured; those of one family are asked alike, beside more or fewer streams."""


def streams(count: int) -> Beside:
    """Declare so many streams of 20 events, 50 ms apart; each is asked for again as it ends."""
    stream = get(
        f"/stream/{EVENTS}?pause_ms={PAUSE_MS}",
        name="/stream",
        expect=b"".join(b"data: chunk %d\n\n" % number for number in range(EVENTS)),
        streams=True,
    )
    return Beside(count=count, asks=stream, repeats=True, silent_s=SILENT_S)
