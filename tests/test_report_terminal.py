"""The terminal's tables fit, say what failed, and degrade well."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from sgibench import units
from sgibench.model import Estimate, Failure, Metric, Run, Slo
from sgibench.report import terminal, words
from tests.results_maker import CATALOGUE, QUICK, Contestant, Making, hostile_run, make_run, on_one_cpu, with_capacity

BROKEN = Contestant(id="broken-one", interface="wsgi", concurrency="threads", cpu_us=9, fails="exited")


def printed(run: Run, *, encoding: str = "utf-8", colour: bool = False, width: int = 80) -> str:
    buffer = io.BytesIO()
    file = io.TextIOWrapper(buffer, encoding=encoding)
    console = Console(file=file, width=width, force_terminal=colour, color_system="truecolor" if colour else None)
    terminal.ranking(run, console)
    file.flush()
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    "run",
    [
        make_run(Making(servers=(*CATALOGUE, BROKEN), rates=(100.0,))),
        make_run(Making(servers=tuple(replace(one, id=f"{one.id}-with-a-very-long-name-indeed") for one in QUICK))),
        hostile_run(),
    ],
    ids=["catalogue", "long names", "hostile"],
)
def test_no_line_of_the_tables_is_wider_than_80_columns(run: Run) -> None:
    tables = [line for line in printed(run).splitlines() if not line.startswith(("Failed", "Skipped", "Notice"))]
    assert max(len(line) for line in tables) <= 80


def test_every_server_stands_in_the_table_with_interval_and_place() -> None:
    lines = printed(make_run(Making(scenarios=("json",), window_s=0.4))).splitlines()
    for one in QUICK:
        rows = [line for line in lines if f" {one.id} " in line and "±" in line]
        assert [row.count("±") for row in rows] == [2, 2], "cost and throughput, then p99 and p50"
        assert all(row.split()[0].rstrip("=").isdigit() for row in rows)


def test_servers_and_load_that_shared_a_core_are_said() -> None:
    said = "Notice: there is one CPU only, which servers and load share: compare CPU per request rather than requests/s"
    assert said in " ".join(printed(on_one_cpu(make_run())).split())
    assert "compare CPU" not in printed(make_run())


def test_rows_that_are_not_told_apart_share_a_place_marked_as_shared() -> None:
    twins = tuple(replace(QUICK[3], id=name) for name in ("one", "other"))
    lines = printed(make_run(Making(servers=twins, scenarios=("json",), blocks=3))).splitlines()
    assert [line.split()[0] for line in lines if "±" in line] == ["1=", "1="] * 2


def test_a_failed_server_says_why_in_place_of_a_number() -> None:
    out = printed(make_run(Making(servers=(QUICK[0], BROKEN), scenarios=("json",))))
    rows = [
        line for line in out.splitlines() if "broken-one" in line and "failed: exited" in line and "Failed" not in line
    ]
    assert len(rows) == 2
    assert not any("/s" in row or "±" in row for row in rows)
    assert "Failed: broken-one in json, 3 of 3 trials: exited: exit status 3 in mid-trial" in out


def test_what_failed_at_a_rate_alone_has_its_reason_at_the_end() -> None:
    """And with `--quiet` it stands nowhere else."""
    run = make_run(Making(scenarios=("json",), rates=(200.0,)))
    failure = Failure(reason="crashed", detail="exit status 3", log_tail="")
    name = QUICK[0].id
    trials = [
        replace(trial, status="failed", failure=failure, rps=None, requests=None, latency_us=None)
        if trial.server == name and trial.load.kind == "open" and trial.block == 1
        else trial
        for trial in run.trials
    ]
    out = printed(replace(run, trials=tuple(trials)))
    assert f"Failed: {name} in json at open-200, 1 of 3 trials: crashed: exit status 3" in " ".join(out.split())
    assert out.count("Failed: ") == 1


def test_a_very_narrow_interval_is_not_said_to_be_nothing() -> None:
    run = make_run(Making(servers=QUICK, scenarios=("json",), scatter=0.0005))
    first = {trial.cell: trial.cpu_us_per_request for trial in run.trials if trial.block == 0}
    trials = [
        replace(trial, cpu_us_per_request=(first[trial.cell] or 0.0) * (1 + 0.0001 * trial.block))
        for trial in run.trials
        if trial.cell in first
    ]
    said = printed(replace(run, trials=tuple(trials)))
    assert "±<1%" in said
    assert "±0%" not in said


def test_without_unicode_the_output_is_plain_ascii() -> None:
    out = printed(make_run(Making(servers=(*QUICK, BROKEN), apps=("plain", "flask"))), encoding="ascii")
    assert out.isascii()
    assert "us" in out


def test_a_pipe_gets_no_escape_codes_and_a_terminal_gets_colour() -> None:
    assert "\x1b[" not in printed(make_run())
    assert "\x1b[" in printed(make_run(), colour=True)


def test_names_are_never_read_as_markup() -> None:
    run = make_run(Making(servers=(replace(QUICK[0], id="[red]x[/red]"),), scenarios=("json",)))
    assert "[red]x[/red]" in printed(run)


def test_capacities_are_a_table_with_a_sentence() -> None:
    rates = {"uvicorn-httptools": 9000.0, "granian-asgi": 12000.0, "hypercorn-uvloop": None}
    run = with_capacity(make_run(), slo=Slo(quantile=0.99, limit_us=50_000), rates=rates)
    file = io.StringIO()
    terminal.capacity(run, Console(file=file, width=80))
    out = file.getvalue()
    assert "highest rate with p99<50ms" in out
    assert "no rate held the limit" in out
    assert out.index("granian-asgi") < out.index("uvicorn-httptools") < out.index("hypercorn-uvloop")
    assert max(map(len, out.splitlines())) <= 80


def test_a_run_without_trials_says_so() -> None:
    assert "nothing to rank" in printed(replace(make_run(), trials=()))


def test_a_user_may_rank_by_latency_and_wide_intervals_are_written_with_their_ends() -> None:
    run = make_run(Making(scenarios=("json",), rates=(300.0,), scatter=0.3))
    out = printed_by(run, "p99_us")
    assert out.index("Latency at 300/s") > 0
    assert "by p99" in out
    rows = [line for line in out.splitlines() if "–" in line]
    assert rows, "from where to where"
    assert "by requests per second" in printed_by(run, "rps")


def printed_by(run: Run, metric: Metric) -> str:
    file = io.StringIO()
    terminal.ranking(run, Console(file=file, width=80), metric)
    return file.getvalue()


FIGURE = re.compile(r"[\d,.]+(?: (?:µs|ms|s))? (?:±\d+%|\([^)]*\))")
ALIKE = tuple(
    replace(QUICK[5], id=name)
    for name in ("granian-asgi-uvloop", "granian-asgi-asyncio", "granian-asgi-rloop", "granian-asgi-uvloop@2.7")
)


@pytest.mark.parametrize("width", [80, 60, 50, 40, 30])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_at_any_width_no_figure_is_cut_and_no_two_names_look_alike(width: int, encoding: str) -> None:
    run = make_run(Making(servers=(*CATALOGUE, *ALIKE, BROKEN), scenarios=("json",), rates=(100.0,)))
    wide = printed(run, width=300)
    out = printed(run, width=width, encoding=encoding)
    assert max(map(len, out.splitlines())) <= width
    folded = " ".join(out.replace("~", "±").replace(" us", " µs").split())
    figures = set(FIGURE.findall(wide))
    assert len(figures) > 20
    for figure in figures:
        assert figure.replace("–", "-" if encoding == "ascii" else "–") in folded
    names = [line.split("±")[0].split("~")[0] for line in out.splitlines() if "gran" in line and "!" in line]
    shown = {re.sub(r"^[| ]*[0-9]+=?[ |]+", "", name).split("!")[0].strip() for name in names if "! " not in name[:5]}
    assert len({name for name in shown if name.startswith("gran")}) >= len(ALIKE)


@pytest.mark.parametrize("width", [60, 40])
def test_a_search_for_capacity_and_a_settled_run_fit_as_well(width: int) -> None:
    made = make_run(Making(servers=(*QUICK, *ALIKE), scenarios=("json",)))
    rates = {one.id: 12_345.6 for one in (*QUICK, *ALIKE)}
    run = with_capacity(made, slo=Slo(quantile=0.99, limit_us=50_000), rates=rates)
    buffer = io.StringIO()
    terminal.capacity(run, Console(file=buffer, width=width))
    assert max(map(len, buffer.getvalue().splitlines())) <= width
    assert "…/s" not in buffer.getvalue()


def test_an_interval_that_says_nothing_is_not_written_out() -> None:
    worlds_apart = Estimate(value=1650.0, low=1.4e-12, high=1.9e18, blocks=2)
    assert words.interval(worlds_apart, units.microseconds) == "too few blocks, too unlike, for an interval"
    wide = Estimate(value=1650.0, low=400.0, high=6000.0, blocks=3)
    assert words.interval(wide, units.microseconds) == "400 µs to 6.00 ms"
