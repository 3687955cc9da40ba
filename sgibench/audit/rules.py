"""The rules about one row (method, section 6): arithmetic first, then load, machine and spread.

Each rule is a small function from figures to doubts; `RULES` is the list. A threshold stands beside its rule with the
reason for its value, and none of them knows whose row it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from statistics import fmean, stdev

from sgibench.audit.figures import Figures, doubt
from sgibench.model import Doubt
from sgibench.stats import percentile_allowed
from sgibench.units import count, percent, seconds, significant

LITTLE_TOLERANCE = 0.05
"""Honest closed-loop rows lie within 3 % of Little's law; what a tool loses at the edges of its window is about 1 %."""
FLOOR_TOLERANCE = 0.01
"""Timers of event loops may fire a little early."""
COUNT_SHORT = 0.02
"""Counts and rates are taken over slightly different windows."""
COUNT_OVER = 0.05
"""A nominal duration may leave out the start and the drain."""
IDLE_SHARE = 0.5
"""A server under half of its CPUs is not what limits the rate."""
TIMER_BANDS_MS = ((40.0, 48.0), (200.0, 210.0), (1000.0, 1050.0), (3000.0, 3150.0))
"""Linux: delayed ACK 40 ms, least retransmission time-out 200 ms, lost SYN 1 s and then 3 s.

A kernel of 250 ticks a second lets the first timer run for up to two ticks of 4 ms longer.
"""
BUSY_GENERATOR = 0.85
CEILING = 0.80
LAG_SHARE = 0.10
FAIR_JAIN = 0.80
FAIR_SLOWEST = 0.10
FAIR_REQUESTS = 30
"""Requests per connection below which counts say nothing about fairness."""
BUSY_IDLE = 0.01
STEAL = 0.05
THROTTLED_SHARE = 0.01
FOREIGN = 0.05
PRESSURE = 0.30
"""Share of time that some task waited; a server's own threads wait for one another too, but less than this ..."""
GOT_ITS_CPU = 0.85
"""... unless they fill the CPU: a server that got this much of its CPUs was not kept from them by anybody."""
NOISY = 0.10
UNSTEADY = 0.05
UNSTEADY_ERRORS = 4.0
"""Halves must differ by this many standard errors: slices of one window are not independent."""
LEAST_PARTS = 8
TAIL = 0.01
"""What lies beyond p99."""

Rule = Callable[[Figures], Iterator[Doubt]]


def ms(value: float) -> str:
    """Write milliseconds for people."""
    return seconds(value / 1e3)


def errors_seen(row: Figures) -> Iterator[Doubt]:
    """Any wrong answer, reset, refusal or time-out; also rounds of 0 that did not reach the published mean."""
    if row.errors:
        rest = f": {row.error_text}" if row.error_text else ""
        beside = "" if row.requests_ok is None else f" beside {count(row.requests_ok)} right answers"
        yield doubt("ErrorsSeen", f"{count(row.errors)} failed requests{beside}{rest}")
    failed = sum(1 for value in row.round_rps if value <= 0)
    if failed and not any(True for _ in failed_rounds_averaged(row)):
        yield doubt("ErrorsSeen", f"{failed} of {len(row.round_rps)} rounds failed")


def failed_rounds_averaged(row: Figures) -> Iterator[Doubt]:
    """Find a throughput that failed rounds went into, or that is not among its rounds at all."""
    good = [value for value in row.round_rps if value > 0]
    if row.rps is None or not row.round_rps:
        return
    failed = len(row.round_rps) - len(good)
    if failed and (not good or row.rps < min(good) * (1 - COUNT_SHORT)):
        right = f"the rounds that worked give {significant(fmean(good))}/s" if good else "no round worked"
        detail = f"{significant(row.rps)}/s with {failed} of {len(row.round_rps)} rounds at 0; {right}"
        yield doubt("WrongCount", f"failed rounds averaged into throughput: {detail}")
    elif good and not min(good) * (1 - COUNT_SHORT) <= row.rps <= max(good) * (1 + COUNT_SHORT):
        spread = f"{significant(min(good))} to {significant(max(good))}/s"
        yield doubt("WrongCount", f"{significant(row.rps)}/s lies outside its own rounds, {spread}")


