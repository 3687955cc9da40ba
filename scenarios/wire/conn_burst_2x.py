"""Bursts of 2 × the backlog: 2048 connections opened at the same moment, each for one small request."""

from __future__ import annotations

from sgibench.load.bursting import BACKLOG, BurstUser


class Burst2x(BurstUser):
    """Bursts of 2 × the backlog: 2048 connections opened at the same moment, each for one small request."""

    connections = 2 * BACKLOG
