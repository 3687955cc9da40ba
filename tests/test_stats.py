"""The judgement on samples worked out by hand, and on simulated data whose truth is known."""

from __future__ import annotations

import math
import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench import stats
from sgibench.model import Comparison

T_2_975 = 4.302653  # Student's t, 2 degrees of freedom, 97.5 %
T_5_975 = 2.570582


def around(centre: float, logs: list[float]) -> dict[int, float]:
    """Blocks whose values are `centre` times exp of each number."""
    return {block: centre * math.exp(x) for block, x in enumerate(logs)}


def compared(a: stats.Values, b: stats.Values, **options: object) -> Comparison:
    found = stats.compare(a, b, delta=0.02, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


# --- estimates -----------------------------------------------------------------------------------------------------


def test_an_estimate_is_the_geometric_mean_with_students_interval_in_log_space() -> None:
    found = stats.estimate([100.0, 200.0, 400.0])
    assert found is not None
    assert found.value == pytest.approx(200.0)
    half = T_2_975 * math.log(2) / math.sqrt(3)
    assert found.low == pytest.approx(200 * math.exp(-half), rel=1e-6)
    assert found.high == pytest.approx(200 * math.exp(half), rel=1e-6)
    assert found.blocks == 3


def test_one_block_has_a_value_and_no_interval() -> None:
    found = stats.estimate([123.0])
    assert found is not None
    assert found.value == pytest.approx(123.0)
    assert (found.low, found.high, found.blocks) == (None, None, 1)


def test_no_value_at_all_is_no_estimate() -> None:
    assert stats.estimate([]) is None
    assert stats.estimate([0.0, math.nan, math.inf, -3.0]) is None


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = stats.estimate([50.0] * 5)
    assert found is not None
    assert found.low == found.high == pytest.approx(50.0)


def test_a_zero_is_a_failed_block_and_not_a_number() -> None:
    assert stats.estimate([0.0, 100.0, 100.0]) == stats.estimate([100.0, 100.0])


# --- comparisons ---------------------------------------------------------------------------------------------------


def test_a_ratio_is_taken_inside_blocks_so_that_a_slow_block_cancels() -> None:
    b = around(1000, [0.0, -0.5, 0.3, 0.1, -0.2, 0.4])
    a = {block: value * 1.10 for block, value in b.items()}
    found = compared(a, b)
    assert found.ratio == pytest.approx(1.10)
    assert found.verdict == "faster"


def test_the_interval_of_a_ratio_is_the_one_worked_out_by_hand() -> None:
    found = compared(around(1, [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]), around(1, [0.0] * 6))
    half = T_5_975 * math.sqrt(0.00035) / math.sqrt(6)
    assert found.ratio == pytest.approx(math.exp(0.035))
    assert found.low == pytest.approx(math.exp(0.035 - half), rel=1e-6)
    assert found.high == pytest.approx(math.exp(0.035 + half), rel=1e-6)


def test_faster_means_better_whichever_way_the_figure_points() -> None:
    a, b = around(110, [0.001, 0.0, 0.002, 0.0, 0.001, 0.0]), around(100, [0.0] * 6)
    assert compared(a, b, higher_is_better=True).verdict == "faster"
    assert compared(a, b, higher_is_better=False).verdict == "slower"
    assert compared(b, a, higher_is_better=False).verdict == "faster"


def test_an_interval_inside_delta_is_a_tie() -> None:
    noise = [0.004, -0.004, 0.003, -0.003, 0.002, -0.002]
    found = compared(around(100, noise), around(100, [0.0] * 6))
    assert (found.verdict, found.more_blocks) == ("tie", None)


def test_a_small_but_certain_difference_within_delta_is_a_tie() -> None:
    found = compared(around(101, [0.0001 * i for i in range(6)]), around(100, [0.0] * 6))
    assert found.low is not None
    assert found.low > 1
    assert found.verdict == "tie"


def test_unknown_says_how_many_more_blocks_would_settle_it_four_times_in_five() -> None:
    noise = [0.04, -0.04, 0.04, -0.04, 0.04, -0.04]
    found = compared(around(103, noise), around(100, [0.0] * 6))
    assert found.verdict == "unknown"
    # sd 0.0438, ratio ln 1.03: t(n-1) * 0.0438 / sqrt(n) < 0.0296 holds from n = 11 on, were both known for sure
    assert found.more_blocks is not None
    assert found.more_blocks > 5


def test_unknown_near_delta_takes_many_more_blocks() -> None:
    found = compared(around(101.95, [0.03, -0.03] * 3), around(100, [0.0] * 6))
    assert found.verdict == "unknown"
    assert found.more_blocks is not None
    assert found.more_blocks > 50


def test_one_block_is_unknown_and_asks_for_the_standard_number() -> None:
    found = compared({0: 300.0}, {0: 100.0})
    assert (found.verdict, found.low, found.high, found.more_blocks) == ("unknown", None, None, 5)
    assert found.ratio == pytest.approx(3.0)


def test_three_blocks_claim_no_tie_and_only_what_is_clearly_different() -> None:
    equal = around(100, [0.0, 0.001, -0.001])
    assert compared(equal, around(100, [0.0] * 3)).verdict == "unknown"
    barely = around(105, [0.0, 0.01, -0.01])  # interval from 1.024
    assert compared(barely, around(100, [0.0] * 3)).verdict == "faster"
    near = around(104, [0.0, 0.01, -0.01])  # interval from 1.014: clear of 1, not of delta
    found = compared(near, around(100, [0.0] * 3))
    assert found.low is not None
    assert 1 < found.low < 1.02
    assert found.verdict == "unknown"


def test_zero_variance_gives_a_verdict_by_the_ratio_alone() -> None:
    assert compared(around(100, [0.0] * 6), around(100, [0.0] * 6)).verdict == "tie"
    assert compared(around(110, [0.0] * 6), around(100, [0.0] * 6)).verdict == "faster"


def test_a_block_missing_in_one_cell_is_left_out_of_both() -> None:
    a = around(110, [0.0, 0.01, 0.0, 0.01, 0.0, 0.01, 0.0])
    b = around(100, [0.0] * 7)
    lost = {block: value for block, value in b.items() if block != 6}
    assert compared(a, lost).blocks == 6
    assert compared(a, {**lost, 6: 0.0}) == compared(a, lost)


def test_a_baseline_that_failed_gives_no_comparison() -> None:
    assert stats.compare(around(100, [0.0] * 6), {}, delta=0.02) is None
    assert stats.compare({0: 1.0}, {1: 1.0}, delta=0.02) is None


# --- Holm ----------------------------------------------------------------------------------------------------------


def test_holm_steps_down_as_in_the_worked_example() -> None:
    levels = stats.holm_levels({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}, alpha=0.05)
    rejected = {key for key, p in {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}.items() if p <= levels[key]}
    assert rejected == {"a", "d"}
    assert levels["d"] == pytest.approx(0.0125)
    assert levels["a"] == pytest.approx(0.05 / 3)


def test_holm_takes_back_a_verdict_that_only_one_of_many_looks_would_give() -> None:
    a, b = around(103, [0.03, -0.02, 0.01, 0.02, -0.01, 0.0]), around(100, [0.0] * 6)
    assert compared(a, b).verdict == "faster"
    flat = around(100, [0.03, -0.03, 0.02, -0.02, 0.01, -0.01])
    pairs = {"real": stats.log_ratio(a, b), **{f"none{i}": stats.log_ratio(flat, b) for i in range(9)}}
    table = stats.holm({name: ratio for name, ratio in pairs.items() if ratio is not None}, delta=0.02)
    assert table["real"].verdict == "unknown"
    assert table["real"].low == compared(a, b).low


# --- ranking -------------------------------------------------------------------------------------------------------


def noisy(centre: float, seed: int, blocks: int = 10, sd: float = 0.01) -> dict[int, float]:
    source = random.Random(seed)
    return {block: centre * math.exp(source.gauss(0, sd)) for block in range(blocks)}


def test_cells_that_are_not_told_apart_share_a_place() -> None:
    cells = {"a": noisy(1000, 1), "b": noisy(1002, 2), "c": noisy(500, 3), "d": noisy(499, 4)}
    found = stats.rank(cells, higher_is_better=True, control=None)
    assert [set(group) for group in found.groups] == [{"a", "b"}, {"c", "d"}]
    assert [row.place for row in found.rows] == [1, 1, 3, 3]
    assert [row.worst_place for row in found.rows] == [2, 2, 4, 4]


def test_lower_is_better_turns_the_order_round() -> None:
    cells = {"a": noisy(1000, 1), "c": noisy(500, 3)}
    found = stats.rank(cells, higher_is_better=False, control=None)
    assert [row.cell for row in found.rows] == ["c", "a"]
    assert found.versus_best["a"].verdict == "slower"
    assert found.versus_best["a"].ratio == pytest.approx(2.0, rel=0.05)


def test_a_chain_in_which_only_the_ends_differ_keeps_the_ends_apart() -> None:
    steady = [0.01, -0.01] * 3
    cells = {
        "first": around(106, steady),
        "middle": around(103, [0.05, -0.05, 0.04, -0.04, 0.05, -0.05]),
        "last": around(100, steady),
    }
    found = stats.rank(cells, higher_is_better=True, control=None)
    places = {row.cell: (row.place, row.best_place, row.worst_place) for row in found.rows}
    assert places == {"first": (1, 1, 2), "middle": (1, 1, 3), "last": (3, 2, 3)}


def test_a_place_never_claims_more_than_the_verdicts() -> None:
    cells = {f"s{i:02}": noisy(1000 * 1.02**i, i, blocks=6, sd=0.02) for i in range(12)}
    found = stats.rank(cells, higher_is_better=True, control=None)
    names = [row.cell for row in found.rows]
    pairs = {(a, b): pair for i, a in enumerate(names) for b in names[i + 1 :] if (pair := found.between(a, b))}
    place = {row.cell: row.place for row in found.rows}
    assert [row.place for row in found.rows] == sorted(row.place for row in found.rows)
    assert all(place[a] < place[b] for (a, b), pair in pairs.items() if pair.verdict == "faster")
    assert all(row.place == 1 + sum(place[other] < row.place for other in place) for row in found.rows), "1, 1, 3"
    assert all((row.best_place or 0) <= row.place <= (row.worst_place or 0) for row in found.rows)
    assert len(found.groups) > 1


def test_a_loud_control_leaves_delta_where_it_was_fixed() -> None:
    loud = around(100, [0.1, -0.1] * 3)
    cells = {"a": around(100, [0.0] * 6), "a~control": loud, "b": around(110, [0.0] * 6)}
    found = stats.rank(cells, higher_is_better=True, control=("a", "a~control"))
    assert found.delta == stats.DELTA
    assert found.noise_floor is not None
    assert found.noise_floor.low is not None
    assert found.noise_floor.low < 1 / 1.05, "the noise is told"
    assert found.versus_best["a"].verdict == "slower", "and makes no tie of ten per cent"
    wider = stats.rank(cells, higher_is_better=True, control=("a", "a~control"), delta=0.2)
    assert wider.versus_best["a"].verdict == "tie"
    assert stats.rank(cells, higher_is_better=True, control=("a", "missing")).noise_floor is None


def test_nobody_gains_by_failing_while_the_machine_is_slow() -> None:
    machine = [0.0, 0.02, 1.5, 1.2, -0.01, 1.4]
    truth = {"third": 150.0, "first": 100.0, "second": 120.0, "fourth": 180.0, "last": 400.0}
    cells = {
        name: {
            block: centre * math.exp(moved + 0.01 * math.sin(7 * block + centre)) for block, moved in enumerate(machine)
        }
        for name, centre in truth.items()
    }
    cells["third"] = {block: value for block, value in cells["third"].items() if machine[block] < 1}
    for better in (False, True):
        found = stats.rank(cells, higher_is_better=better, control=None)
        order = ["first", "second", "third", "fourth", "last"]
        assert [row.cell for row in found.rows] == (order[::-1] if better else order)
        assert [row.place for row in found.rows] == [1, 2, 3, 4, 5]
        assert all(pair.verdict == "faster" for pair in found.verdicts.values())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), cells=st.integers(2, 7), blocks=st.integers(2, 7))
