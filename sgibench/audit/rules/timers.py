"""Rules about timers: answers that sit where the network's timers or a polling loop's ticks sit.

A server that waits is not at work, so such a latency is not its speed.
"""

from __future__ import annotations

from collections.abc import Iterator

from sgibench.audit.figures import Figures, doubt, ms
from sgibench.audit.rules.laws import IDLE_SHARE, TIMER_BANDS_MS, waits_into
from sgibench.model import Doubt
from sgibench.units import percent

TIGHT = 1.10
TIGHTER = 1.03
"""Nine of ten answers within 3 % above the median: timers give that, servers at work hardly do."""
BODY = 0.40
"""p50 to p90: the share of answers that percentiles must show inside one timer's band ..."""
JUMP = 0.5
"""... or they must come to it from half of it or less: what else waits that long at once?"""
FLOAT_ERROR = 1e-9
LEAST_ANSWERS = 5
"""So many answers must lie between two percentiles before they say that answers sit together."""
LATTICE_MS = 10.0
"""Polling loops and kernel ticks come in hundredths of a second."""
ON_LATTICE_MS = 0.1
LATTICE_MOST_MS = 500.0
"""Longer times are printed in steps of 10 ms by some tools."""


def percentiles_at_a_timer(row: Figures) -> Iterator[Doubt]:
    """Find printed percentiles that sit together where a timer of the network sits, unless the server was at work.

    A declared floor near the band, or the turns of a queue, explain them better. Where nobody knows how busy the server
    was, they must sit tighter.
    """
    if not row.quantiles_ms:
        return
    known = row.server_cpu_share is not None
    if row.server_cpu_share is not None and row.server_cpu_share >= IDLE_SHARE:
        return
    where = f"with the server at {percent(row.server_cpu_share)} of its CPUs" if known else "a timer of the network"
    for low, high in TIMER_BANDS_MS:
        if waits_into(row, low, high):
            continue
        inside = [(q, value) for q, value in row.quantiles_ms if low <= value <= high]
        tight = [(q, value) for q, value in inside if value <= inside[0][1] * (TIGHT if known else TIGHTER)]
        below = [value for _q, value in row.quantiles_ms if value < low]
        shown = tight[-1][0] - tight[0][0] if tight else 0.0
        if row.samples is not None and shown * row.samples < LEAST_ANSWERS:
            continue  # high percentiles of few answers are one and the same answer
        jumps = bool(below) and below[-1] <= low * JUMP and len(tight) > 1
        if shown >= BODY - FLOAT_ERROR or jumps:
            (first, at), (last, until) = tight[0], tight[-1]
            yield doubt("Plateau", f"p{first * 100:g} {ms(at)} to p{last * 100:g} {ms(until)}: {where}")


def timer_lattice(row: Figures) -> Iterator[Doubt]:
    """Find answers that wait for a tick: percentiles that sit on multiples of 10 ms, at two of them at least.

    Whole milliseconds may be rounded to where they sit and say nothing.
    """
    shown = [(q, value) for q, value in row.quantiles_ms if 0.5 <= q <= 0.95]  # noqa: PLR2004 - the body, not the tail
    fine = any(abs(value - round(value)) > 1e-6 for _q, value in shown)  # noqa: PLR2004 - more than a float's error
    if row.floor_ms or row.waits_ms or len(shown) < 3 or not fine:  # noqa: PLR2004 - fewer may lie there by chance
        return
    steps = {_step(value) for _q, value in shown}
    if None not in steps and len(steps) > 1:
        at = ", ".join(f"p{q * 100:g} {ms(value)}" for q, value in shown)
        yield doubt("Plateau", f"answers come in steps of {LATTICE_MS:.0f} ms: {at}")


def _step(value_ms: float) -> int | None:
    """Which multiple of the lattice a time is; None when it is none."""
    step = round(value_ms / LATTICE_MS)
    near = abs(value_ms - step * LATTICE_MS) <= ON_LATTICE_MS
    return step if near and 0 < step * LATTICE_MS <= LATTICE_MOST_MS else None
