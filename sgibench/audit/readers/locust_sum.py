"""What Locust tells twice: the aggregate of a table beside its rows, and a row's two medians.

Each request is noted in its own row and in the aggregate, and all rates are over one time, so counts, failures and
rates add up, and minimum, maximum, mean and percentiles lie where those of the rows have them: a table that does not
add up lacks a row, or holds a false figure. An event without a response time is counted, but in no latency: only HTTP
methods all have one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sgibench.audit.figures import Figures, Twice, ms
from sgibench.units import significant

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
_STEP_MS = 1.0
"""The console cuts to whole milliseconds."""
_ROUNDED = 0.05
"""Percentiles have two digits."""
_SAME = 1e-3
_RATE_STEP = 0.011
"""Rates of older versions and of the console have two digits behind the point."""


def median_twice(count: float | None, median_ms: float | None, p50_ms: float | None) -> Iterator[Twice]:
    """Compare `Median Response Time` with `50%`: of an even count, older versions print the lower of the middle two."""
    if not count or median_ms is None or p50_ms is None:
        return
    room = _STEP_MS + _ROUNDED * p50_ms
    too_low = count % 2 == 1 and median_ms < p50_ms - room
    yield Twice(
        told=f"a median of {ms(median_ms)}",
        parts=f"half of the requests within {ms(p50_ms)}",
        agree=median_ms <= p50_ms + room and not too_low,
    )


def with_the_sum(rows: Sequence[Figures], totals: Sequence[bool], kinds: set[str], *, rates: bool) -> list[Figures]:
    """Compare the aggregate of one table with its rows; `rates` only where they are of the whole run."""
    parts = [row for row, is_total in zip(rows, totals, strict=True) if not is_total]
    if not parts:
        return list(rows)
    http = kinds <= METHODS
    return [
        replace(row, twice=(*row.twice, *_sums(row, parts, rates=rates), *_latencies(row, parts, http=http)))
        if is_total
        else row
        for row, is_total in zip(rows, totals, strict=True)
    ]


def _sums(total: Figures, parts: Sequence[Figures], *, rates: bool) -> Iterator[Twice]:
    named = [
        ("requests", _count(total), [_count(row) for row in parts]),
        ("failures", total.errors, [row.errors for row in parts]),
    ]
    for what, told, rows in named:
        known = [each for each in rows if each is not None]
        if told is not None and len(known) == len(rows):
            parted = f"its {len(rows)} rows have {sum(known):,.0f}"
            yield Twice(told=f"{told:,.0f} {what} in all", parts=parted, agree=told == sum(known))
    if rates and total.rps is not None:
        together = sum(row.rps or 0.0 for row in parts)
        room = _SAME * together + _RATE_STEP * (len(parts) + 1)
        told_rate, parted = f"{significant(total.rps)}/s in all", f"its rows make {significant(together)}/s together"
        yield Twice(told=told_rate, parts=parted, agree=abs(total.rps - together) <= room)


def _latencies(total: Figures, parts: Sequence[Figures], *, http: bool) -> Iterator[Twice]:
    asked = [row for row in parts if _count(row)]
    at, of_rows = dict(total.printed_ms), [dict(row.printed_ms) for row in asked]
    for q, told in at.items():
        among = [known[q] for known in of_rows if q in known]
        if not among or len(among) < len(asked):
            continue
        if q == 0:
            # A row without a single response time has a minimum of 0.
            low, high = min(among), min((each for each in among if each > 0), default=0.0)
        else:
            low, high = max(among) if q == 1 else min(among), max(among)
        room = _STEP_MS + (0.0 if q in (0, 1) else _ROUNDED * high)
        name = "a minimum" if q == 0 else "a maximum" if q == 1 else f"p{q * 100:g}"
        yield Twice(
            told=f"{name} of {ms(told)} in all",
            parts=f"{ms(low)} in its rows" if low == high else f"{ms(low)} to {ms(high)} in its rows",
            agree=low - room <= told <= high + room,
        )
    means = [(row.printed_mean_ms, _count(row) or 0.0) for row in asked]
    whole = sum(many for _mean, many in means)
    if not http or total.printed_mean_ms is None or not whole or any(mean is None for mean, _many in means):
        return
    mean_ms = sum((mean or 0.0) * many for mean, many in means) / whole
    yield Twice(
        told=f"a mean of {ms(total.printed_mean_ms)} in all",
        parts=f"that of its rows together is {ms(mean_ms)}",
        agree=abs(total.printed_mean_ms - mean_ms) <= _STEP_MS + _SAME * mean_ms,
    )


def _count(row: Figures) -> float | None:
    return None if row.requests_ok is None else row.requests_ok + (row.errors or 0.0)
