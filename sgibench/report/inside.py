"""What went on inside the app: how many requests at once, and how long each kind of request took beside the others.

The count is the app's own, the most that it saw in a window. Those of several processes are never added: each may have
had its most at another moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgibench import stats, units
from sgibench.histogram import Histogram
from sgibench.model import Trial
from sgibench.report.charts.bars import Bar, draw_bars
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.panels import Panel, Row
from sgibench.report.standings import Entry, printable
from sgibench.report.words import listed, load_sentence
from sgibench.stats.rates import rate_kept

P50, P99 = 0.5, 0.99


def most_inside(trials: Sequence[Trial]) -> tuple[int, ...] | None:
    """Most requests at once in each process, of the block in which one had most; None when none was counted."""
    counted = [trial.inside for trial in trials if trial.inside]
    return max(counted, key=lambda each: (max(each), sum(each)), default=None)


def inside_words(entry: Entry) -> str | None:
    """Say how many requests were inside the app at once, e.g. `8`, `8 and 6` for two processes."""
    found = most_inside(entry.good)
    return listed([*map(str, found)]) if found else None


def at_once(panel: Panel) -> Chart | None:
    """Draw how many requests were inside the app at once, of several processes in the one that had most."""
    found = {row.key: most for row in panel.rows if (most := most_inside(row.entry.good))}
    rows = sorted((row for row in panel.rows if row.key in found), key=lambda row: -max(found[row.key]))
    if not rows:
        return None
    told = {row.key: inside_words(row.entry) or "" for row in rows}
    bars = [
        Bar(row=row.key, label=row.label, look=row.look, value=float(max(found[row.key])), tip=told[row.key])
        for row in rows
    ]
    title = "Requests at once inside the app"
    spoken = [(row.label, told[row.key]) for row in rows]
    return Chart(
        title=title,
        hint=f"Of {units.many(panel.main.key.load.connections, 'connection')}, counted by the app: those that its own "
        "code was at work on. The others waited in the server, or for a thread of the framework's. Of several "
        "processes the one that had most is drawn: each had its most at a moment of its own.",
        drawing=draw_bars(
            bars, form=lambda value: f"{value or 0:.0f}", prefix=f"{panel.key}i", label=alternative(title, spoken)
        ),
        table=Table(headers=("server", "most at once, each process"), rows=tuple(spoken)),
    )


def cache_words(entry: Entry) -> str | None:
    """Say how often the app's cache had what it was asked for, e.g. `90.0 % of 12,340`."""
    uses = [trial.cache for trial in entry.good if trial.cache]
    asked, missed = sum(use.asked for use in uses), sum(use.missed for use in uses)
    return f"{units.percent(1 - missed / asked)} of {units.count(asked)}" if asked else None


def cache_hits(panel: Panel) -> Chart | None:
    """Draw how often the app's cache had what it was asked for."""
    found = {row.key: told for row in panel.rows if (told := cache_words(row.entry))}
    rows = [row for row in panel.rows if row.key in found]
    if not rows:
        return None
    bars = [
        Bar(row=row.key, label=row.label, look=row.look, value=_hit_rate(row.entry), tip=found[row.key]) for row in rows
    ]
    title = "Hit rate of the app's cache"
    spoken = [(row.label, found[row.key]) for row in rows]
    return Chart(
        title=title,
        hint="Pages that the cache had, of those that were asked for, counted by the app; the others had to be made.",
        drawing=draw_bars(bars, form=units.percent, prefix=f"{panel.key}h", label=alternative(title, spoken)),
        table=Table(headers=("server", "hit rate"), rows=tuple(spoken)),
    )


def _hit_rate(entry: Entry) -> float:
    uses = [trial.cache for trial in entry.good if trial.cache]
    return 1 - sum(use.missed for use in uses) / sum(use.asked for use in uses)


def _whole(value: float | None) -> str:
    return units.NOT_MEASURED if value is None else f"{value:.0f}"


