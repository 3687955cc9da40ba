"""Locust's statistics CSV (`--csv NAME` writes NAME_stats.csv): one row for each request name, and the aggregate.

Its request counts and rates include failures. Percentiles are rounded to whole milliseconds under 100 ms and to two
digits above, so those under 10 ms are left out. It does not say how many users ran, and users may wait between
requests: Little's law can't be asked.
"""

from __future__ import annotations

import csv
import io

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import number

_COARSE_MS = 10.0
_RESOLUTION = 0.05


def recognises(text: str) -> bool:
    """Look for its header; the history file starts with a time stamp and is another format."""
    return text.lstrip("\ufeff").startswith("Type,Name,Request Count,Failure Count")


def read(text: str, name: str) -> list[Figures]:
    """Read all rows."""
    return [_row(record, name) for record in csv.DictReader(io.StringIO(text.lstrip("\ufeff")))]


def _row(record: dict[str, str], name: str) -> Figures:
    label = f"{record['Type']} {record['Name']}".strip()

    def get(column: str) -> float | None:
        return number(record.get(column), f"{label}: {column}")

    def percentile(column: str) -> float | None:
        value = get(column)
        return None if value is None or value < _COARSE_MS else value

    count, failed, rate = get("Request Count"), get("Failure Count"), get("Requests/s")
    return Figures(
        id=f"{name}: {label}",
        label=label,
        duration_s=count / rate if count and rate else None,
        requests_ok=None if count is None else count - (failed or 0.0),
        errors=failed,
        rps=rate,
        mean_ms=get("Average Response Time"),
        p50_ms=percentile("50%"),
        p90_ms=percentile("90%"),
        p95_ms=percentile("95%"),
        p99_ms=percentile("99%"),
        max_ms=get("Max Response Time"),
        resolution=_RESOLUTION,
    )
