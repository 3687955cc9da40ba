"""Whether a queue of jobs grows: more is handed in than is done, so that it is as long as one watches. Pure.

The same rule decides what a report says of a queue and whether a step of a search for capacity held: the rate up to
which it holds is the point from which on the queue grows without end.
"""

from __future__ import annotations

from collections.abc import Sequence

from sgibench.model import Jobs

LEAST_GROWTH = 20
"""A queue that is longer by fewer jobs has not grown."""
GROWING = 0.05
"""It grows where this share of what is handed in stays."""


def growth(seen: Sequence[Jobs]) -> int:
    """By how many jobs the queues of these windows grew in all; 0 where that is no growth."""
    grown = sum(jobs.waiting_end - jobs.waiting_start for jobs in seen)
    handed = sum(jobs.handed for jobs in seen)
    return grown if grown >= LEAST_GROWTH and grown > GROWING * handed else 0
