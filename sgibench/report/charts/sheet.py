"""A drawing surface in units of the page: matplotlib without its axes, so that every mark is placed on purpose.

x runs to the right and y downwards, in SVG units. A unit is about a CSS pixel at the width the page shows a chart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from markupsafe import Markup

from sgibench.later import Later
from sgibench.report.charts.svg import INK, SOFT, to_markup

if TYPE_CHECKING:
    import matplotlib.artist
    import matplotlib.figure
    import matplotlib.lines
    import matplotlib.markers
    import matplotlib.patches
    import matplotlib.text
    import matplotlib.transforms
else:
    matplotlib = Later("matplotlib")

DPI = 72
"""matplotlib's SVG backend writes one unit for each 1/72 inch."""
WIDTH = 400.0
TEXT = 11.5
NAME_SIGNS = 20
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""By shape number; `style.css` and the legend show the same."""
FILLING = (1.0, 0.92, 1.08, 0.92, 1.08, 1.15, 1.15, 1.5)
"""By shape number: what makes the shapes look equally large."""
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (2, 2), (7, 2, 2, 2))


class Sheet:
    """A figure, and what its parts say when pointed at."""

    def __init__(self, height: float, width: float = WIDTH) -> None:
        self.width, self.height = width, height
        self._figure = matplotlib.figure.Figure(figsize=(width / DPI, height / DPI), dpi=DPI, frameon=False)
        self._units = matplotlib.transforms.Affine2D().scale(1, -1).translate(0, height)
        self._tips: dict[str, tuple[str, str]] = {}
        self._count = 0

    def _tag(self, tip: str | None, row: str) -> str | None:
        if tip is None:
            return None
        gid = f"tip{len(self._tips)}"
        self._tips[gid] = (tip, row)
        return gid

    def _add(self, artist: matplotlib.artist.Artist) -> None:
        """Lay it over everything drawn before."""
        self._count += 1
        artist.set_zorder(self._count)
        artist.set_transform(self._units)
        self._figure.add_artist(artist)

    def box(
        self, x: float, y: float, width: float, height: float, *, colour: str, tip: str | None = None, row: str = "",
        alpha: float | None = None,
    ) -> None:  # fmt: skip
        """Draw a filled rectangle; `tip` is shown on hover, `row` names the table row it belongs to."""
        patch = matplotlib.patches.Rectangle(
            (x, y), width, height, facecolor=colour, linewidth=0, alpha=alpha, gid=self._tag(tip, row)
        )
        self._add(patch)

    def area(
        self, xs: Sequence[float], upper: Sequence[float], lower: Sequence[float], *, colour: str, alpha: float
    ) -> None:
        """Fill what lies between two lines; nothing when there are no points."""
        if xs:
            corners = [*zip(xs, upper, strict=True), *reversed(list(zip(xs, lower, strict=True)))]
            self._add(
                matplotlib.patches.Polygon(np.array(corners), closed=True, facecolor=colour, linewidth=0, alpha=alpha)
            )

    def lines(
        self, pieces: Iterable[Sequence[tuple[float, float]]], *, colour: str, width: float, alpha: float | None = None
    ) -> None:
        """Draw separate lines of one look as a single path: less to draw, and less to load."""
        points = [point for piece in pieces for point in (*piece, (math.nan, math.nan))][:-1]
        if points:
            xs, ys = zip(*points, strict=True)
            self.line(xs, ys, colour=colour, width=width, alpha=alpha)

    def line(
        self, xs: Sequence[float], ys: Sequence[float], *, colour: str, width: float = 1.5, dash: int = 0,
        tip: str | None = None, row: str = "", alpha: float | None = None,
    ) -> None:  # fmt: skip
        """Draw a line through points; `dash` is an index of DASHES."""
        drawn = matplotlib.lines.Line2D(
            xs, ys, color=colour, linewidth=width, alpha=alpha, gid=self._tag(tip, row), solid_capstyle="round",
            solid_joinstyle="round",
        )  # fmt: skip
        if DASHES[dash]:
            drawn.set_dashes(DASHES[dash])
        self._add(drawn)

    def mark(
        self, x: float, y: float, *, shape: int, colour: str, size: float = 6, tip: str | None = None, row: str = ""
    ) -> None:
        """Draw one marker."""
        drawn = matplotlib.lines.Line2D(
            [x], [y], color=colour, marker=matplotlib.markers.MarkerStyle(MARKERS[shape]),
            markersize=size * FILLING[shape], markeredgewidth=0, linestyle="none", gid=self._tag(tip, row),
        )  # fmt: skip
        self._add(drawn)

    def text(
        self, x: float, y: float, text: str, *, colour: str = INK, size: float = TEXT, bold: bool = False,
        align: Literal["left", "center", "right"] = "left",
    ) -> None:  # fmt: skip
        """Write text, its middle at height `y`; never read as mathematics."""
        drawn = matplotlib.text.Text(
            x, y, text, color=colour, fontsize=size, fontweight="bold" if bold else "normal",
            horizontalalignment=align, verticalalignment="center_baseline", parse_math=False,
        )  # fmt: skip
        self._add(drawn)

    def name(self, x: float, y: float, text: str) -> None:
        """Write a server's name into the room before the bars: smaller or cut when it is long."""
        fits = len(text) <= NAME_SIGNS
        self.text(x, y, middled(text, NAME_SIGNS + 4), size=TEXT if fits else TEXT - 1.8)

    def note(self, x: float, y: float, text: str, *, align: Literal["left", "center", "right"] = "left") -> None:
        """Write a small, soft text: axes and units."""
        self.text(x, y, text, colour=SOFT, size=TEXT - 1, align=align)

    def markup(self, prefix: str, label: str) -> Markup:
        """Write the drawing as an `<svg>` element with `label` as its text alternative."""
        return to_markup(self._figure, prefix=prefix, label=label, tips=self._tips)


def middled(text: str, signs: int) -> str:
    """Cut a name that would not fit in its middle: what stands before a server and the app both tell rows apart."""
    if len(text) <= signs:
        return text
    tail = signs // 2
    return f"{text[: signs - 1 - tail]}…{text[-tail:]}"


def shortened(text: str, signs: int) -> str:
    """Cut a text that would not fit, and show that it was cut."""
    return text if len(text) <= signs else text[: signs - 1] + "…"
