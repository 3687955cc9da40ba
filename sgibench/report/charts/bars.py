"""Bars with intervals: one line a server, from zero, best first, failures in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from sgibench.later import Later
from sgibench.report.charts.sheet import Sheet, shortened
from sgibench.report.charts.svg import INK, LINE, SOFT, WARN, server_colour
from sgibench.report.panels import Look
from sgibench.report.words import WIDEST, Format, trimmed

if TYPE_CHECKING:
    import matplotlib.ticker
else:
    matplotlib = Later("matplotlib")

LINE_HEIGHT = 24.0
BAR_HEIGHT = 11.0
LEFT = 150.0
"""Where the bars start; names stand before it."""
RIGHT = 66.0
"""Room for the value behind the longest bar."""
TOP = 6.0
BOTTOM = 20.0
CAP = 3.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of the chart."""

    row: str
    """Key of the table row."""
    label: str
    look: Look
    value: float | None
    low: float | None = None
    high: float | None = None
    part: float | None = None
    """A share of the value that is drawn stronger, e.g. memory that is not shared."""
    tip: str = ""
    failure: str = ""
    """In place of a number."""
    band: int | None = None
    """Bars next to each other with the same band are not told apart."""
    under: str = ""
    """What bars next to each other have in common, written above the first of them; then there are no bands."""


def draw_bars(bars: Sequence[Bar], *, form: Format, prefix: str, label: str, unit: float = 1.0) -> Markup:
    """Draw the bars in the order given; `label` is the text alternative, `unit` what grid lines are round in."""
    heads = [place for place, bar in enumerate(bars) if bar.under and (not place or bars[place - 1].under != bar.under)]
    sheet = Sheet(TOP + LINE_HEIGHT * (len(bars) + len(heads)) + BOTTOM)
    known = [bar.value for bar in bars if bar.value is not None]
    widest = max((bar.high or bar.value or 0.0 for bar in bars), default=0.0)
    longest = min(widest, WIDEST * max(known, default=0.0)) or 1.0
    scale = (sheet.width - LEFT - RIGHT) / longest
    if known:  # else a scale would be of nothing
        draw_grid(sheet, longest, scale, form, unit)
    if not heads:
        _bands(sheet, bars)
    for index, bar in enumerate(bars):
        line = index + sum(place <= index for place in heads)
        if index in heads:
            sheet.text(0, TOP + LINE_HEIGHT * (line - 0.4), bar.under, bold=True)
        _bar(sheet, bar, TOP + LINE_HEIGHT * (line + 0.5), scale, form)
    return sheet.markup(prefix, label)


def draw_grid(sheet: Sheet, longest: float, scale: float, form: Format, unit: float, top: float = TOP) -> None:  # noqa: PLR0917
    """Draw the lines at round values, from zero to the longest, and what they are."""
    bottom = sheet.height - BOTTOM
    shown = []
    for step in matplotlib.ticker.MaxNLocator(nbins=3, steps=[1, 2, 5, 10]).tick_values(0, longest / unit):
        tick = float(step) * unit
        x = LEFT + tick * scale
        if 0 <= tick <= longest * 1.001:
            shown.append([(x, top), (x, bottom)])
            sheet.note(x, bottom + 10, trimmed(form(tick)) if tick else "0", align="center")
    sheet.lines(shown, colour=LINE, width=1)


def _bands(sheet: Sheet, bars: Sequence[Bar]) -> None:
    """Lay one soft band behind bars that share a place."""
    start = 0
    for index in range(1, len(bars) + 1):
        if index < len(bars) and bars[index].band is not None and bars[index].band == bars[start].band:
            continue
        if index - start > 1:
            sheet.box(
                0,
                TOP + LINE_HEIGHT * start + 1,
                sheet.width,
                LINE_HEIGHT * (index - start) - 2,
                colour=LINE,
                alpha=0.45,
            )
        start = index


def _bar(sheet: Sheet, bar: Bar, y: float, scale: float, form: Format) -> None:
    colour = server_colour(bar.look.colour)
    sheet.mark(6, y, shape=bar.look.shape, colour=colour, size=8)
    sheet.name(16, y, bar.label)
    if bar.value is None:
        sheet.text(LEFT + 4, y, shortened(bar.failure or "not measured", 42), colour=WARN if bar.failure else SOFT)
        return
    tip = f"{bar.label}: {bar.tip or form(bar.value)}"
    end = LEFT + bar.value * scale
    sheet.box(
        LEFT,
        y - BAR_HEIGHT / 2,
        end - LEFT,
        BAR_HEIGHT,
        colour=colour,
        tip=tip,
        row=bar.row,
        alpha=0.45 if bar.part else None,
    )
    if bar.part:
        sheet.box(LEFT, y - BAR_HEIGHT / 2, bar.part * scale, BAR_HEIGHT, colour=colour, tip=tip, row=bar.row)
    if bar.low is not None and bar.high is not None:
        limit = sheet.width - RIGHT
        low, high = LEFT + bar.low * scale, min(LEFT + bar.high * scale, limit)
        caps = [[(low, y - CAP), (low, y + CAP)], [(high, y - CAP), (high, y + CAP)]]
        if LEFT + bar.high * scale > limit + 0.5:
            caps[1] = [(high - CAP, y - CAP), (high, y), (high - CAP, y + CAP)]  # an arrow: it goes on
        sheet.lines([[(low, y), (high, y)], *caps], colour=INK, width=1.4)
        end = max(end, high)
    sheet.text(end + 5, y, form(bar.value))
