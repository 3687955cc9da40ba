"""Fast requests beside one in fifty that blocks its thread for 50 ms: how long the fast ones wait for it."""

from __future__ import annotations

from sgibench.load.user import BenchUser, get

BLOCK_MS = 50


class Stall(BenchUser):
    """Fast requests beside one in fifty that blocks its thread for 50 ms: how long the fast ones wait for it."""

    requests = (
        get("/json", weight=49, expect=b'{"message":"Hello, World!"}'),
        get(f"/block/{BLOCK_MS}", weight=1, expect=b"blocked %d ms" % BLOCK_MS, least_s=BLOCK_MS / 1000),
    )
