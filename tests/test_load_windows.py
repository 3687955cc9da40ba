"""A window owns what is sent in it: no slow answer disappears, and what is in no window is said, with why.

Each of these servers was measured wrongly once, by any factor and without a doubt raised; the truth follows from its
script.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.load_process import LoadProcess, load_process, measuring, target
from tests.measured import (
    JSON,
    RIGHT,
    Numbered,
    falling_silent,
    measured,
    measured_all,
    only,
    scenario,
    share_above,
    steady,
    wait_for_the_end,
)
from tests.scripted_server import Talk, serving


@pytest.fixture(scope="module", name="process")
def running() -> Iterator[LoadProcess]:
    with load_process() as process:
        yield process


@pytest.mark.parametrize(("every", "slow_s"), [(4, 0.2), (200, 0.2)])
def test_rare_slow_answers_slow_a_closed_loop_as_much_in_slices_as_they_do(
    process: LoadProcess, every: int, slow_s: float
) -> None:
    """4 connections; each answer takes its time, and nothing else limits the rate. Both clocks are the host's."""
    fast_s = 0.002
    heard: list[tuple[int, bool]] = []

    def act(talk: Talk, number: int) -> None:
        slow = number % every == 0
        heard.append((time.monotonic_ns(), slow))
        time.sleep(slow_s if slow else fast_s)
        talk.send(RIGHT)

    result = measured(process, Numbered(act), slice_s=0.1, window_s=3.0, load={"connections": 4})
    assert result["errors"] == {}
    mean_s = result["mean_us"] / 1e6
    assert mean_s >= ((every - 1) * fast_s + slow_s) / every * 0.8
    # The law of closed loops, in the result's own figures: nothing slow was left out of either side.
    assert result["requests"] / result["window_s"] * mean_s == pytest.approx(4, rel=0.12)
    assert result["max_us"] >= slow_s * 1e6
    # By the server's books; a request that is on its way at an edge is heard after it.
    edges = result["edges_ns"]
    owned = [slow for at_ns, slow in heard if any(from_ns <= at_ns < to_ns for from_ns, to_ns in edges)]
    assert result["window"]["sent"] == pytest.approx(len(owned), abs=4 * len(edges))
    assert share_above(result, slow_s) * result["requests"] >= sum(owned) - len(edges)
    if every == 4:
        assert result["window"]["visits"] == "unbroken"
        assert "would have to last" in result["window"]["why"]


def test_slow_answers_that_begin_after_the_warm_up_are_noticed_and_slices_given_up(process: LoadProcess) -> None:
    began_slow = threading.Event()

    def act(talk: Talk, number: int) -> None:
        time.sleep(0.25 if began_slow.is_set() and number % 20 == 0 else 0.002)
        talk.send(RIGHT)

    first, second = measured_all(
        process,
        [Numbered(act), steady(0.002)],
        at=0.0,
        then=began_slow.set,
        slice_s=0.1,
        window_s=1.5,
        load={"connections": 4},
    )
    for result in (first, second):
        assert result["window"]["visits"] == "unbroken"
        if "would have to last" not in result["window"]["why"]:  # a very busy machine is too slow for slices anyway
            assert "slices were given up" in result["window"]["why"]
            assert result["window"]["uncounted"]["visits that were given up"] > 0
        assert result["window_s"] > 1.2  # a busy machine may make it longer
    assert first["max_us"] >= 250_000
    rate = first["requests"] / first["window_s"]
    assert rate * first["mean_us"] / 1e6 == pytest.approx(4, rel=0.2)


def test_a_server_that_needs_long_visits_makes_nobody_elses_long(process: LoadProcess) -> None:
    fast, slow = measured_all(process, [steady(0.001), steady(0.04)], slice_s=0.1, window_s=3.0)
    for result in (fast, slow):
        assert result["window"]["visits"] == "sliced"
        assert result["window_s"] == pytest.approx(3.0, abs=0.5)
        assert result["window"]["sent"] == result["requests"]
    assert fast["window"]["pieces"] > 2 * slow["window"]["pieces"] > 4
    longest = max(one["window_s"] for one in slow["slices"])
    assert min(one["window_s"] for one in slow["slices"]) > 0.2 * longest
    began = [[from_ns for from_ns, _ in result["edges_ns"]] for result in (fast, slow)]
    assert abs(sum(began[0]) / len(began[0]) - sum(began[1]) / len(began[1])) < 2e9, "both all the time"


