"""One front before 1, 2, 4 servers of a kind: throughput, CPU per request and p99 against their number.

All of them are rows of one panel, visited in turn on the same CPUs; what is said about two of them are that panel's
verdicts. Which CPUs those were is said with it: where all share one, more servers can't serve more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sgibench import units
from sgibench.model import Comparison, Machine, Metric, Verdict
from sgibench.report import words
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.curves import Axis, Curve, Pane, Point, counted_axis, draw_panes, linear_axis
from sgibench.report.panels import Panel, Row
from sgibench.report.standings import printable

FIGURES: tuple[Metric, ...] = ("rps", "cpu_us_per_request", "p99_us")
SHORT: Mapping[Metric, str] = {
    "rps": "the throughput of one",
    "cpu_us_per_request": "its CPU per request",
    "p99_us": "its p99",
}
"""What is told in the sentence, behind `0.97 times`."""


PRESSED = (
    "Other programs wanted these CPUs as well (Pressed), and more processes get more of a contended CPU: throughput "
    "says little."
)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One way of spreading requests, over several numbers of servers."""

    whose: str
    """The front before one server: `nginx+waitress`."""
    way: str
    """`least connections`."""
    rows: Mapping[int, Row]
    """By the number of servers, ascending."""

    @property
    def label(self) -> str:
        """Of the curve."""
        return f"{self.whose}, {self.way}"

    @property
    def most(self) -> int:
        """The largest number."""
        return max(self.rows)


