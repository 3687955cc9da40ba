"""Moderated variances: the formula by hand, holes in the table, wild cells, and what they promise on simulated data."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench import stats
from sgibench.stats.advice import Seen, more_blocks
from sgibench.stats.moderation import moderate, table_of


def cells_of(logs: np.ndarray) -> dict[str, dict[int, float]]:
    return {f"s{row}": dict(enumerate(np.exp(line).tolist())) for row, line in enumerate(logs)}


def ratio(table: stats.Table, a: str = "s0", b: str = "s1") -> stats.LogRatio:
    found = table.ratio(a, b)
    assert found is not None
    return found


def test_a_variance_is_only_ever_raised_and_a_high_one_owes_little_to_the_others() -> None:
    low, middle, high = moderate([0.01, 0.02, 0.09], [2, 2, 2])
    common = 0.04
    assert low.variance == pytest.approx((4 * common + 2 * 0.01) / 6)
    assert middle.variance == pytest.approx((4 * common + 2 * 0.02) / 6)
    assert high.variance == pytest.approx(0.09)
    assert high.degrees == pytest.approx(2 + 4 * common / 0.09)
    assert low.degrees == 6


def test_one_wild_variance_does_not_make_the_common_one() -> None:
    spreads = moderate([0.01] * 9 + [100.0], [2] * 10)
    assert spreads[0].variance < 0.02
    assert spreads[-1].variance == 100.0


def test_calm_cells_owe_wild_ones_nothing_where_the_blocks_show_that_they_are_unlike() -> None:
    calm, wild = [0.0025, 0.003], [0.6, 0.5, 0.7, 0.4, 0.6]
    spreads = moderate(calm + wild, [5] * 7)
    assert spreads[0].variance < 0.01
    assert 5 <= spreads[0].degrees < 7, "nearly all that is known of it is its own"
    assert [spread.variance for spread in spreads[2:]] == pytest.approx(wild, rel=0.35)
    few = moderate(calm + wild, [2] * 7)
    assert few[0].variance > 0.1, "three blocks can't show that, and nobody is believed to be calm"


@given(scale=st.floats(1e-6, 1e6), degrees=st.integers(1, 20))
def test_the_unit_of_variances_does_not_matter_and_alike_ones_keep_the_fixed_weight(scale: float, degrees: int) -> None:
    alike = moderate([scale] * 6, [degrees] * 6)
    assert [spread.degrees for spread in alike] == pytest.approx([degrees + 4] * 6)
    unlike = [0.001, 0.002, 0.3, 0.5, 0.4, 0.6]
    plain, scaled = moderate(unlike, [degrees] * 6), moderate([each * scale for each in unlike], [degrees] * 6)
    assert [one.variance * scale for one in plain] == pytest.approx([one.variance for one in scaled])


def test_two_calm_cells_among_wild_ones_are_told_apart_at_six_blocks_and_equal_ones_are_not() -> None:
    rng, found, wrong = np.random.default_rng(5), 0, 0
    for _run in range(60):
        logs = rng.normal(0, 0.8, (7, 6))
        logs[:2] *= 0.05
        equal = stats.rank(cells_of(logs), higher_is_better=False, control=None)
        wrong += len(equal.groups) > 1
        logs[1] += math.log(1.3)
        found += stats.rank(cells_of(logs), higher_is_better=False, control=None).apart("s0", "s1")
    assert found >= 40
    assert wrong <= 7


def test_with_equal_weights_the_system_is_the_formula_worked_out_by_hand() -> None:
    # Four cells, three blocks, the same scatter in each: weights stay equal, q_i = q, v = q (1 - 1/3) / (1 - 1/2).
    pattern = np.array([[1, -1, 0], [0, 1, -1], [-1, 0, 1], [0, 0, 0]]) * 0.03
    logs = pattern + np.array([[0.1, 0.5, -0.2]])
    residuals = logs - logs.mean(axis=1, keepdims=True) - logs.mean(axis=0) + logs.mean()
    q = (residuals**2).sum(axis=1) / 2
    wanted = np.maximum((q - q.sum() / 12) / (1 - 2 / 4), q / 4)
    assert wanted[0] == pytest.approx(wanted[1])
    spreads = table_of(cells_of(logs)).spreads
    assert spreads["s0"].variance == pytest.approx(spreads["s1"].variance)
    common = np.minimum(wanted, 12 * np.median(wanted)).mean()
    first_round = max(wanted[0], (4 * common + 2 * wanted[0]) / 6)
    assert spreads["s0"].variance == pytest.approx(first_round, rel=0.35), (
        "the second round weighs, and moves it little"
    )


def test_what_moves_a_whole_block_moves_no_interval() -> None:
    rng = np.random.default_rng(3)
    logs = rng.normal(0, 0.02, (6, 5))
    moved = logs + np.array([0.0, 1.0, -2.0, 0.5, 3.0])
    one, other = ratio(table_of(cells_of(logs))), ratio(table_of(cells_of(moved)))
    assert other.error == pytest.approx(one.error)
    assert other.mean == pytest.approx(one.mean)


def test_one_block_disturbed_in_one_cell_widens_that_cell_and_leaves_the_others_apart() -> None:
    rng = np.random.default_rng(5)
    logs = rng.normal(0, 0.02, (7, 6)) + np.log([1, 1.2, 1.5, 1.9, 2.4, 3, 3])[:, None]
    clean = table_of(cells_of(logs))
    logs[2, 4] += math.log(50)
    hurt = table_of(cells_of(logs))
    assert ratio(hurt, "s2", "s3").error > 5 * ratio(clean, "s2", "s3").error  # type: ignore[operator]
    assert ratio(hurt, "s0", "s1").error < 1.6 * ratio(clean, "s0", "s1").error  # type: ignore[operator]
    found = stats.rank(cells_of(logs), higher_is_better=False, control=("s5", "s6"))
    assert found.apart("s0", "s1")
    assert found.apart("s3", "s4")


def test_fewer_than_four_cells_are_compared_by_the_paired_t() -> None:
    cells = cells_of(np.random.default_rng(1).normal(0, 0.02, (3, 5)))
    table = table_of(cells)
    assert table.spreads == {}
    assert table.ratio("s0", "s1") == stats.log_ratio(cells["s0"], cells["s1"])


def test_cells_without_scatter_keep_it() -> None:
    table = table_of(cells_of(np.zeros((5, 4)) + np.arange(5)[:, None]))
    assert ratio(table).error == 0.0
    assert ratio(table).p_value == 0.0


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(2, 8),
    blocks=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 1),
    holes=st.floats(0, 0.6),
    scale=st.sampled_from([0.0, 1e-6, 0.02, 0.3]),
)
def test_any_holes_any_scatter_give_a_defined_answer(
    count: int, blocks: int, seed: int, holes: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    logs = rng.normal(0, scale, (count, blocks)) * rng.choice([1, 1, 10], (count, 1))
    cells = {
        name: {block: value for block, value in values.items() if rng.random() >= holes}
        for name, values in cells_of(logs).items()
    }
    table = table_of(cells)
    for a, b in product(cells, cells):
        found = table.ratio(a, b)
        shared = cells[a].keys() & cells[b].keys()
        assert (found is None) == (not shared)
        if found is not None and found.error is not None:
            assert math.isfinite(found.error)
            assert found.degrees >= 1
            assert found.blocks == len(shared)
            assert found.mean == pytest.approx(
                sum(math.log(cells[a][block] / cells[b][block]) for block in shared) / len(shared), abs=1e-9
            )
    rows = stats.rank(cells, higher_is_better=False, control=None).rows
    assert [row.place for row in rows] == sorted(row.place for row in rows)


def simulate(seed: int, count: int, blocks: int, runs: int, *, lost: float = 0.0) -> tuple[float, float]:
    """Equal cells: the share of tables with a false verdict, and of intervals of the first pair that cover 1."""
    rng, wrong, inside = np.random.default_rng(seed), 0, 0
    for _run in range(runs):
        cells = cells_of(rng.normal(0, 0.03, (count, blocks)) + rng.normal(0, 0.2, blocks))
        kept = {
            name: {block: value for block, value in values.items() if block < 2 or rng.random() >= lost}
            for name, values in cells.items()
        }
        found = stats.rank(kept, higher_is_better=False, control=None)
        wrong += len(found.groups) > 1
        pair = found.between("s0", "s1")
        inside += pair is not None and pair.low is not None and pair.low <= 1 <= (pair.high or 0)
    return wrong / runs, inside / runs


@pytest.mark.parametrize(("count", "blocks", "lost"), [(4, 3, 0.0), (5, 3, 0.0), (6, 6, 0.3)])
def test_equal_cells_are_rarely_told_apart_and_intervals_cover_also_with_missing_blocks(
    count: int, blocks: int, lost: float
) -> None:
    wrong, inside = simulate(11, count, blocks, 300, lost=lost)
    assert wrong <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 300)
    assert inside >= 0.95 - 2.6 * math.sqrt(0.05 * 0.95 / 300)


def test_three_blocks_of_six_servers_find_a_difference_that_the_paired_t_does_not() -> None:
    rng, found, paired = np.random.default_rng(2), 0, 0
    for _run in range(100):
        logs = rng.normal(0, 0.02, (6, 3))
        logs[1] += math.log(1.1)
        cells = cells_of(logs)
        found += stats.rank(cells, higher_is_better=False, control=None).apart("s0", "s1")
        names = sorted(cells)
        pairs = {(a, b): stats.log_ratio(cells[a], cells[b]) for a in names for b in names if a < b}
        judged = stats.holm({key: one for key, one in pairs.items() if one}, delta=0.02)
        paired += judged["s0", "s1"].verdict in {"faster", "slower"}
    assert found > 3 * paired
    assert found >= 50


def test_the_advice_about_more_blocks_comes_true_four_times_in_five() -> None:
    rng, right, given_advice = np.random.default_rng(4), 0, 0
    for _run in range(400):
        truth = rng.normal(0, 0.05)
        logs = truth + rng.normal(0, 0.04, 600)
        mean, error = float(logs[:6].mean()), float(logs[:6].std(ddof=1)) / math.sqrt(6)
        seen = stats.LogRatio(mean=mean, error=error, degrees=5, blocks=6)
        now = stats.judge(seen, delta=0.02)
        if now.verdict != "unknown" or now.more_blocks is None:
            continue
        given_advice += 1
        upto = 6 + now.more_blocks
        later = stats.LogRatio(
            mean=float(logs[:upto].mean()),
            error=float(logs[:upto].std(ddof=1)) / math.sqrt(upto),
            degrees=upto - 1,
            blocks=upto,
        )
        right += stats.judge(later, delta=0.02).verdict != "unknown"
    assert given_advice > 100
    assert right / given_advice >= 0.8 - 2.6 * math.sqrt(0.8 * 0.2 / given_advice)


def test_a_ratio_near_delta_needs_far_more_than_a_clear_one_and_a_hopeless_one_gets_no_advice() -> None:
    delta = math.log(1.02)
    border = more_blocks(Seen(mean=1.5 * delta, error=0.02, degrees=8, blocks=6), delta, alpha=0.05, level=0.05)
    clear = more_blocks(Seen(mean=0.2, error=0.05, degrees=8, blocks=6), delta, alpha=0.05, level=0.05 / 15)
    assert border is not None
    assert clear is not None
    assert clear < 20 < border
    for hopeless in (Seen(mean=delta, error=0.02, degrees=8, blocks=6), Seen(mean=0.0, error=2.0, degrees=8, blocks=6)):
        assert more_blocks(hopeless, delta, alpha=0.05, level=0.05) is None


def test_a_block_that_stands_out_is_seen_and_then_nobody_says_how_many_more_would_settle_it() -> None:
    rng, seen, by_chance, advised = np.random.default_rng(5), 0, 0, 0
    for _run in range(100):
        logs = rng.normal(0, 0.03, (6, 6)) + rng.normal(0, 0.2, 6)
        before = stats.rank(cells_of(logs), higher_is_better=False, control=None)
        by_chance += before.table.disturbed
        advised += any(pair.more_blocks for pair in before.verdicts.values())
        logs[rng.integers(6), rng.integers(6)] += 1.0
        after = stats.rank(cells_of(logs), higher_is_better=False, control=None)
        seen += after.table.disturbed
        if after.table.disturbed:
            assert not any(pair.more_blocks for pair in after.verdicts.values())
    assert by_chance <= 15
    assert advised >= 80
    assert seen >= 90
    assert not table_of(cells_of(rng.normal(0, 0.03, (6, 3)))).disturbed, "of three, none can be said to stand out"
