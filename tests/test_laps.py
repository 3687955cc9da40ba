"""Where time goes: phases add up to all that passed, whatever is said about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgibench.laps import Laps


class Clock:
    """Time that a test lets pass."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_time_belongs_to_the_phase_it_passed_in_and_parts_of_it_can_be_told_apart_later() -> None:
    clock = Clock()
    laps = Laps("starting", clock)
    clock.now_s += 2
    assert laps.to("loading") == "starting"
    clock.now_s += 10
    laps.shared({"counted": 6.0, "settling": 3.0})
    before = laps.spent_s
    assert before == {"counted": 6.0, "settling": 3.0, "starting": 2.0, "loading": 1.0}
    laps.to("counted")
    clock.now_s += 1
    assert laps.since(before) == {"counted": 1.0}
    laps.to("settling")
    clock.now_s += 2
    laps.were("in vain", before)
    assert laps.since(before) == {"in vain": 3.0}
    assert laps.phase == "settling"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 10)), max_size=30))
def test_phases_add_up(passed: list[tuple[str, float]]) -> None:
    clock = Clock()
    laps = Laps("a", clock)
    for phase, seconds in passed:
        laps.to(phase)
        clock.now_s += seconds
    assert sum(laps.spent_s.values()) == pytest.approx(clock.now_s - 100.0)
