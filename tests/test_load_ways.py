"""How windows are made follows from what the warm-up showed, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sgibench.histogram import Histogram
from sgibench.load.orders import MeasureOrder, TargetOrder
from sgibench.load.ways import (
    Pulse,
    closed_way,
    fitting_timeout,
    may_go_together,
    middle_pulse,
    open_way,
    parties_needed,
    queue_grows,
    together_way,
    too_much,
)
from sgibench.model import Load
from sgibench.report.evidence import LONGER


def of(*parts: tuple[int, float]) -> Histogram:
    """A histogram of (how many, milliseconds)."""
    histogram = Histogram()
    for count, milliseconds in parts:
        histogram.record([round(milliseconds * 1e6)] * count)
    return histogram


def pulse(histogram: Histogram) -> Pulse:
    return Pulse(**middle_pulse([histogram]))


def test_what_is_left_of_a_request_at_a_random_moment_is_dominated_by_rare_slow_ones() -> None:
    even, rare = pulse(of((1000, 2))), pulse(of((1990, 1), (10, 200)))
    assert even.residual_s == pytest.approx(0.001, rel=0.01)  # half of each
    assert rare.p99_s == pytest.approx(0.001, rel=0.01)  # the p99 knows nothing of them
    assert rare.residual_s == pytest.approx((0.995 * 1**2 + 0.005 * 200**2) / (2 * 1.995) / 1000, rel=0.01)
    assert closed_way(0.1, 3.0, {"a": even}).visits == "sliced"
    assert closed_way(0.1, 3.0, {"a": even}).length_s == 0.1
    way = closed_way(0.1, 1.0, {"a": even, "b": rare})
    assert way.visits == "unbroken"
    assert "(b)" in way.why or "of b" in way.why


def test_a_slice_lasts_ten_times_the_slowest_p99_of_the_group() -> None:
    way = closed_way(0.1, 3.0, {"a": pulse(of((100, 1))), "b": pulse(of((90, 1), (10, 30)))})
    assert way.visits == "sliced"
    assert way.length_s == pytest.approx(0.3, rel=0.01)
    assert closed_way(0.1, 0.5, {"b": pulse(of((90, 1), (10, 30)))}).visits == "unbroken"
    assert closed_way(None, 3.0, {}).visits == "unbroken"


def test_servers_that_may_be_left_sooner_are_visited_several_times_in_the_time_of_the_slowest() -> None:
    pulses = {"fast": Pulse(p99_s=0.001), "middle": Pulse(p99_s=0.02), "slow": Pulse(p99_s=0.035)}
    way = closed_way(0.1, 3.0, pulses)
    assert [way.visits_to(name) for name in pulses] == [3, 1, 1]  # of 117, 350 and 350 ms
    assert way.why.startswith(LONGER), "the report tells it by that"
    assert [open_way(0.2, 1000.0, 3.0, pulses).visits_to(name) for name in pulses] == [1, 1, 1]
    calm = closed_way(0.1, 3.0, {"fast": Pulse(p99_s=0.001), "middle": Pulse(p99_s=0.009)})
    assert [calm.visits_to("fast"), calm.visits_to("middle")] == [1, 1]


def test_one_disturbed_stretch_of_the_warm_up_does_not_decide_and_the_first_does_not_count() -> None:
    calm, cold, disturbed = of((500, 2)), of((50, 100)), of((400, 2), (30, 300))
    assert middle_pulse([cold, calm, disturbed, calm])["p99_s"] == pytest.approx(0.002, rel=0.01)
    assert middle_pulse([cold, calm])["p99_s"] == pytest.approx(0.002, rel=0.01)
    assert middle_pulse([cold, Histogram()])["p99_s"] == pytest.approx(0.1, rel=0.01)
    assert middle_pulse([cold, disturbed, disturbed])["p99_s"] == pytest.approx(0.3, rel=0.01)
    assert middle_pulse([])["p99_s"] == 0


def test_users_who_think_are_never_visited_in_turn() -> None:
    thinking = {"a": Pulse(think_s=0.5), "b": Pulse()}
    assert closed_way(0.1, 3.0, thinking).visits == open_way(0.3, 100.0, 3.0, thinking).visits == "unbroken"
    assert Pulse(think_share=0.2).thinks
    assert not Pulse(think_share=0.01).thinks


def test_a_turn_holds_enough_requests_and_a_window_more_than_one_turn() -> None:
    fast = {"a": Pulse(p99_s=0.002)}
    assert open_way(0.3, 1000.0, 1.2, fast).length_s == 0.3
    assert open_way(0.3, 40.0, 3.0, fast).length_s == pytest.approx(0.5)  # 20 requests
    assert open_way(0.03, 1000.0, 5.0, fast).length_s == pytest.approx(0.1)  # more than a hundredth of the window
    assert open_way(0.3, 2.0, 5.0, fast).visits == "unbroken"
    assert open_way(0.3, 1000.0, 1.2, {"a": Pulse(p99_s=0.1)}).visits == "unbroken"
    assert open_way(None, 1000.0, 1.2, fast).visits == "unbroken"


def test_a_queue_grows_when_turn_after_turn_ends_with_more_waiting() -> None:
    assert queue_grows([1, 1, 1, 1, 0] * 6, 600)
    assert queue_grows([4, 3, 5, 3, 5, 5, 3, 4, 5, 3], 700)
    assert not queue_grows([1] * 8, 300), "in few turns: what was being answered just then"
    assert not queue_grows([1, 1, 1, 0] * 3, 540), "the same"
    assert not queue_grows([1] * 28, 1100, 28), "as many waited at the beginning of turns, so it may be chance"
    assert not queue_grows([1, 3, 0, 4], 499), "2 each, give or take 1.6: four turns are too few to say"
    assert not queue_grows([10, 10, 10], 499)
    assert not queue_grows([1, 0, 0, 0, 0, 0] * 4, 500), "less than one request in a hundred"
    assert not queue_grows([-1, -1, -1, -1, 0] * 5, 500)


def test_one_turn_with_a_stop_in_it_shows_no_queue_and_hides_none() -> None:
    assert not queue_grows([20, *[0] * 24], 500)
    assert not queue_grows([20, *[1, -1] * 12], 500)
    assert queue_grows([250, *[2, 3] * 8], 1700)
    assert queue_grows([5, 40, 4, 5, 6, 4, 5, 4, 6, 5], 1200)


@pytest.mark.parametrize(
    ("excess_s", "spared_s", "time_s", "rounds", "kind", "last", "share"),
    [
        (12.0, 12.0, 100.0, 9, "closed", "last", None),  # one stall is no pattern
        (24.0, 12.0, 100.0, 9, "closed", "yet", 0.12),
        (24.0, 12.0, 100.0, 4, "closed", "yet", None),  # too early to say
        (16.0, 12.0, 100.0, 9, "closed", "yet", None),
        (16.0, 12.0, 100.0, 9, "closed", "last", 0.04),
        (16.0, 12.0, 100.0, 9, "open", "last", None),  # open loops are busy for less, and so are disturbed more easily
        (24.0, 12.0, 100.0, 9, "open", "yet", None),
        (24.0, 12.0, 100.0, 9, "open", "last", 0.12),
        (-5.0, 0.0, 100.0, 9, "closed", "last", None),
        (1.0, 0.5, 0.0, 9, "closed", "last", None),
    ],
)
def test_visits_are_given_up_when_they_cut_off_too_much(  # noqa: PLR0917 - a row of the table
    excess_s: float, spared_s: float, time_s: float, rounds: int, kind: str, last: str, share: float | None
) -> None:
    found = too_much(excess_s, spared_s, time_s, rounds, is_closed=kind == "closed", last=last == "last")
    assert found == (None if share is None else pytest.approx(share))


def order_of(**changed: Any) -> MeasureOrder:
    targets = tuple(TargetOrder(id=name, host="127.0.0.1", port=1, pids=()) for name in "ab")
    load = Load(kind="open", connections=8, rate_per_s=80.0)
    order = MeasureOrder(
        scenario=Path("wait.py"), targets=targets, load=load, slice_s=None, settle_s=0.02, window_s=2.0, warmup_s=0.25,
        timeout_s=10.0, seed=1, identify=True, turn_s=0.3,
    )  # fmt: skip
    return replace(order, **changed)


def test_servers_are_driven_at_once_only_where_their_answers_wait_and_they_leave_one_another_in_peace() -> None:
    order = order_of()
    assert may_go_together(order, 0.05, alone=True)
    assert not may_go_together(order, 0.0, alone=True)  # their work would be on one another's CPU
    assert not may_go_together(order, 0.05, alone=False)
    assert not may_go_together(order_of(turn_s=None), 0.05, alone=True)  # unbroken windows were asked for
    assert not may_go_together(order_of(targets=order.targets[:1]), 0.05, alone=True)
    assert not may_go_together(order_of(load=replace(order.load, connection="close")), 0.05, alone=True)
    way = together_way(2.0, [0.08])
    assert way.visits == "together"
    assert "together they use 8.0 % of a CPU" in way.why
    way = together_way(2.0, [0.3, 0.4])
    assert "2 parties, one after the other" in way.why
    assert "uses 40.0 % of a CPU at most" in way.why
    assert [parties_needed(share) for share in (0.0, 0.5, 0.51, 1.0)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("declared_s", "window_s", "floor_s", "p99_s", "fitting_s"),
    [
        (None, 1.2, 0.0, 0.001, 5.0),
        (None, 8.0, 0.0, 0.001, 8.0),
        (None, 1.2, 0.7, 0.001, 7.0),
        (None, 1.2, 0.0, 0.4, 8.0),
        (None, 1.2, 0.0, 4.0, 10.0),
        (2.0, 1.2, 0.0, 4.0, 2.0),
    ],
)
def test_the_time_out_fits_window_scenario_and_answers(
    declared_s: float | None, window_s: float, floor_s: float, p99_s: float, fitting_s: float
) -> None:
    assert fitting_timeout(10.0, declared_s, window_s, floor_s, p99_s) == pytest.approx(fitting_s)
