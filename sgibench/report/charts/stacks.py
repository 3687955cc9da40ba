"""Stacked bars: one line for each server under each app, its layers from the left, its whole behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from sgibench import units
from sgibench.report.charts.bars import BAR_HEIGHT, BOTTOM, LEFT, LINE_HEIGHT, RIGHT, draw_grid
from sgibench.report.charts.sheet import Sheet
from sgibench.report.charts.svg import INK, WARN, server_colour
from sgibench.report.panels import Look

HEAD_HEIGHT = 20.0
"""The line with an app's name."""
LEGEND_HEIGHT = 22.0
SIGN = 5.6
"""About the width of a sign of the legend."""
SHADES: Mapping[int, float] = {0: 0.75, 1: 0.38}
"""Of the first two parts, in ink; the third has its server's colour, the last is a warning."""
MARK = 5.0
UNLIKE = 6.0
"""Where one whole is so many times the middle one, each line is its own whole: the others would be too short."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One layer; a value below zero takes no room."""

    name: str
    value: float
    tip: str


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One line of the chart."""

    row: str
    """Key of the table row."""
    group: str
    """Lines with the same one stand together under its name."""
    label: str
    look: Look
    parts: tuple[Part, ...]
    total: float
    tip: str


def draw_stacks(stacks: Sequence[Stack], *, names: Sequence[str], prefix: str, label: str) -> Markup:
    """Draw the stacks in the order given; `names` are those of the parts, for the legend."""
    groups = list(dict.fromkeys(stack.group for stack in stacks))
    height = LEGEND_HEIGHT + HEAD_HEIGHT * len(groups) + LINE_HEIGHT * len(stacks) + BOTTOM
    sheet = Sheet(height)
    longest = max((_length(stack) for stack in stacks), default=1.0) or 1.0
    span = sheet.width - LEFT - RIGHT
    shares = unlike(stacks)
    if shares:
        draw_grid(sheet, 1.0, span, units.percent, 1.0, top=LEGEND_HEIGHT)
    else:
        draw_grid(sheet, longest, span / longest, units.microseconds, 1.0, top=LEGEND_HEIGHT)
    _legend(sheet, names)
    y, shown = LEGEND_HEIGHT, ""
    for stack in stacks:
        if stack.group != shown:
            shown = stack.group
            sheet.text(6, y + HEAD_HEIGHT / 2, shown, bold=True)
            y += HEAD_HEIGHT
        _stack(sheet, stack, y + LINE_HEIGHT / 2, span / ((_length(stack) or 1.0) if shares else longest))
        y += LINE_HEIGHT
    return sheet.markup(prefix, label)


def unlike(stacks: Sequence[Stack]) -> bool:
    """Whether the wholes are so unlike that each line is drawn as shares of its own."""
    lengths = [_length(stack) for stack in stacks]
    return len(lengths) > 1 and max(lengths) > UNLIKE * median(lengths)


def _length(stack: Stack) -> float:
    """How long its line is: to its end, or to that of its whole."""
    return max(stack.total, _reach(stack))


def _reach(stack: Stack) -> float:
    """How far the parts go."""
    return sum(max(part.value, 0.0) for part in stack.parts)


def _legend(sheet: Sheet, names: Sequence[str]) -> None:
    x = 6.0
    for place, name in enumerate(names):
        colour, alpha = _colour(place, len(names), INK)
        sheet.box(x, 5, 10, 10, colour=colour, alpha=alpha)
        text = f"{name} (its colour)" if place not in SHADES and place < len(names) - 1 else name
        sheet.note(x + 14, 10, text)
        x += 14 + SIGN * len(text) + 14


def _colour(place: int, parts: int, server: str) -> tuple[str, float | None]:
    if place == parts - 1:
        return WARN, 0.6
    return (INK, SHADES[place]) if place in SHADES else (server, None)


def _stack(sheet: Sheet, stack: Stack, y: float, scale: float) -> None:
    server = server_colour(stack.look.colour)
    sheet.mark(6, y, shape=stack.look.shape, colour=server, size=8)
    sheet.name(16, y, stack.label)
    x = LEFT
    for place, part in enumerate(stack.parts):
        width = max(part.value, 0.0) * scale
        if width > 0:
            colour, alpha = _colour(place, len(stack.parts), server)
            sheet.box(x, y - BAR_HEIGHT / 2, width, BAR_HEIGHT, colour=colour, alpha=alpha, tip=part.tip, row=stack.row)
        x += width
    end = LEFT + stack.total * scale
    sheet.lines([[(end, y - MARK - 2), (end, y + MARK + 2)]], colour=INK, width=1.4)
    sheet.text(max(x, end) + 5, y, units.microseconds(stack.total))
