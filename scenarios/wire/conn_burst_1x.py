"""Bursts of 1 × the backlog: 1024 connections opened at the same moment, each for one small request."""

from __future__ import annotations

from sgibench.load.bursting import BACKLOG, BurstUser


class Burst1x(BurstUser):
    """Bursts of 1 × the backlog: 1024 connections opened at the same moment, each for one small request."""

    connections = BACKLOG
