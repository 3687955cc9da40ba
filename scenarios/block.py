"""Calls that block their thread for 20 ms, as a client library without coroutines does: how many go at once."""

from __future__ import annotations

from sgibench.load.user import BenchUser, get

BLOCK_MS = 20


class Block(BenchUser):
    """Calls that block their thread for 20 ms, as a client library without coroutines does: how many go at once."""

    requests = (get(f"/block/{BLOCK_MS}", expect=b"blocked %d ms" % BLOCK_MS, least_s=BLOCK_MS / 1000),)
    floor_s = BLOCK_MS / 1000
