"""Other tools' results as rows of figures: one module per tool, each a pure function from a file's material to rows.

A format is recognised by its content, never by the file's name; the name only labels rows that carry none. Each format
is told by a list of signs: a file that has them all is of that format, and of one that is none, the format with the
most signs is the nearest, and the signs that it lacks are what is missing. What a tool does not say stays None: no
reader guesses. Whatever can't be read is one clear line, never a traceback. No tool writes other digits than 0 to 9.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sgibench.audit.figures import Figures
from sgibench.audit.readers.csv_tables import unknown_columns
from sgibench.audit.readers.formats import FORMATS, Format, matches, nearest
from sgibench.audit.readers.material import Material, material_of, read_material
from sgibench.audit.readers.several import broken_off, by_tool
from sgibench.errors import UsageError

__all__ = ["read_file", "read_noting", "read_rows"]

_MOST_IDS = 5
"""Ids that a notice names."""
_FOREIGN = re.compile(r"[^\W\D0-9]+")
"""Digits of other scripts, which Python's patterns and numbers would take."""


def read_file(path: Path) -> list[Figures]:
    """Read a file of any known format. Raises UsageError, in one line that names it."""
    return read_noting(path)[0]


def read_noting(path: Path) -> tuple[list[Figures], list[str]]:
    """Read a file, and say what a person should know of it: columns that nobody reads, ids that stand twice."""
    try:
        material = read_material(path)
    except ValueError as error:
        raise UsageError(f"{path} {error}") from None
    rows = _rows(material)
    return rows, [*_unread(material), *_alike(rows)]


def _unread(material: Material) -> list[str]:
    names = unknown_columns(material)
    return [f"no column of it is known by the name of {', '.join(names)}: not read"] if names else []


def _alike(rows: Sequence[Figures]) -> list[str]:
    many = [row_id for row_id, times in Counter(row.id for row in rows).items() if times > 1]
    rest = f" and {len(many) - _MOST_IDS} more" if len(many) > _MOST_IDS else ""
    return (
        [f"more than one row has the id {', '.join(many[:_MOST_IDS])}{rest}: doubts do not tell which"] if many else []
    )


def read_rows(text: str, name: str) -> list[Figures]:
    """Read the text of any known format; `name` is its file's name, shown in errors. Raises UsageError in one line."""
    return _rows(material_of(text, name))


def _rows(material: Material) -> list[Figures]:
    """Read all of it. Raises UsageError where figures stand in the digits of another script.

    Names and prose may hold them; read as 0 to 9, they must not change a figure.
    """
    rows = _in_ascii(material)
    foreign = None if material.text.isascii() else _FOREIGN.search(material.text)
    if foreign is None:
        return rows
    text = _FOREIGN.sub(lambda found: "".join(str(unicodedata.decimal(each)) for each in found[0]), material.text)
    try:
        latin = _in_ascii(material_of(text, material.name))
    except UsageError:
        return rows
    if [*map(_told, latin)] != [*map(_told, rows)]:
        said = f"{material.name} has figures in the digits of another script, such as {foreign[0][:20]}"
        raise UsageError(_one_line(f"{said}: write them with 0 to 9"))
    return rows


def _told(row: Figures) -> dict[str, object]:
    """Give what a row says but for its names."""
    return {name: value for name, value in vars(row).items() if not isinstance(value, str)}


def _in_ascii(material: Material) -> list[Figures]:
    """Read all of it: where several tools wrote into one text, each part by its own reader."""
    try:
        parts = by_tool(material)
    except ValueError as error:
        raise UsageError(_one_line(f"{material.name} {error}")) from None
    found = [known for known in FORMATS if matches(known, material)]
    tables = [known for known in found if known.whole]
    others = [*(known for known in found if not known.whole), *(known for known, _part in parts)]
    if tables and others:
        both = f"{tables[0].name} beside {others[0].name}"
        raise UsageError(_one_line(f"{material.name} holds {both}: audit each in a file of its own"))
    cut = broken_off(material, [*tables, *others]) if found or parts else None
    if cut is not None:
        said = f"{material.name} holds what looks like {cut.name}, but breaks off, beside {[*tables, *others][0].name}"
        raise UsageError(_one_line(said))
    if tables:
        return [row for known in tables for row in _read(known, material)]
    if not parts and not found:
        raise UsageError(_one_line(f"{material.name}: {nearest(material)}"))
    if not parts and len(found) == 1:
        return _read(found[0], material)
    # Notes hold texts and JSON beside one another: none is passed over.
    texts = parts or [(known, material) for known in found if known.start is not None][:1]
    beside = [(known, material) for known in found if known.start is None]
    told_apart = [*texts, *((known, replace(each, name=f"{each.name} ({known.name})")) for known, each in beside)]
    return [row for known, each in told_apart for row in _read(known, each)]


def _read(known: Format, material: Material) -> list[Figures]:
    try:
        rows = known.read(material)
    except ValueError as error:
        raise UsageError(_one_line(f"{material.name}: looks like {known.name}, but {error}")) from error
    except OverflowError:
        told = "one of its numbers has more digits than any figure"
        raise UsageError(_one_line(f"{material.name}: looks like {known.name}, but {told}")) from None
    nothing = next((row.id for row in rows if not _says_anything(row)), None)
    if nothing is not None:
        raise UsageError(_one_line(f"{material.name}: looks like {known.name}, but {nothing} has no figure at all"))
    return rows


def _says_anything(row: Figures) -> bool:
    """Whether a row has a figure that could be wrong; a tool's summary that never ran has none."""
    counts = (row.requests_ok, row.errors, row.cut_off, row.connections, row.duration_s, row.server_cpu_share)
    latencies = (row.mean_ms, row.p50_ms, row.p90_ms, row.p99_ms, row.max_ms, row.quantiles_ms)
    return row.rps is not None or any((*counts, *latencies, row.at_once, row.floor_ms, row.round_rps, row.twice))


def _one_line(text: str) -> str:
    return " ".join(text.split())
