"""The plan: the same selection and seed give the same order, and only comparable cells share a group."""

from __future__ import annotations

import pytest

from sgibench import catalogue
from sgibench.bench.plan import make_cells, make_plan
from sgibench.engine.windows import trials_in
from sgibench.errors import UsageError
from sgibench.model import Cell, Interface, Load, Plan, Scenario, Settings, Windows

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
