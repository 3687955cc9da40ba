"""Where the time goes: the sentence that a report of the user's own app opens with, and that no verdict contradicts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench import report
from sgibench.model import AppCost, OwnInfo, Run
from sgibench.report.own import OwnShare, own_shares
from sgibench.report.panels import view_of
from tests.results_maker import QUICK, Making, make_run


def run_of(costs_us: dict[str, list[float]], app_us: list[float], wait_us: float = 0.0) -> Run:
    """Make a run of one app: CPU per request under each server in each block, and without one."""
    blocks = max(map(len, costs_us.values()))
    servers = tuple(replace(QUICK[0], id=server) for server in costs_us)
    made = make_run(Making(servers=servers, blocks=blocks, control=False, rates=(), scenarios=("json",)))
    trials = tuple(
        replace(trial, app="shop:app", cpu_us_per_request=costs_us[trial.server][trial.block]) for trial in made.trials
    )
    own = OwnInfo(
        apps={"shop:app": "shop:app"},
        kinds={"shop:app": "Flask (WSGI), ./.venv"},
        environment="./.venv",
        python="3.11.7",
        requests=("1 GET /",),
        costs=tuple(
            AppCost(
                app="shop:app",
                request="GET /",
                weight=1,
                block=block,
                cpu_us=cpu_us,
                wall_us=cpu_us + wait_us,
                wait_us=wait_us,
                calls=9,
            )
            for block, cpu_us in enumerate(app_us)
        ),
    )
    return replace(made, trials=trials, info=replace(made.info, own=own))


def only_share(run: Run) -> OwnShare:
    (share,) = own_shares(view_of(run))
    return share


def test_an_app_that_is_99_percent_of_the_cpu_leaves_1_percent_to_win() -> None:
    run = run_of({"waitress": [10_000.0, 11_000.0], "granian-wsgi": [9_950.0, 10_945.0]}, [9_900.0, 10_890.0])
    share = only_share(run)
    assert "changing it can win at most 1 %" in share.text
    assert "Your app itself needs 10.4 ms of CPU" in share.text


def test_a_wait_is_said_to_be_one() -> None:
    share = only_share(run_of({"waitress": [1_000.0]}, [500.0], wait_us=50_000.0))
    assert "It waits 50.0 ms besides" in share.text


def test_the_page_the_terminal_and_the_summary_open_with_it(tmp_path: Path) -> None:
    run = run_of({"waitress": [1_000.0, 1_000.0], "granian-wsgi": [900.0, 900.0]}, [800.0, 800.0])
    html = report.write(run, tmp_path).read_text(encoding="utf-8")
    sentence = "The server is 12 % (granian-wsgi) to 20 % (waitress) of the CPU of your request"
    assert html.index(sentence) < html.index('<div class="answers">')
    assert sentence in report.summary(run)["own"][0]["text"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.floats(50, 5_000), min_size=3, max_size=3), min_size=2, max_size=4),
    st.lists(st.floats(1, 6_000), min_size=3, max_size=3),
)
def test_no_two_servers_differ_by_more_than_the_share_says(totals: list[list[float]], app_us: list[float]) -> None:
    share = only_share(run_of({f"server-{number}": each for number, each in enumerate(totals)}, app_us))
    most = max(one.share for one in share.servers)
    for one, other in itertools.combinations(share.servers, 2):
        dearer, cheaper = max(one.total_us, other.total_us), min(one.total_us, other.total_us)
        assert 1 - cheaper / dearer <= most + 1e-9


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_cost_taken_before_the_first_block_stands_in_for_none(blocks: int) -> None:
    run = run_of({"waitress": [1_000.0] * blocks}, [])
    assert run.info.own is not None
    early = AppCost(app="shop:app", request="GET /", weight=1, block=-1, cpu_us=500.0, wall_us=500.0, calls=9)
    own = replace(run.info.own, costs=(early,))
    assert only_share(replace(run, info=replace(run.info, own=own))).servers[0].share == pytest.approx(0.5)


def test_a_run_of_the_catalogue_says_nothing_of_it() -> None:
    run = run_of({"waitress": [1_000.0]}, [500.0])
    assert own_shares(view_of(replace(run, info=replace(run.info, own=None)))) == ()
