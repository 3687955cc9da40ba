"""The CSV tables of a file: where one begins and ends, whatever stands around it. Reads no figure.

A table begins with a line that has the columns of its format, and ends before the next such line, or where Markdown's
block or quote does. Several may follow one another, and Markdown's quote marks and indents are taken off; what stands
before the first is prose, the command, or nothing. A line has as many fields as the head, and no column stands twice:
else nobody knows which figure is which.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from sgibench.audit.readers.fields import MOST_ROWS, separator_of
from sgibench.audit.readers.material import Material

_MARKS = re.compile(r"[ \t]{0,20}(?:>[ \t]{0,4}){0,10}")
"""Before a line that Markdown quotes or indents."""
_FENCES = ("```", "~~~")
_LONGEST_HEADER = 2000
_INDENT = 4
_LONGEST_NAME = 40
_MOST_NAMED = 10

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
    "p90_ms",
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


def lines_of(table: Table, named: Callable[[str], str] = str.strip) -> Iterator[tuple[int, dict[str, str]]]:
    """Give each line below the head: its number in the file, and its fields by the names that `named` gives columns.

    Lines of empty fields are left out. Raises ValueError with the line that has more or fewer fields than the head, but
    for empty ones at its end, and with the column that stands twice.
    """
    many = 0
    reader = csv.reader(io.StringIO(table.text), delimiter=table.separator, skipinitialspace=True)
    try:
        written = [cell.strip() for cell in next(reader, [])]
        header = [named(cell) for cell in written]
        for place, name in enumerate(header):
            if name and name in header[:place]:
                twice = f"the column {_quoted(written[place])} twice"
                raise ValueError(f"line {table.before + 1} has {twice}: name each column once")
        for cells in reader:
            line = table.before + reader.line_num
            if not any(cell and not cell.isspace() for cell in cells):
                continue
            if (many := many + 1) > MOST_ROWS:
                raise ValueError(f"line {line}: has more than {MOST_ROWS:,} rows: no more are audited")
            while len(cells) > len(header) and not cells[-1].strip():
                cells.pop()
            if len(cells) != len(header):
                said = f"line {line} has {len(cells)} fields where the head has {len(header)}"
                raise ValueError(f"{said}: {_what_to_do(len(cells) - len(header), table.separator)}")
            yield line, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        raise ValueError(f"line {table.before + reader.line_num} is no CSV: {error}") from error


def _what_to_do(more: int, separator: str) -> str:
    if more < 0:
        return "it breaks off, or a field that is not known was left out rather than left empty"
    written = "a tab" if separator == "\t" else f"`{separator}`"
    return f"quote what holds {written}, and write figures without a separator between thousands"


def _quoted(text: str) -> str:
    return f"`{text}`" if len(text) <= _LONGEST_NAME else f"`{text[:_LONGEST_NAME]}…`"


def unknown_columns(material: Material) -> list[str]:
    """Name the columns of tables like `rows.csv` that nobody reads, each with the known one that it is nearest to."""
    unread = dict.fromkeys(
        cell for table in tables_of(material, heads_rows) for cell in table.header if cell and cell not in COLUMNS
    )
    told = []
    for name in [*unread][:_MOST_NAMED]:
        near = get_close_matches(name.lower(), COLUMNS, n=1)
        told.append(f"{_quoted(name)} (is it `{near[0]}`?)" if near else _quoted(name))
    return [*told, f"{len(unread) - len(told)} more"] if len(unread) > len(told) else told


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
            body = "\n".join(lines).rstrip("\n") + "\n"
            found.append(Table(before=before, header=header, text=body, separator=separator))

    for place, marked in enumerate(text.split("\n")):
        if not marked or marked.isspace():
            if lines is not None:
                lines.append("")
            continue
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