def test_who_is_surely_ahead_stands_before_whatever_blocks_are_missing(
    data: st.DataObject, cells: int, blocks: int
) -> None:
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    machine = [dice.gauss(0, 1) for _ in range(blocks)]
    table = {
        f"s{one}": {
            block: math.exp(one * 0.1 + moved + dice.gauss(0, 0.01))
            for block, moved in enumerate(machine)
            if dice.random() < 0.6
        }
        for one in dice.sample(range(cells), cells)
    }
    found = stats.rank(table, higher_is_better=False, control=None)
    place = {row.cell: row.place for row in found.rows}
    assert list(found.verdicts) == [pair for pair in combinations(place, 2) if pair in found.verdicts]
    assert list(place.values()) == sorted(place.values())
    for (first, second), pair in found.verdicts.items():
        assert pair.verdict != "slower"
        assert pair.verdict != "faster" or (place[first] < place[second] and first < second)
        assert pair.blocks == len(table[first].keys() & table[second].keys())
        assert pair.blocks or pair.verdict == "faster"


def test_who_is_ahead_of_one_that_is_ahead_of_a_third_is_ahead_of_that_without_a_shared_block() -> None:
    wave = [0.01, -0.01, 0.012, -0.008, 0.009, -0.011]
    middle = around(200, wave)
    first = {block: value for block, value in around(100, wave[::-1]).items() if block < 3}
    last = {block: value for block, value in around(400, wave[::-1]).items() if block >= 3}
    for better in (False, True):
        found = stats.rank({"first": first, "middle": middle, "last": last}, higher_is_better=better, control=None)
        order = ["last", "middle", "first"] if better else ["first", "middle", "last"]
        assert [(row.cell, row.place, row.worst_place) for row in found.rows] == [
            (cell, place, place) for place, cell in enumerate(order, 1)
        ]
        pair = found.between("first", "last")
        assert pair
        assert (pair.blocks, pair.low, pair.high) == (0, None, None)
        assert pair.ratio == pytest.approx(0.25, rel=0.03)
        assert pair.verdict == ("slower" if better else "faster")
    alone = stats.rank({"first": first, "last": last}, higher_is_better=False, control=None)
    assert alone.between("first", "last") is None, "nothing else says so"
    assert [row.place for row in alone.rows] == [1, 1]


