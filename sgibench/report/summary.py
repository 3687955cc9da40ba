"""A run's judgement as plain JSON values: what `--json` prints and what the page offers for download."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sgibench import stats
from sgibench.histogram import Histogram
from sgibench.model import Doubt, Estimate, Metric, Run
from sgibench.model.behaviour import Behaviour
from sgibench.report.capacities import CapacityTable, capacities_of
from sgibench.report.deployments import deployment_of
from sgibench.report.inside import by_request, most_inside
from sgibench.report.jobs import figures_of
from sgibench.report.latencies import streams_of
from sgibench.report.layers import LayerTable, layers_of
from sgibench.report.own import own_shares
from sgibench.report.panels import Panel, View, group_id, view_of
from sgibench.report.services import ServiceFigures, uses_of
from sgibench.report.standings import Entry, Standing
from sgibench.report.twoway import CrossTable, cross_tables
from sgibench.report.wire import noted_of
from sgibench.results.codec import encode


def summary(run: Run) -> dict[str, Any]:
    """Sum a run up, ready for `json.dumps(..., allow_nan=False)`; figures in the units of their names.

    Each figure, percentiles included, is the geometric mean over blocks with its interval.
    """
    return summary_of(view_of(run))


def summary_of(view: View) -> dict[str, Any]:
    """Sum up a run that is judged already."""
    info = view.run.info
    doubts = {row.entry.cell: row.doubts for panel in view.panels for row in panel.rows}
    judged = {metric: stats.judged_cells((view.run,), metric) for metric in stats.METRICS}
    tables = {group_id(panel.main): panel.doubts for panel in view.panels}
    return {
        "run": info.run,
        "profile": info.profile,
        "started_at": info.started_at,
        "finished_at": info.finished_at,
        "seed": info.seed,
        "version": info.version,
        "machine": {"cpu_model": info.machine.cpu_model, "cores": info.machine.cores, "system": info.machine.system},
        "measuring_share": info.measuring_share,
        "spent_s": dict(info.spent_s),
        "yard_us": stats.spread_us(view.run.trials),
        "trials": {
            status: sum(trial.status == status for trial in view.run.trials) for status in ("ok", "failed", "skipped")
        },
        "skipped": dict(info.skipped),
        "uncalibrated": dict(info.uncalibrated),
        "notices": list(view.run.notices),
        "doubts": [_doubt(doubt) for doubt in view.doubts],
        "doubted_trials": dict(view.doubted_trials),
        "own": [encode(share) for share in own_shares(view)],
        "layers": [encode(_layers(table)) for panel in view.panels if (table := layers_of(view.run, panel))],
        "two_way": [_crossed(panel, table) for panel in view.panels for table in cross_tables(panel)],
        "capacity": [_capacity(table) for table in capacities_of(view.run)],
        "groups": [
            {
                "scenario": one.key.scenario,
                "load": one.key.load.id,
                "workers": one.key.workers,
                "threads": one.key.threads,
                "configuration": one.key.configuration,
                "noise_floor": encode(one.cost.noise_floor),
                "noise_floors": {metric: encode(found.noise_floor) for metric, found in one.rankings.items()},
                "delta": one.cost.delta,
                "doubts": [_doubt(doubt) for doubt in tables.get(group_id(one), ())],
                "rows": [_row(one, entry, doubts.get(entry.cell, ()), judged) for entry in one.entries.values()],
            }
            for one in view.standings
        ],
    }


def _row(
    standing: Standing, entry: Entry, doubts: tuple[Doubt, ...], judged: Mapping[Metric, Collection[str]]
) -> dict[str, Any]:
    """One cell; it has a place and a ratio by the figures that are judged where it was measured, and by no other."""
    rankings = {metric: found for metric, found in standing.rankings.items() if entry.cell in judged[metric]}
    places: dict[Metric, int | None] = {
        metric: next((row.place for row in rankings[metric].rows if row.cell == entry.cell), None)
        if metric in rankings
        else None
        for metric in stats.METRICS
    }
    best = {metric: found.versus_best.get(entry.cell) for metric, found in rankings.items() if found.rows}
    return {
        "cell": entry.cell,
        "server": entry.server,
        "app": entry.app,
        "interface": entry.interface,
        "concurrency": entry.concurrency,
        "status": entry.status,
        "place": places["cpu_us_per_request"],
        "throughput_place": places["rps"],
        "places": places,
        "against_best": {
            metric: None if found is None else {"best": rankings[metric].rows[0].cell, **encode(found)}
            for metric, found in best.items()
        },
        **{metric: _estimate(entry.figures.get(metric)) for metric in stats.METRICS},
        "not_measured": {metric: why for metric in stats.METRICS if (why := entry.why_not(metric))},
        "memory": {
            "pss_bytes": _estimate(entry.pss_bytes),
            "uss_bytes": _estimate(entry.uss_bytes),
            "processes": entry.processes,
        },
        "startup_s": _estimate(entry.startup_s),
        "front": _front(entry),
        "behaviours": [_behaviour(trial.behaviour) for trial in entry.good if trial.behaviour is not None],
        "inside": most_inside(entry.good),
        "services": [_service(one) for one in uses_of(entry)],
        "jobs": _jobs(entry),
        "cache": [encode(trial.cache) for trial in entry.good if trial.cache],
        "wire": [found for trial in entry.good if (found := noted_of(trial))],
        "streams": _streams(entry),
        "requests": {kind: _latency(histogram) for kind, histogram in by_request(entry).items()},
        "errors": dict(entry.errors),
        "blocks": len(entry.good),
        "failed_blocks": entry.failed_blocks,
        "failure": {"reason": entry.failure.reason, "detail": entry.failure.detail} if entry.failure else None,
        "doubts": [_doubt(doubt) for doubt in doubts],
    }


def _service(one: ServiceFigures) -> dict[str, Any]:
    """What a row used of a service."""
    return {
        "service": one.service,
        "version": one.version,
        "cpu_us_per_request": _estimate(one.cpu_us),
        "connections": {"opened": one.opened, "at_once": one.at_once, "pool": one.pool},
        "pss_bytes": one.pss_bytes,
    }


def _behaviour(behaviour: Behaviour) -> dict[str, Any]:
    """How one block took what happened to it, without its samples."""
    return {
        "happened": [encode(one) for one in behaviour.happened],
        "lost": behaviour.lost,
        "recovered_after_s": behaviour.recovered_after_s,
        "back_after_s": behaviour.back_after_s,
        "reached": behaviour.reached,
        "bursts": list(behaviour.bursts),
        "slow": behaviour.slow,
    }


def _front(entry: Entry) -> dict[str, Any] | None:
    """What stands before the server, and its part of the figures above."""
    found = deployment_of(entry)
    if found is None:
        return None
    return {
        "chain": found.chain,
        "servers": found.servers,
        "balance": found.balance,
        "between": found.between,
        "cpu_us_per_request": _estimate(found.front_us),
        "cpu_share": _estimate(found.share),
        "pss_bytes": _estimate(found.pss_bytes),
    }


def _jobs(entry: Entry) -> dict[str, Any] | None:
    """What became of the jobs that were handed in, all blocks together."""
    found = figures_of(entry.good)
    if found is None:
        return None
    return {
        "handed_per_s": found.handed_per_s,
        "done_per_s": found.done_per_s,
        "growth_per_s": found.growth_per_s,
        "cpu_us": dict(found.parts),
        "until_done": None if found.took is None else _latency(found.took),
    }


def _latency(histogram: Histogram) -> dict[str, float | int | None]:
    """Service times of a kind of request, all blocks merged; None where too few answers stand behind a percentile."""
    figures: dict[str, float | int | None] = {"answers": histogram.count}
    for name, share in (("p50_us", 0.5), ("p99_us", 0.99)):
        enough = stats.percentile_allowed(share, histogram.count)
        figures[name] = histogram.percentile_us(share) if enough else None
    return figures


def _streams(entry: Entry) -> dict[str, Any] | None:
    """How soon its streams began, and the gaps in them, all blocks merged."""
    first, gaps = streams_of(entry)
    if first is None and gaps is None:
        return None
    return {name: None if one is None else _latency(one) for name, one in (("first_chunk", first), ("gaps", gaps))}


def _layers(table: LayerTable) -> dict[str, Any]:
    """Microseconds of CPU per request, layer by layer."""
    return {
        "panel": table.panel,
        "sentence": table.sentence,
        "rows": [
            {
                "server": one.row.entry.server,
                "app": one.row.entry.app,
                "plain": one.plain,
                "explained": one.layers.explained,
                **{f"{name}_us": encode(getattr(one.layers, name)) for name in LAYER_NAMES},
                "alone_us": None if one.alone is None else encode(one.alone),
                "apart_us": {use.service: None if use.cpu_us is None else use.cpu_us.value for use in one.services},
            }
            for one in table.rows
        ],
    }


LAYER_NAMES = ("total", "server", "framework", "work", "rest")


def _crossed(panel: Panel, table: CrossTable) -> dict[str, Any]:
    judged = table.judged
    return {
        "panel": panel.key,
        "scenario": panel.scenario,
        "interface": table.interface,
        "servers": list(table.servers),
        "apps": list(table.apps),
        "sentences": list(table.sentences),
        "cells": [
            {"server": server, "app": app, "place": one.place, "cpu_us_per_request": _estimate(one.estimate)}
            for (server, app), one in table.places.items()
        ],
        "order_changes": [encode(one) for one in judged.crossings] if judged else [],
        "distances": [{**encode(one), **encode(found)} for one, found in judged.distances.items()] if judged else [],
    }


def _capacity(table: CapacityTable) -> dict[str, Any]:
    return {
        "scenario": table.scenario,
        "workers": table.workers,
        "threads": table.threads,
        "slo": table.slo.id,
        "ceiling_unknown": table.ceiling_unknown,
        "rows": [
            {
                "server": entry.server,
                "app": entry.app,
                "place": entry.place,
                "rate_per_s": _estimate(entry.rate_per_s),
                "at_least": entry.at_least,
                "searches": len(entry.searches),
                "none_held": entry.none_held,
                "undecided": entry.undecided,
                "failure": {"reason": entry.failure.reason, "detail": entry.failure.detail} if entry.failure else None,
            }
            for entry in table.entries
        ],
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "blocks": estimate.blocks}


def _doubt(doubt: Doubt) -> dict[str, str]:
    return {"kind": doubt.kind, "detail": doubt.detail, "advice": doubt.advice}
