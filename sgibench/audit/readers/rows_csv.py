"""`rows.csv`: one published row a line, with the columns of COLUMNS; the format for results that were copied by hand.

`connections` are kept busy in a closed loop; `threads` is what limits how many requests the server serves at once
(times `workers`), empty when nothing does; `requests_ok` counts right answers only; `server_cpu_share` is 1 when all of
the server's CPUs are busy; `round_rps` holds the repeats behind `rps`, separated by semicolons, 0 for a failed one.
Columns may come in any order, and any but `id` may be missing; `expected_doubts` is for tests and not looked at.
"""

from __future__ import annotations

import csv
import io

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import number

COLUMNS = (
    "id",
    "source",
    "label",
    "group",
    "connections",
    "workers",
    "threads",
    "declared_wait_ms",
    "duration_s",
    "requests_ok",
    "rps",
    "mean_ms",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "server_cpu_share",
    "round_rps",
    "expected_doubts",
)


def recognises(text: str) -> bool:
    """Look for the header: `id` and at least one of our columns of numbers."""
    lines = text.lstrip("\ufeff").splitlines()
    header = {name.strip() for name in lines[0].split(",")} if lines else set()
    return "id" in header and bool(header & {"rps", "mean_ms", "round_rps"})


def read(text: str, _name: str) -> list[Figures]:
    """Read all rows; a field that is no number is an error that names its line and column."""
    rows = []
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    for record in reader:
        fields = {(key or "").strip(): value.strip() for key, value in record.items() if isinstance(value, str)}
        try:
            rows.append(_row(fields))
        except ValueError as error:
            raise ValueError(f"line {reader.line_num}: {error}") from error
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
