"""Locust's statistics CSV (`--csv NAME` writes NAME_stats.csv and NAME_stats_history.csv), with its columns since 0.8.

One row for each request name, and the aggregate. Request counts and rates include failures. Percentiles are rounded to
whole milliseconds under 100 ms and to two digits above, so of those under 10 ms only the order is asked. It does not
say how many users ran (the history does), and users may wait between requests: Little's law can't be asked. Request
types other than HTTP methods are whatever their author fired: an aggregate that adds them to requests counts unlike
things. The history holds running totals; of each name its last line counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from sgibench.audit.figures import Figures, Twice
from sgibench.audit.readers.csv_tables import Table, first_line, heads_locust, lines_of, tables_of
from sgibench.audit.readers.fields import labels, number, with_points
from sgibench.audit.readers.locust_sum import METHODS, median_twice, with_the_sum
from sgibench.audit.readers.material import Material
from sgibench.units import seconds, significant

COARSE_MS = 10.0
RESOLUTION = 0.05
_SAME_TIME = 0.1
_RATE_STEP = 0.011
"""Older versions and the console print rates with two digits behind the point."""
_WORDS = ("type", "name")
_TOTALS = frozenset({"aggregated", "total"})
_NAMES = {
    "method": "type",
    "# requests": "request count",
    "# failures": "failure count",
    "requests failed/s": "failures/s",
    "total request count": "request count",
    "total failure count": "failure count",
    "total average response time": "average response time",
    "total min response time": "min response time",
    "total max response time": "max response time",
}
"""What older versions and the history call a column."""
_QUANTILES = (("50%", 0.5), ("66%", 0.66), ("75%", 0.75), ("80%", 0.8), ("90%", 0.9), ("95%", 0.95), ("98%", 0.98))
_HIGH = (("99%", 0.99), ("99.9%", 0.999), ("99.99%", 0.9999))


def header_of(material: Material) -> set[str]:
    """Name the columns of its first table in today's words, or of its first line where it has none."""
    tables = tables_of(material, heads_locust)
    return {_today(cell) for cell in (tables[0] if tables else first_line(material)).header}


def read(material: Material) -> list[Figures]:
    """Read all rows of all tables: of a history, the last of each name."""
    tables = tables_of(material, heads_locust)
    return [
        row for table, name in zip(tables, labels(material.name, tables), strict=True) for row in _rows_of(table, name)
    ]


def _rows_of(table: Table, name: str) -> list[Figures]:
    records = [*_records(table)]
    is_history = bool(records) and "timestamp" in records[0]
    if is_history:
        records = _last_of_each(records)
    kinds = {each["type"].strip() for each in records if not _is_total(each)}
    records = [each for each in records if any(each.values())]
    rows = [_row(each, name, kinds) for each in records]
    if is_history and len({each.get("timestamp") for each in records}) > 1:
        return rows
    rows = with_the_sum(rows, [_is_total(each) for each in records], kinds, rates=not is_history)
    return rows if is_history else of_one_run(rows)


def _today(column: str | None) -> str:
    name = (column or "").strip().lower()
    return _NAMES.get(name, name)


def _records(table: Table) -> Iterator[dict[str, str]]:
    for _line, fields in lines_of(table, _today):
        plain = {
            key: cell if key in _WORDS else with_points(cell, table.separator) for key, cell in fields.items() if key
        }
        yield {"type": "", "name": ""} | plain


def _is_total(record: Mapping[str, str]) -> bool:
    return record["name"].lower() in _TOTALS


