"""Repeated looks: the error spent over all of them stays what was promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtri

from sgibench import stats


def test_the_levels_are_those_of_the_published_boundaries() -> None:
    # Pocock-like spending, five equal looks, two-sided 5 %: 2.438, 2.427, 2.410, 2.397, 2.386
    # (Jennison and Turnbull, Group Sequential Methods, chapter 7; Lan and DeMets 1983).
    bounds = [-float(ndtri(level / 2)) for level in stats.nominal_levels((1, 2, 3, 4, 5))]
    assert bounds == pytest.approx([2.438, 2.427, 2.410, 2.397, 2.386], abs=0.001)


def test_one_look_gets_the_whole_error() -> None:
    assert stats.nominal_levels((8,), 0.05)[0] == pytest.approx(0.05, abs=1e-6)


def test_each_look_is_stricter_than_one_look_and_their_sum_is_at_least_the_error() -> None:
    levels = stats.nominal_levels(tuple(range(6, 21)), 0.05)
    assert max(levels) < 0.05
    assert sum(levels) > 0.05, "looks at the same data overlap"


@pytest.mark.parametrize("looks", [(), (0, 1), (6, 6), (8, 7)])
def test_looks_must_rise(looks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rising"):
        stats.nominal_levels(looks)


Pairs = dict[int, tuple[stats.Values, stats.Values]]


def ratios(found: Pairs) -> dict[int, stats.LogRatio]:
    return {key: ratio for key, (a, b) in found.items() if (ratio := stats.log_ratio(a, b)) is not None}


def pairs(rng: np.random.Generator, blocks: int, truths: list[float], sd: float) -> Pairs:
    base = np.exp(rng.normal(0, sd / math.sqrt(2), blocks))
    return {
        key: (dict(enumerate(truth * np.exp(rng.normal(0, sd / math.sqrt(2), blocks)))), dict(enumerate(base)))
        for key, truth in enumerate(truths)
    }


def first(found: Pairs, blocks: int) -> Pairs:
    return {key: ({i: a[i] for i in range(blocks)}, {i: b[i] for i in range(blocks)}) for key, (a, b) in found.items()}


def test_looking_after_every_block_at_equal_servers_rarely_finds_a_difference() -> None:
    rng, looks, runs = np.random.default_rng(7), tuple(range(6, 21)), 300
    wrong = 0
    for _run in range(runs):
        table = pairs(rng, 20, [1.0, 1.0, 1.0], sd=0.06)
        for at in looks:
            found = stats.look(ratios(first(table, at)), at=at, looks=looks, delta=0.02)
            if any(each.verdict in ("faster", "slower") for each in found.values()):
                wrong += 1
                break
            if stats.settled(found):
                break
    assert wrong / runs < 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / runs)


def test_a_large_difference_settles_at_the_first_look() -> None:
    table = pairs(np.random.default_rng(1), 6, [2.0, 0.5], sd=0.02)
    found = stats.look(ratios(table), at=6, looks=(6, 7, 8, 9, 10), delta=0.02)
    assert [found[0].verdict, found[1].verdict] == ["faster", "slower"]
    assert stats.settled(found)


def test_nothing_compared_is_not_settled_and_an_unplanned_look_is_refused() -> None:
    assert not stats.settled({})
    assert stats.look({}, at=6, looks=(6, 8), delta=0.02) == {}
    with pytest.raises(ValueError, match="no look was planned at 7 blocks, only at 6, 8"):
        stats.look({}, at=7, looks=(6, 8), delta=0.02)
