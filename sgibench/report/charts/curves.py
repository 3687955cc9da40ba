"""Lines: percentile curves, latency or throughput against something, throughput over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from sgibench import units
from sgibench.later import Later
from sgibench.report.charts.sheet import DASHES, Sheet
from sgibench.report.charts.svg import INK, LINE, server_colour
from sgibench.report.panels import Look
from sgibench.report.words import Format, trimmed

if TYPE_CHECKING:
    import matplotlib.ticker
else:
    matplotlib = Later("matplotlib")

LEFT, RIGHT, TOP, BOTTOM = 54.0, 14.0, 10.0, 34.0
SIGN_WIDTH = 6.1
"""Of one sign beside the upright axis, as wide as fonts make their digits: `250,000/s` takes its room."""
HEIGHT = 250.0
BAND_ALPHA = 0.16
CROWDED = 0.9991
"""Beyond this share, 0 % and 50 % stand too close for both to be written."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A place on a curve."""

    x: float
    y: float
    tip: str | None = None
    """A point with a tip gets a marker."""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Edges:
    """The edges of a band at one place."""

    x: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One server's line."""

    row: str
    label: str
    look: Look
    points: tuple[Point, ...]
    band: tuple[Edges, ...] = ()
    """What lies behind the line: from block to block."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: its range in its own units, its ticks, and what stands beside them."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    name: str
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        if self.log:
            return (math.log(value) - math.log(self.low)) / ((math.log(self.high) - math.log(self.low)) or 1)
        return (value - self.low) / ((self.high - self.low) or 1)


def linear_axis(highest: float, name: str, form: Format) -> Axis:
    """Make an axis from zero."""
    ticks = [
        float(tick)
        for tick in matplotlib.ticker.MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(0, highest or 1)
    ]
    return Axis(
        low=0, high=ticks[-1], ticks=tuple((tick, trimmed(form(tick)) if tick else "0") for tick in ticks), name=name
    )


def counted_axis(values: Sequence[float], name: str) -> Axis:
    """Make an axis from zero whose ticks are the values themselves."""
    shown = sorted(set(values))
    return Axis(low=0, high=shown[-1] * 1.05, ticks=tuple((value, f"{value:g}") for value in shown), name=name)


def log_axis(lowest: float, highest: float, name: str, form: Format) -> Axis:
    """Make a logarithmic axis whose ticks are 1, 2 and 5 times powers of ten, thinned until they are readable."""
    lowest, highest = lowest / 1.1, highest * 1.1
    for steps in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
        ticks = [step * 10.0**power for power in powers for step in steps if lowest <= step * 10.0**power <= highest]
        if len(ticks) <= 6:  # noqa: PLR2004 - more lines than that are a fence
            break
    return Axis(
        low=lowest, high=highest, ticks=tuple((tick, trimmed(form(tick))) for tick in ticks), name=name, log=True
    )


def percentile_axis(deepest: float, of: str) -> Axis:
    """Make the axis of percentiles, shares `of` something: each nine takes the same room.

    `deepest` is the last share shown, e.g. 0.999.
    """
    shares = [share for share in (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999) if share <= deepest + 1e-9]
    if deepest > CROWDED:
        shares = shares[1:]
    ticks = tuple((1 / (1 - share), f"{share * 100:g} %") for share in shares)
    return Axis(
        low=1,
        high=max(1 / (1 - deepest), 2) * 1.15,
        ticks=ticks,
        name=f"share of {of} that were at least this fast",
        log=True,
    )


def draw_curves(
    curves: Sequence[Curve],
    x: Axis,
    y: Axis,
    *,
    prefix: str,
    label: str,
    points: bool = True,
    limit: float | None = None,
) -> Markup:
    """Draw curves over two axes, and a dashed line at `limit` on the upright one; `label` is the text alternative."""
    sheet = Sheet(HEIGHT)
    frame = _Frame(sheet=sheet, left=_room_for([y]), top=TOP, height=sheet.height - TOP - BOTTOM, x=x, y=y)
    frame.axes(named=True)
    if limit is not None:
        frame.limit(limit)
    for curve in curves:
        frame.curve(curve, points=points)
    return sheet.markup(prefix, label)


PANE_HEIGHT = 118.0
PANE_TITLE = 22.0
LEGEND_HEIGHT = 18.0


@dataclass(frozen=True, kw_only=True)
class Pane:
    """One of several drawings over the same axis."""

    title: str
    curves: tuple[Curve, ...]
    y: Axis


def draw_panes(panes: Sequence[Pane], x: Axis, *, prefix: str, label: str) -> Markup:
    """Draw panes above one another over one axis, and which curve is which above them all."""
    legend = list({curve.label: curve for pane in panes for curve in pane.curves}.values())
    legend_height = LEGEND_HEIGHT * len(legend)
    sheet = Sheet(legend_height + len(panes) * (PANE_TITLE + PANE_HEIGHT) + BOTTOM)
    for place, curve in enumerate(legend):
        at = 8 + LEGEND_HEIGHT * place
        colour = server_colour(curve.look.colour)
        sheet.line([2, 22], [at, at], colour=colour, width=2, dash=curve.look.dash % len(DASHES))
        sheet.mark(12, at, shape=curve.look.shape, colour=colour, size=6.5)
        sheet.text(30, at, curve.label)
    left = _room_for([pane.y for pane in panes])
    for place, pane in enumerate(panes):
        top = legend_height + place * (PANE_TITLE + PANE_HEIGHT) + PANE_TITLE
        sheet.text(0, top - 13, pane.title, bold=True)
        frame = _Frame(sheet=sheet, left=left, top=top, height=PANE_HEIGHT - 8, x=x, y=pane.y)
        frame.axes(named=pane is panes[-1])
        for curve in pane.curves:
            frame.curve(curve, points=True)
    return sheet.markup(prefix, label)


def _room_for(axes: Sequence[Axis]) -> float:
    """How much room the signs beside upright axes take."""
    return max(LEFT, 8 + SIGN_WIDTH * max((len(text) for axis in axes for _tick, text in axis.ticks), default=0))


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Two axes on a sheet, and what is drawn over them."""

    sheet: Sheet
    left: float
    top: float
    height: float
    x: Axis
    y: Axis

    @property
    def width(self) -> float:
        """Between the axis and the sheet's edge."""
        return self.sheet.width - self.left - RIGHT

    def across(self, value: float) -> float:
        """Where a value lies on the sheet."""
        return self.left + self.width * self.x.share(value)

    def up(self, value: float) -> float:
        """The same on the upright axis."""
        return self.top + self.height * (1 - self.y.share(value))

    def axes(self, *, named: bool) -> None:
        """Draw both, the lower one with its signs and name where it is the sheet's last."""
        sheet, bottom, grid = self.sheet, self.top + self.height, []
        for tick, text in self.y.ticks:
            at = self.up(tick)
            grid.append([(self.left, at), (sheet.width - RIGHT, at)])
            sheet.note(self.left - 5, at, text, align="right")
        for tick, text in self.x.ticks:
            at = self.across(tick)
            grid.append([(at, bottom), (at, bottom + 4)])
            if named:
                inside = min(at, sheet.width - SIGN_WIDTH * len(text) / 2)  # the last one would be cut by the edge
                sheet.note(inside, bottom + 12, text, align="center")
        sheet.lines(grid, colour=LINE, width=1)
        if named:
            sheet.note(self.left + self.width / 2, sheet.height - 7, self.x.name, align="center")

    def limit(self, value: float) -> None:
        """Draw a dashed line at a value of the upright axis."""
        at = self.up(value)
        self.sheet.line([self.left, self.sheet.width - RIGHT], [at, at], colour=INK, width=1, dash=1)
        self.sheet.note(self.left + 4, at - 8, "limit")

    def curve(self, curve: Curve, *, points: bool) -> None:
        """Draw one curve with what lies behind it."""
        sheet, colour = self.sheet, server_colour(curve.look.colour)
        xs, ys = [self.across(point.x) for point in curve.points], [self.up(point.y) for point in curve.points]
        sheet.area(
            [self.across(edges.x) for edges in curve.band],
            [self.up(edges.high) for edges in curve.band],
            [self.up(edges.low) for edges in curve.band],
            colour=colour,
            alpha=BAND_ALPHA,
        )
        sheet.line(xs, ys, colour=colour, width=2, dash=curve.look.dash % len(DASHES), tip=curve.label, row=curve.row)
        for at_x, at_y, point in zip(xs, ys, curve.points, strict=True):
            if point.low is not None and point.high is not None:
                sheet.line([at_x, at_x], [self.up(point.low), self.up(point.high)], colour=INK, width=1)
            if point.tip and points:
                sheet.mark(at_x, at_y, shape=curve.look.shape, colour=colour, size=6.5, tip=point.tip, row=curve.row)