def _last_of_each(records: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Keep the last totals of each name, over the time since its first line; rates of the last seconds are left out."""
    begun_s: float | None = None
    last: dict[tuple[str, str], tuple[float, dict[str, str]]] = {}
    for each in records:
        at_s = number(each.get("timestamp"), "Timestamp")
        if at_s is not None:
            begun_s = at_s if begun_s is None else begun_s
            last[each["type"], each["name"]] = (at_s, each)
    kept = []
    for at_s, each in last.values():
        count, spent_s = number(each.get("request count"), "Total Request Count"), at_s - (begun_s or 0.0)
        rate = 0.0 if count == 0 else count / spent_s if count and spent_s > 0 else None
        # Percentiles of a history line are of its last ten seconds, the totals of the whole run.
        shown = {key: value for key, value in each.items() if not key.endswith("%")}
        kept.append(shown | {"requests/s": "" if rate is None else repr(rate), "failures/s": ""})
    return kept


def _row(record: Mapping[str, str], name: str, kinds: set[str]) -> Figures:
    label = f"{record['type']} {record['name']}".strip()

    def get(column: str) -> float | None:
        return number(record.get(column), f"{label}: {column}")

    at = {q: get(column) for column, q in (*_QUANTILES, *_HIGH)}
    return row_of(
        f"{name}: {label}",
        label,
        count=get("request count"),
        failed=get("failure count"),
        rate=get("requests/s"),
        failure_rate=get("failures/s"),
        median_ms=None if "timestamp" in record else get("median response time"),
        mean_ms=get("average response time"),
        min_ms=get("min response time"),
        max_ms=get("max response time"),
        at={q: value for q, value in at.items() if value is not None},
        is_total=_is_total(record),
        kinds=kinds,
    )


def unlike_kinds(kinds: Iterable[str]) -> str:
    """Name the request types of an aggregate when not all are HTTP methods; empty when it adds like things."""
    found = {kind for kind in kinds if kind}
    others = sorted(found - METHODS)
    return ", ".join(others[:5]) if others and len(found) > 1 else ""


def row_of(
    row_id: str,
    label: str,
    *,
    count: float | None,
    failed: float | None,
    rate: float | None,
    failure_rate: float | None = None,
    median_ms: float | None = None,
    mean_ms: float | None,
    min_ms: float | None,
    max_ms: float | None,
    at: Mapping[float, float],
    is_total: bool,
    kinds: Iterable[str],
) -> Figures:
    """Make a row of Locust's figures; of percentiles that are too coarse only the order counts.

    `kinds` are the types of all rows beside it.
    A name that was never asked for has no rate; a total without a single request has one of 0.
    """
    fine = {q: value for q, value in at.items() if not 0 <= value < COARSE_MS}
    printed = ((0.0, min_ms), *sorted(at.items()), (1.0, max_ms)) if count else ()
    return Figures(
        id=row_id,
        label=label,
        duration_s=count / rate if count and rate else None,
        requests_ok=None if count is None else count - (failed or 0.0),
        errors=failed,
        rps=rate if count or is_total else None,
        mean_ms=mean_ms or None,
        p50_ms=fine.get(0.5),
        p90_ms=fine.get(0.9),
        p95_ms=fine.get(0.95),
        p99_ms=fine.get(0.99),
        max_ms=max_ms or None,
        quantiles_ms=tuple(sorted(fine.items())),
        unlike_kinds=unlike_kinds(kinds) if is_total else "",
        printed_ms=tuple((q, value) for q, value in printed if value is not None),
        printed_mean_ms=mean_ms if count else None,
        resolution=RESOLUTION,
        resolution_ms=1.0,
        twice=(
            *_failures_twice(count, failed, rate, failure_rate),
            *(median_twice(count, median_ms, at.get(0.5)) if set(kinds) <= METHODS else ()),
        ),
    )


def _failures_twice(
    count: float | None, failed: float | None, rate: float | None, failure_rate: float | None
) -> Iterator[Twice]:
    """Compare the rate of failures with their count: both rates are over the same time."""
    if not count or failed is None or not rate or failure_rate is None:
        return
    expected = failed * rate / count
    yield Twice(
        told=f"{significant(failure_rate)} failures/s",
        parts=f"{failed:,.0f} failures in {seconds(count / rate)} are {significant(expected)}/s",
        agree=abs(failure_rate - expected) <= _SAME_TIME * expected + _RATE_STEP,
    )


def of_one_run(rows: Sequence[Figures]) -> list[Figures]:
    """Compare the times that requests and their rates make: Locust takes all rates over the time of the whole run."""
    lasted = [row.duration_s for row in rows if row.duration_s]
    if len(lasted) < 2:  # noqa: PLR2004 - one has nothing to differ from
        return list(rows)
    usual_s = median(lasted)
    return [replace(row, twice=(*row.twice, *_time_twice(row, usual_s))) for row in rows]


def _time_twice(row: Figures, usual_s: float) -> Iterator[Twice]:
    if row.duration_s and row.rps:
        room = _SAME_TIME + _RATE_STEP / row.rps
        yield Twice(
            told=f"{significant(row.rps)}/s, which its requests make in {seconds(row.duration_s)}",
            parts=f"the rows of this run take {seconds(usual_s)}",
            agree=usual_s / (1 + room) <= row.duration_s <= usual_s * (1 + room),
        )
