"""What went on in one window, a line a server: how much in each tenth of a second, what was done, what was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sgibench.report.charts.sheet import Sheet
from sgibench.report.charts.svg import INK, LINE, WARN, server_colour
from sgibench.report.panels import Look

HEIGHT = 44.0
LEFT = 150.0
RIGHT = 100.0


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something at one place of a timeline."""

    at: float
    """As a share of the window."""
    tip: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One server's window."""

    row: str
    label: str
    look: Look
    bins: tuple[tuple[float, float], ...]
    """(its end as a share of the window, its height)."""
    marks: tuple[Moment, ...]
    """What was done to it."""
    losses: tuple[Moment, ...]
    """Where requests were lost."""
    says: str
    """Behind it."""
    tip: str


def draw_timelines(timelines: Sequence[Timeline], *, name: str, prefix: str, label: str) -> Markup:
    """Draw them one below the other, each from zero to its own highest value."""
    sheet = Sheet(8 + HEIGHT * len(timelines) + 20)
    width = sheet.width - LEFT - RIGHT
    for index, one in enumerate(timelines):
        base = 8 + HEIGHT * (index + 1) - 6
        _line(sheet, one, base, width)
    sheet.note(LEFT + width / 2, sheet.height - 8, name, align="center")
    return sheet.markup(prefix, label)


def _line(sheet: Sheet, one: Timeline, base: float, width: float) -> None:
    height, colour = HEIGHT - 12, server_colour(one.look.colour)
    sheet.mark(6, base - height / 2, shape=one.look.shape, colour=colour, size=8)
    sheet.name(16, base - height / 2, one.label)
    tip = f"{one.label}: {one.tip}"
    sheet.box(LEFT, base - height, width, height, colour=LINE, alpha=0.35, tip=tip, row=one.row)
    highest = max((value for _, value in one.bins), default=0.0) or 1.0
    before = 0.0
    for end, value in one.bins:
        if value:
            left = LEFT + width * before
            sheet.box(left, base - height * value / highest, width * (end - before), height * value / highest,
                      colour=colour, alpha=0.7)  # fmt: skip
        before = end
    for mark in one.marks:
        x = LEFT + width * mark.at
        sheet.line((x, x), (base - height - 3, base + 2), colour=INK, width=1.4, tip=mark.tip, row=one.row)
    for loss in one.losses:
        sheet.mark(LEFT + width * loss.at, base - height - 2, shape=4, colour=WARN, size=5, tip=loss.tip, row=one.row)
    sheet.text(sheet.width - RIGHT + 6, base - height / 2, one.says)
