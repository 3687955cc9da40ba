"""Bursts of 2 × the backlog: 2048 connections opened at the same moment, each for one small request."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Terms, get


class Burst2x(BenchUser):
    """Bursts of 2 × the backlog: 2048 connections opened at the same moment, each for one small request."""

    terms = Terms(
        unit="connection",
        connections=2048,
        connection="close",
        protocols=("http",),
        at_rate=False,
        calibrated=False,
    )
    connection = "close"
    times_opening = True
    bursts = True
    requests = (get("/plaintext", expect=b"Hello, World!"),)
