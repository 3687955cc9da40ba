"""What searches for capacity found: a table and a chart for each limit, scenario and settings."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from sgibench import stats, units
from sgibench.histogram import Histogram
from sgibench.model import CapacityFound, Estimate, Failure, Run, Slo, Trial
from sgibench.report import words
from sgibench.report.charts.bars import Bar, draw_bars
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.curves import Curve, Point, draw_curves, log_axis
from sgibench.report.panels import Look, View
from sgibench.report.standings import printable
from sgibench.stats.capacity import RESOLUTION
from sgibench.stats.rates import rate_kept

CapacityKey = tuple[str, int, int, int, str]
"""Scenario, connections, workers, threads, and the limit's id."""

MAY_BE_THE_GENERATORS = (
    "What the load generator can do at most is not known here: a rate may be its limit rather than the server's."
)


@dataclass(frozen=True, kw_only=True)
class CapacityEntry:
    """One server's searches."""

    server: str
    app: str
    label: str
    place: int | None
    rate_per_s: Estimate | None
    """Over blocks in which a rate held."""
    at_least: bool
    """In some block the highest rate that the generator could offer still held."""
    none_held: int
    """Blocks in which not even the lowest rate held the limit."""
    failure: Failure | None
    searches: tuple[CapacityFound, ...]

    @property
    def words(self) -> str:
        """The capacity, or why there is none."""
        if self.rate_per_s is not None:
            held = ("at least " if self.at_least else "") + words.with_interval(self.rate_per_s, units.rate)
            return f"{held}, {self.lacking}" if self.lacking else held
        if self.failure:
            return words.failure_words(self.failure)
        undecided = [one.too_few_at_per_s for one in self.searches if one.too_few_at_per_s is not None]
        if undecided:
            return f"too few answers to decide, at {units.rate(min(undecided))}"
        lowest = min((one.failed_at_per_s for one in self.searches if one.failed_at_per_s is not None), default=None)
        return "no rate held the limit" + (f", not even {units.rate(lowest)}" if lowest is not None else "")

    @property
    def undecided(self) -> int:
        """Blocks in which too few answers came to decide."""
        return sum(one.too_few_at_per_s is not None for one in self.searches)

    @property
    def lacking(self) -> str:
        """What came of the searches that found no rate, beside those that did; nothing when all did."""
        failed = sum(one.failure is not None for one in self.searches)
        parts = (
            (self.none_held, "no rate held"),
            (self.undecided, "too few answers came to decide"),
            (failed, f"it failed: {words.failure_words(self.failure)}"),
        )
        of_all = units.many(len(self.searches), "search", "searches")
        return "; ".join(f"in {count} of {of_all} {what}" for count, what in parts if count)


@dataclass(frozen=True, kw_only=True)
class CapacityTable:
    """Servers under the same limit, scenario and settings; the highest capacity first."""

    key: str
    title: str
    scenario: str
    connections: int
    workers: int
    threads: int
    slo: Slo
    entries: tuple[CapacityEntry, ...]
    ceiling_unknown: bool = False
    """What the generator can do at most could not be found out."""

    @property
    def sentence(self) -> str:
        """What a person can quote."""
        held = [entry for entry in self.entries if entry.rate_per_s]
        if not held:
            told = "; ".join(f"{entry.label}: {entry.words}" for entry in self.entries)
            return f"For no server a rate was found that holds {self.slo.id}. {told}."
        first = held[0]
        start = f"{first.label} held {self.slo.id} up to {first.words}"
        beside = [entry.label for entry in held[1:] if entry.place == first.place]
        if beside:
            start += f", not told apart from {', '.join(beside)}"
        last = held[-1]
        said = f"{start}; {last.label} up to {last.words}." if last.place != first.place else f"{start}."
        return f"{said} {MAY_BE_THE_GENERATORS}" if self.ceiling_unknown else said