def spreads_of(panel: Panel) -> tuple[Spread, ...]:
    """Find what can be drawn as a curve: the same front before at least two numbers of the same server."""
    families: dict[tuple[str, str, str], dict[str | None, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in panel.rows:
        front = next((trial.front for trial in row.entry.trials if trial.front is not None), None)
        if front is not None:
            way = front.balance or front.id if front.backends > 1 else None
            families[front.one or front.id, front.behind, row.entry.app][way][front.backends] = row
    named = len({app for _, _, app in families}) > 1
    found = []
    for (front_id, behind, app), ways in families.items():
        alone = ways.get(None, {})
        for way, several in ways.items():
            rows = dict(sorted({**alone, **several}.items()))
            if way is not None and len(rows) > 1:
                whose = f"{front_id}+{behind}{f' · {app}' if named else ''}"
                found.append(Spread(whose=printable(whose), way=printable(way), rows=rows))
    return tuple(sorted(found, key=lambda one: one.label))


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What a panel says about the number of servers."""

    chart: Chart
    sentences: tuple[str, ...]
    """What each spread came to, then which CPUs were shared."""
    short: Table
    """Ratios alone, for those who see no charts."""


def balance_of(panel: Panel, machine: Machine) -> Balance | None:
    """Say and draw it; None where no front stands before several numbers of servers."""
    spreads = spreads_of(panel)
    panes = [pane for metric in FIGURES if (pane := _pane(panel, spreads, metric)) is not None]
    if not panes:
        return None
    shared = shared_cpus(machine, panel.main.key.workers, max(spread.most for spread in spreads))
    if any(doubt.kind == "Pressed" for row in panel.rows for doubt in row.doubts):
        shared += f" {PRESSED}"
    title = "The number of servers behind a front"
    spoken = [
        (curve.label, f"{pane.title}: {', '.join(point.tip or '' for point in curve.points)}")
        for pane in panes
        for curve in pane.curves
    ]
    sizes = sorted({size for spread in spreads for size in spread.rows})
    chart = Chart(
        title=title,
        hint=f"A front before one server balances nothing: all ways begin there. {shared}",
        drawing=draw_panes(
            panes,
            counted_axis(sizes, "servers behind the front"),
            prefix=f"{panel.key}y",
            label=alternative(title, spoken),
        ),
        table=Table(
            headers=(
                "servers",
                "number",
                *_heads(panel),
                "throughput against one",
                "CPU against one",
                "p99 against one",
            ),
            rows=tuple(_line(panel, spread, size) for spread in spreads for size in spread.rows),
        ),
    )
    sentences = (*(_sentence(panel, spread) for spread in spreads), shared)
    return Balance(chart=chart, sentences=sentences, short=_in_short(panel, spreads))


def _heads(panel: Panel) -> tuple[str, ...]:
    heads = (
        "requests per second",
        "CPU per request",
        f"p99, {words.latency_sentence(panel.latency_standing.key.load)}",
    )
    return tuple(words.counted(head, panel.unit) for head in heads)


def _pane(panel: Panel, spreads: Sequence[Spread], metric: Metric) -> Pane | None:
    """Draw one figure; nothing where nobody has it, or where it says nothing: throughput at a fixed rate."""
    if metric == "rps" and not panel.saturated:
        return None
    known = [panel.estimate(row, metric) for spread in spreads for row in spread.rows.values()]
    if not any(known):
        return None
    form = words.FORMS[metric]
    axis = linear_axis(words.scale_end(known), "", form)
    drawn = [_curve(panel, spread, metric, axis, place) for place, spread in enumerate(spreads)]
    curves = tuple(curve for curve in drawn if curve is not None)
    titles: Mapping[Metric, str] = {
        "rps": "Requests per second at saturation",
        "cpu_us_per_request": "CPU per request, the front and all servers",
        "p99_us": f"p99, {words.latency_sentence(panel.latency_standing.key.load)}",
    }
    return Pane(title=words.counted(titles[metric], panel.unit), curves=curves, y=axis)


def _curve(panel: Panel, spread: Spread, metric: Metric, axis: Axis, place: int) -> Curve | None:
    """Draw one, with a dash of its own: ways often lie on one another."""
    last, points = spread.rows[spread.most], []
    for size, row in spread.rows.items():
        found = panel.estimate(row, metric)
        if found is None:
            continue
        told = words.with_interval(found, words.FORMS[metric])
        drawn = found.low is not None and found.high is not None and not words.says_nothing(found)
        points.append(
            Point(
                x=size,
                y=found.value,
                tip=f"{row.label}: {told}",
                low=found.low if drawn else None,
                high=min(found.high or 0.0, axis.high) if drawn else None,
            )
        )
    look = replace(last.look, dash=place)
    return Curve(row=last.key, label=spread.label, look=look, points=tuple(points)) if points else None


def _line(panel: Panel, spread: Spread, size: int) -> tuple[str, ...]:
    figures = [_told(panel, spread.rows[size], metric) for metric in FIGURES]
    return (spread.label, str(size), *figures, *(_against_one(panel, spread, size, one) or "–" for one in FIGURES))


def _told(panel: Panel, row: Row, metric: Metric) -> str:
    found, entry = panel.estimate(row, metric), panel.entry_for(row, metric)
    if found is None:
        return "not measured" if entry is None else entry.why_not(metric)
    return words.with_interval(found, words.FORMS[metric])


NOTES: Mapping[Verdict, str] = {"tie": " (no difference)", "unknown": " (not told apart)", "faster": "", "slower": ""}


def _against_one(panel: Panel, spread: Spread, size: int, metric: Metric, thing: str = "") -> str:
    """Write the ratio to the smallest number, and whether the two are told apart; nothing where there is none."""
    found = _compared(panel, spread, size, metric)
    return "" if found is None else f"{words.factor(found.ratio)}{thing}{NOTES[found.verdict]}"


def _compared(panel: Panel, spread: Spread, size: int, metric: Metric) -> Comparison | None:
    """Compare a number of servers with the smallest one, as the panel does."""
    least = min(spread.rows)
    ends = [panel.entry_for(spread.rows[number], metric) for number in (size, least)]
    if size == least or ends[0] is None or ends[1] is None:
        return None
    return panel.ranking(metric).between(ends[0].cell, ends[1].cell)


def _in_short(panel: Panel, spreads: Sequence[Spread]) -> Table:
    """Give the ratios alone, for those who see no charts."""
    several = len({spread.whose for spread in spreads}) > 1
    rows = []
    for spread in spreads:
        for size in spread.rows:
            found = [_compared(panel, spread, size, metric) for metric in FIGURES]
            told = [
                f"{units.significant(one.ratio, 2)}×{' =' if NOTES[one.verdict] else ''}" if one else "–"
                for one in found
            ]
            rows.append((spread.label if several else spread.way, str(size), *told))
    return Table(headers=("spread by", "servers", "throughput", "CPU per request", "p99"), rows=tuple(rows))


def _sentence(panel: Panel, spread: Spread) -> str:
    """Say what the largest number came to against the smallest."""
    most, least = spread.most, min(spread.rows)
    number = "one" if least == 1 else str(least)
    shown = [metric for metric in FIGURES if metric != "rps" or panel.saturated]
    told_of = {metric: f" {thing}".replace("of one", f"of {number}") for metric, thing in SHORT.items()}
    parts = [told for metric in shown if (told := _against_one(panel, spread, most, metric, told_of[metric]))]
    if not parts:
        return f"{spread.label}: {most} servers and {least} can’t be compared."
    return words.counted(f"{spread.label}: {units.many(most, 'server')} came to {words.listed(parts)}.", panel.unit)


def shared_cpus(machine: Machine, workers: int, most: int) -> str:
    """Say which CPUs fronts and servers shared, and what that means for a larger number of them."""
    cpus = machine.server_cpus
    load = f"; the load had {_cpus(machine.load_cpus)}" if machine.load_cpus else ""
    if not cpus:
        return "Nothing was pinned: front, servers and load shared all CPUs of this machine."
    if len(cpus) == 1:
        return (
            f"The front and all servers behind it shared {_cpus(cpus)}{load}: this shows what balancing costs, and not "
            "what more CPUs would bring."
        )
    processes = workers * (most + 1)
    enough = len(cpus) >= processes
    rest = "one for each" if enough else f"so at most {len(cpus)} of them worked at a time"
    return f"The front and up to {workers * most} server processes behind it shared {_cpus(cpus)}{load}: {rest}."


def _cpus(cpus: Sequence[int]) -> str:
    """Write `CPU 0`, `CPUs 0, 1, 2`."""
    return f"{'CPU' if len(cpus) == 1 else 'CPUs'} {', '.join(map(str, cpus))}"
