"""`rows.csv`: one published row a line, with the columns of `csv_tables.COLUMNS`; for results that were copied by hand.

`connections` are kept busy in a closed loop; `threads` is what limits how many requests the server serves at once
(times `workers`), empty when nothing does; `requests_ok` counts right answers only; `server_cpu_share` is 1 when all of
the server's CPUs are busy; `round_rps` holds the repeats behind `rps`, separated by semicolons, 0 for a failed one.
Columns may come in any order, and any but `id` may be missing; `expected_doubts` is for tests and not looked at.
"""

from __future__ import annotations

import csv
import io

from sgibench.audit.figures import Figures
from sgibench.audit.readers.csv_tables import FIGURE_COLUMNS, first_line, heads_rows, tables_of
from sgibench.audit.readers.fields import not_too_many, number, with_points
from sgibench.audit.readers.material import Material


def header_of(material: Material) -> set[str]:
    """Name the columns of its first table, or of its first line where it has none."""
    tables = tables_of(material, heads_rows)
    return {*(tables[0] if tables else first_line(material)).header}


def read(material: Material) -> list[Figures]:
    """Read all rows; a field that is no number is an error that names its line and column."""
    rows = []
    for table in tables_of(material, heads_rows):
        reader = csv.DictReader(io.StringIO(table.text), delimiter=table.separator, skipinitialspace=True)
        try:
            for record in not_too_many(reader):
                fields = {(key or "").strip(): value.strip() for key, value in record.items() if isinstance(value, str)}
                figures = {
                    key: with_points(value, table.separator) for key, value in fields.items() if key in FIGURE_COLUMNS
                }
                rows.append(_row(fields | figures))
        except (ValueError, csv.Error) as error:
            raise ValueError(f"line {table.before + reader.line_num}: {error}") from error
    if not rows:
        raise ValueError("it has no row below its header")
    return rows


def _row(fields: dict[str, str]) -> Figures:
    if not fields.get("id"):
        raise ValueError("id is empty")

    def get(column: str) -> float | None:
        return number(fields.get(column), column)

    threads, workers = get("threads"), get("workers")
    rounds = tuple(number(text, "round_rps") or 0.0 for text in fields.get("round_rps", "").split(";") if text.strip())
    return Figures(
        id=fields["id"],
        label=fields.get("label", ""),
        group=fields.get("group") or None,
        connections=get("connections"),
        at_once=None if threads is None else threads * (workers or 1.0),
        floor_ms=get("declared_wait_ms"),
        duration_s=get("duration_s"),
        requests_ok=get("requests_ok"),
        rps=get("rps"),
        mean_ms=get("mean_ms"),
        p50_ms=get("p50_ms"),
        p90_ms=get("p90_ms"),
        p99_ms=get("p99_ms"),
        max_ms=get("max_ms"),
        server_cpu_share=get("server_cpu_share"),
        round_rps=rounds,
    )
