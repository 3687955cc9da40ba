"""`rows.csv`: one published row a line, with the columns of `csv_tables.COLUMNS`; for results that were copied by hand.

`connections` are kept busy in a closed loop; `threads` is what limits how many requests the server serves at once
(times `workers`), empty when nothing does; `requests_ok` counts right answers only; `server_cpu_share` is 1 when all of
the server's CPUs are busy; `round_rps` holds the repeats behind `rps`, separated by semicolons, 0 for a failed one.
Columns may come in any order, and any but `id` may be missing; `expected_doubts` is for tests and not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from sgibench.audit.figures import Figures, Twice
from sgibench.audit.readers.csv_tables import FIGURE_COLUMNS, first_line, heads_rows, lines_of, tables_of
from sgibench.audit.readers.fields import number, with_points
from sgibench.audit.readers.material import Material

_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
"""What may be a thousand and more in one language, and one and more in another."""
_DECIMALS = {mark: re.compile(rf"[+-]?[0-9]+{re.escape(mark)}[0-9]+(?:[eE][+-]?[0-9]+)?") for mark in ",."}
MOST_CPU_SHARE = 1.25
"""CPU and window are read at other moments, and published shares are up to 1.09."""


def header_of(material: Material) -> set[str]:
    """Name the columns of its first table, or of its first line where it has none."""
    tables = tables_of(material, heads_rows)
    return {*(tables[0] if tables else first_line(material)).header}


def read(material: Material) -> list[Figures]:
    """Read all rows; a field that is no number is an error that names its line and column."""
    rows = []
    for table in tables_of(material, heads_rows):
        lines = [*lines_of(table)]
        if table.separator != ",":
            _refuse_two_meanings(lines)
        for line, fields in lines:
            try:
                rows.append(_row(fields, table.separator))
            except ValueError as error:
                raise ValueError(f"line {line}: {error}") from error
    if not rows:
        raise ValueError("it has no row below its header")
    return rows


def _refuse_two_meanings(lines: Sequence[tuple[int, Mapping[str, str]]]) -> None:
    """Refuse 1.234 beside commas, and 1,234 where nothing tells that a comma begins the decimals.

    Either may be a thousand and more, or one and more; a figure that its file does not prove is not guessed.
    """
    figures = [
        (line, column, figure.strip())
        for line, fields in lines
        for column, cell in fields.items()
        if column in FIGURE_COLUMNS and ("," in cell or "." in cell)
        for figure in cell.split(";")
    ]
    marked = [(each, mark) for each in figures for mark in ",." if _DECIMALS[mark].fullmatch(each[2])]
    any_comma = next((each for each, mark in marked if mark == ","), None)
    comma, point = (
        next((each for each, mark in marked if mark == which and not _THOUSANDS.fullmatch(each[2])), None)
        for which in ",."
    )
    for (line, column, figure), mark in marked:
        if not _THOUSANDS.fullmatch(figure) or (any_comma is None if mark == "." else comma and not point):
            continue
        beside = any_comma if mark == "." else point
        other = f" beside {beside[2]} in line {beside[0]}" if beside else ""
        meanings = f"{figure.replace(mark, '')} or {figure.replace(mark, '.')}"
        advice = "write figures with a decimal point and nothing between thousands"
        raise ValueError(f"line {line}: {column} is {figure}, which{other} may be {meanings}: {advice}")


def _row(fields: Mapping[str, str], separator: str) -> Figures:
    if not fields.get("id"):
        raise ValueError("id is empty")

    def figure(cell: str, column: str) -> float | None:
        try:
            return number(with_points(cell, separator), column)
        except ValueError:
            return number(cell, column)  # says what stands in the file

    def get(column: str) -> float | None:
        cell = fields.get(column)
        return figure(cell, column) if cell else None

    threads, workers, connections = get("threads"), get("workers"), get("connections")
    duration_s, requests_ok, rps, share = get("duration_s"), get("requests_ok"), get("rps"), get("server_cpu_share")
    rounds = tuple(figure(text, "round_rps") or 0.0 for text in fields.get("round_rps", "").split(";") if text.strip())
    answers = f"{requests_ok:g} right answers" if requests_ok else f"{rps:g} requests/s" if rps else ""
    return Figures(
        id=fields["id"],
        label=fields.get("label", ""),
        group=fields.get("group") or None,
        connections=connections if connections is None or connections == int(connections) else None,
        at_once=None if threads is None else threads * (workers or 1.0),
        floor_ms=get("declared_wait_ms"),
        duration_s=duration_s,
        requests_ok=requests_ok,
        rps=rps,
        mean_ms=get("mean_ms"),
        p50_ms=get("p50_ms"),
        p90_ms=get("p90_ms"),
        p99_ms=get("p99_ms"),
        max_ms=get("max_ms"),
        server_cpu_share=share if share is None or 0 <= share <= MOST_CPU_SHARE else None,
        round_rps=rounds,
        twice=tuple(_absurd(connections, duration_s, share, answers)),
    )


def _absurd(connections: float | None, duration_s: float | None, share: float | None, answers: str) -> Iterator[Twice]:
    """Find what is said of a load or a server that no run can have had; what is negative every row is asked for."""
    if connections is not None and connections != int(connections):
        yield Twice(told=f"{connections:.6g} connections", parts="connections are whole ones", agree=False)
    if connections == 0 and answers:
        yield Twice(told="0 connections", parts=answers, agree=False)
    if duration_s == 0 and answers:
        yield Twice(told="a duration of 0 s", parts=answers, agree=False)
    if share is not None and not 0 <= share <= MOST_CPU_SHARE:
        yield Twice(told=f"server_cpu_share of {share:.6g}", parts="1 is all of the server's CPUs", agree=False)
