"""Ten server-sent events, 5 ms apart: whether a server passes on what an app sends as it comes."""

from __future__ import annotations

from sgibench.load.user import BenchUser, get

EVENTS = 10
PAUSE_MS = 5


class Stream(BenchUser):
    """Ten server-sent events, 5 ms apart: whether a server passes on what an app sends as it comes."""

    requests = (
        get(
            f"/stream/{EVENTS}?pause_ms={PAUSE_MS}",
            name="/stream",
            expect=b"".join(b"data: chunk %d\n\n" % number for number in range(EVENTS)),
            streams=True,
        ),
    )
    floor_s = (EVENTS - 1) * PAUSE_MS / 1000