def by_request(entry: Entry) -> dict[str, Histogram]:
    """Service times of each kind of request, all blocks merged."""
    found: dict[str, list[Histogram]] = defaultdict(list)
    for trial in entry.good:
        for kind, data in trial.by_request.items() if rate_kept(trial) else ():
            found[kind].append(Histogram.from_data(data))
    return {kind: Histogram.merged(histograms) for kind, histograms in found.items()}


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """The kinds of requests of a panel."""

    seen: tuple[tuple[Row, Mapping[str, Histogram]], ...]
    """What was seen of each, row by row."""
    names: tuple[str, ...]
    """In the order in which they were met."""

    def median_us(self, kind: str) -> float:
        """The least median of any row."""
        return min(found[kind].percentile_us(P50) or 0.0 for _, found in self.seen if kind in found)

    @property
    def quickest(self) -> str:
        """The kind that takes the shortest: what it takes longer than alone, it waits for the others."""
        return min(self.names, key=self.median_us)


def kinds_of(panel: Panel) -> Kinds | None:
    """Put the kinds of requests together; None where there is only one."""
    seen = tuple((row, by_request(entry)) for row in panel.rows if (entry := panel.latency_entry(row)))
    names = tuple(dict.fromkeys(kind for _, found in seen for kind in found))
    return Kinds(seen=seen, names=names) if len(names) > 1 else None


def of_kinds(panel: Panel) -> Chart | None:
    """Draw the p99 of the quickest kind of request, which others hold up, or its p50; the table has them all."""
    kinds = kinds_of(panel)
    if kinds is None:
        return None
    quickest = kinds.quickest
    mine = [(row, found[quickest]) for row, found in kinds.seen if quickest in found]
    share = next((one for one in (P99, P50) if any(_percentile_us(found, one) for _, found in mine)), None)
    if share is None:
        return None
    figure = f"p{share * 100:.0f}"
    bars = sorted((_bar(row, found, share) for row, found in mine), key=_length)
    lines = [(row.label, printable(kind), *_told(found[kind])) for row, found in kinds.seen for kind in found]
    name = printable(quickest)
    title = f"{name} beside the others: {figure}, {load_sentence(panel.latency_standing.key.load)}"
    return Chart(
        title=title,
        hint=f"Shorter is better. {name} is the quickest kind of request here, from sending to the whole answer: what "
        "it takes longer than alone, it waits for the others. The table has every kind.",
        drawing=draw_bars(
            bars,
            form=units.microseconds,
            prefix=f"{panel.key}k",
            label=alternative(title, [(bar.label, bar.tip) for bar in bars]),
        ),
        table=Table(headers=("server", "request", "p50", "p99", "longest", "answers"), rows=tuple(lines)),
    )


def in_short(panel: Panel) -> Table | None:
    """For a terminal: how many were inside at once, and how long the quickest kind of request took."""
    kinds = kinds_of(panel)
    found = {} if kinds is None else {row.key: seen.get(kinds.quickest) for row, seen in kinds.seen}
    cached = any(cache_words(row.entry) for row in panel.rows)
    lines = []
    for row in panel.rows:
        inside, hits, histogram = inside_words(row.entry), cache_words(row.entry), found.get(row.key)
        quick = _told(histogram)[:2] if histogram else (units.NOT_MEASURED,) * 2
        if inside or hits or histogram:
            told = (inside or units.NOT_MEASURED, *((hits or units.NOT_MEASURED,) if cached else ()))
            lines.append((row.label, *told, *(quick if kinds else ())))
    quickest = (f"{printable(kinds.quickest)} p50", "p99") if kinds else ()
    headers = ("server", "at once inside", *(("cache had",) if cached else ()), *quickest)
    return Table(headers=headers, rows=tuple(lines)) if lines else None


def _bar(row: Row, histogram: Histogram, share: float) -> Bar:
    p50, p99, longest, answers = _told(histogram)
    return Bar(
        row=row.key,
        label=row.label,
        look=row.look,
        value=_percentile_us(histogram, share),
        tip=f"p50 {p50}, p99 {p99}, longest {longest}, {answers} answers",
        failure=f"too few answers for a p{share * 100:.0f}",
    )


def _length(bar: Bar) -> tuple[bool, float]:
    return bar.value is None, bar.value or 0.0


def _percentile_us(histogram: Histogram, share: float) -> float | None:
    """A percentile, where enough answers stand behind it."""
    return histogram.percentile_us(share) if stats.percentile_allowed(share, histogram.count) else None


def _told(histogram: Histogram) -> tuple[str, str, str, str]:
    """p50, p99, longest and number of answers in words."""
    p50, p99 = (units.microseconds(_percentile_us(histogram, share)) for share in (P50, P99))
    return p50, p99, units.microseconds(histogram.max_us), units.count(histogram.count)
