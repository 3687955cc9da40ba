"""Whether a rate was kept: judged on simulated servers whose capacity is known."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench.stats.rates import Offered, shortfall

LOOK_S = 0.05
"""The load process looks so often."""


def watched(
    rate_per_s: float, service_s: Callable[[int], float], at_once: int, *, window_s: float, settle_s: float, pieces: int
) -> Offered:
    """Offer a rate to a server of so many threads, first come first served, in visits that each end by a drain."""
    start = end = due = 0
    latencies: list[float] = []
    least: dict[str, int] = {}
    for _ in range(pieces):
        free = [0.0] * at_once
        ends: list[tuple[float, float]] = []
        for number in range(round(rate_per_s * (settle_s + window_s))):
            came = number / rate_per_s
            done = max(came, heapq.heappop(free)) + service_s(number)
            heapq.heappush(free, done)
            ends.append((came, done))
        edge = settle_s + window_s
        start += sum(came < settle_s < done for came, done in ends)
        end += sum(done > edge for _came, done in ends)
        owned = [done - came for came, done in ends if came >= settle_s]
        due += len(owned)
        latencies += owned
        looks = {
            settle_s + look * LOOK_S: sum(came <= settle_s + look * LOOK_S < done for came, done in ends)
            for look in range(int(window_s / LOOK_S) if pieces == 1 else 0)
        }
        if looks:
            least["least_early"] = min(many for at, many in looks.items() if at < settle_s + window_s / 3)
            least["least_late"] = min(many for at, many in looks.items() if at >= edge - window_s / 3)
    latencies.sort()
    median = latencies[len(latencies) // 2]
    return Offered(
        due=due,
        answered=due,
        waiting_start=start,
        waiting_end=end,
        **least,
        pieces=pieces,
        came_meanwhile=median * rate_per_s,
    )


@settings(deadline=None, max_examples=60)
@given(
    capacity=st.floats(20, 3000),
    load=st.floats(1.5, 20),
    at_once=st.integers(1, 16),
    pieces=st.integers(1, 10),
    length=st.floats(0.5, 5),
)
def test_more_than_a_server_can_do_is_never_a_kept_rate(
    capacity: float, load: float, at_once: int, pieces: int, length: float
) -> None:
    window_s = max(length / pieces, 100 / capacity)
    seen = watched(
        capacity * load,
        lambda _n: at_once / capacity,
        at_once,
        window_s=window_s,
        settle_s=max(0.1, 2 * at_once / capacity),
        pieces=pieces,
    )
    assert shortfall(seen) == "growing"


@settings(deadline=None, max_examples=60)
@given(
    capacity=st.floats(20, 3000),
    load=st.floats(0.05, 0.9),
    at_once=st.integers(1, 16),
    pieces=st.integers(1, 10),
    length=st.floats(0.5, 5),
)
def test_what_a_server_can_do_is_kept(capacity: float, load: float, at_once: int, pieces: int, length: float) -> None:
    window_s = max(length / pieces, 100 / capacity)
    seen = watched(
        capacity * load,
        lambda _n: at_once / capacity,
        at_once,
        window_s=window_s,
        settle_s=max(0.1, 2 * at_once / capacity),
        pieces=pieces,
    )
    assert shortfall(seen) is None


@settings(deadline=None, max_examples=40)
@given(capacity=st.floats(20, 1000), load=st.floats(1.1, 2), at_once=st.integers(1, 4), length=st.floats(0.6, 5))
def test_a_little_more_than_a_server_can_do_is_noticed_in_an_unbroken_window(
    capacity: float, load: float, at_once: int, length: float
) -> None:
    """Numbers at the window's two edges alone differ by chance as much as a growth of a tenth makes them."""
    window_s = max(length, 200 / capacity)
    seen = watched(capacity * load, lambda _n: at_once / capacity, at_once, window_s=window_s, settle_s=0.3, pieces=1)
    assert shortfall(seen) in {"growing", "rising"}


@pytest.mark.parametrize("kind", ["one server", "four", "no queue"])
def test_what_waits_by_chance_is_rarely_a_rate_that_was_not_kept(kind: str) -> None:
    """Answers of random length, at 0.7 of what the server can do: two hundred windows of 3 s at 50/s."""
    random = Random(kind)
    at_once = {"one server": 1, "four": 4, "no queue": 200}[kind]
    mean_s = 0.7 * min(at_once, 4) / 50
    found = [
        shortfall(
            watched(50.0, lambda _n: random.expovariate(1 / mean_s), at_once, window_s=3.0, settle_s=0.3, pieces=1)
        )
        for _ in range(200)
    ]
    assert sum(each is not None for each in found) <= 4


@pytest.mark.parametrize("at", [0, 100, 600, 900, 1100, 1190])
def test_one_pause_wherever_it_falls_is_no_rate_that_was_not_kept(at: int) -> None:
    seen = watched(1000.0, lambda number: 0.15 if number == at else 0.0004, 1, window_s=1.0, settle_s=0.2, pieces=1)
    assert shortfall(seen) is None


def test_requests_that_were_never_answered_are_a_rate_that_was_not_kept() -> None:
    assert shortfall(Offered(due=600, answered=587)) == "unanswered"
    assert shortfall(Offered(due=600, answered=594)) is None


def test_nothing_is_said_about_what_is_not_known() -> None:
    assert shortfall(Offered(due=None, answered=600)) is None
    assert shortfall(Offered(due=600, answered=None)) is None
