"""Parse and format seconds, bytes, rates and counts; nothing else in sgibench formats a number.

Every function takes SI units and gives text, or takes text and gives SI units; None formats as an en dash.
"""

from __future__ import annotations

import math
import re

from sgibench.errors import shown

MOST_DIGITS = 20
NOT_MEASURED = "–"

_TIME_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_QUANTITY = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>[a-zµ]*)\s*", re.IGNORECASE)


def parse_seconds(text: str) -> float:
    """Read `100ms`, `3s`, `1.5`, `2min` as seconds; a bare number is seconds.

    Raises ValueError with what was expected.
    """
    match = _QUANTITY.fullmatch(text)
    unit = match["unit"] or "s" if match else ""
    if match is None or unit not in _TIME_UNITS_S:
        raise ValueError(f"expected a duration such as 100ms, 3s or 2min, got {shown(text)}")
    return float(match["number"]) * _TIME_UNITS_S[unit]


def parse_whole(text: str, least: int, most: int) -> int:
    """Read digits as a whole number from `least` to `most`; raises ValueError with what was expected."""
    digits = text.strip()
    if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS and least <= int(digits) <= most:
        return int(digits)
    raise ValueError(f"expected a whole number from {least} to {most}, got {shown(text)}")


def significant(value: float, digits: int = 3) -> str:
    """Write `value` with that many significant digits and no exponent: 12345.6 -> 12,300; 0.01234 -> 0.0123."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return NOT_MEASURED
    places = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    return f"{rounded:,.{max(places, 0)}f}"


def seconds(value_s: float | None) -> str:
    """Write a duration: 0.0123 -> 12.3 ms; 95 -> 1 min 35 s."""
    if value_s is None or not math.isfinite(value_s):
        return NOT_MEASURED
    if value_s >= 60:  # noqa: PLR2004 - seconds in a minute
        whole = round(value_s)
        hours, rest = divmod(whole, 3600)
        minutes, left = divmod(rest, 60)
        return (f"{hours} h " if hours else "") + f"{minutes} min {left} s"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value_s >= scale:
            return f"{significant(value_s / scale)} {unit}"
    return f"{significant(value_s / 1e-6)} µs" if value_s else "0 s"


def microseconds(value_us: float | None) -> str:
    """Write a duration given in microseconds."""
    return seconds(None if value_us is None else value_us / 1e6)


def span_us(low_us: float, high_us: float) -> str:
    """Write from where to where a duration goes, in the unit of its end, two digits each: 6.9–26 ms."""
    unit, scale = next((pair for pair in (("s", 1e6), ("ms", 1e3)) if high_us >= pair[1]), ("µs", 1.0))
    return f"{significant(low_us / scale, 2)}–{significant(high_us / scale, 2)} {unit}"


def size(value_bytes: float | None) -> str:
    """Write bytes in binary units: 52428800 -> 50.0 MiB."""
    if value_bytes is None:
        return NOT_MEASURED
    value = float(value_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":  # noqa: PLR2004 - binary units
            return f"{value:.0f} B" if unit == "B" else f"{significant(value)} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def rate(value_per_s: float | None) -> str:
    """Write a rate with three significant digits: 12345.6 -> 12,300/s."""
    return NOT_MEASURED if value_per_s is None else f"{significant(value_per_s)}/s"


def asked_rate(value_per_s: float | None) -> str:
    """Write a rate that was asked for, as it was asked for: 3300.0 -> 3,300/s; 0.25 -> 0.25/s."""
    return NOT_MEASURED if value_per_s is None else f"{value_per_s:,g}/s"


def percent(share: float | None) -> str:
    """Write a share: 0.0123 -> 1.2 %."""
    return NOT_MEASURED if share is None else f"{share * 100:.1f} %"


def many(number: int, noun: str, nouns: str = "") -> str:
    """Write `1 thread`, `8 threads`; `nouns` where an s is not enough."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"


def count(value: float | None) -> str:
    """Write a count with thousands separated."""
    return NOT_MEASURED if value is None else f"{value:,.0f}"
