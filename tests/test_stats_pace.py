"""The pace of the servers' CPUs: what chance gave to one server is taken away, and nothing else is."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from sgibench import stats
from sgibench.model import Run, Slice, Trial
from sgibench.stats.pace import at_one_pace
from tests.results_maker import Making, make_run

BLOCKS, SLICES, SLICE_S = 6, 20, 0.04
COSTS = {"a": 40e-6, "b": 80e-6, "c": 160e-6, "d": 170e-6, "e": 60e-6, "f": 45e-6}
SLOPES = {"a": 0.3, "b": 0.5, "c": 0.8, "d": 0.8, "e": 0.6, "f": 0.5}
FAST_US, SLOWER = 4.0, 0.45
STARTS = 0.01
"""Two starts of one server differ by so much."""


def measured(seed: int, costs: dict[str, float] = COSTS, *, noise: float = 0.03, looked: bool = True) -> Run:
    """CPUs that are slow for 45 % more now and then, each server by its own power of that; nothing else differs."""
    dice = np.random.default_rng(seed)
    whole = make_run(Making(scenarios=("json",), control=False))
    base = next(one for one in whole.trials if one.load.kind == "closed" and one.status == "ok")
    trials: list[Trial] = []
    for block in range(BLOCKS):
        shared = dice.random()
        for server, cost in costs.items():
            slower = SLOWER * (dice.random(SLICES) < shared)
            each = cost * np.exp(
                STARTS * dice.standard_normal() + SLOPES[server] * slower + noise * dice.standard_normal(SLICES)
            )
            trials.append(of_slices(base, server, block, each, FAST_US * np.exp(slower) if looked else None))
    return replace(whole, trials=tuple(trials))


def of_slices(base: Trial, server: str, block: int, costs: np.ndarray, yards: np.ndarray | None) -> Trial:
    slices = tuple(
        Slice(
            round=place,
            window_s=SLICE_S,
            requests=round(SLICE_S / cost),
            cpu_s=float(round(SLICE_S / cost) * cost),
            yard_us=None if yards is None else float(yards[place]),
        )
        for place, cost in enumerate(costs)
    )
    requests, cpu_s = sum(one.requests for one in slices), sum(one.cpu_s or 0.0 for one in slices)
    return replace(
        base,
        server=server,
        cell=base.cell.replace(base.server, server, 1),
        block=block,
        slices=slices,
        requests=requests,
        cpu_s=cpu_s,
        cpu_us_per_request=cpu_s / requests * 1e6,
        rps=requests / (SLICE_S * SLICES),
    )


def ratio_error(run: Run, metric: str, one: str = "c", other: str = "d") -> float:
    """Of the mean ratio of two servers, how far it lies from the truth, in log space."""
    found = {cell.split("/")[0]: values for cell, values in stats.values_of(run, metric).items()}  # type: ignore[arg-type]
    seen = np.mean([math.log(found[one][block] / found[other][block]) for block in range(BLOCKS)])
    truth = math.log(COSTS[one] / COSTS[other]) * (-1 if metric == "rps" else 1)
    return float(seen - truth)


@pytest.mark.parametrize("metric", ["cpu_us_per_request", "rps"])
def test_what_a_slow_cpu_did_to_one_server_by_chance_is_taken_away(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [ratio_error(measured(seed), metric) for seed in range(60)]
    monkeypatch.setattr("sgibench.stats.parts.at_one_pace", tuple)
    plain = [ratio_error(measured(seed), metric) for seed in range(60)]
    assert np.std(told) < 0.7 * np.std(plain)
    assert abs(np.mean(told)) < 4 * np.std(told) / math.sqrt(len(told)) + 0.002, "no server is favoured"


def test_intervals_hold_the_true_ratio_as_often_as_they_say_and_are_narrower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of servers to which a slow CPU means more, or less: where the blocks' paces differ, that is scatter."""

    def ratios() -> tuple[np.ndarray, np.ndarray]:
        """Means and half-widths, of shape (runs, pairs of servers)."""
        found = []
        for seed in range(80):
            table = stats.table_of(cells := stats.values_of(measured(seed), "cpu_us_per_request"))
            pairs = [ratio for pair in combinations(cells, 2) if (ratio := table.ratio(*pair)) is not None]
            found.append([(one.mean, float(student.ppf(0.975, one.degrees)) * (one.error or 0)) for one in pairs])
        return np.array(found)[:, :, 0], np.array(found)[:, :, 1]

    told, told_half = ratios()
    monkeypatch.setattr("sgibench.stats.parts.at_one_pace", tuple)
    plain, plain_half = ratios()
    truth = plain.mean(axis=0)  # over all runs: a slow half of a block weighs as its answers do, which no formula says
    assert 0.92 < (abs(told - truth) <= told_half).mean() < 0.98
    assert np.median(told_half) < 0.8 * np.median(plain_half)