def test_equal_answers_are_sliced_and_each_slice_owns_what_is_sent_in_it(process: LoadProcess) -> None:
    heard: list[int] = []

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        heard.append(time.monotonic_ns())
        time.sleep(0.02)
        talk.send(RIGHT)

    result = measured(process, Numbered(act), slice_s=0.2, window_s=2.4)
    window = result["window"]
    assert window["visits"] == "sliced"
    assert "p99" in window["why"]
    assert window["pieces"] == len(result["slices"]) == len(result["edges_ns"]) > 1
    assert window["sent"] == result["requests"] == sum(each["requests"] for each in result["slices"])
    # By the server's books, and not those that were in flight when a slice began, eight of them each time.
    owned = sum(any(from_ns <= at_ns < to_ns for from_ns, to_ns in result["edges_ns"]) for at_ns in heard)
    assert window["sent"] == pytest.approx(owned, abs=3 * window["pieces"])
    # At the end of each slice all eight connections have a request in flight, drained and counted in it.
    assert result["requests"] - window["in_time"] == pytest.approx(8 * window["pieces"], rel=0.2)
    assert {"warm-up", "settling", "asking which process answers"} <= set(window["uncounted"])


def test_a_server_that_stops_for_good_in_an_unbroken_window_hung_however_much_it_answered_before(
    process: LoadProcess, tmp_path: Path
) -> None:
    """What is lost then is a request for each connection: nothing beside all that was answered, yet no rate is true."""
    stopped = threading.Event()
    tasks = scenario(
        tmp_path,
        """
        class Reader(BenchUser):
            @task
            def read(self):
                self.client.get("/json", expect=200)
        """,
    )
    for path in (JSON, tasks):
        stopped.clear()
        result = measured(
            process,
            falling_silent(stopped, 0.001),
            path,
            at=0.01,
            then=stopped.set,
            slice_s=None,
            window_s=1.5,
            timeout_s=2.0,
            load={"connections": 3},
        )
        assert result["requests"] > 0
        assert result["errors"] == {"timeout": 3}
        assert result["gave_up"]["reason"] == "hung"
        assert "in the end no connection had an answer within 2.00 s" in result["gave_up"]["detail"]


def test_answers_lost_at_the_very_end_of_a_window_are_no_hung_server(process: LoadProcess) -> None:
    """One connection of three is left waiting, from the window's beginning on, while the others go on."""
    once = threading.Event()
    lock = threading.Lock()

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        with lock:
            lost = once.is_set()
            once.clear()
        if lost:
            wait_for_the_end(talk)
        else:
            time.sleep(0.005)
            talk.send(RIGHT)

    (result,) = measured_all(
        process, [Numbered(act)], at=0.0, then=once.set, slice_s=None, window_s=1.0, warmup_s=0.25, timeout_s=1.5,
        load={"connections": 3},
    )  # fmt: skip
    assert sum(result["errors"].values()) + sum(result["errors_uncounted"].values()) == 1
    assert result["gave_up"] is None


def test_what_goes_wrong_outside_windows_is_stored_apart(process: LoadProcess) -> None:
    """Three connections end without an answer in the warm-up."""

    def act(talk: Talk, number: int) -> None:
        time.sleep(0.002)
        if number in {5, 6, 7}:
            talk.sock.close()
        else:
            talk.send(RIGHT)

    result = measured(process, Numbered(act), slice_s=None, window_s=0.3, warmup_s=0.25, load={"connections": 3})
    assert result["errors"] == {}
    assert result["window"]["errors_outside"] == {"closed": 3}


# --- wrong answers ---------------------------------------------------------------------------------------------------


def test_answers_that_are_sent_twice_are_found_out_even_when_the_second_comes_late(process: LoadProcess) -> None:
    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        talk.send(RIGHT)
        time.sleep(0.0005)
        talk.send(RIGHT)

    with serving(Numbered(act)) as server:
        result = only(process.ask(**measuring(JSON, target(server))))
    assert result["errors"].get("leftover", 0) + result["errors_uncounted"].get("leftover", 0) > 0


def test_one_answer_sent_twice_is_found_out_where_answers_are_slow(process: LoadProcess) -> None:
    """The second passes for the answer to the next request; what is too many at the end is an answer later."""
    twice = threading.Event()

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        time.sleep(0.4)
        if twice.is_set():
            twice.clear()
            talk.send(RIGHT, RIGHT, pause_s=0.05)
        else:
            talk.send(RIGHT)

    with serving(Numbered(act)) as server:
        load = {"connections": 2}
        process.say(**measuring(JSON, target(server), slice_s=None, window_s=2.0, load=load, identify=False))
        process.until_measuring()
        twice.set()
        result = only(process.answer())
    assert result["errors"].get("leftover", 0) + result["errors_uncounted"].get("leftover", 0) == 1
