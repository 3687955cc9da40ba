"""Fifty milliseconds of waiting, as for a database or another service: how many requests a server can have open."""

from __future__ import annotations

from sgibench.load.user import BenchUser, get


class Wait(BenchUser):
    """Fifty milliseconds of waiting, as for a database or another service: how many requests a server can have open."""

    requests = (get("/wait/50", expect=b"waited 50 ms"),)
    floor_s = 0.05
