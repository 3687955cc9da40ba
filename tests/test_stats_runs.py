"""Run against run: matched cells, honest intervals, and what differs said first."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sgibench import stats
from sgibench.model import OwnInfo, Run
from sgibench.stats.conditions import differences
from sgibench.stats.runs import BETWEEN_FLOOR, REFERENCED_FLOOR, between_variance, satterthwaite, welch
from tests.results_maker import QUICK, Contestant, Making, make_run


def run(seed: int, **fields: object) -> Run:
    return make_run(replace(Making(seed=seed, blocks=8, scenarios=("json",)), **fields))  # type: ignore[arg-type]


def slower(made: Run, server: str, factor: float) -> Run:
    """Multiply a server's CPU per request in all blocks, and give it another package version."""
    trials = tuple(
        replace(trial, cpu_us_per_request=trial.cpu_us_per_request * factor)
        if trial.server == server and trial.cpu_us_per_request is not None
        else trial
        for trial in made.trials
    )
    environment = made.info.environments[server]
    changed = replace(environment, packages=(*environment.packages, "surplus==2.0"))
    info = replace(made.info, environments={**made.info.environments, server: changed})
    return replace(made, trials=trials, info=info)


def test_welch_is_the_one_worked_out_by_hand() -> None:
    new = {0: math.exp(1.0), 1: math.exp(1.2), 2: math.exp(1.4)}
    old = {0: math.exp(0.0), 1: math.exp(0.2)}
    found = welch(new, old)
    # variances 0.04 / 3 and 0.02 / 2; degrees (0.0133 + 0.01)^2 / (0.0133^2 / 2 + 0.01^2 / 1)
    assert found.mean == pytest.approx(1.1)
    assert found.error == pytest.approx(math.sqrt(0.04 / 3 + 0.01))
    assert found.degrees == pytest.approx((0.04 / 3 + 0.01) ** 2 / ((0.04 / 3) ** 2 / 2 + 0.01**2))


def test_a_sum_without_variance_keeps_the_smallest_degrees() -> None:
    assert satterthwaite([(0.0, 4.0), (0.0, 2.0)]) == (0.0, 2.0)


def test_noise_between_runs_is_the_floor_until_three_unchanged_cells_show_more() -> None:
    loud = [stats.LogRatio(mean=0.2, error=0.01, degrees=7, blocks=8)] * 3
    assert between_variance(loud[:2], floor_sd=0.02) == (0.02**2, 0)
    variance, cells = between_variance(loud, floor_sd=0.02)
    assert variance == pytest.approx((0.04 - 0.0001) / 2)
    assert cells == 3
    quiet = [stats.LogRatio(mean=0.001, error=0.01, degrees=7, blocks=8)] * 3
    assert between_variance(quiet, floor_sd=0.02) == (0.02**2, 0)


def test_two_runs_of_the_same_thing_show_no_regression() -> None:
    found = stats.compare_runs(run(1), run(2), metric="cpu_us_per_request")
    assert found.same_machine
    assert len(found.changes) == len(QUICK)
    assert all(change.unchanged for change in found.changes)
    assert stats.worse_than(found) == ()


def test_a_large_regression_is_found_and_a_small_one_is_not_claimed() -> None:
    steady = run(1, scatter=0.005)
    made = slower(run(2, scatter=0.005), "waitress", 1.6)
    found = stats.compare_runs(steady, made, metric="cpu_us_per_request")
    assert [change.cell.split("/")[0] for change in stats.worse_than(found)] == ["waitress"]
    assert stats.worse_than(found, 0.05) == stats.worse_than(found)
    assert stats.worse_than(found, 3.0) == ()
    little = stats.compare_runs(steady, slower(steady, "waitress", 1.02), metric="cpu_us_per_request")
    assert stats.worse_than(little) == ()


@pytest.mark.parametrize(("servers", "floor"), [(QUICK, REFERENCED_FLOOR), (QUICK[:3], BETWEEN_FLOOR)])
def test_the_interval_across_runs_contains_the_noise_between_them_however_many_blocks(
    servers: tuple[Contestant, ...], floor: dict[str, float]
) -> None:
    made = run(1, blocks=40, scatter=0.001, servers=servers)
    found = stats.compare_runs(made, made, metric="cpu_us_per_request")
    change = found.changes[0].comparison
    assert change.low is not None
    assert change.high is not None
    assert math.log(change.high / change.low) / 2 >= 1.96 * math.sqrt(2) * floor["cpu_us_per_request"]
    assert change.more_blocks is None


