"""What several formats share: numbers with units, runs that follow one another, values that may be missing or odd."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sgibench.errors import shown

Row = TypeVar("Row")

_TIMES_MS = {
    **dict.fromkeys(("ns",), 1e-6),
    **dict.fromkeys(("us", "µs", "μs", "Âµs"), 1e-3),
    **dict.fromkeys(("ms",), 1.0),
    **dict.fromkeys(("s", "sec", "secs"), 1e3),
    **dict.fromkeys(("m", "min"), 6e4),
    **dict.fromkeys(("h",), 3.6e6),
}
_ONE = r"[0-9]{1,20}(?:\.[0-9]{0,20})?[ ]?(?:" + "|".join(sorted(_TIMES_MS, key=len, reverse=True)) + r")(?![A-Za-z])?"
TIME = rf"(?:{_ONE}){{1,4}}"
"""A pattern for one time as tools write it: 12.34ms, 1.0 secs, 1m23.5s. To be read by `time_ms`."""
NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,6}|[0-9]{1,20})(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?"
"""A pattern for one count or rate, also with commas between thousands or an exponent. To be read by `plain_number`."""
_PART = re.compile(rf"([0-9]+(?:\.[0-9]*)?) ?({'|'.join(sorted(_TIMES_MS, key=len, reverse=True))})")
_WHOLE = re.compile(TIME)
_NONE = re.compile(r"-?nan", re.IGNORECASE)
_CLIENT_PORT = re.compile(r":[0-9]{1,5}(?=->)")
_PLAIN = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
"""Most figures of most files; all others are looked at closely."""
_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9])")
MOST_ROWS = 100_000
"""Rows of one file that are audited."""
MOST_KINDS = 5
"""Kinds of failures that are named; more of them are nobody's sentence."""


def time_ms(text: str | None) -> float | None:
    """Read `12.34ms`, `865us`, `1.0 secs`, `2.00m`, `1m23.5s` as milliseconds; None when there is nothing to read."""
    text = (text or "").strip()
    if not _WHOLE.fullmatch(text):
        return None
    return sum(float(part[1]) * _TIMES_MS[part[2]] for part in _PART.finditer(text))


def measured_ms(text: str | None) -> float | None:
    """Read a latency: 0 is what tools print when there was none, so it is unknown and not fast."""
    return time_ms(text) or None


def known_times(name: str, what: str, cells: Iterable[str]) -> None:
    """Check that cells are times; raises ValueError with the first that has no unit or an unknown one.

    Passed over, it would leave a row without a latency, of which nothing is asked. What is not a number (`-nan`) is
    what tools print when there was none.
    """
    for cell in cells:
        if not _WHOLE.fullmatch(cell) and not _NONE.match(cell):
            raise ValueError(f"{name} has `{what}` {shown(cell)}, which is no time such as 12.34ms")


def number(value: object, what: str) -> float | None:
    """Read a JSON number or a CSV field; empty is None, anything else is a ValueError that names the field."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return float(value)
    if value is None or (isinstance(value, str) and value.strip() in ("", "N/A")):
        return None
    try:
        figure = isinstance(value, (int, float)) and not isinstance(value, bool)
        # Python takes 1_234 and the digits of every script.
        written = isinstance(value, str) and value.isascii() and "_" not in value
        found = float(value) if figure or written else math.nan  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        said = repr(value)
        raise ValueError(f"{what} is {said if len(said) <= 60 else said[:50] + '…'}, not a number")  # noqa: PLR2004 - one line
    return found


def plain_number(text: str) -> float:
    """Read what NUMBER found: 1234.56, 1,234.56, 1.23e+04."""
    return float(text.replace(",", ""))


def separator_of(header: str) -> str:
    """Tell what separates the columns of a CSV: commas, tabs, or semicolons where the language has a decimal comma."""
    return next((each for each in (",", ";", "\t") if each in header), ",")


def with_points(cell: str, separator: str) -> str:
    """Give a cell of figures with decimal points; one that would be a number in no language stays as it is."""
    if separator == ",":
        return cell
    found = _COMMA.sub(".", cell)
    return found if found.count(".") <= 1 else cell


def scaled(value: float | None, factor: float) -> float | None:
    """Multiply what was measured."""
    return None if value is None else value * factor


def part(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Look up a member that is an object; an empty one when it is missing or something else."""
    found = parent.get(key)
    return found if isinstance(found, dict) else {}


def objects(documents: Iterable[object], *members: str) -> list[Mapping[str, Any]]:
    """Pick the JSON objects that have all of these members."""
    return [each for each in documents if isinstance(each, dict) and all(member in each for member in members)]


def sections(text: str, start: re.Pattern[str], *, above: bool = False) -> list[str]:
    """Cut a text before each match of `start`; what stands before the first is prose, or belongs to it (`above`)."""
    places = [match.start() for match in not_too_many(start.finditer(text))]
    begins = [0, *places[1:]] if above or not places else places
    return [text[begin:end] for begin, end in zip(begins, [*places[1:], len(text)], strict=True)]


def not_too_many(rows: Iterable[Row]) -> Iterator[Row]:
    """Pass rows on; raises ValueError with the first that is too many, before more time goes into it."""
    for place, row in enumerate(rows):
        if place >= MOST_ROWS:
            raise ValueError(f"has more than {MOST_ROWS:,} rows: no more are audited")
        yield row


def labels(name: str, runs: Sequence[object]) -> list[str]:
    """Name each run of a file: the file's name when it is the only one, else with its place."""
    return [name] if len(runs) == 1 else [f"{name}#{place}" for place in range(1, len(runs) + 1)]


def counted(failures: Mapping[str, float]) -> str:
    """Write failures by kind, the most frequent first: `3 × 503 answers, 2 × time-out`.

    A client's ports make a kind of their own of each broken connection; they are left out, and so are rare kinds.
    """
    kinds: defaultdict[str, float] = defaultdict(float)
    for what, count in failures.items():
        kinds[_CLIENT_PORT.sub("", what)] += count
    ranked = sorted(((what, count) for what, count in kinds.items() if count), key=lambda each: -each[1])
    said = [f"{count:.0f} × {what}" for what, count in ranked[:MOST_KINDS]]
    rest = ranked[MOST_KINDS:]
    more = f"{sum(count for _what, count in rest):.0f} of {len(rest)} other kinds"
    return ", ".join([*said, more] if rest else said)


def finer(printed: float | None, count: float | None, rate: float | None, step: float) -> float | None:
    """Give a time that was printed in steps as count / rate where that is the same: short runs need the digits."""
    exact = count / rate if count and rate else None
    return exact if exact is not None and printed is not None and abs(exact - printed) <= step / 2 * 1.01 else printed
