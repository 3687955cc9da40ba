"""Figures and judgements as short texts; numbers are formatted by `sgibench.units` alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sgibench import units
from sgibench.model import Comparison, Estimate, Failure, Load, Machine, Metric, Unit
from sgibench.model.terms import MULTIPLEXED

WIDEST = 1.6
"""Intervals are cut off at this multiple of the highest value of a scale."""
NEARLY_EQUAL = 1.1
"""Ratios below this are told as a share."""
NAMED = 4
"""More names than this are counted instead."""

Format = Callable[[float | None], str]
FIGURES: Mapping[Metric, str] = {
    "cpu_us_per_request": "CPU per request",
    "rps": "requests per second",
    "p50_us": "p50",
    "p99_us": "p99",
    "p999_us": "p99.9",
}
FORMS: Mapping[Metric, Format] = {metric: units.rate if metric == "rps" else units.microseconds for metric in FIGURES}


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What is counted, in the singular and the plural."""

    one: str
    many: str


UNITS: Mapping[Unit, Counted] = {
    "request": Counted(one="request", many="requests"),
    "message": Counted(one="message", many="messages"),
    "delivery": Counted(one="delivery", many="deliveries"),
    "handshake": Counted(one="handshake", many="handshakes"),
    "connection": Counted(one="connection", many="connections"),
}


def counted(text: str, unit: Unit) -> str:
    """Say in a text what is really counted: texts and figures are written for requests."""
    if unit == "request":
        return text
    named = UNITS[unit]

    def put(found: re.Match[str]) -> str:
        word = named.many if found["plural"] else named.one
        return word.capitalize() if found["word"][0].isupper() else word

    return re.sub(r"(?P<word>[Rr]equest)(?P<plural>s?)\b", put, text)


BLUNT = 100.0
"""An interval whose upper end is so many times its lower one is not written out."""


def interval(estimate: Estimate | None, form: Format) -> str:
    """Write `a to b`, or nothing when no interval is known."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    if says_nothing(estimate):
        return "too few blocks, too unlike, for an interval"
    return f"{form(estimate.low)} to {form(estimate.high)}"


def says_nothing(estimate: Estimate) -> bool:
    """Whether an interval is so wide that its ends are figures nobody should read: two blocks that are worlds apart."""
    return estimate.low is not None and estimate.high is not None and estimate.high > BLUNT * estimate.low


def with_interval(estimate: Estimate | None, form: Format) -> str:
    """Write `value (low to high)`."""
    if estimate is None:
        return units.NOT_MEASURED
    span = interval(estimate, form)
    return f"{form(estimate.value)} ({span})" if span else form(estimate.value)


def spread(estimate: Estimate | None) -> float | None:
    """Half the interval's width as a share of the value."""
    if estimate is None or estimate.low is None or estimate.high is None or not estimate.value:
        return None
    return (estimate.high - estimate.low) / 2 / estimate.value


def scale_end(estimates: Iterable[Estimate | None]) -> float:
    """Where a scale from zero ends: behind the longest interval, unless that is so wide that no value could be read."""
    known = [estimate for estimate in estimates if estimate]
    longest = max((estimate.value for estimate in known), default=0.0)
    widest = max((estimate.high or estimate.value for estimate in known), default=0.0)
    return min(widest, WIDEST * longest) or 1.0


def times(factor: float, thing: str = "as much", beside: str = "", more: str = "more") -> str:
    """Write a ratio of at least 1: `3.1 times as much`; near 1, where "1.0 times" would say nothing, `4 % more`."""
    if factor < NEARLY_EQUAL:
        return f"{(factor - 1) * 100:.0f} % {more}{beside}"
    return f"{units.significant(factor, 2)} times {thing}".rstrip()


def factor(ratio: float) -> str:
    """Write any ratio: `0.46 times`."""
    return f"{units.significant(ratio, 2)} times"


def ratio(found: Comparison) -> str:
    """Write a ratio with its interval: `1.050 (1.020 to 1.080)`."""
    if found.low is None or found.high is None:
        return f"{found.ratio:.3f} (no interval)"
    return f"{found.ratio:.3f} ({found.low:.3f} to {found.high:.3f})"


def against_best(found: Comparison) -> str:
    """Write a ratio to the best with its interval: `1.37× best (1.33–1.41)`; ≈ before it where they are not told apart.

    A table's pairs are judged together, so the interval, which is that of this pair alone, may exclude 1 all the same.
    """
    apart = found.verdict in {"faster", "slower"}
    shown = f"{'' if apart else '≈ '}{units.significant(found.ratio)}× best"
    if found.low is None or found.high is None:
        return shown
    return f"{shown} ({units.significant(found.low)}–{units.significant(found.high)})"


def trimmed(text: str) -> str:
    """Drop digits that say nothing from a figure somebody chose: `3.00 s` -> `3 s`."""
    return re.sub(r"\.0+(?=\D|$)", "", text)


def failure_words(failure: Failure | None) -> str:
    """Say a failure in one line."""
    if failure is None:
        return "failed"
    return f"{failure.reason}: {failure.detail}" if failure.detail else failure.reason


def reason(failure: Failure | None) -> str:
    """Name a failure in one word."""
    return failure.reason if failure else "failed"


def noise(floor: Comparison | None) -> str:
    """Say what the control showed."""
    if floor is None:
        return "not measured"
    shown = f"{(floor.ratio - 1) * 100:+.1f} %"
    if floor.low is None or floor.high is None:
        return shown
    return f"{shown} ({(floor.low - 1) * 100:+.1f} to {(floor.high - 1) * 100:+.1f} %)"


def moment(text: str | None) -> str:
    """Write a stored moment for people, in UTC; what can't be read stays as it is."""
    if not text:
        return "not finished"
    try:
        when = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def load_words(load: Load) -> str:
    """Say a load in a few words: `64 connections`, `500/s`."""
    if load.kind == "closed":
        return units.many(load.connections, "connection") + spoken_words(load)
    return units.asked_rate(load.rate_per_s) + spoken_words(load)


def load_sentence(load: Load) -> str:
    """Say what a load was."""
    kept = ", one request each" if load.connection == "close" else ""
    if load.kind == "closed":
        return f"saturation with {load.connections} connections{kept}{spoken_words(load)}"
    return f"{load.rate_per_s:,g} requests/s, {load.arrivals} arrivals{kept}{spoken_words(load)}"


def spoken_words(load: Load) -> str:
    """Say what goes over the wire, where it is not plain HTTP/1.1."""
    several = load.protocol in MULTIPLEXED and load.connection == "keep-alive"
    each = f", {units.many(load.streams, 'stream')} each" if several else ""
    return "" if load.protocol == "http" else f"{each}, over {load.protocol}"


def latency_sentence(load: Load) -> str:
    """Say which latency is shown for a load."""
    if load.kind == "closed":
        return "latency at saturation, mostly waiting in line"
    return f"latency at {units.asked_rate(load.rate_per_s)} from when due"


def sharing(machine: Machine) -> str | None:
    """Say why servers and load got in each other's way, and what to compare then; None when they did not."""
    return f"{machine.sharing}: compare CPU per request rather than requests/s" if machine.sharing else None


def listed(names: Sequence[str]) -> str:
    """Write `a`, `a and b`, `a, b and c`; beyond a few, the rest is counted."""
    if len(names) > NAMED:
        names = [*names[: NAMED - 1], f"{len(names) - NAMED + 1} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
