"""A drawing surface in units of the page: matplotlib without its axes, so that every mark is placed on purpose.

x runs to the right and y downwards, in SVG units. A unit is about a CSS pixel at the width the page shows a chart.
"""

from __future__ import annotations

import math
from bisect import bisect
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
SMALL = TEXT - 1.8
NAME_ROOM = 132.0
"""How wide a name may be, between its mark and what is drawn of it."""
SIGNS: tuple[tuple[str, float], ...] = (
    ("ijl|'", 0.29),
    (" .,:;·f-", 0.37),
    ("rt()", 0.42),
    ("cszI_", 0.56),
    ("w+", 0.85),
    ("mM@…%W", 1.0),
)
"""Signs and how wide they are in sizes of the letters, in DejaVu Sans: a wide one of the fonts a page may meet."""
WIDE = {sign: width for signs, width in SIGNS for sign in signs}
OTHER_SIGN = 0.65
MOST_SIGNS = int(NAME_ROOM / (SMALL * min(WIDE.values())))
"""No more of a name fits into its room, however narrow its signs are; a stranger's name may have a million."""
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
        fitted, size = fitting(text)
        self.text(x, y, fitted, size=size)

    def note(self, x: float, y: float, text: str, *, align: Literal["left", "center", "right"] = "left") -> None:
        """Write a small, soft text: axes and units."""
        self.text(x, y, text, colour=SOFT, size=TEXT - 1, align=align)

    def markup(self, prefix: str, label: str) -> Markup:
        """Write the drawing as an `<svg>` element with `label` as its text alternative."""
        return to_markup(self._figure, prefix=prefix, label=label, tips=self._tips)


def fitting(text: str) -> tuple[str, float]:
    """Give a name as it fits into its room, whole or cut in its middle, and the size of its letters."""
    if len(text) <= MOST_SIGNS and width_of(text) * TEXT <= NAME_ROOM:
        return text, TEXT
    most = min(len(text), MOST_SIGNS)
    if most == len(text) and width_of(text) * SMALL <= NAME_ROOM:
        return text, SMALL
    # With each sign more it is wider, so the longest that fits is found in a few steps.
    fit = bisect(range(2, most), 0, key=lambda signs: width_of(middled(text, signs)) * SMALL > NAME_ROOM)
    return middled(text, fit + 1) if fit else "…", SMALL


def width_of(text: str) -> float:
    """How wide a text is about, in sizes of its letters."""
    return sum(WIDE.get(sign, OTHER_SIGN) for sign in text)


def middled(text: str, signs: int) -> str:
    """Cut a name that would not fit in its middle: what stands before a server and the app both tell rows apart."""
    if len(text) <= signs:
        return text
    tail = signs // 2
    return f"{text[: signs - 1 - tail]}…{text[-tail:]}"


def shortened(text: str, signs: int) -> str:
    """Cut a text that would not fit, and show that it was cut."""
    return text if len(text) <= signs else text[: signs - 1] + "…"