def rate_of_zero(row: Figures) -> Iterator[Doubt]:
    """Find a rate of 0: a failure that was published as a slow server."""
    if row.rps is not None and row.rps <= 0 and not row.round_rps:
        yield doubt("WrongCount", "a rate of 0 stands for a failure, not for a speed")
        if not row.errors:
            yield doubt("ErrorsSeen", "not one right answer in the rate")


def rate_against_count(row: Figures) -> Iterator[Doubt]:
    """Compare the rate with the right answers over the duration; requests in flight at the end explain a little."""
    if row.rps is None or row.requests_ok is None or not row.duration_s or row.rps <= 0:
        return
    claimed = row.rps * row.duration_s
    share = row.requests_ok / claimed
    open_at_end = row.connections or row.cut_off or 0.0
    short = COUNT_SHORT + (open_at_end / claimed if claimed > 2 * open_at_end else 0.0)
    if 1 - share > short or share - 1 > COUNT_OVER:
        right = row.requests_ok / row.duration_s
        detail = f"{count(row.requests_ok)} right answers in {seconds(row.duration_s)} are {significant(right)}/s"
        yield doubt("WrongCount", f"{significant(row.rps)}/s published, but {detail}")


def percentiles_in_order(row: Figures) -> Iterator[Doubt]:
    """p50 <= p90 <= p95 <= p99 <= max, and half of the answers take at least p50, so mean >= p50 / 2."""
    named = [("p50", row.p50_ms), ("p90", row.p90_ms), ("p95", row.p95_ms), ("p99", row.p99_ms), ("max", row.max_ms)]
    known = [(name, value) for name, value in named if value is not None]
    for (low_name, low), (high_name, high) in pairwise(known):
        if low > high * (1 + row.resolution):
            yield doubt("WrongCount", f"{low_name} {ms(low)} above {high_name} {ms(high)}")
    if row.mean_ms is None:
        return
    if row.max_ms is not None and row.mean_ms > row.max_ms * (1 + row.resolution):
        yield doubt("WrongCount", f"mean {ms(row.mean_ms)} above the maximum {ms(row.max_ms)}")
    if row.p50_ms is not None and row.mean_ms < row.p50_ms / 2 * (1 - row.resolution):
        yield doubt("WrongCount", f"mean {ms(row.mean_ms)} below half of p50 {ms(row.p50_ms)}")


def p99_below_mean(row: Figures) -> Iterator[Doubt]:
    """Find a p99 under the mean without a slow enough tail: mean <= 0.99 p99 + 0.01 max must hold.

    A row that states mean and p99 must also show the maximum that explains it. Without a stated mean, a closed loop
    implies one (Little: connections / rate); then the slowest answer is at most the maximum, else the duration (no
    answer inside the window takes longer), else nothing in the row is known to be slower than p99.
    """
    if row.p99_ms is None:
        return
    if row.mean_ms is not None:
        mean, said = row.mean_ms, f"mean {ms(row.mean_ms)}"
        slowest = row.max_ms if row.max_ms is not None else row.p99_ms
    elif row.load == "closed" and row.connections and row.rps:
        mean = row.connections / row.rps * 1e3 - (row.connect_ms or 0.0)
        said = f"{count(row.connections)} connections at {significant(row.rps)}/s need a mean of {ms(mean)}, which is"
        mean /= 1 + LITTLE_TOLERANCE
        slowest = row.max_ms if row.max_ms is not None else (row.duration_s or 0.0) * 1e3
    else:
        return
    room = (1 - TAIL) * row.p99_ms + TAIL * max(slowest, row.p99_ms)
    if mean > room * (1 + row.resolution):
        known = "" if row.max_ms is None else f", and a maximum of {ms(row.max_ms)} can't make up for it"
        yield doubt("WrongCount", f"{said} above p99 {ms(row.p99_ms)}{known}")