def capacities_of(run: Run) -> tuple[CapacityTable, ...]:
    """Put the searches of a run together."""
    groups: dict[CapacityKey, list[CapacityFound]] = defaultdict(list)
    for found in run.info.capacity:
        groups[found.scenario, found.connections, found.workers, found.threads, found.slo.id].append(found)
    delta = max(run.info.delta, (run.info.resolution or RESOLUTION) - 1)
    tables = (_table(f"k{index}", key, found, delta) for index, (key, found) in enumerate(groups.items()))
    return tuple(replace(table, ceiling_unknown=table.scenario in run.info.uncalibrated) for table in tables)


def _table(name: str, key: CapacityKey, found: Sequence[CapacityFound], delta: float) -> CapacityTable:
    """Put searches together; servers nearer to one another than a search looks make no difference (`delta`)."""
    scenario, connections, workers, threads, slo = key
    cells: dict[str, list[CapacityFound]] = defaultdict(list)
    for one in found:
        cells[f"{one.server}/{one.app}"].append(one)
    values = {
        cell: {one.block: one.rate_per_s for one in searches if one.rate_per_s is not None}
        for cell, searches in cells.items()
    }
    ranking = stats.rank(values, higher_is_better=True, control=None, delta=delta)
    places = {row.cell: row.place for row in ranking.rows}
    estimates = {row.cell: row.estimate for row in ranking.rows}
    several = len(cells) > len({one.server for one in found})
    entries = [_entry(cells[cell], places.get(cell), estimates.get(cell), several=several) for cell in places]
    entries += [_entry(cells[cell], None, None, several=several) for cell in ranking.unranked]
    settings = f"workers {workers}, threads {threads}, at most {connections} connections"
    return CapacityTable(
        key=name,
        title=printable(f"{scenario}, {slo}, {settings}"),
        scenario=scenario,
        connections=connections,
        workers=workers,
        threads=threads,
        slo=found[0].slo,
        entries=tuple(entries),
    )


def _entry(
    searches: Sequence[CapacityFound], place: int | None, estimate: Estimate | None, *, several: bool
) -> CapacityEntry:
    first = searches[0]
    held = [one for one in searches if one.rate_per_s is not None]
    return CapacityEntry(
        server=first.server,
        app=first.app,
        label=printable(f"{first.server} · {first.app}" if several else first.server),
        place=place,
        rate_per_s=None if estimate is None else _with_precision(estimate, held),
        at_least=any(one.failed_at_per_s is None for one in held),
        none_held=sum(
            one.rate_per_s is None and one.failure is None and one.too_few_at_per_s is None for one in searches
        ),
        failure=next((one.failure for one in searches if one.failure), None),
        searches=tuple(searches),
    )


def _with_precision(estimate: Estimate, held: Sequence[CapacityFound]) -> Estimate:
    """Let the interval contain what a search leaves open: the capacity lies between what held and what failed."""
    if estimate.high is None:
        return estimate
    open_s = [math.log(one.failed_at_per_s / one.rate_per_s) for one in held if one.failed_at_per_s and one.rate_per_s]
    return replace(estimate, high=estimate.high * math.exp(fmean(open_s))) if open_s else estimate


def capacity_chart(table: CapacityTable, looks: Mapping[str, Look]) -> Chart:
    """Draw a table."""
    bars = [
        Bar(
            row=f"{table.key}r{index}",
            label=entry.label,
            look=looks[entry.server],
            value=entry.rate_per_s.value if entry.rate_per_s else None,
            low=entry.rate_per_s.low if entry.rate_per_s else None,
            high=entry.rate_per_s.high if entry.rate_per_s else None,
            tip=entry.words,
            failure="" if entry.rate_per_s else entry.words,
            band=entry.place,
        )
        for index, entry in enumerate(table.entries)
    ]
    title = f"Capacity: highest rate with {table.slo.id} and no error"
    label = alternative(title, [(bar.label, bar.tip) for bar in bars])
    lines = tuple((entry.label, entry.words, str(len(entry.searches)), str(entry.none_held)) for entry in table.entries)
    return Chart(
        title=title,
        hint="Longer is better. Servers on one band are not told apart.",
        drawing=draw_bars(bars, form=units.rate, prefix=table.key, label=label),
        table=Table(headers=("server", "capacity", "searches", "in which no rate held"), rows=lines),
    )


