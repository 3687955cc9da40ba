"""The layout that hey gave its summary and oha took over: fields, percentiles, answers by status, errors by text.

Both print seconds with four decimals: of a figure under 1 ms, one digit, only the order is asked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from sgibench.audit.readers.fields import NUMBER, TIME, finer, known_times, measured_ms, plain_number, time_ms

START = re.compile(r"^.{0,40}?\bSummary:", re.MULTILINE)
STATUSES = "Status code distribution:"
ERRORS = "Error distribution:"
FIRST_FAILURE = 400
RESOLUTION = 0.05
"""Half of the last printed digit, for the smallest figure that is read."""

STEP_MS = 0.1
"""What they print no finer."""

_COARSE_MS = 1.0
_STEP_S = 0.0001
_RATE = re.compile(rf"Requests/sec:[ \t]+({NUMBER})\s")
_TIME = re.compile(rf"\b(?P<name>Total|Slowest|Fastest|Average):[ \t]+(?P<value>{TIME})")
_PERCENTILE = re.compile(rf"(?P<percent>[0-9]+(?:\.[0-9]+)?)% in (?P<value>{TIME})")
_CELL = re.compile(
    r"^[ \t]*(?P<name>Slowest|Fastest|Average|[0-9]+(?:\.[0-9]+)?%(?= in))(?::| in)[ \t]+(?P<cell>\S[^\n]*)",
    re.MULTILINE,
)
_STATUS = re.compile(r"\[(?P<status>[0-9]{3})\][ \t]+(?P<count>[0-9]+) responses?")
_ERROR = re.compile(r"\[(?P<count>[0-9]+)\][ \t]+(?P<text>(?![0-9]+ responses|\|)\S.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One run as printed; latencies that are too coarse stand in `printed_ms` alone."""

    total_s: float
    """As printed ..."""
    duration_s: float
    """... and as fine as count and rate have it."""
    rps: float
    mean_ms: float | None
    max_ms: float | None
    quantiles_ms: dict[float, float]
    """Quantile from 0 to 1 -> milliseconds ..."""
    all_quantiles_ms: dict[float, float]
    """... and those that are too coarse with them, 0 where there are too few answers."""
    printed_ms: tuple[tuple[float, float], ...]
    """As in `Figures`."""
    printed_mean_ms: float | None
    statuses: dict[int, float]
    errors: dict[str, float]


def read_summary(run: str, name: str) -> Summary:
    """Read one run; raises ValueError that says what is missing."""
    times = {found["name"]: found["value"] for found in _TIME.finditer(run)}
    rate, duration_ms = _RATE.search(run), time_ms(times.get("Total"))
    if rate is None or duration_ms is None:
        raise ValueError(f"{name} has no {'`Requests/sec:`' if rate is None else '`Total:`'}")
    for found in _CELL.finditer(run):
        known_times(name, found["name"], (found["cell"].rstrip(),))
    _before, heading, after = run.partition(STATUSES)
    answered, failing, broken = (after if heading else run).partition(ERRORS)
    if not heading and not failing:
        raise ValueError(f"{name} breaks off before its `{STATUSES}`: nobody can know what was answered")
    statuses = {int(found["status"]): float(found["count"]) for found in _STATUS.finditer(answered)} if heading else {}
    errors: defaultdict[str, float] = defaultdict(float)
    for found in _ERROR.finditer(broken):
        errors[found["text"].strip()[:100]] += float(found["count"])
    if not statuses and not errors:
        raise ValueError(f"{name} breaks off in its `{STATUSES}`: no whole line of it is left")
    found_at = [(float(each["percent"]) / 100, each["value"]) for each in _PERCENTILE.finditer(run)]
    # hey prints `0% in 0.0000 secs` for percentiles that it has too few answers for.
    at = {q: value for q, value in found_at if 0 < q < 1}
    in_order = ((0.0, times.get("Fastest")), *sorted(at.items()), (1.0, times.get("Slowest")))
    return Summary(
        total_s=duration_ms / 1e3,
        duration_s=finer(
            duration_ms / 1e3, sum(statuses.values()) + sum(errors.values()), plain_number(rate[1]), _STEP_S
        )
        or 0.0,
        rps=plain_number(rate[1]),
        mean_ms=_ms(times.get("Average")),
        max_ms=_ms(times.get("Slowest")),
        all_quantiles_ms={q: value for q, text in found_at if 0 < q < 1 and (value := time_ms(text)) is not None},
        quantiles_ms={q: fine for q, value in at.items() if (fine := _ms(value)) is not None},
        printed_ms=tuple((q, value) for q, text in in_order if (value := time_ms(text)) is not None),
        printed_mean_ms=time_ms(times.get("Average")),
        statuses=statuses,
        errors=errors,
    )


def _ms(text: str | None) -> float | None:
    value = measured_ms(text)
    return None if value is None or value < _COARSE_MS else value
