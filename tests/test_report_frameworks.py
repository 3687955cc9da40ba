"""Servers by frameworks on the page, in the terminal and in the summary: the same figures, the same sentences."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sgibench import report
from sgibench.model import AloneCost, Run
from sgibench.report import terminal
from sgibench.report.charts.stacks import Part, Stack, draw_stacks, unlike
from sgibench.report.layers import layers_of
from sgibench.report.panels import Look, view_of
from sgibench.report.twoway import cross_tables
from tests.results_maker import Contestant, Making, make_run

SERVER_US = {"uvicorn-httptools": 60.0, "granian-asgi": 30.0, "hypercorn-uvloop": 150.0}
FRAMEWORK_US = {"asgi_plain": 0.0, "asgi_falcon": 40.0, "asgi_fastapi": 400.0}
WORK_US = 20.0


def run_of(*, unexplained_us: float = 0.0, blocks: int = 6, alone: bool = True) -> Run:
    """A run whose layers are known: CPU is the sum of the three, and of what nothing explains under a framework."""
    servers = tuple(
        Contestant(id=server, interface="asgi", concurrency="event loop", cpu_us=cost)
        for server, cost in SERVER_US.items()
    )
    made = make_run(Making(servers=servers, blocks=blocks, control=False, rates=(), scenarios=("json",)))
    trials = []
    for trial, (app, framework_us) in itertools.product(made.trials, FRAMEWORK_US.items()):
        drift = 1 + 0.02 * trial.block
        rest = unexplained_us if framework_us else 0.0
        cpu_us = (SERVER_US[trial.server] + WORK_US + framework_us + rest) * drift
        cell = trial.cell.replace(f"/{trial.app}/", f"/{app}/")
        trials.append(replace(trial, app=app, cell=cell, cpu_us_per_request=cpu_us))
    costs = tuple(
        AloneCost(
            app=app,
            scenario="json",
            block=block,
            plain=app == "asgi_plain",
            cpu_us=(WORK_US + framework_us) * (1 + 0.02 * block),
            calls=100,
        )
        for block, (app, framework_us) in itertools.product(range(blocks), FRAMEWORK_US.items())
    )
    return replace(made, trials=tuple(trials), info=replace(made.info, alone=costs if alone else ()))


def printed(run: Run, width: int = 150) -> str:
    console = Console(file=io.StringIO(), width=width)
    terminal.ranking(run, console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    return " ".join(str(output).split())


def test_layers_are_the_ones_that_the_run_was_made_of() -> None:
    run = run_of()
    table = layers_of(run, view_of(run).panels[0])
    assert table is not None
    assert len(table.rows) == 9
    for one in table.rows:
        drift = 1.05  # the mean of six blocks
        entry = one.row.entry
        assert one.layers.server.value == pytest.approx(SERVER_US[entry.server] * drift)
        assert one.layers.framework.value == pytest.approx(FRAMEWORK_US[entry.app] * drift)
        assert one.layers.work.value == pytest.approx(WORK_US * drift)
        assert one.layers.rest.value == pytest.approx(0, abs=1e-6)
        assert one.layers.explained
    assert table.sentence.startswith(
        "Server, framework and own work add up to the CPU per request within 10 % in 6 of 6"
    )


def test_what_is_not_explained_is_shown_as_that_and_spread_over_nothing(tmp_path: Path) -> None:
    explained, run = run_of(), run_of(unexplained_us=100.0)
    table, before = (layers_of(one, view_of(one).panels[0]) for one in (run, explained))
    assert table is not None
    assert before is not None
    known = {one.row.entry.cell: one.layers for one in before.rows}
    for one in table.rows:
        for layer in ("server", "framework", "work"):
            assert getattr(one.layers, layer).value == pytest.approx(getattr(known[one.row.entry.cell], layer).value)
        assert one.layers.rest.value == pytest.approx(0.0 if one.plain else 105.0, abs=1e-6)
        assert one.layers.explained == one.plain
    assert (
        "within 10 % in 0 of 6 rows; at most +53 % is not explained (granian-asgi with asgi_falcon)" in table.sentence
    )
    html = report.write(run, tmp_path).read_text(encoding="utf-8")
    assert "not explained 105 µs" in html
    summary: list[dict[str, Any]] = report.summary(run)["layers"][0]["rows"]
    assert {row["rest_us"]["value"] > 100 for row in summary if not row["plain"]} == {True}
    assert "not explained" in printed(run)


def test_choices_are_weighed_in_a_sentence_everywhere(tmp_path: Path) -> None:
    run = run_of()
    sentence = (
        "The choice of the server moves 57 % of the CPU per request under asgi_falcon and 21 % under asgi_fastapi. "
        "The choice of the framework moves 80 % of the CPU per request under granian-asgi, 75 % under "
        "uvicorn-httptools and 63 % under hypercorn-uvloop."
    )
    assert sentence in printed(run)
    assert sentence in " ".join(report.summary(run)["two_way"][0]["sentences"])
    html = report.write(run, tmp_path).read_text(encoding="utf-8")
    assert sentence in html
    assert html.index(sentence) < html.index('id="p0"')  # in the answer, not far below
    assert "The order of servers is the same under all 3 apps." in html
    assert "CPU per request, layer by layer" in html


def test_a_table_without_the_plain_app_or_of_one_server_has_no_layers() -> None:
    run = run_of()
    framed = replace(run, trials=tuple(trial for trial in run.trials if trial.app != "asgi_plain"))
    assert layers_of(framed, view_of(framed).panels[0]) is None
    assert cross_tables(view_of(framed).panels[0])
    single = replace(run, trials=tuple(trial for trial in run.trials if trial.server == "granian-asgi"))
    assert not cross_tables(view_of(single).panels[0])
    assert layers_of(single, view_of(single).panels[0]) is not None
    without = run_of(alone=False)
    assert layers_of(without, view_of(without).panels[0]) is None
    assert report.summary(without)["layers"] == []


def test_servers_that_change_places_are_said_to(tmp_path: Path) -> None:
    run = run_of()
    swapped = tuple(
        replace(trial, cpu_us_per_request=(trial.cpu_us_per_request or 0) * 1.5)
        if (trial.server, trial.app) == ("granian-asgi", "asgi_fastapi")
        else trial
        for trial in run.trials
    )
    run = replace(run, trials=swapped)
    sentence = (
        "The order of servers changes with the framework: granian-asgi needs less CPU than uvicorn-httptools under "
        "asgi_plain, and more under asgi_fastapi (1 more pair like this)."
    )
    assert sentence in report.summary(run)["two_way"][0]["sentences"]
    assert sentence in report.write(run, tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [60, 80])
def test_narrow_terminals_have_every_figure(width: int) -> None:
    text = printed(run_of(), width)
    assert all(server in text for server in SERVER_US)
    assert "layer by layer" in text


@pytest.mark.parametrize("longest_us", [300.0, 3000.0])
def test_bars_of_wholes_that_are_very_unlike_are_shares_of_their_own(longest_us: float) -> None:
    """One slow framework would make all other bars too short to be read."""
    shares = longest_us > 1000
    stacks = [
        Stack(
            row=f"r{place}",
            group="app",
            label="server",
            look=Look(colour=place, shape=place, dash=0),
            parts=(Part(name="server", value=total_us / 2, tip=""), Part(name="not explained", value=0.0, tip="")),
            total=total_us,
            tip="",
        )
        for place, total_us in enumerate((100.0, 110.0, longest_us))
    ]
    assert unlike(stacks) == shares
    drawing = draw_stacks(stacks, names=("server", "not explained"), prefix="x", label="layers")
    assert ("50 %" in drawing) == shares
    for total in ("100 µs", "110 µs", "3.00 ms" if shares else "300 µs"):
        assert total in drawing, "each whole is written beside its bar"