def test_the_mean_of_all_servers_and_blocks_stays_where_it_was() -> None:
    run = measured(3, {"c": COSTS["c"], "d": COSTS["d"]})  # alike in how much a slow CPU means to them
    before, after = (
        np.mean([math.log(one.cpu_us_per_request or 0.0) for one in trials])
        for trials in (run.trials, at_one_pace(run.trials))
    )
    assert after == pytest.approx(before, abs=0.005)


def test_a_server_that_costs_more_where_its_cpu_is_as_fast_still_does() -> None:
    run = measured(1, {**COSTS, "d": COSTS["c"] * 1.05})
    found = {cell.split("/")[0]: values for cell, values in stats.values_of(run, "cpu_us_per_request").items()}
    ratio = np.mean([math.log(found["d"][block] / found["c"][block]) for block in range(BLOCKS)])
    assert math.exp(ratio) == pytest.approx(1.05, abs=0.02)


def test_nothing_changes_without_a_yardstick_or_where_it_explains_nothing() -> None:
    unseen = measured(2, looked=False)
    assert at_one_pace(unseen.trials) == unseen.trials
    dice = np.random.default_rng(5)
    steady = [
        replace(one, slices=tuple(replace(each, yard_us=4 + 0.001 * dice.random()) for each in one.slices))
        for one in measured(2).trials
    ]
    for before, after in zip(steady, at_one_pace(steady), strict=True):
        assert after.rps == pytest.approx(before.rps, rel=0.01)


def test_open_loops_failed_trials_and_latencies_stay_as_they_are() -> None:
    run = measured(4)
    failed = replace(run.trials[0], status="failed")
    opened = replace(run.trials[1], load=replace(run.trials[1].load, kind="open", rate_per_s=100.0))
    told = at_one_pace((failed, opened, *run.trials[2:]))
    assert told[:2] == (failed, opened)
    assert [one.latency_us for one in told] == [one.latency_us for one in (failed, opened, *run.trials[2:])]


@pytest.mark.parametrize("field", ["yard_us", "cpu_s", "window_s", "requests"])
@pytest.mark.parametrize("odd", [0, -4, math.nan, math.inf, 1e308, 5e-324, 10**400])
@pytest.mark.parametrize("everywhere", [False, True])
def test_odd_numbers_in_a_file_break_nothing(field: str, odd: float, *, everywhere: bool) -> None:
    changed: dict[str, Any] = {field: odd}

    def bent(trial: Trial, each: Slice) -> Slice:
        return replace(each, **changed) if each.round == 1 or (everywhere and trial.block == 2) else each

    trials = [replace(one, slices=tuple(bent(one, each) for each in one.slices)) for one in measured(6).trials]
    for one in at_one_pace(trials):
        assert one.rps is not None
        assert 0 < one.rps < math.inf


def test_a_yardstick_that_can_be_none_or_slices_that_are_not_the_whole_change_nothing() -> None:
    run = measured(8)
    forged = tuple(
        replace(one, slices=tuple(replace(each, yard_us=(each.yard_us or 1) * 1000) for each in one.slices))
        if one.server == "a"
        else one
        for one in run.trials
    )
    assert at_one_pace(forged) == forged
    half = [replace(one, slices=one.slices[::2]) if one.server == "b" else one for one in run.trials]
    changed = {one.server for one, after in zip(half, at_one_pace(half), strict=True) if after != one}
    assert changed == set(COSTS) - {"b"}


def test_a_server_with_few_slices_is_told_by_its_own_slope_where_that_is_sure() -> None:
    """It burns the same CPU time however fast its CPU is; the others' slopes are not its own."""
    run = measured(9)
    few = []
    for one in run.trials:
        if one.server == "d":
            kept = [replace(each, round=place) for place, each in enumerate(one.slices[:4])]
            flat = tuple(replace(each, requests=1000, cpu_s=0.2 * (1 + 0.002 * (each.round - 1.5))) for each in kept)
            few.append(replace(one, slices=flat, requests=4000, cpu_s=0.8, cpu_us_per_request=200.0))
        else:
            few.append(one)
    for one in at_one_pace(few):
        if one.server == "d":
            assert one.cpu_us_per_request == pytest.approx(200.0, rel=0.01)


def test_trials_whose_yardsticks_are_worlds_apart_are_told_in_finite_numbers() -> None:
    def far(trial: Trial, each: Slice) -> Slice:
        return replace(each, yard_us=(each.yard_us or 1) * 1e-8 ** (trial.block % 2))

    apart = [replace(one, slices=tuple(far(one, each) for each in one.slices)) for one in measured(7).trials]
    assert all(0 < (one.cpu_us_per_request or 0) < math.inf for one in at_one_pace(apart))
