"""Schedules of arrivals are what they say, and nothing that happens later bends them."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sgibench.load.pacing import Rate, Schedule, burst_ns, due_times_ns
from sgibench.load.request import spread
from sgibench.model import Arrivals


def moments(rate: Rate, arrivals: Arrivals, count: int, seed: int = 1) -> NDArray[np.float64]:
    """The first arrivals, in seconds."""
    found: list[float] = []
    for chunk in due_times_ns(rate, arrivals, seed):
        found += (chunk / 1e9).tolist()
        if len(found) >= count:
            break
    return np.array(found[:count])


def test_uniform_arrivals_come_at_equal_distances_from_the_beginning_on() -> None:
    assert moments(100, "uniform", 10_000) == pytest.approx(np.arange(10_000) / 100, abs=1e-8)


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(moments(1000, "poisson", 100_001))
    assert gaps.mean() == pytest.approx(1e-3, rel=0.02)
    assert gaps.std() == pytest.approx(1e-3, rel=0.02)  # an exponential's deviation is its mean
    assert (gaps > 2e-3).mean() == pytest.approx(np.exp(-2), rel=0.05)


def test_poisson_counts_vary_as_much_as_their_mean() -> None:
    times = moments(200, "poisson", 100_000)
    counts = np.bincount(times.astype(int))[:-1]
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.15)


def test_the_same_seed_gives_the_same_arrivals_and_another_does_not() -> None:
    assert moments(50, "poisson", 500, seed=3).tolist() == moments(50, "poisson", 500, seed=3).tolist()
    assert moments(50, "poisson", 500, seed=3).tolist() != moments(50, "poisson", 500, seed=4).tolist()


@pytest.mark.parametrize("arrivals", ["uniform", "poisson"])
def test_a_ramp_brings_as_many_arrivals_as_the_area_under_it(arrivals: Arrivals) -> None:
    times = moments(lambda t: 1000 * t, arrivals, 30_000)
    for until_s, area in ((1, 500), (2, 2000), (5, 12_500)):
        assert (times <= until_s).sum() == pytest.approx(area, abs=1 if arrivals == "uniform" else 4 * area**0.5)


def test_a_step_and_a_pause_take_effect_when_they_say() -> None:
    def rate(t: float) -> float:
        return 100.0 if t < 2 else 0.0 if t < 5 else 400.0

    times = moments(rate, "uniform", 1000)
    assert (times < 2).sum() == pytest.approx(200, abs=1)
    assert ((times > 2.01) & (times < 4.99)).sum() == 0
    assert ((times >= 5) & (times < 6)).sum() == pytest.approx(400, abs=1)


def test_a_rate_that_stays_at_nothing_ends_the_schedule() -> None:
    schedule = Schedule(lambda t: 10.0 if t < 1 else 0.0, "uniform", 1, start_ns=0)
    taken = [schedule.take() for _ in range(10)]
    assert taken[-1] < 1.001e9
    assert schedule.next_ns == Schedule.NEVER


@pytest.mark.parametrize("rate", [0, -1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="expected a rate above 0"):
        next(due_times_ns(rate, "uniform", 1))


def test_a_schedule_gives_its_moments_in_order_whatever_the_time_is() -> None:
    schedule = Schedule(1000.0, "uniform", 1, start_ns=10**12)
    assert schedule.overdue(10**12 + 10_500_000) == 11  # those at 0, 1, …, 10 ms
    taken = [schedule.take() for _ in range(10_000)]
    assert taken == sorted(taken)
    assert taken[0] == 10**12
    assert taken[-1] == pytest.approx(10**12 + 9.999e9, abs=10)


def test_chunks_join_without_a_seam() -> None:
    for arrivals in ("uniform", "poisson"):
        first, second = islice(due_times_ns(10.0, arrivals, 5), 2)
        assert 0 <= second[0] - first[-1] < 5e9


def test_stretches_of_whole_periods_and_a_bit_hold_their_share_when_schedules_begin_anywhere_in_a_period() -> None:
    from_ns, to_ns, rate = 50_100_000, 151_600_000, 300.0
    held = []
    for place in range(100):
        schedule = Schedule(rate, "uniform", 1, start_ns=0, phase=(place + 0.5) / 100)
        held.append(schedule.before(to_ns) - schedule.before(from_ns))
    assert set(held) == {30, 31}
    assert sum(held) / len(held) == pytest.approx(rate * (to_ns - from_ns) / 1e9, abs=0.011)


def test_a_queue_longer_than_what_is_prepared_at_once_is_counted_whole() -> None:
    schedule = Schedule(1000.0, "uniform", 1, start_ns=0)
    for _ in range(10):
        schedule.take()
    assert schedule.overdue(30 * 10**9) == 30_001 - 10
    assert schedule.before(30 * 10**9) == 30_000


def test_a_schedule_that_is_cut_still_owes_what_was_due_before() -> None:
    schedule = Schedule(1000.0, "uniform", 1, start_ns=0)
    for _ in range(5):
        schedule.take()
    schedule.cut(20 * 10**6)  # those at 0, 1, …, 19 ms
    assert schedule.left == 15
    assert [schedule.take() for _ in range(15)] == [number * 10**6 for number in range(5, 20)]
    assert schedule.next_ns == Schedule.NEVER
    assert schedule.left == schedule.overdue(10**12) == 0


@given(st.dictionaries(st.integers(0, 9), st.integers(1, 40), min_size=1), st.integers(0, 10**6))
def test_any_stretch_of_an_even_deal_holds_each_weight_to_within_a_few(weights: dict[int, int], seed: int) -> None:
    deck, total = spread(weights, Random(seed)), sum(weights.values())
    assert Counter(deck) == Counter(weights)
    for length in range(0, total, max(1, total // 7)):
        counts = Counter(deck[:length])
        for key, weight in weights.items():
            assert abs(counts[key] - weight * length / total) <= 1 + len(weights)


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**8))
def test_a_burst_ends_where_somebody_wants_to_look_and_is_short_until_they_did(ahead_ns: int, most_ns: int) -> None:
    burst = burst_ns(ahead_ns, most_ns)
    assert 0 < burst <= most_ns
    if ahead_ns > 0:
        assert burst <= max(ahead_ns, 1)
    elif ahead_ns > -most_ns:
        assert burst <= most_ns / 10 or burst <= 100_000
