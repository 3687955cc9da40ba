"""Charts of latency over the percentile: of whole answers, and of a stream's first chunk and the gaps in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sgibench import stats, units
from sgibench.histogram import Histogram
from sgibench.model import HistogramData
from sgibench.report import words
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.curves import Curve, Edges, Point, draw_curves, log_axis, percentile_axis
from sgibench.report.panels import Panel, Row
from sgibench.report.standings import Entry
from sgibench.stats.rates import rate_kept

SHARES = (0.0, 0.01, 0.03, 0.06, 0.1, 0.15, *(1 - 10 ** (-step / 10) for step in range(1, 41)))
"""Where percentile curves are drawn: ten points for each nine, more where they begin."""
MARKED = (0.5, 0.9, 0.99, 0.999)
"""Where a curve has marks and its table columns."""


def percentiles(panel: Panel) -> Chart | None:
    """Draw the latency of every server over the percentile, all blocks merged, in the band of the single blocks."""
    seen = [(row, entry) for row in panel.rows if (entry := panel.latency_entry(row)) and entry.histogram]
    curves = [_curve(row, entry.histogram, _blocks(entry)) for row, entry in seen if entry.histogram]
    if not curves:
        return None
    load = panel.latency_standing.key.load
    title = f"Latency by percentile, {words.load_sentence(load)}"
    hint = (
        "Lower is better. Counted from the moment a request was due. Line: the answers of all blocks together; "
        "band: from the lowest block to the highest. Judged is what single blocks say: see p50 and p99."
        if load.kind == "open"
        else "At saturation this is mostly waiting in line: it tells how many connections queued. Line: all blocks "
        "together; band: from the lowest block to the highest."
    )
    table = Table(
        headers=(
            "server",
            *(f"{name} of all answers" for name in ("p50", "p90", "p99", "p99.9")),
            "longest",
            "answers",
        ),
        rows=tuple((row.label, *_latency_cells(entry.histogram)) for row, entry in seen if entry.histogram),
    )
    spoken = [(line[0], f"p50 {line[1]}, p99 {line[3]}") for line in table.rows]
    axis = _Axes(name="latency", of=words.counted("requests", panel.unit))
    drawing = _drawn(curves, axis, f"{panel.key}l", alternative(title, spoken))
    return Chart(title=title, hint=words.counted(hint, panel.unit), drawing=drawing, table=table)


def _blocks(entry: Entry) -> list[Histogram]:
    """Give the latencies of each block."""
    found = [stats.shown_histogram(trial) for trial in entry.good if rate_kept(trial)]
    return [histogram for histogram in found if histogram is not None and histogram.count]


def _latency_cells(histogram: Histogram) -> tuple[str, ...]:
    shown = (
        histogram.percentile_us(share) if stats.percentile_allowed(share, histogram.count) else None for share in MARKED
    )
    return (*map(units.microseconds, shown), units.microseconds(histogram.max_us), units.count(histogram.count))


_Streaming = tuple[Row, Histogram | None, Histogram | None]
"""A row, times to the first chunk, gaps."""
STREAM_HEADERS = ("server", "first chunk p50", "p99", "gap between chunks p50", "gap p99")


def streams(panel: Panel) -> Chart | None:
    """Draw how soon a stream begins; the table says the gaps between its chunks as well."""
    seen = _streaming(panel)
    curves = [_curve(row, first) for row, first, _ in seen if first is not None]
    if not curves:
        return None
    load = panel.latency_standing.key.load
    title = f"Streams: time to the first chunk, {words.load_sentence(load)}"
    table = _streams_table(seen)
    spoken = [
        (line[0], f"first chunk p50 {line[1]}, p99 {line[2]}; gaps p50 {line[3]}, p99 {line[4]}") for line in table.rows
    ]
    return Chart(
        title=title,
        hint="Lower is better. Counted from sending the request; a late stream with small gaps was held back whole.",
        drawing=_drawn(
            curves, _Axes(name="time to first chunk", of="streams"), f"{panel.key}f", alternative(title, spoken)
        ),
        table=table,
    )


def streams_in_short(panel: Panel) -> Table | None:
    """For a terminal: how soon streams began, and the gaps in them."""
    seen = _streaming(panel)
    return _streams_table(seen) if seen else None


def streams_of(entry: Entry) -> tuple[Histogram | None, Histogram | None]:
    """Times to the first chunk and gaps between chunks of an entry's streams, in blocks whose rate was kept."""
    good = [trial for trial in entry.good if rate_kept(trial)]
    return (
        _merged([trial.first_chunk_histogram_us for trial in good]),
        _merged([trial.gap_histogram_us for trial in good]),
    )