def test_unchanged_servers_beside_it_take_out_what_moved_the_whole_machine() -> None:
    old = run(1, scatter=0.005)
    trials = tuple(replace(trial, cpu_us_per_request=(trial.cpu_us_per_request or 0) * 1.3) for trial in old.trials)
    new = slower(replace(run(2, scatter=0.005), trials=trials), "waitress", 1.1)
    found = {
        change.cell.split("/")[0]: change
        for change in stats.compare_runs(old, new, metric="cpu_us_per_request").changes
    }
    waitress = found.pop("waitress")
    assert waitress.machine_shift == pytest.approx(1.3, rel=0.01)
    assert waitress.comparison.ratio == pytest.approx(1.1, rel=0.01)
    assert waitress.comparison.verdict == "slower"
    assert {change.comparison.verdict for change in found.values()} <= {"tie", "unknown"}


def test_an_app_of_the_users_may_have_changed_so_that_it_is_no_measure_of_noise() -> None:
    """A cost twice as high of every server was taken for the machine's, and the check passed."""
    own = OwnInfo(
        apps={"wsgi_plain": "shop:app", "asgi_plain": "shop:asgi"},
        kinds={}, environment="./.venv", python="3.11.7", requests=("1 GET /",),
    )  # fmt: skip
    old, new = run(1, scatter=0.005), run(2, scatter=0.005)
    trials = tuple(replace(trial, cpu_us_per_request=(trial.cpu_us_per_request or 0) * 2) for trial in new.trials)
    theirs = [replace(each, info=replace(each.info, own=own)) for each in (old, replace(new, trials=trials))]
    found = stats.compare_runs(*theirs, metric="cpu_us_per_request")
    assert {(one.comparison.verdict, one.unchanged, one.machine_shift) for one in found.changes} == {
        ("slower", False, None)
    }
    assert "shop:app, shop:asgi: no run knows whether it is still the same" in found.differences
    folders = [replace(each, info=replace(each.info, catalogues=("mine",))) for each in (old, new)]
    assert not any(one.unchanged for one in stats.compare_runs(*folders, metric="cpu_us_per_request").changes)


def test_two_loads_of_one_process_are_one_witness_of_the_noise() -> None:
    old, new = (run(seed, rates=(300.0,), servers=QUICK[:3], scatter=0.005) for seed in (1, 2))
    trials = tuple(replace(trial, cpu_us_per_request=(trial.cpu_us_per_request or 0) * 2) for trial in new.trials)
    found = stats.compare_runs(old, replace(new, trials=trials), metric="cpu_us_per_request")
    assert len(found.changes) == 2 * 3
    assert {(one.comparison.verdict, one.between_from) for one in found.changes} == {("slower", 0)}


def test_rates_are_better_when_higher() -> None:
    old = run(1, scatter=0.005)
    new = tuple(
        replace(trial, rps=(trial.rps or 0) / 2) if trial.server == "waitress" else trial for trial in old.trials
    )
    found = stats.compare_runs(old, replace(old, trials=new), metric="rps")
    verdicts = {change.cell.split("/")[0]: change.comparison.verdict for change in found.changes}
    assert [server for server, verdict in verdicts.items() if verdict == "slower"] == ["waitress"]
    assert len(stats.worse_than(found, 0.9)) == 1
    assert stats.worse_than(found, 1.1) == ()


def test_without_references_a_slower_machine_is_noise_and_not_a_verdict() -> None:
    old = run(1, servers=QUICK[:3], scatter=0.005)
    halved = replace(old, trials=tuple(replace(trial, rps=(trial.rps or 0) * 0.9) for trial in old.trials))
    found = stats.compare_runs(old, halved, metric="rps")
    assert {change.comparison.verdict for change in found.changes} == {"unknown"}
    assert {change.machine_shift for change in found.changes} == {None}


def test_a_change_that_no_version_shows_is_found_against_the_other_servers() -> None:
    steady = run(1, scatter=0.005)
    made = slower(steady, "waitress", 1.6)
    found = stats.compare_runs(steady, replace(made, info=steady.info), metric="cpu_us_per_request")
    assert [change.cell.split("/")[0] for change in stats.worse_than(found)] == ["waitress"]


def test_what_differs_is_said_with_the_machine_first() -> None:
    old = run(1)
    new = slower(run(2), "waitress", 1.0)
    new = replace(new, info=replace(new.info, machine=replace(new.info.machine, hostname_hash="other", kernel="9.9")))
    found = stats.compare_runs(old, new, metric="cpu_us_per_request")
    assert not found.same_machine
    assert found.differences[0].startswith("machine: ")
    assert any("kernel" in each for each in found.differences)
    assert "waitress: surplus absent -> 2.0" in found.differences
    assert not next(change for change in found.changes if change.cell.startswith("waitress")).unchanged


