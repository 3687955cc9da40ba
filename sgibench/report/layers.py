"""Server, framework and own work: what each layer of a request costs, beside the whole that was measured.

Taken apart by `sgibench.stats.layers`; what the layers leave unexplained is shown as that, and is in none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgibench import stats, units
from sgibench.model import BorderCost, Run
from sgibench.model.catalogue import WITH
from sgibench.report.charts.chart import Chart, Table, alternative
from sgibench.report.charts.stacks import Part, Stack, draw_stacks, unlike
from sgibench.report.panels import Panel, Row
from sgibench.report.services import ServiceFigures, uses_of
from sgibench.report.standings import printable
from sgibench.report.twoway import is_plain

LAYERS = ("own work", "framework", "server", "not explained")
"""From the left of a stack; the table has them in this order."""


@dataclass(frozen=True, kw_only=True)
class LayeredRow:
    """One server with one app, taken apart."""

    row: Row
    plain: bool
    layers: stats.Layers
    alone: stats.Mean | None = None
    """What its app costs called without a server."""
    services: tuple[ServiceFigures, ...] = ()
    """What it used besides: their CPU is in no layer."""


@dataclass(frozen=True, kw_only=True)
class LayerTable:
    """The layers of one comparison."""

    panel: str
    """Key of the comparison."""
    rows: tuple[LayeredRow, ...]
    """The plain app of each interface first, then the others by what they cost."""
    sentence: str

    @property
    def services(self) -> tuple[str, ...]:
        """Those that some row used."""
        return tuple(dict.fromkeys(printable(use.service) for one in self.rows for use in one.services))


def layers_of(run: Run, panel: Panel) -> LayerTable | None:
    """Take a comparison's rows apart; None where nothing was called without a server, or no row has a plain twin."""
    plain = {_beside(row): row for row in panel.rows if is_plain(row)}
    if not panel.saturated or not run.info.alone:
        return None
    found = []
    for row in panel.rows:
        twin = plain.get(_beside(row))
        if twin is None:
            continue
        layers = _at_border(run, panel, row, twin) or _without(run, panel, row, twin)
        if layers is not None:
            found.append(
                LayeredRow(
                    row=row,
                    plain=row is twin,
                    layers=layers,
                    alone=_mean_alone(run, panel, row),
                    services=(*uses_of(row.entry),),
                )
            )
    if not any(not one.plain for one in found):
        return None
    means = {app: min(one.layers.total.value for one in found if one.row.entry.app == app) for app in _apps(found)}
    found.sort(key=lambda one: (one.row.entry.interface or "", not one.plain, means[one.row.entry.app], _cost(one)))
    return LayerTable(panel=panel.key, rows=tuple(found), sentence=_sentence(found))


def _beside(row: Row) -> tuple[str, str]:
    """What a row has in common with its plain twin: the server, and the services that stand behind the app's name."""
    return row.entry.server, row.entry.app.partition(WITH)[2]


def _alone(run: Run, panel: Panel, row: Row) -> dict[int, float]:
    """Block -> what a row's app costs without a server, called as its server calls it."""
    wanted = (row.entry.app, panel.main.key.scenario)
    return {
        cost.block: cost.cpu_us
        for cost in run.info.alone
        if (cost.app, cost.scenario) == wanted
        and cost.cpu_us is not None
        and (not cost.servers or row.entry.server in cost.servers)
    }


def _mean_alone(run: Run, panel: Panel, row: Row) -> stats.Mean | None:
    costs = _alone(run, panel, row)
    return stats.mean_of([*costs.values()]) if costs else None


def _at_border(run: Run, panel: Panel, row: Row, twin: Row) -> stats.Layers | None:
    """Take a row apart at its border, all of it in one trial; None where there was none, or no twin without it."""
    mine, bare = _borders(run, panel, row), _borders(run, panel, twin)
    return stats.layers_of(
        _of(mine, "whole_us") or _totals(row),
        _of(bare, "whole_us") or _totals(twin),
        _of(mine, "app_us"),
        _of(bare, "app_us"),
        _of(mine, "outside_us"),
    )


def _without(run: Run, panel: Panel, row: Row, twin: Row) -> stats.Layers | None:
    """Take a row apart by what its app costs without a server: all that there is for greenlets, and in older runs."""
    return stats.layers_of(
        _totals(row),
        _totals(twin),
        _alone(run, panel, row),
        _alone(run, panel, twin),
        _of(_borders(run, panel, row), "outside_us"),
    )