def copied_columns(row: Figures) -> Iterator[Doubt]:
    """Find a p99 that repeats another column: a parser's copy, not a percentile.

    Equality counts with two digits against the mean, and with three that are not zeros at the end against the other
    percentiles, which a tool may round alike. With few samples the high percentiles are one and the same answer.
    """
    if row.p99_ms is None:
        return
    if row.p99_ms == row.mean_ms and len(digits(row.p99_ms)) >= 2:  # noqa: PLR2004 - two digits
        yield doubt("WrongCount", f"p99 and mean are the same figure, {ms(row.p99_ms)}")
    many = row.samples is not None and percentile_allowed(0.99, int(row.samples))
    few = row.samples is not None and not many
    others = [("p50", row.p50_ms), ("p90", row.p90_ms), ("p95", row.p95_ms), ("maximum", row.max_ms)]
    for name, value in others:
        exact = row.p99_ms == value and len(digits(row.p99_ms).rstrip("0")) >= 3  # noqa: PLR2004 - three digits
        if exact and not few and (name != "maximum" or many):
            yield doubt("WrongCount", f"p99 and {name} are the same figure, {ms(row.p99_ms)}")


def digits(value: float) -> str:
    """Give the digits of a figure as published, without leading zeros: 41.38 -> 4138, 0.12 -> 12."""
    return f"{value:.10g}".split("e")[0].replace(".", "").lstrip("0")


def under_the_floor(row: Figures) -> Iterator[Doubt]:
    """Find answers faster than the scenario's floor, or more of them than the floor leaves time for."""
    if not row.floor_ms:
        return
    least = row.floor_ms * (1 - FLOOR_TOLERANCE)
    named = (("p50", row.p50_ms), ("mean", row.mean_ms), ("p99", row.p99_ms), ("maximum", row.max_ms))
    for name, value in named:
        if value is not None and value < least:
            yield doubt("Impossible", f"{name} {ms(value)} where no answer can take less than {ms(row.floor_ms)}")
            break
    limits = (("connections", row.connections if row.load == "closed" else None), ("served at once", row.at_once))
    for name, many in limits:
        if many and row.rps is not None and row.rps > many / least * 1e3:
            most = significant(many / row.floor_ms * 1e3)
            detail = f"{count(many)} {name} / {ms(row.floor_ms)} = {most}/s at most"
            yield doubt("Impossible", f"{significant(row.rps)}/s, but {detail}")


def littles_law(row: Figures) -> Iterator[Doubt]:
    """In a closed loop, rate x mean latency is the number of connections that were being served (Little, 1961)."""
    if row.load != "closed" or not row.connections or not row.rps or row.mean_ms is None:
        return
    opening_ms = row.connect_ms or 0.0
    busy = row.rps * (row.mean_ms + opening_ms) / 1e3
    if abs(busy / row.connections - 1) > LITTLE_TOLERANCE:
        each = f"({ms(row.mean_ms)} + {ms(opening_ms)} to connect)" if opening_ms else ms(row.mean_ms)
        detail = f"{significant(row.rps)}/s × {each} = {significant(busy)} connections at work"
        yield doubt("LittleMismatch", f"{detail}, of {count(row.connections)}")


def timer_plateau(row: Figures) -> Iterator[Doubt]:
    """Find latencies at a timer of the network while the server is idle.

    In a histogram, a bump; in a row of figures, a distribution that sits inside a timer's band: the centre (p50, else
    mean) with p99 within a tenth above it. A declared floor near the band is the better explanation.
    """
    if row.server_cpu_share is None or row.server_cpu_share >= IDLE_SHARE:
        return
    idle = f"with the server at {percent(row.server_cpu_share)} of its CPUs"
    for low, high in TIMER_BANDS_MS:
        if row.floor_ms and low * 0.5 <= row.floor_ms <= high:
            continue
        for mode in row.modes:
            if low <= mode.centre_ms <= high:
                yield doubt("Plateau", f"{percent(mode.share)} of the answers at {ms(mode.centre_ms)} {idle}")
        centre = row.p50_ms if row.p50_ms is not None else row.mean_ms
        tight = row.p99_ms is not None and centre is not None and row.p99_ms <= centre * 1.1
        if not row.modes and centre is not None and low <= centre <= high and tight:
            yield doubt("Plateau", f"answers at {ms(centre)}, p99 {ms(row.p99_ms or 0.0)}, {idle}")


def generator_bound(row: Figures) -> Iterator[Doubt]:
    """Find a load process that was busier than it may be, or near the ceiling it was calibrated at."""
    if row.generator_utilisation is not None and row.generator_utilisation > BUSY_GENERATOR:
        yield doubt("GeneratorBound", f"the load process used {percent(row.generator_utilisation)} of its CPU")
    elif row.ceiling_share is not None and row.ceiling_share > CEILING:
        yield doubt("GeneratorBound", f"the rate is {percent(row.ceiling_share)} of the generator's calibrated ceiling")


