"""Bursts of 2 × the backlog at a server that is stopped for 0.3 s: its queue runs over, and SYN are sent again."""

from __future__ import annotations

from sgibench.load.bursting import BACKLOG, BurstUser


class BurstStopped(BurstUser):
    """Bursts of 2 × the backlog at a server that is stopped for 0.3 s: its queue runs over, and SYN are sent again."""

    connections = 2 * BACKLOG
    stopped_s = 0.3
