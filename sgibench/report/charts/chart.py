"""A figure of the page: its drawing, the table behind it, and its text alternative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, kw_only=True)
class Table:
    """What stands behind a chart."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure of the page."""

    title: str
    hint: str
    """How to read it, in one sentence."""
    drawing: Markup
    table: Table


def alternative(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Write a chart's text alternative: its title, then what each line says."""
    return f"{title}. " + "; ".join(f"{label}: {value}" for label, value in rows) + "."
