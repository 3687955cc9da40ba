"""Rules about the figures of one row among themselves: failures, counts, percentiles, rounds. Arithmetic alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean

from sgibench.audit.figures import Figures, doubt, ms
from sgibench.audit.rules.laws import LITTLE_TOLERANCE
from sgibench.model import Doubt
from sgibench.stats import percentile_allowed
from sgibench.units import count, percent, seconds, significant

COUNT_SHORT = 0.02
"""Counts and rates are taken over slightly different windows; and no difference of less is one (the method's delta), so
a rate that holds fewer failures ranks as the rate of right answers does. They are told all the same (ErrorsSeen)."""
_FLOATING = 1e-9
COUNT_OVER = 0.05
"""A nominal duration may leave out the start and the drain."""
NOISY = 0.10
UNLIKE = 10.0
"""Rounds whose rates lie further apart than this factor are not repeats of one measurement."""
HALF = 0.5
TAIL = 0.01
"""What lies beyond p99."""
TAIL_ANSWERS = 1000
"""What a p99 needs: a maximum of fewer is no tail, but one answer."""
UNTOLD = 0.01
"""Requests that no column tells of, as a share of all, before a row is said not to add up."""


def errors_seen(row: Figures) -> Iterator[Doubt]:
    """Any wrong answer, reset, refusal or time-out; also rounds of 0 that did not reach the published mean."""
    if row.errors:
        rest = f": {row.error_text}" if row.error_text else ""
        yield doubt("ErrorsSeen", f"{count(row.errors)} failed requests{_beside(row)}{rest}")
    elif row.outside_text:
        yield doubt("ErrorsSeen", f"outside the window, in warm-up or between visits: {row.outside_text}")
    failed = sum(1 for value in row.round_rps if value <= 0)
    if failed and not any(True for _ in failed_rounds_averaged(row)):
        yield doubt("ErrorsSeen", f"{failed} of {len(row.round_rps)} rounds failed")


def _beside(row: Figures) -> str:
    """Say what the failures stand beside; where a tool's failures may be right answers, too, of how many they are."""
    if row.requests_ok is None:
        return ""
    if row.in_both and row.timed is not None:
        return f" of {count(row.timed)}"
    return f" beside {count(row.requests_ok)} right answers"


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


def rounds_unlike(row: Figures) -> Iterator[Doubt]:
    """Find rounds that differ by orders of magnitude: no mean of any kind describes them."""
    good = [value for value in row.round_rps if value > 0]
    if row.rps is not None and good and max(good) >= UNLIKE * min(good):
        spread = f"from {significant(min(good))} to {significant(max(good))}/s"
        yield doubt("WrongCount", f"rounds {spread} have no mean of any kind, {significant(row.rps)}/s least of all")


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
    if 1 - share > short + _FLOATING or share - 1 > COUNT_OVER:
        right = row.requests_ok / row.duration_s
        detail = f"{count(row.requests_ok)} right answers in {seconds(row.duration_s)} are {significant(right)}/s"
        untold = claimed - row.requests_ok - (row.errors or 0.0) - (row.cut_off or 0.0)
        # A duration that is none of this run's is the usual reason for too many.
        rest = f"; at that rate they take {seconds(row.requests_ok / row.rps)}" if share - 1 > COUNT_OVER else ""
        if row.errors is not None and untold > UNTOLD * claimed:
            shown = f"{count(row.requests_ok)} right answers and {count(row.errors)} failures"
            rest = f"; rate × time are {count(claimed)} requests, of which {shown} are shown"
        yield doubt("WrongCount", f"{significant(row.rps)}/s published, but {detail}{rest}")


def parts_disagree(row: Figures) -> Iterator[Doubt]:
    """Find figures that are not what their own slices and histograms have: somebody, or something, changed one."""
    for one in row.twice:
        if not one.agree:
            yield doubt("WrongCount", f"{one.told}, but {one.parts}")


def more_inside_than_asked(row: Figures) -> Iterator[Doubt]:
    """Find an app that counted more requests inside itself at once than its clients could ask at once."""
    if row.inside is not None and row.in_flight_most is not None and row.inside > row.in_flight_most:
        asked = f"at most {count(row.in_flight_most)} could be asked at once"
        yield doubt("WrongCount", f"{count(row.inside)} requests at once inside the app, but {asked}")


def percentiles_in_order(row: Figures) -> Iterator[Doubt]:
    """Minimum <= p50 <= p90 <= p95 <= p99 <= max, and half of the answers take at least p50, so mean >= half of p50.

    So it is of lower percentiles: 9 of 10 answers take at least p10. Rounding explains one step of what the tool
    prints, however small the figures are; of few answers, a percentile may be the next one above it.
    """
    printed = _printed(row)
    for (low_q, low), (high_q, high) in pairwise(printed):
        if low > _rounded_up(row, high):
            yield doubt("WrongCount", f"{_name(low_q)} {ms(low)} above {_name(high_q)} {ms(high)}")
    mean, known = _mean(row), dict(printed)
    if mean is None:
        return
    least, most = known.get(0.0), known.get(1.0)
    if most is not None and mean > _rounded_up(row, most):
        yield doubt("WrongCount", f"mean {ms(mean)} above the maximum {ms(most)}")
    if least is not None and least > _rounded_up(row, mean):
        yield doubt("WrongCount", f"mean {ms(mean)} below the minimum {ms(least)}")
    for q, value in printed:
        share = 1 - q - 1 / max(row.samples or math.inf, 1.0)
        if 0 < q <= HALF and mean < value * share * (1 - row.resolution) - row.resolution_ms:
            part = "half" if q == HALF else percent(1 - q)
            yield doubt("WrongCount", f"mean {ms(mean)} below {part} of {_name(q)} {ms(value)}")


def _printed(row: Figures) -> list[tuple[float, float]]:
    """All latencies of a row in the order in which they must rise, as quantile (1 = the maximum) and milliseconds."""
    if row.printed_ms:
        return list(row.printed_ms)
    named = ((0.5, row.p50_ms), (0.9, row.p90_ms), (0.95, row.p95_ms), (0.99, row.p99_ms))
    shown = (*(row.quantiles_ms or named), (1.0, row.max_ms))
    return [(q, value) for q, value in shown if value is not None]


def _mean(row: Figures) -> float | None:
    return row.mean_ms if row.mean_ms is not None else row.printed_mean_ms


def _name(q: float) -> str:
    return {0.0: "min", 1.0: "max"}.get(q, f"p{q * 100:g}")


def _rounded_up(row: Figures, value: float) -> float:
    """Give the most that a printed figure may stand for."""
    return value * (1 + row.resolution) + row.resolution_ms


def p99_below_mean(row: Figures) -> Iterator[Doubt]:
    """Find a p99 under the mean without a slow enough tail: mean <= 0.99 p99 + 0.01 max must hold.

    A row that states mean and p99 must also show the maximum that explains it. Without a stated mean, a closed loop
    implies one (Little: connections / rate); then the slowest answer is at most the maximum, else the duration (no
    answer inside the window takes longer), else nothing in the row is known to be slower than p99.
    """
    known = dict(_printed(row))
    p99, most = row.p99_ms if row.p99_ms is not None else known.get(0.99), known.get(1.0)
    mean = _mean(row) if row.p99_ms is None else row.mean_ms
    if p99 is None:
        return
    if mean is not None:
        said = f"mean {ms(mean)}"
        slowest = most if most is not None else p99
    elif row.p99_ms is not None and row.load == "closed" and row.connections and row.rps:
        mean = row.connections / row.rps * 1e3 - (row.connect_ms or 0.0)
        said = f"{count(row.connections)} connections at {significant(row.rps)}/s need a mean of {ms(mean)}, which is"
        mean /= 1 + LITTLE_TOLERANCE
        slowest = most if most is not None else (row.duration_s or 0.0) * 1e3
    else:
        return
    if mean > _rounded_up(row, (1 - TAIL) * p99 + TAIL * max(slowest, p99)):
        known_most = "" if most is None else f", and a maximum of {ms(most)} can't make up for it"
        yield doubt("WrongCount", f"{said} above p99 {ms(p99)}{known_most}")


def copied_columns(row: Figures) -> Iterator[Doubt]:
    """Find a p99 that repeats another column: a parser's copy, not a percentile.

    Equality counts with two digits against the mean, and with three that are not zeros at the end against the other
    percentiles, which a tool may round alike. With few samples the high percentiles are one and the same answer, and
    in a histogram those of answers that came together are one bucket.
    """
    if row.p99_ms is None or row.bucketed:
        return
    alike = bool(row.resolution_ms) and row.p50_ms == row.p99_ms  # rounded alike: then the mean may well be the same
    if row.p99_ms == row.mean_ms and len(digits(row.p99_ms)) >= 2 and not alike:  # noqa: PLR2004 - two digits
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


def noisy_rounds(row: Figures) -> Iterator[Doubt]:
    """Find repeats of one row that scatter too much; at least three that worked."""
    good = [value for value in row.round_rps if value > 0]
    # statistics.stdev reckons in fractions, which takes longer than all other rules together.
    if len(good) >= 3 and _deviation(good) > NOISY * fmean(good):  # noqa: PLR2004 - a spread needs three
        yield doubt("Noisy", f"rounds from {significant(min(good))} to {significant(max(good))}/s")


def _deviation(values: Sequence[float]) -> float:
    """Give the standard deviation of a sample."""
    middle = fmean(values)
    return math.sqrt(math.fsum((each - middle) ** 2 for each in values) / (len(values) - 1))


def too_few_samples(row: Figures) -> Iterator[Doubt]:
    """Find a percentile with too few answers behind it."""
    if row.samples is None:
        return
    for q, name, value in ((0.99, "p99", row.p99_ms), (0.5, "p50", row.p50_ms)):
        if value is not None and not percentile_allowed(q, int(row.samples)):
            yield doubt("TooFew", f"{name} from {count(row.samples)} answers")
            return
    tail_known = row.p99_ms is not None or row.p95_ms is not None or row.p90_ms is not None
    if row.max_ms is not None and not tail_known and row.p50_ms is not None and row.samples < TAIL_ANSWERS:
        yield doubt("TooFew", f"beyond its median only a maximum, of {count(row.samples)} answers")
