"""Rules about the machine and the server's place on it: what took its CPUs, and what it took beyond its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import fmean, median, stdev

from sgibench.audit.figures import Figures, Look, doubt
from sgibench.model import HYPERVISOR, Doubt
from sgibench.units import many, percent, seconds, significant, size

BUSY_IDLE = 0.01
STEAL = 0.05
THROTTLED_SHARE = 0.01
FOREIGN = 0.05
PRESSURE = 0.30
"""Share of time that some task waited; a server's own threads wait for one another too, but less than this ..."""
GOT_ITS_CPU = 0.85
"""... unless they fill the CPU: a server that got this much of its CPUs was not kept from them by anybody."""
DISTURBED = 0.25
"""Share of its turns; what is disturbed for so long holds far more than the slowest hundredth of its requests."""
BEYOND = 1.05
"""CPU time and the window are read within microseconds of each other; clocks of virtual CPUs are off by less."""
LEAST_LOOKS = 5
"""Looks at memory before its growth says anything."""
GROWN_SHARE, GROWN_BYTES = 0.10, 16 * 2**20
"""Growth that matters: a tenth of what it was, and more than pools and caches of a small app take."""
GOES_ON = 0.5
"""A pool that fills slows down; a leak does not: its second half grows at least at this share of the whole's pace."""
UNSTEADY = 0.05
UNSTEADY_ERRORS = 4.0
"""Halves must differ by this many standard errors: slices of one window are not independent."""
LEAST_PARTS = 8


def machine(row: Figures) -> Iterator[Doubt]:
    """Find what the machine did meanwhile: steal, throttling, pressure; and a server that burns CPU when idle."""
    if row.steal is not None and row.steal > STEAL:
        yield doubt("Stolen", f"{percent(row.steal)} of the server CPUs' time was taken by the hypervisor")
    if row.throttled_s and row.throttled_s > THROTTLED_SHARE * (row.duration_s or 0.0):
        yield doubt("Throttled", f"the CPU quota held processes back for {seconds(row.throttled_s)}")
    yield from pressed(row)
    yield from disturbed(row)
    if row.idle_cpu is not None and row.idle_cpu > BUSY_IDLE:
        yield doubt("BusyIdle", f"{percent(row.idle_cpu)} of a CPU while nothing was asked")


def pressed(row: Figures) -> Iterator[Doubt]:
    """Find other work on the server's CPUs: what others used, or, where that is not known, how long tasks waited."""
    if row.foreign_cpu is not None:
        if row.foreign_cpu > FOREIGN:
            yield doubt("Pressed", f"{percent(row.foreign_cpu)} of the server CPUs' time went to other processes")
        return
    own = row.server_cpu_share is not None and row.server_cpu_share >= GOT_ITS_CPU
    if row.pressure is not None and row.pressure > PRESSURE and not own:
        yield doubt("Pressed", f"tasks waited for a CPU for {percent(row.pressure)} of the time")


def disturbed(row: Figures) -> Iterator[Doubt]:
    """Find turns that count although somebody else held a CPU in them: p99 is then theirs as much as the server's."""
    held = dict(row.disturbed)
    turns = sum(held.values())
    if not turns or turns < DISTURBED * row.pieces:
        return
    most = max(held, key=lambda name: held[name])
    detail = f"in {turns} of {many(row.pieces, 'turn')} that count somebody else held a CPU: {', '.join(sorted(held))}"
    yield doubt("Stolen" if most == HYPERVISOR else "Pressed", detail)


def kept_from_its_cpus(row: Figures) -> bool:
    """Whether others took of the server's CPUs while tasks waited for one: as much of a window as they liked."""
    taken = row.foreign_cpu is not None and row.foreign_cpu > FOREIGN
    return taken and row.pressure is not None and row.pressure > PRESSURE


def outside_its_cpus(row: Figures) -> Iterator[Doubt]:
    """Find a server that took more CPU time than its CPUs have, or ran where it was not put."""
    if row.cpus_given and row.cpus_used is not None and row.cpus_used > BEYOND * row.cpus_given:
        given = many(round(row.cpus_given), "CPU")
        yield doubt("OutsideCpus", f"it used {significant(row.cpus_used)} CPUs, and was given {given}")
    for phrase in row.outside:
        yield doubt("OutsideCpus", phrase)


def growing(row: Figures) -> Iterator[Doubt]:
    """Find memory that grows as long as one looks: by much, and no slower in the second half."""
    looks = row.memory
    if len(looks) < LEAST_LOOKS:
        return
    pace = per_second(looks)
    span_s = looks[-1].at_s - looks[0].at_s
    grown = pace * span_s
    held = median(look.held_bytes for look in looks[:3])
    later = per_second(looks[len(looks) // 2 :])
    if grown > max(GROWN_SHARE * held, GROWN_BYTES) and later >= GOES_ON * pace:
        detail = f"memory grew by {size(pace)} a second for {seconds(span_s)}, from {size(held)}"
        yield doubt("Growing", detail)


def per_second(looks: Sequence[Look]) -> float:
    """Bytes per second, as the median of the slopes of all pairs (Theil and Sen): one odd look does not matter."""
    slopes = [(b.held_bytes - a.held_bytes) / (b.at_s - a.at_s) for a, b in combinations(looks, 2) if b.at_s > a.at_s]
    return median(slopes) if slopes else 0.0


def unsteady(row: Figures) -> Iterator[Doubt]:
    """Find halves of a window that differ by more than the scatter inside them."""
    parts = row.window_parts
    if len(parts) < LEAST_PARTS:
        return
    first, second = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    a, b = fmean(first), fmean(second)
    error = math.sqrt(stdev(first) ** 2 / len(first) + stdev(second) ** 2 / len(second))
    if min(a, b) > 0 and abs(math.log(b / a)) > UNSTEADY and abs(b - a) > UNSTEADY_ERRORS * error:
        yield doubt("Unsteady", f"{significant(a)}/s in the first half, {significant(b)}/s in the second")
