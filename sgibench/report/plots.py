"""Which charts a panel has, each with the table behind it and a text alternative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sgibench import units
from sgibench.model import Estimate, Metric, Trial
from sgibench.report import words
from sgibench.report.behaviours import WATCHES
from sgibench.report.charts.bars import Bar, draw_bars
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.curves import (
    Spark,
    Split,
    draw_sparks,
    draw_splits,
)
from sgibench.report.deployments import fronts_chart
from sgibench.report.growth import latency_against_load, throughput_against_sizes
from sgibench.report.inside import at_once, cache_hits, of_kinds
from sgibench.report.jobs import jobs_of
from sgibench.report.latencies import percentiles, streams
from sgibench.report.panels import Panel, Row
from sgibench.report.services import services_chart
from sgibench.report.ways import ways_to_ask
from sgibench.report.wire import wire_charts

MIB = 1 << 20
TIME_POINTS = 24
"""A line over time has at most this many points; neighbours are added up."""


def charts_of(panel: Panel, panels: Sequence[Panel] = ()) -> tuple[Chart, ...]:
    """Draw what a panel has data for; `panels` are all of the run, for what grows from one of them to the next."""
    makers: tuple[Callable[[Panel], Chart | None], ...] = (
        _cost, _throughput, _latency("q", "p50_us"), _latency("n", "p99_us"), _latency("z", "p999_us"), percentiles,
        of_kinds, streams, at_once, services_chart, cache_hits, jobs_of, latency_against_load, fronts_chart,
        *(watch.chart for watch in WATCHES), _over_time, _memory, _by_process,
    )  # fmt: skip
    found = [maker(panel) for maker in makers]
    return (
        *(chart for chart in found if chart is not None),
        *wire_charts(panel),
        *ways_to_ask(panel, panels),
        *throughput_against_sizes(panel, panels),
    )


def _bar(panel: Panel, row: Row, metric: Metric, estimate: Estimate | None, band: int | None) -> Bar:
    return Bar(
        row=row.key,
        label=row.label,
        look=row.look,
        value=estimate.value if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        tip=words.with_interval(estimate, words.FORMS[metric]),
        failure="" if estimate else _short(panel, row, metric),
        band=band,
    )


def _short(panel: Panel, row: Row, metric: Metric) -> str:
    """Say in few words why a bar is missing."""
    failed = row.entry.status != "ok" and row.entry.failure is not None
    return f"{row.entry.status}: {words.reason(row.entry.failure)}" if failed else _why(panel, row, metric)


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """One figure of every row, with interval, and how it is shown."""

    name: str
    title: str
    hint: str
    metric: Metric

    @property
    def form(self) -> words.Format:
        """How it is written."""
        return words.FORMS[self.metric]


def _estimates(panel: Panel, figure: _Figure) -> Chart | None:
    """Draw a figure of every row, best first, with intervals; its table holds the ratios to the best as well."""
    metric = figure.metric
    ranking = panel.ranking(metric)
    order = {row.cell: place for place, row in enumerate(ranking.rows)}
    cells = {row.key: entry.cell for row in panel.rows if (entry := panel.entry_for(row, metric))}
    rows = sorted(panel.rows, key=lambda row: order.get(cells.get(row.key, ""), len(order)))
    found = {row.key: panel.estimate(row, metric) for row in rows}
    if not any(found.values()):
        return None
    stands = {row.key: row.places.get(metric) for row in rows}
    bars = [
        _bar(panel, row, metric, found[row.key], place.place if (place := stands[row.key]) else None) for row in rows
    ]
    spoken = [(bar.label, bar.tip if bar.value is not None else bar.failure or "not measured") for bar in bars]
    title = words.counted(figure.title, panel.unit)
    label = alternative(title, spoken)
    told = ranking.versus_best
    lines = []
    for row in rows:
        ratio = told.get(cells.get(row.key, ""))
        estimate, stand = found[row.key], stands[row.key]
        lines.append((
            f"{stand.place}{'=' if stand.shared else ''}" if stand else "",
            row.label,
            figure.form(estimate.value) if estimate else _why(panel, row, metric),
            figure.form(estimate.low) if estimate else units.NOT_MEASURED,
            figure.form(estimate.high) if estimate else units.NOT_MEASURED,
            str(estimate.blocks) if estimate else "0",
            words.against_best(ratio) if ratio else "",
        ))  # fmt: skip
    headers = ("place", "server", "value", "low", "high", "blocks", "against the best")
    return Chart(
        title=title,
        hint=figure.hint,
        drawing=draw_bars(bars, form=figure.form, prefix=f"{panel.key}{figure.name}", label=label),
        table=Table(headers=headers, rows=tuple(lines)),
    )


def _why(panel: Panel, row: Row, metric: Metric) -> str:
    """Say why a row has no such figure."""
    entry = panel.entry_for(row, metric)
    if entry is None:
        return "not measured"
    return entry.why_not(metric) if entry.status == "ok" else words.failure_words(entry.failure)


PLACES = (
    "Servers on one band are not told apart. Whiskers show the level over blocks; places come from ratios inside "
    "blocks, which are sharper, so overlapping whiskers can be told apart."
)
COST = _Figure(
    name="c",
    title="Server CPU per request",
    hint=f"Shorter is better. {PLACES}",
    metric="cpu_us_per_request",
)
THROUGHPUT = _Figure(
    name="t",
    title="Requests per second at saturation",
    hint="Longer is better. Servers on one band are not told apart.",
    metric="rps",
)


def _cost(panel: Panel) -> Chart | None:
    return _estimates(panel, COST)


def _throughput(panel: Panel) -> Chart | None:
    return _estimates(panel, THROUGHPUT) if panel.saturated else None


def _latency(name: str, metric: Metric) -> Callable[[Panel], Chart | None]:
    """Make the chart of a percentile: one value a block, as cost and throughput have."""

    def draw(panel: Panel) -> Chart | None:
        load = panel.latency_standing.key.load
        waiting = "" if load.kind == "open" else " At saturation it says how many connections waited, and little else."
        title = f"{words.FIGURES[metric]} latency, {words.load_sentence(load)}"
        hint = f"Shorter is better. One value a block; {PLACES[0].lower()}{PLACES[1:]}{waiting}"
        return _estimates(panel, _Figure(name=name, title=title, hint=hint, metric=metric))

    return draw


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


def _steady(trial: Trial) -> bool:
    """Whether its rate should be the same all the time: not between bursts, and not where a server is killed."""
    return trial.overflow is None and (trial.behaviour is None or not trial.behaviour.happened)


def _over_time(panel: Panel) -> Chart | None:
    sparks, lines = [], []
    for row in panel.rows:
        rates = tuple(_rates_over_time(trial) for trial in row.entry.good if _steady(trial))
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