def generator_lag(row: Figures) -> Iterator[Doubt]:
    """Open loops: the schedule's lateness may not be a notable part of the latency."""
    if row.load != "open" or row.lag_ms_p99 is None or not row.p50_ms:
        return
    if row.lag_ms_p99 > LAG_SHARE * row.p50_ms:
        yield doubt("GeneratorLag", f"p99 lateness {ms(row.lag_ms_p99)} beside a p50 of {ms(row.p50_ms)}")


def starvation(row: Figures) -> Iterator[Doubt]:
    """Some connections got hardly any service; needs enough requests per connection to say so.

    In an open loop a request takes whatever connection is idle, so nothing is meant to be even.
    """
    if (
        row.load != "closed"
        or not row.connections
        or not row.requests_ok
        or row.requests_ok < FAIR_REQUESTS * row.connections
    ):
        return
    if row.slowest_share is not None and row.slowest_share < FAIR_SLOWEST:
        share = percent(row.slowest_share)
        yield doubt("Starvation", f"the slowest connection got {share} of the median connection's requests")
    elif row.jain is not None and row.jain < FAIR_JAIN:
        yield doubt("Starvation", f"Jain's fairness index over connections is {row.jain:.2f}")


def server_idle(row: Figures) -> Iterator[Doubt]:
    """Saturation is claimed with an idle server; only where the generator is known to have had room.

    A row that says nothing about its generator is left alone, and so is a scenario that only waits.
    """
    measured = row.generator_utilisation is not None and row.server_cpu_share is not None
    if row.load != "closed" or not measured or row.floor_ms or any(True for _ in generator_bound(row)):
        return
    if row.server_cpu_share is not None and row.server_cpu_share < IDLE_SHARE:
        yield doubt("ServerIdle", f"the server used {percent(row.server_cpu_share)} of its CPUs at saturation")


def machine(row: Figures) -> Iterator[Doubt]:
    """Find what the machine did meanwhile: steal, throttling, pressure; and a server that burns CPU when idle."""
    if row.steal is not None and row.steal > STEAL:
        yield doubt("Stolen", f"{percent(row.steal)} of the server CPUs' time was taken by the hypervisor")
    if row.throttled_s and row.throttled_s > THROTTLED_SHARE * (row.duration_s or 0.0):
        yield doubt("Throttled", f"the CPU quota held processes back for {seconds(row.throttled_s)}")
    yield from pressed(row)
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


def noisy_rounds(row: Figures) -> Iterator[Doubt]:
    """Find repeats of one row that scatter too much; at least three that worked."""
    good = [value for value in row.round_rps if value > 0]
    if len(good) >= 3 and stdev(good) > NOISY * fmean(good):  # noqa: PLR2004 - a spread needs three
        yield doubt("Noisy", f"rounds from {significant(min(good))} to {significant(max(good))}/s")


def too_few_samples(row: Figures) -> Iterator[Doubt]:
    """Find a percentile with too few answers behind it."""
    if row.samples is None:
        return
    for q, name, value in ((0.99, "p99", row.p99_ms), (0.5, "p50", row.p50_ms)):
        if value is not None and not percentile_allowed(q, int(row.samples)):
            yield doubt("TooFew", f"{name} from {count(row.samples)} answers")
            return


RULES: tuple[Rule, ...] = (
    under_the_floor,
    failed_rounds_averaged,
    rate_of_zero,
    rate_against_count,
    percentiles_in_order,
    p99_below_mean,
    copied_columns,
    littles_law,
    timer_plateau,
    generator_bound,
    generator_lag,
    starvation,
    server_idle,
    errors_seen,
    machine,
    unsteady,
    noisy_rounds,
    too_few_samples,
)


def doubts_of(row: Figures) -> tuple[Doubt, ...]:
    """All doubts that one row raises by itself, each kind once with all that raised it."""
    found: dict[str, list[str]] = {}
    for rule in RULES:
        for raised in rule(row):
            found.setdefault(raised.kind, []).append(raised.detail)
    return tuple(doubt(kind, "; ".join(details)) for kind, details in found.items())
