"""What bombardier tells twice: its rate beside its count, its time and its latency.

Its rate is the mean of samples of about 20 ms, and each counts as much as any other, however short it was. Such a mean
and the requests over the time differ by at most the samples' deviation times that of their lengths, as a share of a
length (Cauchy and Schwarz): by half of it, where a clock ticks and not one sample of a short run is most of it. Equal
samples count once in the deviation that it prints; a stall's are equal, so a quarter of them may have been 0. No two
answers of a connection overlap, so all their times are no longer than the run for each connection.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sgibench.audit.figures import Twice, ms
from sgibench.units import count, seconds, significant

_LEAST_S = 1.0
"""Fifty samples: of fewer, the last one may be most of their mean."""
_LENGTHS = 0.5
_STALLED = 0.25
_ROUNDED = 0.01


@dataclass(frozen=True, kw_only=True)
class Told:
    """The figures of one run; None where it does not tell."""

    requests: float
    rps: float | None
    spread_rps: float | None
    most_rps: float | None
    connections: float | None
    """Also where a rate was held."""
    mean_ms: float | None
    least_s: float | None
    """What the run took, between these two."""
    most_s: float | None
    asked: float | None
    """Requests that it was to make."""


def told_twice(told: Told) -> Iterator[Twice]:
    """Compare all of it."""
    if told.asked:
        parts = f"it was to make {told.asked:,.0f}"
        yield Twice(told=f"{told.requests:,.0f} requests", parts=parts, agree=told.requests <= told.asked)
    spent_s = None
    if told.connections and told.mean_ms:
        spent_s = told.requests * told.mean_ms / 1e3 / told.connections
        if told.most_s:
            each = f"{told.requests:,.0f} requests of {ms(told.mean_ms)} on {count(told.connections)} connections"
            yield Twice(
                told=f"{each} take {seconds(spent_s)}",
                parts=f"the run took {seconds(told.most_s)} at most",
                agree=spent_s <= told.most_s * (1 + _ROUNDED),
            )
    if told.rps is None:
        return
    if told.most_rps is not None:
        yield Twice(
            told=f"{significant(told.rps)}/s on average",
            parts=f"{significant(told.most_rps)}/s in the quickest sample",
            agree=told.rps <= told.most_rps * (1 + _ROUNDED / 10) + 1,
        )
    yield Twice(
        told=f"{significant(told.rps)}/s", parts="no request by its codes", agree=told.rps <= 0 or told.requests > 0
    )
    if told.spread_rps is not None:
        yield from _rate(told, told.rps, told.spread_rps, spent_s)


def _rate(told: Told, rps: float, spread_rps: float, spent_s: float | None) -> Iterator[Twice]:
    room = _LENGTHS * math.hypot(spread_rps, math.sqrt(_STALLED) * rps) + _ROUNDED * rps
    scatter = f"and its samples scatter by {significant(spread_rps)}/s"
    shortest_s = max(told.least_s or 0.0, spent_s or 0.0)
    if shortest_s >= _LEAST_S:
        most = told.requests / shortest_s
        yield Twice(
            told=f"{significant(rps)}/s on average",
            parts=f"{told.requests:,.0f} in at least {seconds(shortest_s)} are {significant(most)}/s, {scatter}",
            agree=rps <= most + room,
        )
    if told.most_s and told.most_s >= _LEAST_S:
        least = told.requests / told.most_s
        yield Twice(
            told=f"{significant(rps)}/s on average",
            parts=f"{told.requests:,.0f} in {seconds(told.most_s)} are {significant(least)}/s, {scatter}",
            agree=rps >= least - room,
        )
