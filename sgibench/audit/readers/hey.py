"""hey's text output.

It prints seconds with four decimals: a figure under 1 ms has one digit and is left out. It does not say how many
connections it used, so Little's law can't be asked. Its rate counts every answer, whatever its status.
"""

from __future__ import annotations

import re

from sgibench.audit.figures import Figures

_FIELD = re.compile(
    r"^\s+(?P<name>Total|Slowest|Average|Requests/sec):\s+(?P<value>[\d.]+)(?: secs)?\s*$", re.MULTILINE
)
_PERCENTILE = re.compile(r"^\s+(?P<percent>\d+)% in (?P<value>[\d.]+) secs", re.MULTILINE)
_STATUS = re.compile(r"^\s+\[(?P<status>\d{3})\]\s+(?P<count>\d+) responses", re.MULTILINE)
_ERROR = re.compile(r"^\s+\[(?P<count>\d+)\]\s+(?P<text>(?!\d+ responses|\|).+)$", re.MULTILINE)
_COARSE_MS = 1.0
_RESOLUTION = 0.05
"""Half of the last printed digit, for the smallest figure that is read."""
_FIRST_FAILURE = 400


def recognises(text: str) -> bool:
    """Look for its headings; oha's text has a success rate beside them."""
    return all(part in text for part in ("Summary:", "Requests/sec:", "Latency distribution:")) and "rate:" not in text


def read(text: str, name: str) -> list[Figures]:
    """Read the one run of the text."""
    fields = {found["name"]: float(found["value"]) for found in _FIELD.finditer(text)}
    if "Total" not in fields or "Requests/sec" not in fields:
        raise ValueError("its summary has no Total and Requests/sec")
    at = {int(found["percent"]): _ms(float(found["value"])) for found in _PERCENTILE.finditer(text)}
    codes = {int(found["status"]): int(found["count"]) for found in _STATUS.finditer(text)}
    _before, _heading, errors_text = text.partition("Error distribution:")
    broken = {found["text"].strip(): int(found["count"]) for found in _ERROR.finditer(errors_text)}
    failed = {f"{status} answers": count for status, count in codes.items() if status >= _FIRST_FAILURE} | broken
    return [
        Figures(
            id=name,
            duration_s=fields["Total"],
            requests_ok=sum(count for status, count in codes.items() if status < _FIRST_FAILURE),
            errors=sum(failed.values()),
            error_text=", ".join(f"{count} × {what}" for what, count in failed.items()),
            rps=fields["Requests/sec"],
            mean_ms=_ms(fields.get("Average")),
            p50_ms=at.get(50),
            p90_ms=at.get(90),
            p95_ms=at.get(95),
            p99_ms=at.get(99),
            max_ms=_ms(fields.get("Slowest")),
            resolution=_RESOLUTION,
        )
    ]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None or seconds * 1e3 < _COARSE_MS else seconds * 1e3