def steps_chart(table: CapacityTable, steps: Sequence[Trial], looks: Mapping[str, Look]) -> Chart | None:
    """Draw what the searches tried: the limited percentile over the rate, all steps at a rate merged."""
    percentile = table.slo.percentile
    curves, lines = [], []
    for index, entry in enumerate(table.entries):
        points = []
        for rate, tried in _by_rate(entry, table, steps):
            seen = (stats.shown_histogram(step) for step in tried if step.intended_histogram_us and rate_kept(step))
            merged = Histogram.merged(each for each in seen if each is not None)
            latency_us = merged.percentile_us(table.slo.quantile)
            errors = sum(sum(step.errors.values()) + (step.status != "ok") for step in tried)
            lost = any(not rate_kept(step) for step in tried if step.status == "ok")
            told = "the rate was not kept" if lost and latency_us is None else units.microseconds(latency_us)
            late = units.count(merged.above(table.slo.limit_us)) if merged.count else units.NOT_MEASURED
            lines.append((entry.label, units.rate(rate), str(len(tried)), told, late, str(errors)))
            if latency_us:
                tip = f"{entry.label} at {units.rate(rate)}: {percentile} {told}"
                points.append(Point(x=rate, y=latency_us, tip=tip))
        if points:
            row = f"{table.key}r{index}"
            curves.append(Curve(row=row, label=entry.label, look=looks[entry.server], points=tuple(points)))
    if not curves:
        return None
    title = f"What the search tried: {percentile} over the rate"
    rates = [point.x for curve in curves for point in curve.points]
    levels = [table.slo.limit_us, *(point.y for curve in curves for point in curve.points)]
    drawing = draw_curves(
        curves,
        log_axis(min(rates), max(rates), "requests per second, open load", units.rate),
        log_axis(min(levels), max(levels), percentile, units.microseconds),
        prefix=f"{table.key}s",
        label=alternative(title, [(f"{line[0]} at {line[1]}", line[3]) for line in lines]),
        limit=table.slo.limit_us,
    )
    headers = ("server", "rate", "steps", percentile, "over the limit", "errors")
    hint = "Where a curve crosses the limit, the capacity lies. From the time a request was due."
    return Chart(title=title, hint=hint, drawing=drawing, table=Table(headers=headers, rows=tuple(lines)))


def _by_rate(entry: CapacityEntry, table: CapacityTable, steps: Sequence[Trial]) -> Iterator[tuple[float, list[Trial]]]:
    """Give an entry's steps, the lowest rate first."""
    rates: dict[float, list[Trial]] = defaultdict(list)
    wanted = (entry.server, entry.app, table.scenario, table.connections, table.workers, table.threads)
    for step in steps:
        if (step.server, step.app, step.scenario, step.connections, step.workers, step.threads) == wanted:
            rates[step.load.rate_per_s or 0.0].append(step)
    yield from sorted(rates.items())


def capacity_by_row(view: View, tables: Sequence[CapacityTable]) -> dict[str, str]:
    """Row key -> capacity in words, for the rows of panels whose server was searched."""
    found: dict[str, str] = {}
    for panel in view.panels:
        key = panel.main.key
        for table in tables:
            if (table.scenario, table.workers, table.threads) != (key.scenario, key.workers, key.threads):
                continue
            words_of = {(entry.server, entry.app): entry.words for entry in table.entries}
            for row in panel.rows:
                told = words_of.get((row.entry.server, row.entry.app))
                if told:
                    found[row.key] = f"with {table.slo.id}: {told}"
    return found
