"""Locust's table on the console, with its columns since 0.8; of each run the last whole one counts.

A table is printed again and again while a run lasts. Its figures are those of the CSV, latencies in whole milliseconds:
of those under 10 ms only the order is asked. Only the table of the end, which has percentiles below it, has rates of
the whole run; those printed on the way are of the last seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from sgibench.audit.figures import Figures
from sgibench.audit.readers.fields import labels
from sgibench.audit.readers.locust_csv import of_one_run, row_of
from sgibench.audit.readers.locust_sum import with_the_sum
from sgibench.audit.readers.material import Material

HEADER = re.compile(r"\bName\s+# reqs\s+# fails\b.*req(?:s|uests)?/s", re.MULTILINE)
_PERCENTILES = re.compile(r"\bName\s+(?:# reqs\s+)?50%\s")
_COLUMN = re.compile(r"# reqs|# fails|[0-9]+(?:\.[0-9]+)?%|\S+")
_RULE = re.compile(r"^[\s|+-]+$")
_FAILED = re.compile(r"(?P<count>[0-9]+)\([0-9]+(?:\.[0-9]+)?%\)")
_NUMBER = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")
_TOTALS = ("Aggregated", "Total")
_RESTART = re.compile(r"\bStarting Locust\b")
_RESET = re.compile(r"\bResetting stats\b")
"""With `--reset-stats`, once all users are there."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a table: what it is about, and its figures by column."""

    kind: str
    name: str
    figures: Mapping[str, float]

    @property
    def label(self) -> str:
        """How the CSV calls it."""
        return f"{self.kind} {self.name}".strip()


def read(material: Material) -> list[Figures]:
    """Read of each run the last table that has its total, and the percentiles that stand below it."""
    runs = _runs(material.plain.split("\n"))
    return [row for run, name in zip(runs, labels(material.name, runs), strict=True) for row in _rows(run, name)]


def _runs(lines: list[str]) -> list[list[str]]:
    """Cut where Locust starts again, or counts less than before although nobody reset its counts."""
    cuts, counted, reset = [0], 0.0, False
    tables, restarted = 0, None
    for place, line in enumerate(lines):
        if _RESTART.search(line):
            restarted = place if tables else None
        elif _RESET.search(line):
            reset = True
        elif HEADER.search(line):
            total = next((row.figures.get("# reqs", 0.0) for row in _table(lines, place) if row.name in _TOTALS), None)
            if restarted is not None or (total is not None and total < counted and not reset):
                cuts.append(place if restarted is None else restarted)
            tables, restarted, reset = tables + 1, None, False
            counted = counted if total is None else total
    return [lines[begin:end] for begin, end in pairwise([*cuts, len(lines)])]


def _rows(lines: list[str], name: str) -> list[Figures]:
    tables = [_table(lines, place) for place, line in enumerate(lines) if HEADER.search(line)]
    whole = [table for table in tables if any(line.name in _TOTALS for line in table)]
    if not whole:
        raise ValueError("its table breaks off before the line `Aggregated`")
    percentiles = [_table(lines, place) for place, line in enumerate(lines) if _PERCENTILES.search(line)]
    below = {line.label: line.figures for line in (percentiles[-1] if percentiles else [])}
    kinds = {line.kind for line in whole[-1] if line.name not in _TOTALS}
    rows = [_row(line, below.get(line.label, {}), name, kinds, at_the_end=bool(below)) for line in whole[-1]]
    # Versions that print no failures/s end with rates of the last seconds.
    of_all = any("failures/s" in line.figures for line in whole[-1])
    rows = with_the_sum(rows, [line.name in _TOTALS for line in whole[-1]], kinds, rates=of_all and bool(below))
    return of_one_run(rows) if of_all else rows


def _table(lines: list[str], header: int) -> list[Line]:
    columns = _COLUMN.findall(lines[header].replace("|", " "))
    named = columns[columns.index("Name") + 1 :] if "Name" in columns else []
    typed = "Type" in columns
    found: list[Line] = []
    for line in lines[header + 1 :]:
        if _RULE.match(line) and line.strip():
            continue
        read_line = _line(line, named, typed=typed)
        if read_line is None:
            break
        found.append(read_line)
        if read_line.name in _TOTALS:
            break
    return found


def _line(line: str, columns: list[str], *, typed: bool) -> Line | None:
    """Read from the right, where the figures are: names may hold anything. Newer tables have a column of types."""
    words = line.replace("|", " ").split()
    if len(words) <= len(columns) or not columns:
        return None
    tail = words[-len(columns) :]
    end = len(line)
    for word in reversed(tail):
        end = line.rindex(word, 0, end)
    head = line[:end].strip(" \t|").split(maxsplit=1)
    kind, name = head if typed and len(head) > 1 else ("", " ".join(head))
    figures: dict[str, float] = {}
    for column, word in zip(columns, tail, strict=True):
        failed = _FAILED.fullmatch(word)
        if not failed and not _NUMBER.fullmatch(word) and word != "N/A":
            return None
        if word != "N/A":
            figures[column] = float(failed["count"] if failed else word)
    return Line(kind=kind.strip(), name=name.strip(), figures=figures)


def _row(line: Line, percentiles: Mapping[str, float], name: str, kinds: set[str], *, at_the_end: bool) -> Figures:
    def shown(*columns: str) -> float | None:
        return next((line.figures[column] for column in columns if column in line.figures), None)

    shares = {float(column[:-1]) / 100: value for column, value in percentiles.items() if column.endswith("%")}
    at = {q: value for q, value in shares.items() if q < 1}
    median = shown("Med", "Median")
    rates = [line.figures[each] for each in ("req/s", "reqs/s") if each in line.figures]
    return row_of(
        f"{name}: {line.label}",
        line.label,
        count=line.figures.get("# reqs"),
        failed=line.figures.get("# fails"),
        rate=rates[0] if rates and at_the_end else None,
        failure_rate=line.figures.get("failures/s") if at_the_end else None,
        median_ms=median,
        mean_ms=shown("Avg"),
        min_ms=shown("Min"),
        max_ms=shown("Max"),
        at=at or ({} if median is None else {0.5: median}),
        is_total=line.name in _TOTALS,
        kinds=kinds,
    )
