"""Whether an open load was the load that was asked for. Pure; the audit, the ranking and the search share this rule.

Latency at a rate exists only where the rate was kept: a server that can do 96/s and is offered 200/s has any latency,
depending on how long one watches. Two signs: under 99 % of what was due came back right, or what waited for an answer
grew through the window. A pause shortly before the end leaves many waiting too, but most requests before it did not
wait; in a queue that grows, the half that came last waited for at least half of the final queue. How many wait at two
moments differs by chance; how few wait at best within a third of the window hardly does, and shows a slow growth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from sgibench.histogram import Histogram
from sgibench.model import Trial

KEPT_SHARE = 0.99
"""Of what was due."""
GROWTH_SHARE = 1 - KEPT_SHARE
LEAST_GROWTH = 5
"""Requests: a few more or less are always under way when a window ends."""
NOISE = 3.0
"""Standard deviations by which counts of waiting requests differ by themselves, as if they came at random."""
RISE_SHARE = 0.006
"""Of what was due: by so much the least that waited in the last third may exceed the least in the first. A growth of
1 % through the window is 0.67 % from the beginning of the one to the beginning of the other."""
LEAST_RISE = 2
RISE_NOISE = 2.0
"""Times the root of both numbers: in simulated queues of random arrivals and services at 0.7 of the capacity this is
exceeded by chance in under 1 of 100 windows of 3 s."""
MANY_PIECES = 4
"""Of so many visits, the one that grew most may have ended in a stop: a queue grows in the others, too."""
WAITED_SHARE = 0.25
"""Of the growth in one visit: what came while the median request waited, at least. A steady growth gives one half."""


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What an open load asked for in its window, and what came of it. None = not known."""

    due: float | None
    """Requests due in the window."""
    answered: float | None
    """Of these, right answers."""
    waiting_start: float | None = None
    """Requests that were due and not answered when the window began; of all its visits together."""
    waiting_end: float | None = None
    """The same when it ended."""
    grown_most: float | None = None
    """Of several visits: the most by which more waited at the end of one than at its beginning."""
    least_early: float | None = None
    """The fewest requests that were due and not answered at any moment of the window's first third."""
    least_late: float | None = None
    """The same of its last third."""
    pieces: int = 1
    """Visits that the window is made of."""
    came_meanwhile: float | None = None
    """Requests that became due while the median request waited for its answer: its latency times the rate."""

    @property
    def growth(self) -> float | None:
        """By how much more waited at the end than at the start."""
        if self.waiting_start is None or self.waiting_end is None:
            return None
        return self.waiting_end - self.waiting_start


def shortfall(offered: Offered) -> Literal["unanswered", "growing", "rising"] | None:
    """Say in which way the rate was not kept; None when it was, or when too little is known.

    `growing`: more waited at the end than at the start. `rising`: even the fewest that waited became more.
    """
    due = offered.due
    if not due:
        return None
    if offered.answered is not None and offered.answered < KEPT_SHARE * due - 1:
        return "unanswered"
    if _waited_for(offered, _grown(offered, due)):
        return "growing"
    return "rising" if _waited_for(offered, _risen(offered, due)) else None


def _grown(offered: Offered, due: float) -> float | None:
    """By how many requests what waited grew, beyond what chance explains; None if it did not, or nobody knows."""
    growth = offered.growth
    if growth is None or offered.waiting_start is None:
        return None
    if offered.pieces >= MANY_PIECES:
        growth -= max(0.0, offered.grown_most or 0.0)
    by_chance = NOISE * math.sqrt(max(0.0, 2 * offered.waiting_start + growth))
    return growth if growth > max(GROWTH_SHARE * due, LEAST_GROWTH, by_chance) else None


def _risen(offered: Offered, due: float) -> float | None:
    """By how many requests the fewest that waited became more; likewise."""
    early, late = offered.least_early, offered.least_late
    if early is None or late is None:
        return None
    rise = late - early
    return rise if rise > max(RISE_SHARE * due, LEAST_RISE, RISE_NOISE * math.sqrt(late + early)) else None


def _waited_for(offered: Offered, growth: float | None) -> bool:
    """Whether most requests waited in that queue, as far as is known, and not only those that came after a pause."""
    meanwhile = offered.came_meanwhile
    return growth is not None and (meanwhile is None or meanwhile >= WAITED_SHARE * growth / max(offered.pieces, 1))


def offered_by(trial: Trial) -> Offered:
    """Read a stored trial of an open load; files that do not say what was due get rate x window.

    What came while the median request waited is looked up only where it decides.
    """
    rate, window_s, window = trial.load.rate_per_s, trial.window_s, trial.window
    offered = Offered(due=rate * window_s if rate and window_s else None, answered=trial.requests)
    if window is not None:
        offered = replace(
            offered,
            due=offered.due if window.due is None else window.due,
            waiting_start=_known(window.waiting_start, window.queue_start),
            waiting_end=_known(window.waiting_end, window.queue_end),
            grown_most=window.grown_most,
            least_early=window.least_early,
            least_late=window.least_late,
            pieces=window.pieces,
        )
    p50_us = _median_us(trial) if shortfall(offered) in {"growing", "rising"} else None
    return offered if p50_us is None or rate is None else replace(offered, came_meanwhile=p50_us / 1e6 * rate)


def _median_us(trial: Trial) -> float | None:
    """From the histogram: a trial that did not keep its rate has no latency of its own."""
    data = trial.intended_histogram_us
    return None if data is None else Histogram.from_data(data).percentile_us(0.5)


def _known(waiting: int | None, queued: int | None) -> int | None:
    return queued if waiting is None else waiting


def rate_kept(trial: Trial) -> bool:
    """Whether a trial's latency exists: always in closed loops, and where an open loop kept its rate."""
    return trial.load.kind == "closed" or shortfall(offered_by(trial)) is None
