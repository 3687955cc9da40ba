"""The CSV tables of a file: where one begins and ends, whatever stands around it. Reads no figure.

A table begins with a line that has the columns of its format, and ends before the next such line, or where Markdown's
block or quote does. Several may follow one another, and Markdown's quote marks and indents are taken off; what stands
before the first is prose, the command, or nothing.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache

from sgibench.audit.readers.fields import separator_of
from sgibench.audit.readers.material import Material

_MARKS = re.compile(r"[ \t]{0,20}(?:>[ \t]{0,4}){0,10}")
"""Before a line that Markdown quotes or indents."""
_FENCES = ("```", "~~~")
_LONGEST_HEADER = 2000
_INDENT = 4

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

FIGURE_COLUMNS = frozenset(COLUMNS) - {"id", "source", "label", "group", "expected_doubts"}
"""Any of these beside `id` makes a table."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table."""

    before: int
    """Lines of the file before its header, for errors."""
    header: tuple[str, ...]
    """Names of its columns, as written."""
    text: str
    separator: str


def heads_rows(columns: Collection[str]) -> bool:
    """Whether these are columns of `rows.csv`."""
    return "id" in columns and not FIGURE_COLUMNS.isdisjoint(columns)


def heads_locust(columns: Collection[str]) -> bool:
    """Whether these are columns of Locust's statistics, of whatever version."""
    named = {column.strip().lower().removeprefix("total ").replace("# requests", "request count") for column in columns}
    return {"name", "request count", "average response time"} <= named


def tables_of(material: Material, heads: Callable[[Collection[str]], bool]) -> list[Table]:
    """Give the tables whose columns `heads` knows."""
    return [each for each in _tables(material.text) if heads(each.header)]


def first_line(material: Material) -> Table:
    """Take the first line for a header: of a file that has none of the tables, what comes nearest."""
    line = _unmarked(material.text.lstrip("\n").partition("\n")[0])
    return Table(before=0, header=_cells(line), text=line, separator=separator_of(line[:_LONGEST_HEADER]))


@lru_cache(maxsize=2)
def _tables(text: str) -> tuple[Table, ...]:
    found: list[Table] = []
    lines: list[str] | None = None
    header: tuple[str, ...] = ()
    before, quoted = 0, False

    def end() -> None:
        if lines is not None:
            separator = separator_of(lines[0][:_LONGEST_HEADER])
            body = "\n".join(lines).rstrip() + "\n"
            found.append(Table(before=before, header=header, text=body, separator=separator))

    for place, marked in enumerate(text.split("\n")):
        line = _unmarked(marked)
        if (cells := _as_header(line)) is not None:
            end()
            lines, before, header, quoted = [], place, cells, _is_block(marked)
        elif lines is not None and (
            marked.strip().startswith(_FENCES) or (quoted and line.strip() and not _is_block(marked))
        ):
            end()
            lines = None
        if lines is not None:
            lines.append(line if quoted else marked)
    end()
    return tuple(found)


def _is_block(line: str) -> bool:
    """Whether Markdown takes a line for a part of a quote or of indented code, which ends where the marks do."""
    marks = line[: len(line) - len(_unmarked(line))]
    return ">" in marks or "\t" in marks or len(marks) >= _INDENT


def _unmarked(line: str) -> str:
    marks = _MARKS.match(line)
    return line[marks.end() :] if marks else line


def _as_header(line: str) -> tuple[str, ...] | None:
    """Give the columns of a line that heads a table of any format, None for any other."""
    small = line[:_LONGEST_HEADER].lower()
    if "id" not in small and "name" not in small:
        return None
    cells = _cells(line)
    return cells if heads_rows(cells) or heads_locust(cells) else None


def _cells(line: str) -> tuple[str, ...]:
    head = line[:_LONGEST_HEADER]
    try:
        rows = [*csv.reader([head], delimiter=separator_of(head), skipinitialspace=True)]
    except csv.Error:
        return ()
    return tuple(cell.strip() for row in rows for cell in row)
