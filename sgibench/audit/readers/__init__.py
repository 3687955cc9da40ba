"""Other tools' results as rows of figures: one module per format, each a pure function from text to rows.

A format is recognised by its content, never by the file's name; the name only labels rows that carry none. What a tool
does not say stays None: no reader guesses. Text that is none of the known formats, or is broken, is one clear line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sgibench.audit.figures import Figures
from sgibench.audit.readers import hey, httparena, k6, locust_csv, oha, rows_csv, wrk
from sgibench.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format: how it is recognised and read."""

    name: str
    recognises: Callable[[str], bool]
    """Looks at the text only; cheap, never raises."""
    read: Callable[[str, str], list[Figures]]
    """Text and a name for rows without one -> rows; raises ValueError with what was expected."""


FORMATS: tuple[Format, ...] = (
    Format(name="rows.csv", recognises=rows_csv.recognises, read=rows_csv.read),
    Format(name="Locust statistics CSV", recognises=locust_csv.recognises, read=locust_csv.read),
    Format(name="wrk text", recognises=wrk.recognises, read=wrk.read),
    Format(name="hey text", recognises=hey.recognises, read=hey.read),
    Format(name="oha JSON", recognises=oha.recognises, read=oha.read),
    Format(name="k6 summary JSON", recognises=k6.recognises, read=k6.read),
    Format(name="HttpArena site/data JSON", recognises=httparena.recognises, read=httparena.read),
)


def read_rows(text: str, name: str) -> list[Figures]:
    """Read any known format; `name` is the file's name, shown in errors. Raises UsageError in one line."""
    for known in FORMATS:
        if known.recognises(text):
            try:
                return known.read(text, name)
            except ValueError as error:
                raise UsageError(f"{name}: looks like {known.name}, but {error}") from error
    names = ", ".join(known.name for known in FORMATS)
    raise UsageError(f"{name}: none of the formats that can be audited ({names})")
