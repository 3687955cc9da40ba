"""The scalability law, fitted to curves whose parameters are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from sgibench.stats import usl
from sgibench.stats.usl import Point

LOADS = (1, 2, 4, 8, 12, 16, 24, 32)


def curve(
    gamma: float, alpha: float, beta: float, *, noise: float = 0.0, seed: int = 1, blocks: int = 3
) -> list[Point]:
    return scattered(lambda n: gamma * n / (1 + alpha * (n - 1) + beta * n * (n - 1)), noise, seed, blocks)


def scattered(
    truth: Callable[[float], float], noise: float, seed: int, blocks: int = 3, *, swings: float = 0.0
) -> list[Point]:
    """Points around a law; `swings` moves whole blocks."""
    rng = np.random.default_rng(seed)
    moved = rng.normal(0, swings, blocks) if swings else np.zeros(blocks)
    return [
        Point(n, truth(n) * math.exp(moved[block] + (rng.normal(0, noise) if noise else 0.0)), block)
        for block in range(blocks)
        for n in LOADS
    ]


def test_a_curve_without_noise_gives_back_its_parameters() -> None:
    found = usl.fit(curve(1000, 0.05, 0.001))
    assert found is not None
    assert (found.gamma.value, found.alpha.value, found.beta.value) == pytest.approx((1000, 0.05, 0.001), rel=1e-4)
    assert found.peak is not None
    assert found.peak.value == pytest.approx(math.sqrt(0.95 / 0.001), rel=1e-4)
    assert found.error == pytest.approx(0, abs=1e-6)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = np.zeros(3)
    kept = 0
    for seed in range(200):
        found = usl.fit(curve(1000, 0.05, 0.001, noise=0.02, seed=seed))
        if found is None:
            continue
        kept += 1
        named = ((found.gamma, 1000), (found.alpha, 0.05), (found.beta, 0.001))
        covered += [each.low <= truth <= each.high for each, truth in named]
    assert kept >= 180, "a law that fits is refused once in twenty"
    assert all(0.89 <= share <= 1 for share in covered / kept)


@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(lambda n: 1000.0 * min(n, 8), id="flat after 8"),
        pytest.param(lambda n: 1000.0 * min(n, 8) * (1.0 if n <= 12 else 0.6), id="a step down"),
        pytest.param(lambda n: 1000.0 * n if n <= 16 else 4000.0, id="a cliff"),
    ],
)
def test_a_law_that_the_scatter_refutes_is_not_fitted(truth: Callable[[float], float]) -> None:
    refused = sum(usl.fit(scattered(truth, 0.02, seed)) is None for seed in range(50))
    assert refused >= 48
    assert usl.testable(scattered(truth, 0.02, 1))


@pytest.mark.parametrize("swings", [0.1, 0.3])
def test_a_machine_that_is_slow_for_a_block_bends_no_curve_and_hides_no_lack_of_fit(swings: float) -> None:
    flat = [scattered(lambda n: 1000.0 * min(n, 8), 0.01, seed, swings=swings) for seed in range(40)]
    assert sum(usl.fit(points) is None for points in flat) >= 39
    law = [
        usl.fit(scattered(lambda n: 1000 * n / (1 + 0.05 * (n - 1) + 0.001 * n * (n - 1)), 0.01, seed, swings=swings))
        for seed in range(60)
    ]
    kept = [found for found in law if found is not None]
    assert len(kept) >= 50, "a law that fits is refused once in twenty"
    assert sum(found.alpha.low <= 0.05 <= found.alpha.high for found in kept) >= 0.85 * len(kept)
    assert sum(found.gamma.low <= 1000 <= found.gamma.high for found in kept) >= 0.85 * len(kept)
    assert all(found.alpha.high - found.alpha.low < 0.03 for found in kept), "and is known as sharply as without"


def test_without_repeats_nothing_can_show_that_the_law_does_not_fit() -> None:
    assert usl.fit(curve(1000, 0.05, 0.001, noise=0.02, blocks=1)) is None
    assert not usl.testable(curve(1000, 0.05, 0.001, blocks=1))
    assert usl.fit(curve(1000, 0.05, 0.001, noise=0.02, blocks=2)) is not None


def test_perfect_scaling_has_no_contention_and_may_have_no_peak() -> None:
    found = usl.fit(curve(500, 0.0, 0.0, noise=0.01))
    assert found is not None
    assert found.alpha.low == found.beta.low == 0
    assert found.alpha.value < 0.02
    assert found.peak is None or found.peak.high == math.inf


def test_fewer_than_six_points_are_no_curve() -> None:
    points = curve(1000, 0.05, 0.001)
    assert usl.fit([point for point in points if point.n in LOADS[:5]]) is None
    assert usl.fit([point for point in points if point.n in LOADS[:6]]) is not None


def test_a_failed_point_is_no_throughput() -> None:
    assert usl.fit([*curve(1000, 0.05, 0.001), Point(64, 0.0, 0)]) is None


def test_a_prediction_says_when_it_goes_beyond_what_was_measured() -> None:
    found = usl.fit(curve(1000, 0.05, 0.001))
    assert found is not None
    assert not found.at(20).extrapolated
    assert found.at(64).extrapolated
    assert found.at(1).per_s == pytest.approx(1000, rel=1e-4)


def test_the_same_points_give_the_same_interval() -> None:
    points = curve(1000, 0.05, 0.001, noise=0.02)
    assert usl.fit(points) == usl.fit(points)