def test_another_python_of_a_server_and_another_setting_of_the_system_are_said() -> None:
    old = run(1)
    environment = replace(old.info.environments["waitress"], python="3.11.7")
    machine = replace(old.info.machine, sysctls={"net.core.somaxconn": "128", "only.here": "1"})
    known = replace(old.info.machine, sysctls={"net.core.somaxconn": "4096"})
    info = replace(old.info, machine=machine, environments={**old.info.environments, "waitress": environment})
    found = differences(replace(old.info, machine=known), info)
    before = old.info.environments["waitress"].python
    assert found == (
        "net.core.somaxconn: 4096 in the old run, 128 in the new",
        f"waitress: Python {before} -> 3.11.7",
    )


def test_cells_of_one_run_only_and_cells_that_failed_are_listed_and_not_compared() -> None:
    old = run(1)
    dead = tuple(
        replace(trial, status="failed", cpu_us_per_request=None) if trial.server == "waitress" else trial
        for trial in old.trials
    )
    new = make_run(replace(Making(seed=2, blocks=8, scenarios=("json",)), servers=QUICK[1:]))
    found = stats.compare_runs(replace(old, trials=dead), new, metric="cpu_us_per_request")
    assert [(gap.cell.split("/")[0], gap.kind) for gap in found.gaps] == [
        ("waitress", "missing"),
        ("gunicorn-gthread", "missing"),
    ]
    assert found.gaps[0].detail == "first run: failed in 8 of 8 blocks"
    assert found.gaps[1].detail == "second run: not measured"


def test_a_figure_is_compared_where_it_is_judged_and_loads_of_one_process_count_once() -> None:
    old, new = run(1, rates=(200.0,)), run(2, rates=(200.0,))
    loads = {
        metric: {change.cell.split("/")[3] for change in stats.compare_runs(old, new, metric=metric).changes}
        for metric in ("cpu_us_per_request", "rps", "p50_us")
    }
    assert loads == {
        "cpu_us_per_request": {"closed-64", "open-200"},
        "rps": {"closed-64"},  # the rate of an open load is given
        "p50_us": {"open-200"},  # at saturation it says how many connections waited
    }
    noisy = slower(run(2, rates=(200.0,)), "waitress", 1.5)
    factors = {one.id: 1 + 0.2 * place for place, one in enumerate(QUICK)}
    apart = replace(
        noisy,
        info=old.info,
        trials=tuple(
            replace(trial, cpu_us_per_request=(trial.cpu_us_per_request or 0) * factors[trial.server])
            for trial in noisy.trials
        ),
    )
    found = stats.compare_runs(old, apart, metric="cpu_us_per_request")
    assert {change.between_from for change in found.changes} == {5}, "of the five other servers, each in two loads"


def test_a_server_that_a_run_never_had_is_not_said_to_lack_a_rate() -> None:
    old = run(1, rates=(200.0,))
    fewer = run(2, rates=(200.0,), servers=QUICK[1:])
    other = run(2, rates=(300.0,))
    (_, gone) = stats.compare_runs(old, fewer, metric="cpu_us_per_request").gaps
    assert (gone.cell.split("/")[3], gone.detail) == ("open-200", "second run: not measured")
    gaps = stats.compare_runs(old, other, metric="cpu_us_per_request").gaps
    assert len(gaps) == 2 * len(QUICK)
    assert all("--rate-of" in gap.detail for gap in gaps)


def test_an_empty_run_and_runs_of_one_block_have_defined_answers() -> None:
    old = run(1)
    assert stats.compare_runs(old, replace(old, trials=()), metric="rps").changes == ()
    single = run(1, blocks=1)
    found = stats.compare_runs(single, single, metric="rps")
    assert {(change.comparison.verdict, change.comparison.low) for change in found.changes} == {("unknown", None)}


def test_noise_never_moves_delta_and_hides_no_clear_regression() -> None:
    loud = run(1, scatter=0.08)
    assert all("~control" not in cell for cell in stats.values_of(loud, "rps"))
    assert stats.compare_runs(loud, loud, metric="cpu_us_per_request").delta == stats.DELTA
    found = stats.compare_runs(loud, slower(run(2, scatter=0.08), "waitress", 2.0), metric="cpu_us_per_request")
    assert [change.cell.split("/")[0] for change in stats.worse_than(found, 0.05)] == ["waitress"]
