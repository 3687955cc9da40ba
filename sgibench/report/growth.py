"""Charts of what changes with load: latency against the rate, throughput against workers or threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sgibench import units
from sgibench.report import words
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.curves import Curve, Point, counted_axis, draw_curves, linear_axis, log_axis
from sgibench.report.panels import Panel, Row
from sgibench.report.standings import Entry
from sgibench.stats.usl import fit

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
            latency = entry.latency
            rate = standing.key.load.rate_per_s or 0.0
            p50, p99 = (latency.p50, latency.p99) if latency else (None, None)
            why = words.failure_words(entry.failure) if entry.status != "ok" else units.microseconds(p99)
            lines.append((row.label, units.rate(rate), units.microseconds(p50), why))
            if p99:
                tip = f"{row.label} at {units.rate(rate)}: p99 {units.microseconds(p99)}, p50 {units.microseconds(p50)}"
                points.append(Point(x=rate, y=p99, tip=tip))
        if points:
            curves.append(Curve(row=row.key, label=row.label, look=row.look, points=tuple(points)))
    if not curves:
        return None
    title = "p99 latency against load"
    levels = [point.y for curve in curves for point in curve.points]
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


def _fitted(row: Row, siblings: Sequence[Panel], amounts: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Say what the Universal Scalability Law makes of a server's points; nothing with fewer than six amounts."""
    points = [
        (float(amounts[one.key]), trial.rps)
        for one in siblings
        for other in one.rows
        if _same(other.entry, row.entry)
        for trial in other.entry.good
        if trial.rps
    ]
    law = fit(points)
    if law is None:
        return []
    peak = f"highest at {law.peak.value:.0f}" if law.peak else "no turning down"
    beyond = ", beyond what was measured" if law.peak and law.peak.value > law.largest else ""
    told = f"contention {units.percent(law.alpha.value)}, coherence {units.percent(law.beta.value)}, {peak}{beyond}"
    return [(row.label, "scalability law", told)]


def throughput_against_processes(panel: Panel, siblings: Sequence[Panel]) -> Chart | None:
    """Draw throughput over workers, or over threads where workers are equal; on the first of the panels only."""
    if len(siblings) < 2 or siblings[0].key != panel.key:  # noqa: PLR2004 - one point is no curve
        return None
    by_workers = len({one.main.key.workers for one in siblings}) > 1
    noun = "workers" if by_workers else "threads"
    amounts = {one.key: one.main.key.workers if by_workers else one.main.key.threads for one in siblings}
    curves, lines = [], []
    for row in panel.rows:
        points = []
        for one in sorted(siblings, key=lambda one: amounts[one.key]):
            entry = next((other.entry for other in one.rows if _same(other.entry, row.entry)), None)
            if entry and entry.rps:
                told = words.with_interval(entry.rps, units.rate)
                tip = f"{row.label}, {amounts[one.key]} {noun}: {told}"
                points.append(
                    Point(x=amounts[one.key], y=entry.rps.value, tip=tip, low=entry.rps.low, high=entry.rps.high)
                )
                lines.append((row.label, str(amounts[one.key]), told))
        if points:
            curves.append(Curve(row=row.key, label=row.label, look=row.look, points=tuple(points)))
            lines += _fitted(row, siblings, amounts)
    if not curves:
        return None
    title = f"Throughput against {noun}"
    highest = max(point.high or point.y for curve in curves for point in curve.points)
    drawing = draw_curves(
        curves,
        counted_axis(list(amounts.values()), noun),
        linear_axis(highest, "requests per second", units.rate),
        prefix=f"{panel.key}s",
        label=alternative(title, [(f"{a}, {b} {noun}", c) for a, b, c in lines]),
    )
    return Chart(
        title=title, hint="Steeper is better.", drawing=drawing,
        table=Table(headers=("server", noun, "requests per second"), rows=tuple(lines)),
    )  # fmt: skip
