"""The search for the highest rate that holds, against servers whose capacity is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.special import bdtr

from sgibench.stats.capacity import (
    Ask,
    Capacity,
    RateTrial,
    Rule,
    decided,
    least_answers,
    next_step,
    rule_for,
    step_verdict,
)

Server = Callable[[float], RateTrial]
RULE = Rule(answers=1049, over=5)


def sharp(capacity: float) -> Server:
    """A server that holds every rate up to its capacity and none above."""
    return lambda rate: RateTrial(rate_per_s=rate, answers=5000, over=0 if rate <= capacity else 500)


def search(
    server: Server, *, first: float = 1000, lowest: float = 10, highest: float = 100_000, rule: Rule = RULE
) -> Capacity:
    trials: list[RateTrial] = []
    for _ in range(200):
        step = next_step(
            trials, first_rate_per_s=first, lowest_rate_per_s=lowest, highest_rate_per_s=highest, rule=rule
        )
        if isinstance(step, Capacity):
            return step
        trials.append(server(step.rate_per_s))
    raise AssertionError("the search did not end")


@pytest.mark.parametrize(
    ("over", "answers"), [(0, 299), (1, 473), (2, 628), (3, 773), (5, 1049), (10, 1693), (20, 2902)]
)
def test_the_table_of_early_stopping_is_the_methods(over: int, answers: int) -> None:
    assert least_answers(over) == answers


def test_a_step_holds_fails_or_has_too_few_answers_to_say() -> None:
    rule = Rule(answers=473, over=1)
    assert step_verdict(RateTrial(rate_per_s=1, answers=473, over=1), rule) == "held"
    assert step_verdict(RateTrial(rate_per_s=1, answers=472, over=1), rule) == "too-few"
    assert step_verdict(RateTrial(rate_per_s=1, answers=473, over=2), rule) == "failed"
    assert step_verdict(RateTrial(rate_per_s=1, answers=40, over=2), rule) == "failed"


def test_the_share_that_may_be_late_does_not_depend_on_the_rate() -> None:
    rule = Rule(answers=473, over=1)
    for times in (1, 2, 10, 100):
        assert rule.allowed(473 * times) == times
        assert least_answers(rule.allowed(473 * times)) <= 473 * times


@pytest.mark.parametrize(
    ("slowest", "q", "rule"),
    [
        (0.0, 0.99, Rule(answers=473, over=1)),
        (20.0, 0.99, Rule(answers=473, over=1)),
        (80.0, 0.99, Rule(answers=773, over=3)),
        (5000.0, 0.99, Rule(answers=2902, over=20)),
        (50.0, 0.999, Rule(answers=4742, over=1)),
        (1e5, 0.999, Rule(answers=29058, over=20)),
        (1e5, 0.5, Rule(answers=849, over=400)),
    ],
)
def test_the_slowest_server_decides_how_many_answers_all_need(slowest: float, q: float, rule: Rule) -> None:
    assert rule_for(slowest, 10.0, q) == rule


def test_an_error_or_a_rate_that_was_not_kept_fails_a_step() -> None:
    assert step_verdict(RateTrial(rate_per_s=1, answers=9000, over=0, errors=1), RULE) == "failed"
    assert step_verdict(RateTrial(rate_per_s=1, answers=9000, over=0, kept_up=False), RULE) == "failed"


def queueing(capacity: float, rule: Rule, *, lost: float = 0.0, seed: int = 1) -> Server:
    """A server that answers in 1 / capacity, one after the other, and never answers a share.

    A step is as long as the rule's answers need. Over the limit is what takes longer than five answers.
    """
    dice = np.random.default_rng(seed)

    def offered(rate: float) -> RateTrial:
        many = math.ceil(rule.answers * 1.01)
        came = np.arange(many) / rate
        free, over = 0.0, 0
        for at in came:
            free = max(free, float(at)) + 1 / capacity
            over += free - float(at) > 5 / capacity
        return RateTrial(
            rate_per_s=rate,
            answers=many,
            over=min(many, over + int(dice.binomial(many, lost))),
            kept_up=rate <= capacity,
        )

    return offered


@pytest.mark.parametrize("capacity", [20.0, 29.0, 40.0, 310.0, 4100.0])
def test_slow_servers_have_a_capacity_like_fast_ones(capacity: float) -> None:
    rule = rule_for(capacity / 2, 10.0)
    found = search(queueing(capacity, rule), first=capacity / 2, lowest=rule.answers / 120, rule=rule)
    assert found.rate_per_s is not None
    assert found.failed_at_per_s is not None
    assert found.rate_per_s <= capacity <= found.failed_at_per_s * 1.01
    assert found.failed_at_per_s / found.rate_per_s <= 1.06


@pytest.mark.parametrize("capacity", [20.0, 400.0, 4100.0])
def test_a_server_that_never_answers_one_request_in_fifty_holds_no_rate(capacity: float) -> None:
    rule = rule_for(capacity / 2, 10.0)
    for seed in range(10):
        server = queueing(capacity, rule, lost=0.019, seed=seed)
        found = search(server, first=capacity / 2, lowest=rule.answers / 120, rule=rule)
        assert found.rate_per_s is None
        assert found.failed_at_per_s is not None


@pytest.mark.parametrize("times", [1, 3, 10, 50])
def test_a_true_share_of_late_answers_passes_alike_however_many_answers_came(times: int) -> None:
    rule = Rule(answers=473, over=1)
    many = rule.answers * times
    assert bdtr(rule.allowed(many), many, 0.5 / 473) > 0.9
    assert bdtr(rule.allowed(many), many, 3.0 / 473) < 0.2
    assert bdtr(rule.allowed(many), many, 0.01) < 0.051


def test_steps_with_too_few_answers_end_the_search_without_a_verdict() -> None:
    def short(rate: float) -> RateTrial:
        return RateTrial(rate_per_s=rate, answers=300, over=0)

    found = search(short)
    assert (found.rate_per_s, found.failed_at_per_s, found.too_few_at_per_s) == (None, None, 1000)
    assert found.trials == 3


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


@pytest.mark.parametrize(
    ("rates", "known"),
    [
        ((), (None, None)),
        ((50, 50), (50, None)),
        ((200, 200, 50), (None, 200)),
        ((50, 50, 200, 400, 200), (50, 200)),
        ((50, 50, 70, 70, 200, 200, 100), (70, 200)),
    ],
)
def test_a_search_that_was_broken_off_knows_the_rates_that_two_steps_agreed_on(
    rates: Sequence[float], known: tuple[float | None, float | None]
) -> None:
    assert decided([sharp(100)(rate) for rate in rates], RULE) == known


def test_a_server_that_holds_nothing_has_no_capacity() -> None:
    found = search(sharp(0), lowest=100)
    assert (found.rate_per_s, found.failed_at_per_s) == (None, 100)


def test_two_of_three_trials_decide_a_rate_and_one_more_confirms_the_last() -> None:
    def trial(rate: float, *, held: bool) -> RateTrial:
        return RateTrial(rate_per_s=rate, answers=5000, over=0 if held else 900)

    def step(*trials: RateTrial) -> Ask | Capacity:
        return next_step(trials, first_rate_per_s=100, lowest_rate_per_s=10, highest_rate_per_s=100, rule=RULE)

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