def _streaming(panel: Panel) -> list[_Streaming]:
    """Rows with streams: what was seen of them."""
    seen = []
    for row in panel.rows:
        entry = panel.latency_entry(row)
        first, gaps = streams_of(entry) if entry else (None, None)
        if first is not None or gaps is not None:
            seen.append((row, first, gaps))
    return seen


def _streams_table(seen: Sequence[_Streaming]) -> Table:
    rows = tuple((row.label, *_quantiles(first), *_quantiles(gaps)) for row, first, gaps in seen)
    return Table(headers=STREAM_HEADERS, rows=rows)


def _merged(stored: Sequence[HistogramData | None]) -> Histogram | None:
    known = [Histogram.from_data(each) for each in stored if each is not None]
    return Histogram.merged(known) if known else None


def _quantiles(histogram: Histogram | None) -> tuple[str, str]:
    """p50 and p99 in words, where enough stands behind them."""

    def at(share: float) -> str:
        known = histogram is not None and stats.percentile_allowed(share, histogram.count)
        return units.microseconds(histogram.percentile_us(share) if histogram and known else None)

    return at(0.5), at(0.99)


@dataclass(frozen=True, kw_only=True)
class _Axes:
    """What a curve over percentiles is about."""

    name: str
    """What takes time."""
    of: str
    """What the shares are shares of."""


def _drawn(curves: Sequence[Curve], about: _Axes, prefix: str, label: str) -> Markup:
    """Draw curves over the percentile, as deep as the deepest goes, on a log axis of time."""
    deepest = 1 - 1 / max(point.x for curve in curves for point in curve.points)
    levels = [point.y for curve in curves for point in curve.points if point.y > 0]
    levels += [edge for curve in curves for piece in curve.band for edge in (piece.low, piece.high)]
    y = log_axis(min(levels), max(levels), about.name, units.microseconds)
    return draw_curves(curves, percentile_axis(deepest, about.of), y, prefix=prefix, label=label)


def _curve(row: Row, histogram: Histogram, blocks: Sequence[Histogram] = ()) -> Curve:
    shown = sorted(
        {share for share in (*SHARES, *MARKED) if not share or stats.percentile_allowed(share, histogram.count)}
    )
    points = []
    for share, latency in zip(shown, _levels(histogram, shown), strict=True):
        tip = f"{row.label}: {share * 100:g} % within {units.microseconds(latency)}" if share in MARKED else None
        points.append(Point(x=1 / (1 - share), y=latency, tip=tip))
    return Curve(row=row.key, label=row.label, look=row.look, points=tuple(points), band=_band(blocks, shown))


def _levels(histogram: Histogram, shares: Sequence[float]) -> list[float]:
    """Give the latencies that these shares of the answers did not exceed; never zero, for a logarithmic axis."""
    latencies, cumulative = histogram.cdf()
    places = np.minimum(np.searchsorted(cumulative, np.asarray(shares) - 1e-9), len(latencies) - 1)
    return [max(float(latency), 0.001) for latency in latencies[places]]


def _band(blocks: Sequence[Histogram], shares: Sequence[float]) -> tuple[Edges, ...]:
    """From the lowest to the highest block, as far as every block has answers enough."""
    if len(blocks) < 2:  # noqa: PLR2004 - one block is no band
        return ()
    fewest = min(block.count for block in blocks)
    known = [share for share in shares if not share or stats.percentile_allowed(share, fewest)]
    levels = [_levels(block, known) for block in blocks]
    return tuple(
        Edges(x=1 / (1 - share), low=min(at), high=max(at))
        for share, at in zip(known, zip(*levels, strict=True), strict=True)
    )
