"""The number of servers behind a front, as a curve: its rows, what it claims, whose CPUs they shared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from io import StringIO

import pytest
from rich.console import Console

from sgibench import report
from sgibench.model import FrontShare, Machine, Run
from sgibench.report import terminal
from sgibench.report.balancing import balance_of, shared_cpus, spreads_of
from sgibench.report.panels import Panel, view_of
from tests.results_maker import Contestant, Making, make_run

WAYS = {"rr": "round robin", "lc": "least connections"}
COSTS: Mapping[str, float] = {
    "nginx+waitress": 200,
    "nginx-rr2+waitress": 204,
    "nginx-rr4+waitress": 300,
    "nginx-lc2+waitress": 200,
    "nginx-lc4+waitress": 200,
    "nginx-static+waitress": 190,
    "haproxy+waitress": 250,
    "haproxy-rr2+waitress": 250,
    "waitress": 150,
}


def front_of(server: str, program: str) -> FrontShare | None:
    """What would stand before a server of that name."""
    front, plus, behind = server.partition("+")
    if not plus:
        return None
    way = re.search(r"-(rr|lc)(\d)$", front)
    several = {"backends": int(way[2]), "one": program, "balance": WAYS[way[1]]} if way else {}
    return FrontShare(id=front, program=program, behind=behind, version="1.2", **several)  # type: ignore[arg-type]


@cache
def whole_run() -> Run:
    """All of them."""
    return run_of()


def run_of(costs: Mapping[str, float] = COSTS, blocks: int = 6, rates: tuple[float, ...] = (1500.0,)) -> Run:
    """Each server at its cost."""
    servers = [
        Contestant(id=name, interface="wsgi", concurrency="threads", cpu_us=cost) for name, cost in costs.items()
    ]
    run = make_run(
        Making(
            servers=servers, scenarios=("json",), blocks=blocks, rates=rates, scatter=0.004, control=False, samples=1200
        )
    )
    trials = [replace(one, front=front_of(one.server, one.server.split("+")[0].split("-")[0])) for one in run.trials]
    return replace(run, trials=tuple(trials))


def panel_of(run: Run) -> Panel:
    return view_of(run).panels[0]


def test_a_curve_goes_from_the_front_before_one_through_those_that_spread_alike() -> None:
    found = {
        spread.label: {size: row.label for size, row in spread.rows.items()}
        for spread in spreads_of(panel_of(whole_run()))
    }
    assert found == {
        "nginx+waitress, round robin": {
            1: "nginx+waitress", 2: "nginx-rr2+waitress", 4: "nginx-rr4+waitress",
        },
        "nginx+waitress, least connections": {
            1: "nginx+waitress", 2: "nginx-lc2+waitress", 4: "nginx-lc4+waitress",
        },
        "haproxy+waitress, round robin": {1: "haproxy+waitress", 2: "haproxy-rr2+waitress"},
    }  # fmt: skip


@pytest.mark.parametrize("names", [("nginx+waitress",), ("nginx-rr2+waitress", "nginx-lc4+waitress"), ("waitress",)])
def test_a_single_number_is_no_curve(names: tuple[str, ...]) -> None:
    run = run_of({name: COSTS[name] for name in names})
    assert spreads_of(panel_of(run)) == ()
    assert balance_of(panel_of(run), run.info.machine) is None


def test_what_is_said_of_a_curve_is_what_the_panel_tells_apart() -> None:
    run = whole_run()
    balance = balance_of(panel_of(run), run.info.machine)
    assert balance is not None
    round_robin = next(said for said in balance.sentences if "nginx+waitress, round robin" in said)
    least = next(said for said in balance.sentences if "nginx+waitress, least connections" in said)
    cost = re.search(r"([\d.]+) times its CPU per request(?! \()", round_robin)
    assert cost
    assert float(cost[1]) == pytest.approx(1.5, rel=0.05)
    assert re.search(r"times the throughput of one \((no difference|not told apart)\)", least)
    assert "4 servers came to" in round_robin
    assert "p99" in round_robin
    rows = [row for row in balance.chart.table.rows if row[0] == "nginx+waitress, round robin"]
    assert [row[1] for row in rows] == ["1", "2", "4"]
    assert rows[0][-3:] == ("–", "–", "–")


def test_the_page_has_one_plot_of_three_figures_and_says_which_cpus_were_shared() -> None:
    run = run_of(
        {name: cost for name, cost in COSTS.items() if name.startswith("nginx-lc") or name == "nginx+waitress"}
    )
    run = replace(run, info=replace(run.info, machine=replace(run.info.machine, server_cpus=(0,), load_cpus=(1,))))
    page = report.render(run)
    assert page.count("<h3>The number of servers behind a front</h3>") == 1
    for pane in ("Requests per second at saturation", "CPU per request, the front and all servers", "p99, latency at"):
        assert pane in page
    assert "The front and all servers behind it shared CPU 0; the load had CPU 1" in page
    out = StringIO()
    terminal.ranking(run, Console(file=out, width=100))
    assert "Servers behind a front" in out.getvalue()
    assert "shared CPU 0" in " ".join(out.getvalue().split())
    rows = {row["server"]: row["front"] for group in report.summary(run)["groups"] for row in group["rows"]}
    assert (rows["nginx-lc4+waitress"]["servers"], rows["nginx-lc4+waitress"]["balance"]) == (4, "least connections")


def test_a_row_that_failed_leaves_its_place_empty_and_the_others_stand() -> None:
    servers = [
        Contestant(id=name, interface="wsgi", concurrency="threads", cpu_us=200, fails=fails)
        for name, fails in (("nginx+waitress", None), ("nginx-rr2+waitress", "crashed"), ("nginx-rr4+waitress", None))
    ]
    run = make_run(Making(servers=servers, scenarios=("json",), control=False))
    run = replace(run, trials=tuple(replace(one, front=front_of(one.server, "nginx")) for one in run.trials))
    balance = balance_of(panel_of(run), run.info.machine)
    assert balance is not None
    assert [row[2] for row in balance.chart.table.rows][1] == "crashed"
    assert balance.short.rows[1][2] == "–"


def test_a_contended_cpu_is_no_reason_to_believe_that_more_servers_serve_more() -> None:
    run = whole_run()
    pressed = replace(run, trials=tuple(replace(trial, pressure=0.6) for trial in run.trials))
    for one, said in ((run, False), (pressed, True)):
        balance = balance_of(panel_of(one), one.info.machine)
        assert balance is not None
        assert ("more processes get more of a contended CPU" in balance.sentences[-1]) is said


@pytest.mark.parametrize(
    ("servers", "load", "workers", "words"),
    [
        ((), (), 1, "Nothing was pinned"),
        ((0,), (1,), 1, "shared CPU 0; the load had CPU 1: this shows what balancing costs"),
        ((0, 1), (2,), 1, "up to 4 server processes behind it shared CPUs 0, 1; the load had CPU 2: so at most 2"),
        ((0, 1, 2, 3, 4), (5,), 1, "one for each"),
        ((0, 1, 2, 3, 4), (5,), 2, "so at most 5 of them worked at a time"),
    ],
)
def test_the_cpus_say_what_more_servers_can_bring(
    servers: tuple[int, ...], load: tuple[int, ...], workers: int, words: str
) -> None:
    machine: Machine = replace(whole_run().info.machine, server_cpus=servers, load_cpus=load)
    assert words in shared_cpus(machine, workers, 4)
