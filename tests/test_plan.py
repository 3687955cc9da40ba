"""The plan: the same selection and seed give the same order, and only comparable cells share a group."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from sgibench import catalogue
from sgibench.bench.pilot import in_few_stages, pilot_windows, told
from sgibench.bench.plan import make_cells, make_plan, with_usual_connections
from sgibench.bench.profiles import PROFILES
from sgibench.bench.rates import common_rates, curve_cells, with_most_connections, with_rates
from sgibench.engine.windows import enough_for_p99, guessed_s, open_window_s, trials_in, windows_for
from sgibench.errors import UsageError
from sgibench.model import Cell, Interface, Latency, Load, Plan, Scenario, Settings, Trial, Window, Windows

WINDOWS = Windows(window_s=1.0, slice_s=0.1)
SETTINGS = Settings(workers=1, threads=8)
CLOSED = Load(kind="closed", connections=64)
FOUND = catalogue.load()


def scenario(name: str, *interfaces: Interface) -> Scenario:
    return Scenario(
        id=name,
        summary="",
        path=FOUND.roots[0],
        exchanges=(),
        floor_s=0.0,
        interfaces=interfaces or ("wsgi", "asgi", "rsgi"),
    )


def cells_of(patterns: list[str], scenarios: list[Scenario], loads: list[Load] | None = None) -> list[Cell]:
    servers = catalogue.select("server", FOUND.servers, patterns)
    pairs = [(server, app) for server in servers for app in FOUND.apps if app.id.endswith("_plain")]
    return make_cells(pairs, scenarios, loads or [CLOSED], [SETTINGS])


def plan_of(cells: list[Cell], seed: int = 1, *, blocks: int = 3, control: bool = False) -> Plan:
    return make_plan(cells, blocks=blocks, windows=WINDOWS, seed=seed, control=control)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another_order() -> None:
    cells = cells_of(["*"], [scenario("json"), scenario("wait")])
    assert plan_of(cells, seed=7) == plan_of(cells, seed=7)
    assert plan_of(cells, seed=7) != plan_of(cells, seed=8)


def test_every_block_holds_every_cell_once() -> None:
    cells = cells_of(["uvicorn-*", "waitress"], [scenario("json"), scenario("wait")])
    plan = plan_of(cells)
    assert trials_in(plan) == 3 * len(cells)
    for block in plan.blocks:
        ids = [cell.id for stage in block.stages for group in stage.groups for cell in group.cells]
        assert sorted(ids) == sorted(cell.id for cell in cells)


def test_the_order_inside_groups_changes_from_block_to_block() -> None:
    plan = plan_of(cells_of(["*"], [scenario("json")]), blocks=6)
    orders = {tuple(cell.id for cell in block.stages[0].groups[0].cells) for block in plan.blocks}
    assert len(orders) > 1


def test_servers_that_close_connections_are_never_grouped_with_those_that_keep_them() -> None:
    plan = plan_of(cells_of(["gunicorn-sync", "gunicorn-gthread", "waitress"], [scenario("json")]))
    for block in plan.blocks:
        for stage in block.stages:
            for group in stage.groups:
                assert len({cell.load.connection for cell in group.cells}) == 1
                assert ("gunicorn-sync" in {cell.server for cell in group.cells}) == (group.load.connection == "close")


def test_loads_of_one_stage_share_its_servers_saturation_first() -> None:
    loads = [Load(kind="open", connections=64, rate_per_s=500.0), CLOSED]
    plan = plan_of(cells_of(["uvicorn-*"], [scenario("json")], loads))
    assert [[group.load.kind for group in stage.groups] for stage in plan.blocks[0].stages] == [["closed", "open"]]


def test_the_control_doubles_the_same_cell_in_every_block() -> None:
    cells = cells_of(["uvicorn-*", "granian-asgi"], [scenario("json")])
    plan = plan_of(cells, control=True)
    doubled = {
        cell.server
        for block in plan.blocks
        for stage in block.stages
        for group in stage.groups
        for cell in group.cells
        if cell.control
    }
    assert len(doubled) == 1
    assert trials_in(plan) == 3 * (len(cells) + 1)


def test_an_app_runs_only_under_its_own_interface() -> None:
    for cell in cells_of(["*"], [scenario("json")]):
        assert FOUND.app(cell.app).interface == FOUND.server(cell.server).variant.interface


def test_a_scenario_for_one_interface_leaves_the_other_servers_out() -> None:
    cells = cells_of(["uvicorn-h11", "waitress"], [scenario("websocket", "asgi")])
    assert [cell.server for cell in cells] == ["uvicorn-h11"]


def test_a_selection_in_which_nothing_fits_together_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to measure"):
        cells_of(["waitress"], [scenario("websocket", "asgi")])


# --- rates of open loads, and how long they are watched ------------------------------------------------------------


def piloted(**rates: float | None) -> list[Trial]:
    """Trials of a pilot block on `wait`: server (underscores for hyphens) -> its saturation."""
    return [
        Trial(
            cell=f"{name}/app/wait/closed-64/w1t8",
            server=name.replace("_", "-"),
            app="app",
            scenario="wait",
            load=CLOSED,
            workers=1,
            threads=8,
            block=0,
            order=0,
            started_at="2026-01-01T00:00:00Z",
            status="ok" if rps else "failed",
            rps=rps,
        )
        for name, rps in rates.items()
    ]


def test_answers_that_outlast_the_pilots_window_tell_the_rate_by_how_long_they_take() -> None:
    """Two answers of 3 s that were begun in a window of 0.3 s were taken for 6.6/s: 64 connections have 21 a second."""

    def slow(rps: float, mean_s: float, window_s: float = 0.3) -> Trial:
        latency = Latency(mean=mean_s * 1e6, p50=None, p90=None, p99=None, p999=None, max=mean_s * 1e6)
        return replace(piloted(waitress=rps)[0], window_s=window_s, latency_us=latency, warmup_rps=200.0)

    for counted in (6.6, 3.3, 106.0):
        (rate,) = common_rates([slow(counted, mean_s=3.0)])
        assert rate.slowest_rps == pytest.approx(64 / 3.0), "its warm-up counted too little as well"
        (rate,) = common_rates([slow(counted, mean_s=3.0)], 0.5)
        assert rate.rate_per_s == 11.0
    (rate,) = common_rates([slow(1280.0, mean_s=0.05)])
    assert rate.slowest_rps == 1280.0, "six rounds of answers were counted"
    (rate,) = common_rates([slow(21.0, mean_s=3.0, window_s=15.0)])
    assert rate.slowest_rps == pytest.approx(42.0)
    thinks = replace(slow(6.6, mean_s=3.0), window=Window(visits="unbroken", thinks=True), warmup_rps=None)
    assert common_rates([thinks])[0].slowest_rps == 6.6, "users who pause have fewer answers"
    (cell,) = cells_of(["waitress"], [scenario("wait")])
    seen = replace(slow(6.6, mean_s=3.0), cell=cell.id)
    assert [one.load.rate_per_s for one in curve_cells([cell], [seen])][:2] == [4.3, 8.5]


def test_the_common_rate_is_a_quarter_of_what_the_slowest_server_can_do() -> None:
    (rate,) = common_rates(piloted(waitress=158.0, uvicorn_h11=1275.0, broken=None))
    assert (rate.rate_per_s, rate.slowest, rate.servers) == (40.0, "waitress", ())
    assert common_rates(piloted(waitress=158.0), 0.5)[0].rate_per_s == 79.0
    assert common_rates(piloted(broken=None, idle=0.0)) == []


def test_a_machine_that_was_slow_while_the_slowest_server_was_counted_makes_no_lower_rate() -> None:
    quick, slow = piloted(quick=5400.0, slow=3480.0)
    seen = [replace(quick, warmup_rps=5100.0), replace(slow, warmup_rps=5000.0)]
    (rate,) = common_rates(seen)
    assert (rate.slowest, rate.slowest_rps, rate.rate_per_s) == ("slow", 5000.0, 1200.0)
    (rate,) = common_rates([quick, replace(slow, warmup_rps=90_000.0)])  # fast for as long as its warm-up lasts
    assert (rate.slowest, rate.rate_per_s) == ("quick", 1400.0)
    (rate,) = common_rates([replace(slow, warmup_rps=90_000.0)])
    assert rate.rate_per_s == 1700.0  # half of what was counted, no more
    (rate,) = common_rates(seen, 0.5)  # a share that was asked for is one of what was counted
    assert (rate.slowest_rps, rate.rate_per_s) == (3480.0, 1700.0)
    (rate,) = common_rates([replace(slow, warmup_rps=5000.0, unit="message")])  # others than answers
    assert rate.slowest_rps == 3480.0


def test_servers_that_are_many_times_as_fast_get_a_rate_of_their_own_besides() -> None:
    trials = piloted(waitress=158.0, gunicorn_gthread=160.0, uvicorn_h11=1275.0, hypercorn_uvloop=1280.0)
    everybody, loops = common_rates(trials, 0.5, classes=True)
    assert everybody.servers == ()
    assert (loops.rate_per_s, loops.slowest, loops.servers) == (
        640.0,
        "uvicorn-h11",
        ("uvicorn-h11", "hypercorn-uvloop"),
    )
    assert len(common_rates(piloted(a=100.0, b=250.0, c=700.0), classes=True)) == 1, "no gap between neighbours"
    cells = [
        cell
        for cell in cells_of(["waitress", "uvicorn-h11"], [scenario("wait")])
        if cell.app in {"wsgi_plain", "asgi_plain"}
    ]
    opens = [
        (cell.server, cell.load.rate_per_s) for cell in with_rates(cells, [everybody, loops]) if cell.load.rate_per_s
    ]
    assert sorted(opens) == [("uvicorn-h11", 79.0), ("uvicorn-h11", 640.0), ("waitress", 79.0)]


def asking(window_s: float = 1.1, least_answers: int = 0, longest_open_s: float | None = None) -> Windows:
    """Windows at a fixed rate: as long as the user said, or until there are so many answers."""
    return Windows(window_s=window_s, slice_s=0.1, least_answers=least_answers, longest_open_s=longest_open_s)


@pytest.mark.parametrize(
    ("saturation", "windows", "rate_per_s"),
    [
        (160.0, asking(least_answers=1000, longest_open_s=15.0), 80.0),  # a quarter brings 600 in the longest window
        (280.0, asking(least_answers=1000, longest_open_s=15.0), 70.0),
        (160.0, asking(least_answers=167, longest_open_s=5.0), 40.0),  # all six blocks together have enough
        (160.0, asking(least_answers=334, longest_open_s=5.0), 80.0),
        (160.0, asking(window_s=12.6), 80.0),
        (160.0, asking(window_s=25.3), 40.0),
        (1.0, asking(least_answers=1000, longest_open_s=15.0), 0.5),  # half is too few as well, and the better one
    ],
)
def test_the_common_rate_is_half_where_a_quarter_is_too_few_for_a_p99(
    saturation: float, windows: Windows, rate_per_s: float
) -> None:
    (rate,) = common_rates(piloted(waitress=saturation), enough=partial(enough_for_p99, windows))
    assert rate.rate_per_s == rate_per_s
    (at_a_share,) = common_rates(piloted(waitress=saturation), 0.25, enough=partial(enough_for_p99, windows))
    assert at_a_share.rate_per_s == pytest.approx(saturation / 4, rel=0.05), "a share that was asked for is kept"


LONG = Windows(window_s=3.0, slice_s=0.1, open_window_s=1.2, least_answers=1000, longest_open_s=15.0)


@pytest.mark.parametrize(
    ("rate_per_s", "window_s"), [(80.0, 12.625), (640.0, 1.578), (5000.0, 1.2), (10.0, 15.0), (None, 1.2)]
)
def test_an_open_window_lasts_as_long_as_the_answers_for_its_p99_take(
    rate_per_s: float | None, window_s: float
) -> None:
    assert open_window_s(LONG, rate_per_s) == pytest.approx(window_s, abs=1e-3)


@pytest.mark.parametrize(("rate_per_s", "window_s"), [(2000.0, 0.9), (800.0, 1.2625), (500.0, 2.02), (80.0, 4.25)])
def test_a_window_holds_the_answers_of_its_own_p99_where_that_takes_little_else_its_share(
    rate_per_s: float, window_s: float
) -> None:
    windows = replace(LONG, open_window_s=0.9, own_percentile_s=2.1, least_answers=334, longest_open_s=4.25)
    assert open_window_s(windows, rate_per_s) == pytest.approx(min(window_s, 4.25), abs=0.04)


@pytest.mark.parametrize(
    ("blocks", "fewer", "held"),
    [(5, 3, {0, 2, 4}), (6, 3, {0, 2, 5}), (3, 3, {0, 1, 2}), (2, 3, {0, 1}), (4, 1, {0}), (6, 2, {0, 5})],
)
def test_a_scenario_that_takes_fewer_blocks_is_spread_over_the_run(blocks: int, fewer: int, held: set[int]) -> None:
    cells = cells_of(["uvicorn-*"], [scenario("json"), scenario("wait")])
    plan = make_plan(cells, blocks=blocks, windows=WINDOWS, seed=1, control=True, fewer={"wait": fewer})
    holding = {
        block.index for block in plan.blocks if any(stage.groups[0].scenario == "wait" for stage in block.stages)
    }
    assert holding == held
    assert all(any(stage.groups[0].scenario == "json" for stage in block.stages) for block in plan.blocks)
    for cell in cells:
        assert plan.blocks_with(cell.id) == (len(held) if cell.scenario == "wait" else blocks)
    doubled = {
        cell.server for block in plan.blocks for stage in block.stages for cell in stage.groups[0].cells if cell.control
    }
    assert doubled


def test_the_default_plan_has_blocks_enough_for_its_claims_and_answers_enough_for_its_p99() -> None:
    quick = PROFILES["quick"]
    together = min(quick.fewer_blocks.values())
    assert quick.answers(together) * together >= 1000
    assert quick.own_percentile_s >= quick.open_window_s


def test_a_profile_may_know_how_many_connections_suit_a_scenario_and_rates_follow_them() -> None:
    cells = with_usual_connections(cells_of(["waitress"], [scenario("json"), scenario("wait")]), {"json": 16})
    assert {(cell.scenario, cell.load.id) for cell in cells} == {("json", "closed-16"), ("wait", "closed-64")}
    assert with_most_connections(cells) == cells
    more = [*cells, *(replace(cell, load=replace(cell.load, connections=8)) for cell in cells)]
    assert with_most_connections(more) == cells
    assert trials_in(in_few_stages(plan_of(cells, blocks=1), {"json", "wait"})) == 2
    assert len(in_few_stages(plan_of(cells, blocks=1), {"json", "wait"}).blocks[0].stages) == 1


def test_a_pilot_asks_all_scenarios_of_the_same_servers_and_others_of_their_own() -> None:
    both = cells_of(["uvicorn-h11", "waitress"], [scenario("json"), scenario("wait")])
    apart = cells_of(["gunicorn-sync"], [scenario("json")])
    alone = cells_of(["uvicorn-h11", "waitress"], [scenario("websocket", "asgi")])
    plan = plan_of([*both, *apart, *alone], blocks=1)
    merged = in_few_stages(plan, {"json", "wait", "websocket"})
    assert trials_in(merged) == trials_in(plan)
    (block,) = merged.blocks
    stages = {frozenset(group.scenario for group in stage.groups): stage for stage in block.stages}
    assert all(len(stage.groups) == 1 for stage in plan.blocks[0].stages)
    assert frozenset({"json", "wait"}) in stages
    assert frozenset({"websocket"}) in stages
    for stage in block.stages:
        servers = {frozenset(cell.server for cell in group.cells) for group in stage.groups}
        assert len(servers) == 1
    assert in_few_stages(plan, {"json"}) == plan, "a scenario in which servers are killed is left to itself"


def test_the_window_of_an_open_load_follows_from_its_rate() -> None:
    rates = common_rates(piloted(waitress=160.0), 0.5)
    cells = with_rates(cells_of(["waitress"], [scenario("wait")]), rates)
    plan = make_plan(cells, blocks=1, windows=LONG, seed=1, control=False)
    (stage,) = plan.blocks[0].stages
    windows = [windows_for(LONG, group, first=place == 0) for place, group in enumerate(stage.groups)]
    assert [round(one.window_s, 2) for one in windows] == [3.0, 12.62]
    shorter = replace(LONG, own_s={"wait": 0.6})
    windows = [windows_for(shorter, group, first=place == 0) for place, group in enumerate(stage.groups)]
    assert [round(one.window_s, 2) for one in windows] == [0.6, 12.62], "its own at saturation, its rate's at a rate"
    pilot = windows_for(pilot_windows(shorter), stage.groups[0], first=True)
    assert pilot.window_s == pilot_windows(LONG).window_s < 0.6


def test_a_window_that_is_too_short_for_a_p99_is_said() -> None:
    (rate,) = common_rates(piloted(waitress=160.0), 0.5)
    assert told(rate, LONG).endswith("the common rate is 80.0/s")
    quick = PROFILES["quick"]
    together = replace(LONG, least_answers=quick.answers(3), longest_open_s=quick.longest_open_s)
    assert "p99 only with all blocks together" in told(rate, together)
    assert "337 answers in a window of 4.22 s" in told(rate, together)
    assert told(rate, replace(LONG, least_answers=0)).endswith("96 answers in a window of 1.20 s are too few for a p99")


def test_the_guess_of_a_plans_time_counts_servers_that_are_asked_at_once_only_once() -> None:
    windows = replace(LONG, turn_s=0.3, open_window_s=0.9, least_answers=334, longest_open_s=5.0)
    cells = with_rates(cells_of(["uvicorn-*"], [scenario("wait")]), common_rates(piloted(waitress=160.0), 0.5))
    plan = make_plan(cells, blocks=1, windows=windows, seed=1, control=False)
    one_after_the_other = replace(plan, windows=replace(windows, turn_s=None))
    more_s = guessed_s(one_after_the_other) - guessed_s(plan)
    servers = len(cells) // 2
    assert servers > 2
    fast = with_rates(cells_of(["uvicorn-*"], [scenario("wait")]), common_rates(piloted(waitress=1960.0), 0.25))
    slow_host = make_plan(fast, blocks=1, windows=replace(windows, own_percentile_s=3.0), seed=1, control=False)
    in_turn = replace(slow_host, windows=replace(slow_host.windows, turn_s=None))
    assert guessed_s(slow_host) == guessed_s(in_turn), "a rate that makes windows longer is not low for that"
    assert more_s == pytest.approx((servers - 1) * 334 * 1.01 / 80 * 1.35 + (servers - 2) * 0.7, rel=0.01)
