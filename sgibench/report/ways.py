"""The same request in other ways: over other protocols, on kept and new connections, by scenarios of one family.

What is compared was measured in panels of its own, one after the other; a panel judges, these charts only set beside
one another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sgibench import units
from sgibench.model import Estimate, Metric
from sgibench.report import words
from sgibench.report.charts.bars import Bar, draw_bars
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.panels import Panel, Row


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """A figure by which the ways are compared."""

    name: str
    title: str
    head: str
    hint: str
    metric: Metric

    def of(self, row: Row) -> Estimate | None:
        """Give a row's."""
        return row.entry.figures.get(self.metric)


COMPARED = (
    _Compared(
        name="v",
        title="The same request in other ways: server CPU for each",
        head="CPU for each",
        hint="Shorter is better. Ways are measured one after the other, each with servers of its own: a small "
        "difference may be the machine’s.",
        metric="cpu_us_per_request",
    ),
    _Compared(
        name="u",
        title="The same request in other ways: how many a second, at saturation",
        head="a second",
        hint="Longer is better.",
        metric="rps",
    ),
)


def ways_to_ask(panel: Panel, panels: Sequence[Panel]) -> tuple[Chart, ...]:
    """Compare one request by how it goes over the wire; drawn on the first panel of a family."""
    family = [one for one in panels if _kind(one) == _kind(panel)]
    ways = {_way(one): one for one in reversed(family)}
    if len(ways) < 2 or panel is not family[0]:  # noqa: PLR2004 - a comparison takes two
        return ()
    shown = COMPARED if panel.saturated else COMPARED[:1]
    return tuple(chart for one in shown if (chart := _compared(panel, ways, one)) is not None)


def _compared(panel: Panel, ways: dict[str, Panel], compared: _Compared) -> Chart | None:
    bars, lines, form = [], [], words.FORMS[compared.metric]
    short = _short(ways)
    rows = {(row.entry.server, row.entry.app): row for one in ways.values() for row in one.rows}
    for row in rows.values():
        first: float | None = None
        for way, one in reversed(ways.items()):
            found = next((other for other in one.rows if _same(other, row)), None)
            if found is None:
                continue
            level = compared.of(found)
            told = words.with_interval(level, form) if level else found.entry.why_not(compared.metric)
            first = level.value if first is None and level else first
            same = level is None or not first or level.value == first
            times = "" if same or level is None or not first else f"{units.significant(level.value / first)}×"
            lines.append((row.label, way, words.UNITS[one.unit].one, told, times))
            bars.append(_bar(row, short[way], level, told))
    if not any(bar.value for bar in bars):
        return None
    units_seen = {one.unit for one in ways.values()}
    unit = units_seen.pop() if len(units_seen) == 1 else "request"
    title = words.counted(compared.title, unit)
    label = alternative(title, [(f"{a}, {b}", d) for a, b, _c, d, _e in lines])
    return Chart(
        title=title,
        hint=" ".join([compared.hint, *_remarks(compared, ways.values())]),
        drawing=draw_bars(bars, form=form, prefix=f"{panel.key}{compared.name}", label=label),
        table=Table(headers=("server", "way", "counted", compared.head, "against the first"), rows=tuple(lines)),
    )


def _remarks(compared: _Compared, panels: Iterable[Panel]) -> Iterator[str]:
    """What has to be known of these panels."""
    trials = [trial for panel in panels for row in panel.rows for trial in row.entry.good]
    if compared.metric == "rps" and any(trial.unit == "handshake" for trial in trials):
        yield (
            "A handshake costs the client about as much as the server: where the load process was the limit "
            "(GeneratorBound), compare CPU."
        )
    if compared.metric != "rps" and any(trial.held and trial.gap_histogram_us for trial in trials):
        yield "What the server did for those that are held open beside is in it, too."


def _bar(row: Row, way: str, level: Estimate | None, told: str) -> Bar:
    return Bar(
        row=row.key,
        under=row.label,
        label=way,
        look=row.look,
        value=level.value if level else None,
        low=level.low if level else None,
        high=level.high if level else None,
        tip=f"{row.label}: {told}",
        failure="" if level else told,
    )


def _short(ways: Iterable[str]) -> dict[str, str]:
    """Leave out how connections are kept where the rest of a way's name tells it from the others."""
    found = {way: way.rpartition(", ")[0] for way in ways}
    often = Counter(found.values())
    return {way: way if often[name] > 1 else name for way, name in found.items()}


def _same(one: Row, other: Row) -> bool:
    return (one.entry.server, one.entry.app) == (other.entry.server, other.entry.app)


def _kind(panel: Panel) -> tuple[str, object, str]:
    """What is alike in the panels of one family."""
    return panel.family, panel.main.key.settings, panel.main.key.load.kind


def _way(panel: Panel) -> str:
    """Name a way: the scenario where it is another one, and how its connections are."""
    load = panel.main.key.load
    kept = {"keep-alive": "kept alive", "close": "new connection"}[load.connection]
    spoken = load.protocol + (f", {units.many(load.streams, 'stream')}" if load.streams > 1 else "")
    named = "" if panel.family == panel.main.key.scenario else f"{panel.scenario}, "
    return f"{named}{spoken}, {kept}"
