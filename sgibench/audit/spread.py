"""Rules about the blocks of one cell: whether they are repeats of one measurement, and how far they scatter. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median_low, stdev

from sgibench.audit.figures import doubt
from sgibench.audit.rules.counts import NOISY, UNLIKE
from sgibench.model import Doubt, Metric, Trial
from sgibench.stats import LATENCIES, block_values
from sgibench.units import many, microseconds, percent, significant

FEWEST = 3
"""Blocks with a percentile before one of them stands out."""
PERCENTILES: dict[Metric, str] = {"p50_us": "p50", "p99_us": "p99", "p999_us": "p99.9"}


def spread(good: Sequence[Trial], kept: Sequence[bool]) -> tuple[Doubt, ...]:
    """Noisy: the primary figure (CPU per request; the rate where there is none) scatters by more than 10 %.

    Also: a percentile is ten times as long in some block as in the middle one; ordinary blocks differ by four times at
    most. WrongCount: blocks whose rates differ by orders of magnitude are not repeats of one measurement. Where others
    took the server's CPUs from it (`kept`, one a trial), they may well be, and then that is Noisy, too.
    """
    known = [(trial.rps, taken) for trial, taken in zip(good, kept, strict=True) if trial.rps and trial.rps > 0]
    rates = [rps for rps, _taken in known]
    if rates and max(rates) >= UNLIKE * min(rates):
        said = f"blocks from {significant(min(rates))} to {significant(max(rates))}/s"
        own = [rps for rps, taken in known if not taken]
        if own and max(own) >= UNLIKE * min(own):
            return (doubt("WrongCount", f"{said} have no mean of any kind"),)
        return (doubt("Noisy", f"{said}, while other processes took the server's CPUs"),)
    found = [*_primary_scatters(good), *_tails_apart(good)]
    return (doubt("Noisy", "; ".join(found)),) if found else ()


def _primary_scatters(good: Sequence[Trial]) -> Iterator[str]:
    named = (("CPU per request", [t.cpu_us_per_request for t in good]), ("requests per second", [t.rps for t in good]))
    for name, values in named:
        found = [value for value in values if value is not None and value > 0]
        if len(found) == len(good):
            share = stdev(math.log(value) for value in found)
            if share > NOISY:
                low, high = significant(min(found)), significant(max(found))
                yield f"{name} scatters by {percent(share)} over {len(found)} blocks, from {low} to {high}"
            return


def _tails_apart(good: Sequence[Trial]) -> Iterator[str]:
    """Find percentiles that blocks do not share: what one block alone has is no property of the server."""
    for metric in LATENCIES:
        values = block_values(good, metric)
        if len(values) < FEWEST:
            continue
        usual = median_low(values.values())
        apart = sorted(block + 1 for block, value in values.items() if value >= UNLIKE * usual)
        if apart:
            longest = max(values.values())
            where = f"block {apart[0]}" if len(apart) == 1 else many(len(apart), "block")
            times = f"{significant(longest / usual, 2)} times as long"
            most = "up to " if len(apart) > 1 else ""
            yield f"{PERCENTILES[metric]} {most}{microseconds(longest)} in {where}, {times} as the middle of all, " + (
                microseconds(usual)
            )
