"""Charts of what changes with load: latency against the rate, throughput against connections, workers or threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sgibench import units
from sgibench.report import words
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.curves import Curve, Point, counted_axis, draw_curves, linear_axis, log_axis
from sgibench.report.panels import Panel
from sgibench.report.standings import Entry
from sgibench.stats.usl import LEAST_POINTS, fit, testable
from sgibench.stats.usl import Point as Sized

LEAST_SHARE = 1e-6
"""Below it, a contention or coherence does nothing at any size that anybody runs."""
FEW_TICKS = 6
"""More rates than this stand on an axis of their own making."""


def latency_against_load(panel: Panel) -> Chart | None:
    """Draw p99 over the rate, when several rates were measured: common ones, or shares of each server's saturation."""
    measured = panel.curve or panel.opens
    if len(measured) < 2:  # noqa: PLR2004 - one point is no curve
        return None
    curves, lines = [], []
    for row in panel.rows:
        points = []
        for standing in measured:
            entry = next((one for one in standing.entries.values() if _same(one, row.entry)), None)
            if entry is None:
                continue
            rate = standing.key.load.rate_per_s or 0.0
            p50, p99 = entry.figures.get("p50_us"), entry.figures.get("p99_us")
            told = words.with_interval(p99, units.microseconds) if p99 else entry.why_not("p99_us")
            lines.append((row.label, units.rate(rate), words.with_interval(p50, units.microseconds), told))
            if p99:
                tip = f"{row.label} at {units.rate(rate)}: p99 {told}"
                points.append(Point(x=rate, y=p99.value, tip=tip, low=p99.low, high=p99.high))
        if points:
            curves.append(Curve(row=row.key, label=row.label, look=row.look, points=tuple(points)))
    if not curves:
        return None
    title = "p99 latency against load"
    levels = [
        level for curve in curves for point in curve.points for level in (point.y, point.low, point.high) if level
    ]
    name = "requests per second, open load"
    rates = {point.x for curve in curves for point in curve.points}
    x = (
        counted_axis(list(rates), name)
        if len(rates) <= FEW_TICKS
        else log_axis(min(rates), max(rates), name, units.rate)
    )
    y = log_axis(min(levels), max(levels), "p99", units.microseconds)
    drawing = draw_curves(
        curves, x, y, prefix=f"{panel.key}a", label=alternative(title, [(f"{a} at {b}", d) for a, b, _c, d in lines])
    )
    table = Table(headers=("server", "rate", "p50", "p99"), rows=tuple(lines))
    return Chart(title=title, hint="Lower is better. From the time a request was due.", drawing=drawing, table=table)


def _same(one: Entry, other: Entry) -> bool:
    return (one.server, one.app) == (other.server, other.app)


@dataclass(frozen=True, kw_only=True)
class Size:
    """What grows from panel to panel: connections, workers or threads."""

    noun: str
    of: Callable[[Panel], int]


SIZES = (
    Size(noun="connections", of=lambda panel: panel.main.key.load.connections),
    Size(noun="workers", of=lambda panel: panel.main.key.workers),
    Size(noun="threads", of=lambda panel: panel.main.key.threads),
)


def throughput_against_sizes(panel: Panel, panels: Sequence[Panel]) -> tuple[Chart, ...]:
    """Draw throughput over each size in which panels differ from this one alone; on the first of them only."""
    if not panel.saturated:
        return ()
    charts = []
    for size in SIZES:
        others = [each for each in SIZES if each is not size]
        family = [
            one
            for one in panels
            if _kind(one) == _kind(panel) and all(each.of(one) == each.of(panel) for each in others)
        ]
        chart = _throughput_against(size, family) if panel is min(family, key=size.of, default=None) else None
        if chart is not None:
            charts.append(chart)
    return tuple(charts)


def _kind(panel: Panel) -> tuple[str, str, str, str, int, str]:
    """What must be alike in panels that one curve goes through: all but the sizes."""
    key, load = panel.main.key, panel.main.key.load
    return key.scenario, load.kind, load.connection, load.protocol, load.streams, key.configuration


def _throughput_against(size: Size, family: Sequence[Panel]) -> Chart | None:
    if len(family) < 2:  # noqa: PLR2004 - one point is no curve
        return None
    ordered = sorted(family, key=size.of)
    rows = {(row.entry.server, row.entry.app): row for one in reversed(ordered) for row in one.rows}
    curves, lines = [], []
    for row in rows.values():
        points, measured = [], []
        for one in ordered:
            entry = next((other.entry for other in one.rows if _same(other.entry, row.entry)), None)
            if entry and entry.rps:
                told = words.with_interval(entry.rps, units.rate)
                tip = f"{row.label}, {size.of(one)} {size.noun}: {told}"
                points.append(Point(x=size.of(one), y=entry.rps.value, tip=tip, low=entry.rps.low, high=entry.rps.high))
                lines.append((row.label, str(size.of(one)), told))
                measured += [
                    Sized(n=float(size.of(one)), per_s=trial.rps, block=trial.block)
                    for trial in entry.good
                    if trial.rps
                ]
        if points:
            curves.append(Curve(row=row.key, label=row.label, look=row.look, points=tuple(points)))
            lines += [(row.label, "scalability law", law)] if (law := law_words(measured)) else []
    if not curves:
        return None
    spoken = words.spoken_words(ordered[0].main.key.load)
    title = f"Throughput against {size.noun}{spoken}"
    highest = max(point.high or point.y for curve in curves for point in curve.points)
    drawing = draw_curves(
        curves,
        counted_axis([size.of(one) for one in ordered], size.noun),
        linear_axis(highest, words.counted("requests per second", ordered[0].unit), units.rate),
        prefix=f"{ordered[0].key}{size.noun[0]}s",
        label=alternative(title, [(f"{a}, {b} {size.noun}", c) for a, b, c in lines]),
    )
    hint = "Steeper is better; a curve that bends down does more work for less."
    if len(ordered) < LEAST_POINTS:
        hint += f" The scalability law is fitted from {LEAST_POINTS} points on, with several blocks each."
    rate = words.counted("requests per second", ordered[0].unit)
    table = Table(headers=("server", size.noun, rate), rows=tuple(lines))
    return Chart(title=title, hint=hint, drawing=drawing, table=table)


def law_words(points: Sequence[Sized]) -> str | None:
    """Say what the Universal Scalability Law makes of (size, rate) points, with 95 % intervals.

    None where too few points or blocks could show that it does not fit.
    """
    if not testable(points):
        return None
    law = fit(points)
    if law is None:
        return "does not fit these points"
    parts = [
        f"{name} {_share(share.value)} ({_share(share.low)} to {_share(share.high)})"
        for name, share in (("contention", law.alpha), ("coherence", law.beta))
    ]
    if law.peak is None:
        parts.append("no turning down")
    else:
        high = f"{law.peak.high:.0f}" if math.isfinite(law.peak.high) else "no end"
        beyond = ", beyond what was measured" if law.peak.value > law.largest else ""
        parts.append(f"highest at {law.peak.value:.0f} ({law.peak.low:.0f} to {high}){beyond}")
    return ", ".join(parts)


def _share(share: float) -> str:
    """Write a share with digits that mean something: coherence of 0.05 % is what turns a curve down at 45."""
    return f"{units.significant(share * 100)} %" if share >= LEAST_SHARE else "0 %"
