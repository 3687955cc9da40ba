"""Locust's JSON (`--json`): a list with one object for each request name, and no aggregate.

Its figures are those of the CSV before they are worked out: counts hold failures, the mean is the total time by the
count, a rate is over the time from the first request of a name to the last one of it, and percentiles are counted from
`response_times`, whose keys are rounded to whole milliseconds under 100 ms and to two digits above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import number, part
from sgibench.audit.readers.locust_csv import row_of
from sgibench.audit.readers.material import Material

MEMBERS = ("name", "num_requests", "num_failures", "response_times")
_QUANTILES = (0.5, 0.66, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999)


def entries(material: Material) -> list[Mapping[str, Any]]:
    """Find the objects of all lists."""
    return [
        each
        for document in material.documents
        if isinstance(document, list)
        for each in document
        if isinstance(each, dict) and all(member in each for member in MEMBERS)
    ]


def read(material: Material) -> list[Figures]:
    """Read all names."""
    return [_row(each, material.name) for each in entries(material)]


def _row(found: Mapping[str, Any], name: str) -> Figures:
    label = f"{found.get('method') or ''} {found['name']}".strip()[:200]

    def get(key: str) -> float | None:
        return number(found.get(key), f"{label}: {key}")

    count, spent_ms, begun_s, ended_s = (
        get(key) for key in ("num_requests", "total_response_time", "start_time", "last_request_timestamp")
    )
    lasted_s = None if begun_s is None or ended_s is None or ended_s <= begun_s else ended_s - begun_s
    return row_of(
        f"{name}: {label}",
        label,
        count=count,
        failed=get("num_failures"),
        rate=count / lasted_s if count and lasted_s else None,
        mean_ms=spent_ms / count if spent_ms is not None and count else None,
        min_ms=get("min_response_time"),
        max_ms=get("max_response_time"),
        at=dict(_quantiles(part(found, "response_times"), label)),
        is_total=False,
        kinds=(),
    )


def _quantiles(times: Mapping[str, Any], label: str) -> Iterator[tuple[float, float]]:
    known = sorted(
        (number(at, f"{label}: response_times") or 0.0, number(count, f"{label}: response_times") or 0.0)
        for at, count in times.items()
    )
    reached = list(accumulate(count for _at, count in known))
    for q in _QUANTILES if known else ():
        yield (
            q,
            next(
                (at for (at, _n), until in zip(known, reached, strict=True) if until >= q * reached[-1]), known[-1][0]
            ),
        )
