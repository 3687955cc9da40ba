"""The search for the highest rate that holds, against servers whose capacity is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from sgibench.stats.capacity import Ask, Capacity, RateTrial, least_answers, next_step, step_verdict

Server = Callable[[float], RateTrial]


def sharp(capacity: float) -> Server:
    """A server that holds every rate up to its capacity and none above."""
    return lambda rate: RateTrial(rate_per_s=rate, answers=5000, over=0 if rate <= capacity else 500)


def search(server: Server, *, first: float = 1000, lowest: float = 10, highest: float = 100_000) -> Capacity:
    trials: list[RateTrial] = []
    for _ in range(200):
        step = next_step(trials, first_rate_per_s=first, lowest_rate_per_s=lowest, highest_rate_per_s=highest)
        if isinstance(step, Capacity):
            return step
        trials.append(server(step.rate_per_s))
    raise AssertionError("the search did not end")


@pytest.mark.parametrize(
    ("over", "answers"), [(0, 299), (1, 473), (2, 628), (3, 773), (5, 1049), (10, 1693), (20, 2902)]
)
def test_the_table_of_early_stopping_is_the_methods(over: int, answers: int) -> None:
    assert least_answers(over) == answers


def test_a_step_holds_fails_or_stays_open_while_it_runs() -> None:
    assert step_verdict(RateTrial(rate_per_s=1, answers=299, over=0)) == "held"
    assert step_verdict(RateTrial(rate_per_s=1, answers=298, over=0)) == "failed"
    assert step_verdict(RateTrial(rate_per_s=1, answers=298, over=0), planned_answers=1000) == "open"
    assert step_verdict(RateTrial(rate_per_s=1, answers=298, over=5), planned_answers=1000) == "failed"


def test_one_error_or_a_generator_that_fell_behind_fails_a_step() -> None:
    assert step_verdict(RateTrial(rate_per_s=1, answers=9000, over=0, errors=1)) == "failed"
    assert step_verdict(RateTrial(rate_per_s=1, answers=9000, over=0, kept_up=False)) == "failed"


@pytest.mark.parametrize("capacity", [37.0, 950.0, 1000.0, 7310.0, 64_000.0])
def test_the_search_brackets_a_sharp_capacity_within_its_resolution(capacity: float) -> None:
    found = search(sharp(capacity))
    assert found.rate_per_s is not None
    assert found.failed_at_per_s is not None
    assert found.rate_per_s <= capacity < found.failed_at_per_s
    assert found.failed_at_per_s / found.rate_per_s <= 1.06
    assert found.trials < 40


def test_a_server_that_holds_all_that_can_be_offered_has_no_upper_bound() -> None:
    found = search(sharp(1e9), highest=8000)
    assert (found.rate_per_s, found.failed_at_per_s) == (8000, None)


def test_a_server_that_holds_nothing_has_no_capacity() -> None:
    found = search(sharp(0), lowest=100)
    assert (found.rate_per_s, found.failed_at_per_s) == (None, 100)


def test_two_of_three_trials_decide_a_rate_and_one_more_confirms_the_last() -> None:
    def trial(rate: float, *, held: bool) -> RateTrial:
        return RateTrial(rate_per_s=rate, answers=5000, over=0 if held else 900)

    def step(*trials: RateTrial) -> Ask | Capacity:
        return next_step(trials, first_rate_per_s=100, lowest_rate_per_s=10, highest_rate_per_s=100)

    assert step() == Ask(rate_per_s=100)
    assert step(trial(100, held=True)) == Ask(rate_per_s=100)
    assert step(trial(100, held=True), trial(100, held=False)) == Ask(rate_per_s=100)
    agreed = (trial(100, held=True), trial(100, held=False), trial(100, held=True))
    assert step(*agreed) == Ask(rate_per_s=100, confirming=True)
    assert step(*agreed, trial(100, held=True)) == Capacity(rate_per_s=100, failed_at_per_s=None, trials=4)
    assert step(*agreed, trial(100, held=False)) == Ask(rate_per_s=50)


def test_a_soft_capacity_is_found_from_below() -> None:
    rng = np.random.default_rng(3)

    def soft(rate: float) -> RateTrial:
        share = 0.01 * math.exp((rate - 1000) / 40)  # exactly 1 % over the limit at 1,000/s
        return RateTrial(rate_per_s=rate, answers=5000, over=int(rng.binomial(5000, min(share, 1.0))))

    found = [search(soft, first=600).rate_per_s for _ in range(20)]
    assert all(rate is not None and 850 <= rate <= 1010 for rate in found)
