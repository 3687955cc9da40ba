"""Tables for terminals of any width: names give way first and stay apart, words wrap, figures are never cut.

Where a table does not fit even so, each row becomes a few lines of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sgibench.names import shortened

WIDEST_NAME = 26
LEAST_NAME = 12
"""Below so many signs of a name a row is better read as lines of its own."""
WORDS_FOR_A_FIGURE = 16
"""Signs of a reason that stands in place of a figure and is longer than any; the whole of it stands below the table."""

Kind = Literal["place", "name", "figure", "words"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its head, and what it holds."""

    head: str
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row: its cells, in which of them stand words in place of a figure, its style, and whether a gap follows.

    A `title` stands over the rows that follow, whole, in place of a name.
    """

    cells: tuple[str, ...]
    reasons: frozenset[int] = frozenset()
    style: str = ""
    gap: bool = False
    title: bool = False


def show(console: Console, columns: Sequence[Column], lines: Sequence[Line], *, ascii_only: bool) -> None:
    """Print rows as a table that fits, or one under the other."""
    cut = "..." if ascii_only else "…"
    columns, lines = _without_empty_places(columns, lines)
    lines = [_with_short_reasons(line, columns, lines, cut) for line in lines]
    places = [at for at, column in enumerate(columns) if column.kind == "name"]
    unbounded = console.options.update(max_width=10_000)
    longest = max((len(line.cells[at]) for line in lines if not line.title for at in places), default=0)
    for width in range(min(WIDEST_NAME, longest), min(LEAST_NAME, longest) - 1, -1):
        table = _table(columns, _with_short_names(columns, lines, width, cut), ascii_only=ascii_only)
        if Measurement.get(console, unbounded, table).minimum <= console.width:
            console.print(table, highlight=False)
            return
    stacked(console, columns, _with_short_names(columns, lines, console.width - 4, cut))


def _without_empty_places(columns: Sequence[Column], lines: Sequence[Line]) -> tuple[Sequence[Column], Sequence[Line]]:
    """Leave out columns of places in which no row has one."""
    kept = [
        at
        for at, column in enumerate(columns)
        if column.kind != "place" or not lines or any(line.cells[at].strip() for line in lines)
    ]
    return [columns[at] for at in kept], [
        replace(
            line,
            cells=tuple(line.cells[at] for at in kept),
            reasons=frozenset(kept.index(at) for at in line.reasons),
        )
        for line in lines
    ]


def _with_short_reasons(line: Line, columns: Sequence[Column], lines: Sequence[Line], cut: str) -> Line:
    cells = list(line.cells)
    for at in line.reasons:
        figures = [len(one.cells[at]) for one in lines if at not in one.reasons]
        room = max(WORDS_FOR_A_FIGURE, len(columns[at].head), *figures, 0)
        cells[at] = cells[at] if len(cells[at]) <= room else cells[at][: room - len(cut)] + cut
    return replace(line, cells=tuple(cells))


def _with_short_names(columns: Sequence[Column], lines: Sequence[Line], width: int, cut: str) -> list[Line]:
    changed = [list(line.cells) for line in lines]
    named = [cells for cells, line in zip(changed, lines, strict=True) if not line.title]
    for at, column in enumerate(columns):
        if column.kind == "name":
            short = shortened([cells[at] for cells in named], width, cut)
            for cells in named:
                cells[at] = short[cells[at]]
    return [replace(line, cells=tuple(cells)) for cells, line in zip(changed, lines, strict=True)]


def _table(columns: Sequence[Column], lines: Sequence[Line], *, ascii_only: bool) -> Table:
    table = Table(box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for at, column in enumerate(columns):
        whole = column.kind != "words"
        widths = map(cell_len, (column.head, *(line.cells[at] for line in lines)))
        table.add_column(
            Text(column.head),
            justify="left" if column.kind in {"name", "words"} else "right",
            no_wrap=whole,
            min_width=max(widths) if whole else 0,
        )
    for line in lines:
        table.add_row(*map(Text, line.cells), style=line.style)
        if line.gap:
            table.add_section()
    return table


def stacked(console: Console, columns: Sequence[Column], lines: Sequence[Line]) -> None:
    """Print each row as lines: its place and name, then a line for each thing said of it, its place behind it."""
    heads = [column.head for column in columns if column.kind in {"figure", "words"}]
    margin = max(map(len, heads), default=0)
    for line in lines:
        if line.title:
            console.print(Text(" ".join(filter(None, line.cells)), style=line.style), highlight=False)
            continue
        opened, place = False, ""
        for column, cell in zip(columns, line.cells, strict=True):
            if column.kind == "place":
                place = cell
            elif column.kind == "name":
                console.print(Text(f"{place:>3} {cell}".rstrip(), style=line.style or "bold"), highlight=False)
                opened, place = True, ""
            elif cell:
                behind = f"  #{place.strip()}" if opened and place.strip() else ""
                console.print(Text(f"    {column.head:<{margin}} {cell}{behind}", style=line.style), highlight=False)
                place = ""
    console.print()