def _borders(run: Run, panel: Panel, row: Row) -> list[BorderCost]:
    wanted = (row.entry.server, row.entry.app, panel.main.key.scenario)
    return [cost for cost in run.info.borders if (cost.server, cost.app, cost.scenario) == wanted]


def _of(costs: Sequence[BorderCost], name: str) -> dict[int, float]:
    """Block -> one figure of the costs that have it."""
    return {cost.block: value for cost in costs if (value := getattr(cost, name)) is not None}


def _totals(row: Row) -> dict[int, float]:
    return stats.block_values(row.entry.good, "cpu_us_per_request")


def _apps(rows: Sequence[LayeredRow]) -> set[str]:
    return {one.row.entry.app for one in rows}


def _cost(one: LayeredRow) -> float:
    return one.layers.total.value


def _sentence(rows: Sequence[LayeredRow]) -> str:
    """Say how well the layers explain the whole, and whose the most of it is."""
    framed = [one for one in rows if not one.plain]
    well = [one for one in framed if one.layers.explained]
    farthest = max(framed, key=lambda one: abs(one.layers.rest.value) / one.layers.total.value)
    share = farthest.layers.rest.value / farthest.layers.total.value
    text = (
        f"Server, framework and own work add up to the CPU per request within 10 % in {len(well)} of "
        f"{units.many(len(framed), 'row')}"
    )
    label = f"{farthest.row.entry.server} with {farthest.row.entry.app}"
    return f"{text}; at most {share * 100:+.0f} % is not explained ({label})."


def layers_chart(table: LayerTable) -> Chart:
    """Draw one stacked bar for each server and app."""
    stacks = [_stack(one) for one in table.rows]
    title = "CPU per request, layer by layer"
    services = table.services
    rows = []
    for one in table.rows:
        parts = (one.layers.work, one.layers.framework, one.layers.server, one.layers.rest, one.layers.total)
        label, blocks = f"{one.row.entry.server} · {one.row.entry.app}", str(one.layers.total.blocks)
        alone = units.NOT_MEASURED if one.alone is None else told(one.alone)
        rows.append((label, *map(told, parts), alone, *(apart(one, name) for name in services), blocks))
    spoken = [(stack.label + " with " + stack.group, stack.tip) for stack in stacks]
    return Chart(
        title=title,
        hint=(
            "Own work: the plain app under that server. Framework: what its app costs more than that. Server: its own "
            "CPU at its border to that app. Whole: the same server and app without a border, in turn with it. Not "
            "explained: what is left of the whole; below zero, the layers are more than the whole, whose end is marked."
            + (" Each bar is its own whole, as they are so unlike." if unlike(stacks) else "")
            + (f" The CPU of {' and '.join(services)} is in none of them: the table has it apart." if services else "")
        ),
        drawing=draw_stacks(stacks, names=LAYERS, prefix=f"{table.panel}l", label=alternative(title, spoken)),
        table=Table(
            headers=(
                "server and app",
                *LAYERS,
                "whole",
                "app without a server",
                *(f"{name}, apart" for name in services),
                "blocks",
            ),
            rows=tuple(rows),
        ),
    )


def apart(one: LayeredRow, service: str) -> str:
    """Write what a service cost for each request of a row."""
    found = next((use.cpu_us for use in one.services if printable(use.service) == service), None)
    return units.NOT_MEASURED if found is None else units.microseconds(found.value)


def told(mean: stats.Mean) -> str:
    """Write a mean with its interval: `12.3 ± 0.4 µs`; it may be below zero."""
    text = signed(mean.value)
    return text if mean.half is None or not mean.half else f"{text} ± {units.microseconds(mean.half)}"


def signed(value_us: float) -> str:
    """Write microseconds that may be below zero; what is none by definition is a dash."""
    if value_us == 0:
        return units.NOT_MEASURED
    return f"{'-' if value_us < 0 else ''}{units.microseconds(abs(value_us))}"


def _stack(one: LayeredRow) -> Stack:
    layers, entry = one.layers, one.row.entry
    values = (layers.work, layers.framework, layers.server, layers.rest)
    tip = ", ".join(f"{name} {told(value)}" for name, value in zip(LAYERS, values, strict=True))
    return Stack(
        row=one.row.key,
        group=entry.app,
        label=entry.server,
        look=one.row.look,
        parts=tuple(
            Part(name=name, value=value.value, tip=f"{entry.server}, {entry.app}: {name} {told(value)}")
            for name, value in zip(LAYERS, values, strict=True)
        ),
        total=layers.total.value,
        tip=f"{told(layers.total)}: {tip}",
    )
