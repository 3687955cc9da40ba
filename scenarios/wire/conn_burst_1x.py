"""Bursts of 1 × the backlog: 1024 connections opened at the same moment, each for one small request."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Terms, get


class Burst1x(BenchUser):
    """Bursts of 1 × the backlog: 1024 connections opened at the same moment, each for one small request."""

    terms = Terms(
        unit="connection",
        connections=1024,
        connection="close",
        protocols=("http",),
        at_rate=False,
        calibrated=False,
    )
    connection = "close"
    times_opening = True
    bursts = True
    requests = (get("/plaintext", expect=b"Hello, World!"),)