def test_verdicts_over_other_blocks_that_go_round_in_a_circle_still_give_each_a_place() -> None:
    a = {block: 100.0 + block % 2 for block in range(8)} | {block: 300.0 + block % 2 for block in range(16, 24)}
    b = {block: 130.0 + block % 2 for block in range(16)}
    c = {block: 200.0 + block % 2 for block in range(8, 24)}
    found = stats.rank({"a": a, "b": b, "c": c}, higher_is_better=False, control=None)
    assert found.apart("a", "b")
    assert found.apart("b", "c")
    assert found.apart("c", "a")
    assert len({row.place for row in found.rows}) == 3


def test_a_cell_that_failed_in_every_block_has_no_place() -> None:
    found = stats.rank({"a": noisy(100, 1), "dead": {}}, higher_is_better=True, control=None)
    assert [row.cell for row in found.rows] == ["a"]
    assert found.unranked == ("dead",)
    assert found.versus_best == {}


def test_an_empty_table_is_an_empty_ranking() -> None:
    found = stats.rank({}, higher_is_better=True, control=None)
    assert (found.rows, found.groups, found.unranked) == ((), (), ())


def test_one_block_ranks_nothing() -> None:
    found = stats.rank({"a": {0: 900.0}, "b": {0: 100.0}}, higher_is_better=True, control=None)
    assert [row.place for row in found.rows] == [1, 1]
    assert found.versus_best["b"].verdict == "unknown"