SPARK_HEIGHT = 30.0
SPARK_LEFT = 150.0
SPARK_RIGHT = 62.0


@dataclass(frozen=True, kw_only=True)
class Spark:
    """One server's throughput over time, a line a block."""

    row: str
    label: str
    look: Look
    lines: tuple[tuple[float, ...], ...]
    """Requests per second in each round or second, a line a block."""
    steadiness: str
    """What stands behind the lines."""
    tip: str


def draw_sparks(sparks: Sequence[Spark], *, name: str, prefix: str, label: str) -> Markup:
    """Draw one small line chart a server, each from zero to its own highest value."""
    sheet = Sheet(8 + SPARK_HEIGHT * len(sparks) + 20)
    width = sheet.width - SPARK_LEFT - SPARK_RIGHT
    for index, spark in enumerate(sparks):
        base = 8 + SPARK_HEIGHT * (index + 1) - 4
        height = SPARK_HEIGHT - 7
        colour = server_colour(spark.look.colour)
        sheet.mark(6, base - height / 2, shape=spark.look.shape, colour=colour, size=8)
        sheet.name(16, base - height / 2, spark.label)
        sheet.box(
            SPARK_LEFT,
            base - height,
            width,
            height,
            colour=LINE,
            alpha=0.35,
            tip=f"{spark.label}: {spark.tip}",
            row=spark.row,
        )
        highest = max((max(line) for line in spark.lines if line), default=0) or 1
        pieces = [
            [
                (SPARK_LEFT + width * step / max(len(line) - 1, 1), base - height * value / highest)
                for step, value in enumerate(line)
            ]
            for line in spark.lines
        ]
        sheet.lines(pieces, colour=colour, width=1.2, alpha=0.75)
        sheet.text(sheet.width - SPARK_RIGHT + 6, base - height / 2, spark.steadiness)
    sheet.note(SPARK_LEFT + width / 2, sheet.height - 8, name, align="center")
    return sheet.markup(prefix, label)


@dataclass(frozen=True, kw_only=True)
class Split:
    """One server's requests by worker process."""

    row: str
    label: str
    look: Look
    shares: tuple[tuple[str, float], ...]
    """Process and its share, the largest first."""


def draw_splits(splits: Sequence[Split], *, prefix: str, label: str) -> Markup:
    """Draw one full bar a server, cut where one process's share ends."""
    sheet = Sheet(8 + 24 * len(splits) + 18)
    width = sheet.width - SPARK_LEFT - 10
    for index, split in enumerate(splits):
        y = 8 + 24 * (index + 0.5)
        colour = server_colour(split.look.colour)
        sheet.mark(6, y, shape=split.look.shape, colour=colour, size=8)
        sheet.name(16, y, split.label)
        left = SPARK_LEFT
        for process, share in split.shares:
            tip = f"{split.label}, process {process}: {units.percent(share)} of the requests"
            sheet.box(left, y - 7, max(width * share - 1.5, 0.5), 14, colour=colour, tip=tip, row=split.row)
            left += width * share
    for share in (0.0, 0.5, 1.0):
        sheet.note(SPARK_LEFT + width * share, sheet.height - 8, f"{share * 100:.0f} %", align="center")
    return sheet.markup(prefix, label)
