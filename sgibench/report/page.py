"""The page of a run, and the list of all runs: complete without its script, and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sgibench import stats
from sgibench.model import EnvironmentInfo, Metric, Run, Trial
from sgibench.report import exports, words
from sgibench.report.balancing import balance_of
from sgibench.report.baseline import settled_of
from sgibench.report.capacities import CapacityTable, capacities_of, capacity_by_row, capacity_chart, steps_chart
from sgibench.report.charts.chart import Chart
from sgibench.report.deployments import deployment_of, versions_of
from sgibench.report.evidence import evidence_of, in_effect, not_as_declared
from sgibench.report.history import History, history_of
from sgibench.report.inside import inside_words
from sgibench.report.layers import layers_chart, layers_of
from sgibench.report.naming import UNCOMPUTABLE, computing, page_name
from sgibench.report.own import own_shares
from sgibench.report.panels import Panel, Row, View, view_of
from sgibench.report.plots import charts_of
from sgibench.report.rendering import fill, save
from sgibench.report.sentences import INTERFACES, answer_of
from sgibench.report.standings import Entry, printable
from sgibench.report.twoway import cross_tables

HEAT_STEPS = (1.05, 1.3, 2.0, 4.0)
"""Ratios to the best at which the overview's shade fades."""


def write(run: Run, folder: Path, rank_by: Metric = "cpu_us_per_request", *, apart: bool = False) -> Path:
    """Write the run's page into `folder`; returns its path. Raises ResultsError when that can't be done."""
    with computing(run):
        html = render(run, rank_by)
    return save(folder / page_name(run, apart=apart), html)


def write_index(folder: Path, runs: Sequence[Run]) -> Path:
    """Write `index.html`: all runs, newest first, and how each cell went from run to run on each machine.

    A run whose figures can't be computed with is listed, and follows no line.
    """
    ordered = sorted(runs, key=lambda run: (run.info.started_at, run.info.run), reverse=True)
    names = [page_name(run) for run in ordered]
    listed = [(run, name if (folder / name).is_file() else None) for run, name in zip(ordered, names, strict=True)]
    html = fill("index.html", listed=listed, histories=_histories(ordered), title="All runs")
    return save(folder / "index.html", html)


def _histories(runs: Sequence[Run]) -> tuple[History, ...]:
    with suppress(*UNCOMPUTABLE):
        return history_of(runs)
    fit = []
    for run in runs:
        with suppress(*UNCOMPUTABLE):
            history_of((run,))
            fit.append(run)
    with suppress(*UNCOMPUTABLE):
        return history_of(fit)
    return ()


def render(run: Run, rank_by: Metric = "cpu_us_per_request") -> str:
    """Make the page of a run, its tables in order of a figure."""
    view = view_of(run, rank_by)
    layers = {panel.key: found for panel in view.panels if (found := layers_of(run, panel))}
    balanced = {panel.key: one for panel in view.panels if (one := balance_of(panel, run.info.machine))}
    charts: Mapping[str, tuple[Chart, ...]] = {
        panel.key: (
            *([balanced[panel.key].chart] if panel.key in balanced else []),
            *([layers_chart(layers[panel.key])] if panel.key in layers else []),
            *charts_of(panel, view.panels),
        )
        for panel in view.panels
    }
    capacities = capacities_of(run)
    return fill(
        "report.html",
        title=f"Run {printable(run.info.run)}",
        run=run,
        info=run.info,
        view=view,
        charts=charts,
        answers={panel.key: answer_of(panel) for panel in view.panels},
        layers=layers,
        balanced=balanced,
        fronts=versions_of(run),
        crossed={panel.key: cross_tables(panel) for panel in view.panels},
        evidence=evidence_of(view),
        own=own_shares(view),
        settled=settled_of(run),
        rank_by=rank_by,
        overview=_overview(view) if len(view.panels) > 1 else None,
        capacities=[(one, _capacity_charts(one, run, view)) for one in capacities],
        capacity=capacity_by_row(view, capacities),
        by_interface=_by_interface,
        environment=lambda entry: _environment(run.info.environments, entry),
        in_effect=in_effect,
        inside_words=inside_words,
        not_as_declared=not_as_declared,
        deployment_of=deployment_of,
        longest=_longest,
        latency_trial=_latency_trial,
        csv=exports.csv_link(view),
        json=exports.json_link(view),
    )


def _capacity_charts(table: CapacityTable, run: Run, view: View) -> list[Chart]:
    """Draw what searches found, and what they tried."""
    tried = steps_chart(table, run.steps, view.looks)
    return [capacity_chart(table, view.looks), *([tried] if tried else [])]


def _environment(environments: Mapping[str, EnvironmentInfo], entry: Entry) -> EnvironmentInfo | None:
    """Find what was installed for a cell: an app with packages of its own has an environment of its own."""
    return environments.get(f"{entry.server} {entry.app}", environments.get(entry.server))


def _by_interface(panel: Panel) -> list[tuple[str, list[Row]]]:
    """Rows of each interface, best first, with the interface's name."""
    groups = [(name.upper(), [row for row in panel.rows if row.entry.interface == name]) for name in INTERFACES]
    groups.append(("other", [row for row in panel.rows if row.entry.interface not in INTERFACES]))
    return [(name, rows) for name, rows in groups if rows]


def _longest(panel: Panel) -> dict[Metric, float]:
    """Give the ends of the scales of the bars inside the table."""
    return {metric: words.scale_end(panel.estimate(row, metric) for row in panel.rows) for metric in stats.METRICS}


def _latency_trial(panel: Panel, row: Row, block: int) -> Trial | None:
    """Find the trial of a block in which a row's latency was measured."""
    entry = panel.latency_entry(row)
    return next((trial for trial in entry.good if trial.block == block), None) if entry else None


def _overview(view: View) -> list[dict[str, Any]]:
    """One line a server and app: its figure in each panel as a multiple of the best one's."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for place, panel in enumerate(view.panels):
        ranking = panel.ranking(panel.rank_by)
        best = ranking.rows[0].cell if ranking.rows else None
        for row in panel.rows:
            key = (row.entry.server, row.entry.app)
            line = lines.setdefault(key, {"row": row, "cells": [None] * len(view.panels)})
            entry = panel.entry_for(row, panel.rank_by)
            cell = entry.cell if entry else ""
            found = ranking.versus_best.get(cell)
            times = None if found is None else 1 / found.ratio if panel.rank_by == "rps" else found.ratio
            ratio = 1.0 if cell == best else times
            heat = sum(ratio >= step for step in HEAT_STEPS) if ratio else 0
            tied = best is not None and not ranking.apart(best, cell)
            told = words.with_interval(panel.estimate(row, panel.rank_by), words.FORMS[panel.rank_by])
            shade = heat if tied else max(heat, 1)
            line["cells"][place] = {"row": row, "ratio": ratio, "heat": shade, "tied": tied, "told": told}
    order = {name: index for index, name in enumerate((*INTERFACES, None))}
    return sorted(lines.values(), key=lambda line: order[line["row"].entry.interface])