# --- percentiles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("q", "enough"), [(0.5, 20), (0.9, 100), (0.99, 1_000), (0.999, 10_000)])
def test_a_percentile_needs_samples_behind_it(q: float, enough: int) -> None:
    assert stats.percentile_allowed(q, enough)
    assert not stats.percentile_allowed(q, enough - 1)


def test_a_percentile_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        stats.percentile_allowed(99, 1000)


# --- simulated data whose truth is known ---------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [3, 6, 10])
def test_intervals_of_a_ratio_cover_the_truth_as_often_as_they_say(blocks: int) -> None:
    source, runs, inside = random.Random(blocks), 2000, 0
    for _ in range(runs):
        drift = [source.gauss(0, 0.2) for _ in range(blocks)]
        a = around(105, [x + source.gauss(0, 0.02) for x in drift])
        b = around(100, [x + source.gauss(0, 0.02) for x in drift])
        found = compared(a, b)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 1.05 <= found.high
    assert 0.93 <= inside / runs <= 0.97


def test_a_table_of_equal_servers_is_rarely_told_apart() -> None:
    source, runs, wrong = random.Random(5), 400, 0
    for _ in range(runs):
        cells = {f"s{i}": around(100, [source.gauss(0, 0.06) for _ in range(6)]) for i in range(7)}
        wrong += len(stats.rank(cells, higher_is_better=True, control=None).groups) > 1
    assert wrong / runs <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / runs)


def test_five_per_cent_more_cost_is_found_at_ten_blocks_with_the_methods_noise() -> None:
    source, runs, found = random.Random(9), 200, 0
    for _ in range(runs):
        a = around(105, [source.gauss(0, 0.015) for _ in range(10)])
        b = around(100, [source.gauss(0, 0.015) for _ in range(10)])
        found += compared(a, b, higher_is_better=False).verdict == "slower"
    assert found / runs > 0.95


def test_absurd_values_are_failed_blocks_and_never_an_overflow() -> None:
    absurd = {0: 1e308, 1: 1e-308, 2: math.nan, 3: -5.0, 4: math.inf}
    assert stats.estimate(list(absurd.values())) is None
    assert stats.compare(absurd, around(100, [0.0] * 5), delta=0.02) is None
    wide = stats.estimate([1e-9, 1e15])
    assert wide is not None
    assert wide.high is not None
    assert math.isfinite(wide.high)
    assert stats.rank({"a": absurd, "b": {0: 1.0}}, higher_is_better=True, control=None).unranked == ("a",)
