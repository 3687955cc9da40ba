"""How windows are made follows from what the warm-up showed, worked out by hand."""

from __future__ import annotations

import pytest

from sgibench.histogram import Histogram
from sgibench.load.ways import (
    Pulse,
    closed_way,
    excess_share,
    fitting_timeout,
    middle_pulse,
    open_way,
)


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
    assert open_way(0.3, 2.0, 5.0, fast).visits == "unbroken"
    assert open_way(0.3, 1000.0, 1.2, {"a": Pulse(p99_s=0.1)}).visits == "unbroken"
    assert open_way(None, 1000.0, 1.2, fast).visits == "unbroken"


def test_one_stall_is_no_pattern() -> None:
    assert excess_share(12.0, 12.0, 100.0) == 0
    assert excess_share(24.0, 12.0, 100.0) == pytest.approx(0.12)
    assert excess_share(-5.0, 0.0, 100.0) == pytest.approx(-0.05)
    assert excess_share(1.0, 0.5, 0.0) == 0


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
