"""Which charts a panel has, each with the table behind it and a text alternative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sgibench import units
from sgibench.model import Estimate, Trial
from sgibench.report import words
from sgibench.report.charts.bars import Bar, draw_bars
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.curves import (
    Spark,
    Split,
    draw_sparks,
    draw_splits,
)
from sgibench.report.growth import latency_against_load, throughput_against_sizes
from sgibench.report.latencies import percentiles, streams
from sgibench.report.panels import Panel, Row

MIB = 1 << 20
TIME_POINTS = 24
"""A line over time has at most this many points; neighbours are added up."""


def charts_of(panel: Panel, panels: Sequence[Panel] = ()) -> tuple[Chart, ...]:
    """Draw what a panel has data for; `panels` are all of the run, for what grows from one of them to the next."""
    makers: tuple[Callable[[Panel], Chart | None], ...] = (
        _cost, _throughput, percentiles, streams, latency_against_load, _over_time, _memory, _by_process,
    )  # fmt: skip
    found = [maker(panel) for maker in makers]
    return (*(chart for chart in found if chart is not None), *throughput_against_sizes(panel, panels))


def _bar(row: Row, estimate: Estimate | None, form: words.Format, band: int | None) -> Bar:
    failed = row.entry.status != "ok"
    return Bar(
        row=row.key,
        label=row.label,
        look=row.look,
        value=estimate.value if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        tip=words.with_interval(estimate, form),
        failure=f"{row.entry.status}: {row.entry.failure.reason}" if failed and row.entry.failure else "",
        band=band,
    )


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """One figure of every row, with interval, and how it is shown."""

    name: str
    title: str
    hint: str
    of: Callable[[Row], Estimate | None]
    form: words.Format
    band: Callable[[Row], int | None]


def _estimates(panel: Panel, rows: Sequence[Row], figure: _Figure) -> Chart | None:
    if not any(figure.of(row) for row in rows):
        return None
    bars = [_bar(row, figure.of(row), figure.form, figure.band(row)) for row in rows]
    spoken = [(bar.label, bar.tip if bar.value is not None else bar.failure or "not measured") for bar in bars]
    label = alternative(figure.title, spoken)
    return Chart(
        title=figure.title,
        hint=figure.hint,
        drawing=draw_bars(bars, form=figure.form, prefix=f"{panel.key}{figure.name}", label=label),
        table=_estimate_table(rows, figure.of, figure.form),
    )


def _estimate_table(rows: Sequence[Row], figure: Callable[[Row], Estimate | None], form: words.Format) -> Table:
    lines = []
    for row in rows:
        found = figure(row)
        lines.append((
            row.label,
            form(found.value) if found else words.failure_words(row.entry.failure),
            form(found.low) if found else units.NOT_MEASURED,
            form(found.high) if found else units.NOT_MEASURED,
            str(found.blocks) if found else "0",
        ))  # fmt: skip
    return Table(headers=("server", "value", "low", "high", "blocks"), rows=tuple(lines))


COST = _Figure(
    name="c",
    title="Server CPU per request",
    hint="Shorter is better. Servers on one band are not told apart. Whiskers show the level over blocks; places "
    "come from ratios inside blocks, which are sharper, so overlapping whiskers can be told apart.",
    of=lambda row: row.entry.cpu_us,
    form=units.microseconds,
    band=lambda row: row.cost.place if row.cost else None,
)
THROUGHPUT = _Figure(
    name="t",
    title="Requests per second at saturation",
    hint="Longer is better. Servers on one band are not told apart.",
    of=lambda row: row.entry.rps,
    form=units.rate,
    band=lambda row: row.throughput.place if row.throughput else None,
)


def _cost(panel: Panel) -> Chart | None:
    """Draw the primary figure; its table holds the ratios to the best as well."""
    chart = _estimates(panel, panel.rows, COST)
    if chart is None:
        return None
    ratios = panel.main.cost.versus_best
    told = [words.against_best(ratios[row.entry.cell]) if row.entry.cell in ratios else "" for row in panel.rows]
    rows = tuple((*line, ratio) for line, ratio in zip(chart.table.rows, told, strict=True))
    return replace(chart, table=Table(headers=(*chart.table.headers, "against the best"), rows=rows))


def _throughput(panel: Panel) -> Chart | None:
    rows = sorted(panel.rows, key=lambda row: -(row.entry.rps.value if row.entry.rps else -1.0))
    return _estimates(panel, rows, THROUGHPUT) if panel.saturated else None


def _memory(panel: Panel) -> Chart | None:
    rows = sorted(
        (row for row in panel.rows if row.entry.pss_bytes or row.entry.uss_bytes),
        key=lambda row: (row.entry.pss_bytes or row.entry.uss_bytes or _nothing()).value,
    )
    if not rows:
        return None
    bars = []
    for row in rows:
        whole = row.entry.pss_bytes or row.entry.uss_bytes or _nothing()
        own = row.entry.uss_bytes
        tip = f"PSS {units.size(row.entry.pss_bytes.value if row.entry.pss_bytes else None)}"
        tip += f", USS {units.size(own.value if own else None)}, {row.entry.processes} processes"
        bars.append(
            Bar(
                row=row.key, label=row.label, look=row.look, value=whole.value, part=own.value if own else None, tip=tip
            )
        )
    title = "Memory of the whole process tree after the load"
    spoken = [(bar.label, bar.tip) for bar in bars]
    table = Table(
        headers=("server", "PSS", "USS", "processes"),
        rows=tuple(
            (
                row.label,
                units.size(row.entry.pss_bytes.value if row.entry.pss_bytes else None),
                units.size(row.entry.uss_bytes.value if row.entry.uss_bytes else None),
                str(row.entry.processes),
            )
            for row in rows
        ),
    )
    return Chart(
        title=title,
        hint="Whole bar: PSS, shared pages split among sharers. Strong part: USS, the server’s alone.",
        drawing=draw_bars(bars, form=units.size, unit=MIB, prefix=f"{panel.key}m", label=alternative(title, spoken)),
        table=table,
    )


def _nothing() -> Estimate:
    return Estimate(value=0.0, low=None, high=None, blocks=0)


def _rates_over_time(trial: Trial) -> tuple[float, ...]:
    """Requests per second in each second of a window, or in each round of slices; neighbours added up."""
    if trial.series:
        spans = [(float(count), 1.0) for count in trial.series]
    else:
        spans = [(float(piece.requests), piece.window_s) for piece in trial.slices]
    step = -(-len(spans) // TIME_POINTS) or 1
    added = [spans[start : start + step] for start in range(0, len(spans), step)]
    return tuple(sum(count for count, _ in some) / (sum(width for _, width in some) or 1) for some in added)


def _over_time(panel: Panel) -> Chart | None:
    sparks, lines = [], []
    for row in panel.rows:
        rates = tuple(_rates_over_time(trial) for trial in row.entry.good)
        flat = [rate for line in rates for rate in line]
        if not any(len(line) > 1 for line in rates):
            continue
        low, high = units.rate(min(flat)), units.rate(max(flat))
        level = units.rate(row.entry.rps.value if row.entry.rps else None)
        sparks.append(
            Spark(
                row=row.key,
                label=row.label,
                look=row.look,
                lines=rates,
                steadiness=level,
                tip=f"{low} to {high} in {len(rates)} blocks",
            )
        )
        lines.append((row.label, low, level, high))
    if not sparks:
        return None
    title = "Throughput over time within the window"
    unit = (
        "seconds of the window"
        if any(trial.series for row in panel.rows for trial in row.entry.good)
        else "rounds of slices"
    )
    drawing = draw_sparks(
        sparks,
        name=f"{unit}, one line a block, each from zero",
        prefix=f"{panel.key}o",
        label=alternative(title, [(spark.label, spark.tip) for spark in sparks]),
    )
    table = Table(headers=("server", "lowest", "whole window", "highest"), rows=tuple(lines))
    return Chart(
        title=title,
        hint="Flat is good: a slope or a dip means the window is no steady state.",
        drawing=drawing,
        table=table,
    )


def _by_process(panel: Panel) -> Chart | None:
    """Draw how evenly worker processes shared the requests, in each server's most uneven block."""
    if panel.main.key.workers < 2:  # noqa: PLR2004 - one worker shares with nobody
        return None
    splits = []
    for row in panel.rows:
        blocks = [trial.requests_by_pid for trial in row.entry.good if trial.requests_by_pid]
        if blocks:
            worst = max(blocks, key=lambda counts: max(counts.values()) / (sum(counts.values()) or 1))
            whole = sum(worst.values()) or 1
            shares = sorted(((pid, count / whole) for pid, count in worst.items()), key=lambda pair: -pair[1])
            splits.append(Split(row=row.key, label=row.label, look=row.look, shares=tuple(shares)))
    if not splits:
        return None
    title = "Requests by worker process"
    lines = [(one.label, ", ".join(units.percent(share) for _pid, share in one.shares)) for one in splits]
    return Chart(
        title=title,
        hint="Equal parts are good. Each server’s most uneven block is shown.",
        drawing=draw_splits(splits, prefix=f"{panel.key}w", label=alternative(title, lines)),
        table=Table(headers=("server", "share of each process"), rows=tuple(lines)),
    )
