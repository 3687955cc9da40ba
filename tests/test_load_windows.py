"""A window owns what is due or sent in it: no slow answer disappears, and what is in no window is said, with why.

Each of these servers was measured wrongly once, by any factor and without a doubt raised; the truth follows from its
script.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from sgibench.histogram import Histogram
from sgibench.model import HistogramData
from tests.h2_server import Asked, Reference, speaking
from tests.load_process import SCENARIOS, LoadProcess, accounted, load_process, measuring, target
from tests.scripted_server import Script, Talk, answer, serving

JSON = SCENARIOS / "json.py"
RIGHT = answer(b'{"message":"Hello, World!"}')
PID = answer(b"4711")


@pytest.fixture(scope="module", name="process")
def running() -> Iterator[LoadProcess]:
    with load_process() as process:
        yield process


def only(measured: dict[str, Any]) -> dict[str, Any]:
    """The result of the only target."""
    assert measured["did"] == "measure", measured
    (result,) = measured["targets"]
    return dict(result)


def percentile_ms(result: dict[str, Any], q: float, name: str = "histogram") -> float:
    data = result[name]
    found = Histogram.from_data(HistogramData(gaps=tuple(data["gaps"]), counts=tuple(data["counts"]))).percentile_us(q)
    assert found is not None
    return found / 1e3


class Numbered:
    """A server that numbers its requests over all connections, and does with each what `act` says."""

    def __init__(self, act: Callable[[Talk, int], None]) -> None:
        self.act = act
        self.count = 0
        self.lock = threading.Lock()

    def __call__(self, talk: Talk) -> None:
        while (request := talk.request()) is not None:
            if request.startswith(b"GET /pid "):
                talk.send(PID)
                continue
            with self.lock:
                self.count += 1
                number = self.count
            self.act(talk, number)


def slow_now_and_then(every: int, slow_s: float, fast_s: float) -> Numbered:
    """One answer in `every` takes `slow_s`, the others `fast_s`."""

    def act(talk: Talk, number: int) -> None:
        time.sleep(slow_s if number % every == 0 else fast_s)
        talk.send(RIGHT)

    return Numbered(act)


# --- slices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "slow_s"), [(4, 0.2), (60, 0.2)])
def test_rare_slow_answers_slow_a_closed_loop_as_much_in_slices_as_they_do(
    process: LoadProcess, every: int, slow_s: float
) -> None:
    """4 connections; each answer takes its time, and nothing else limits the rate."""
    fast_s = 0.002
    with serving(slow_now_and_then(every, slow_s, fast_s)) as server:
        order = measuring(JSON, target(server), slice_s=0.1, window_s=3.0, load={"connections": 4})
        result = only(process.ask(**order))
        assert server.requests == accounted(result)
    assert result["errors"] == {}
    mean_s = result["mean_us"] / 1e6
    assert mean_s >= ((every - 1) * fast_s + slow_s) / every * 0.8
    # The law of closed loops, in the result's own figures: nothing slow was left out of either side.
    assert result["requests"] / result["window_s"] * mean_s == pytest.approx(4, rel=0.12)
    assert result["max_us"] >= slow_s * 1e6
    slow_share = 1 - fraction_below(result, slow_s)
    assert slow_share == pytest.approx(1 / every, rel=0.35)
    if every == 4:
        assert result["window"]["visits"] == "unbroken"
        assert "would have to last" in result["window"]["why"]


def fraction_below(result: dict[str, Any], limit_s: float) -> float:
    data = result["histogram"]
    histogram = Histogram.from_data(HistogramData(gaps=tuple(data["gaps"]), counts=tuple(data["counts"])))
    return 1 - histogram.above(limit_s * 1e6 * 0.99) / histogram.count


def test_slow_answers_that_begin_after_the_warm_up_are_noticed_and_slices_given_up(process: LoadProcess) -> None:
    began_slow = threading.Event()

    def act(talk: Talk, number: int) -> None:
        time.sleep(0.25 if began_slow.is_set() and number % 20 == 0 else 0.002)
        talk.send(RIGHT)

    with serving(Numbered(act)) as one, serving(slow_now_and_then(10**9, 0.0, 0.002)) as two:
        order = measuring(
            JSON, target(one, "one"), target(two, "two"), slice_s=0.1, window_s=1.5, load={"connections": 4}
        )
        process.say(**order)
        while process.read().get("phase") != "measure":
            pass
        began_slow.set()
        first, second = process.answer()["targets"]
        assert one.requests == accounted(first)
        assert two.requests == accounted(second)
    for result in (first, second):
        assert result["window"]["visits"] == "unbroken"
        if "would have to last" not in result["window"]["why"]:  # a very busy machine is too slow for slices anyway
            assert "slices were given up" in result["window"]["why"]
            assert result["window"]["uncounted"]["visits that were given up"] > 0
        assert result["window_s"] == pytest.approx(1.5, abs=0.3)
    assert first["max_us"] >= 250_000
    rate = first["requests"] / first["window_s"]
    assert rate * first["mean_us"] / 1e6 == pytest.approx(4, rel=0.2)


def test_equal_answers_are_sliced_and_the_run_says_so(process: LoadProcess) -> None:
    with serving(slow_now_and_then(10**9, 0, 0.003)) as server:
        result = only(process.ask(**measuring(JSON, target(server), slice_s=0.2, window_s=2.4)))
        assert server.requests == accounted(result)
    window = result["window"]
    assert window["visits"] == "sliced"
    assert "p99" in window["why"]
    assert window["pieces"] == len(result["slices"]) > 1
    assert window["sent"] == result["requests"] == sum(each["requests"] for each in result["slices"])
    assert 0 < window["in_time"] <= result["requests"]
    assert {"warm-up", "settling", "asking which process answers"} <= set(window["uncounted"])


def test_a_server_that_stops_for_good_in_an_unbroken_window_hung_however_much_it_answered_before(
    process: LoadProcess, tmp_path: Path
) -> None:
    """What is lost then is a request for each connection: nothing beside all that was answered, yet no rate is true."""
    stopped = threading.Event()

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        if stopped.is_set():
            talk.sock.recv(1)  # until the client hangs up
        else:
            time.sleep(0.001)
            talk.send(RIGHT)

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
        with serving(Numbered(act)) as server:
            order = measuring(path, target(server), slice_s=None, window_s=1.5, timeout_s=2.0, load={"connections": 3})
            process.say(**order)
            while (said := process.read()).get("phase") != "measure" or not said["done"]:
                pass
            stopped.set()
            result = only(process.answer())
            assert server.requests == accounted(result)
        assert result["requests"] > 0
        assert result["errors"] == {"timeout": 3}
        assert result["gave_up"]["reason"] == "hung"
        assert "in the end no connection had an answer within 2 s" in result["gave_up"]["detail"]


def test_answers_lost_at_the_very_end_of_a_window_are_no_hung_server(process: LoadProcess) -> None:
    """One connection of three is left waiting while the others go on."""

    def act(talk: Talk, number: int) -> None:
        if number == 150:
            talk.sock.recv(1)  # until the client hangs up
        else:
            time.sleep(0.005)
            talk.send(RIGHT)

    with serving(Numbered(act)) as server:
        order = measuring(
            JSON, target(server), slice_s=None, window_s=1.0, warmup_s=0.25, timeout_s=1.5, load={"connections": 3}
        )
        result = only(process.ask(**order))
    assert sum(result["errors"].values()) + sum(result["errors_uncounted"].values()) == 1
    assert result["gave_up"] is None


# --- open loops ------------------------------------------------------------------------------------------------------


def open_load(rate: float, connections: int = 64) -> dict[str, Any]:
    return {"kind": "open", "rate_per_s": rate, "connections": connections}


def test_requests_that_are_never_answered_are_lost_and_their_waiting_is_not(process: LoadProcess) -> None:
    """Open loop, 200/s: each 45th request gets no answer; the time-out is longer than the window."""

    def act(talk: Talk, number: int) -> None:
        if number % 45:
            talk.send(RIGHT)
        else:
            talk.sock.recv(1)  # until the client hangs up

    with serving(Numbered(act)) as server:
        order = measuring(
            JSON, target(server), slice_s=None, window_s=1.0, load=open_load(200.0), warmup_s=0.25, timeout_s=1.5
        )
        result = only(process.ask(**order))
        assert server.requests == accounted(result)
    window = result["window"]
    assert set(result["errors"]) == {"timeout"}
    lost = result["errors"]["timeout"]
    assert window["due"] == window["sent"] == result["requests"] + lost
    assert lost == pytest.approx(window["due"] / 45, abs=1.1)
    assert window["censored"] == lost
    assert window["censored_from_us"] >= 1.45e6
    assert percentile_ms(result, 0.99, "intended_histogram") >= 1450
    assert percentile_ms(result, 0.5, "intended_histogram") < 1000


def test_a_rate_that_is_not_kept_shows_as_a_queue_that_grows_and_everything_due_is_still_counted(
    process: LoadProcess,
) -> None:
    """200/s on a server that can do at most 100/s."""
    turn = threading.Lock()

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        with turn:
            time.sleep(0.01)
        talk.send(RIGHT)

    with serving(Numbered(act)) as server:
        order = measuring(
            JSON, target(server), slice_s=None, window_s=1.0, load=open_load(200.0, 8), warmup_s=0.25, timeout_s=10.0
        )
        result = only(process.ask(**order))
        assert server.requests == accounted(result)
    window = result["window"]
    assert window["due"] == pytest.approx(200 * result["window_s"], abs=2)
    assert window["sent"] == window["due"] == result["requests"]  # the queue was drained
    assert window["queue_end"] - window["queue_start"] > 0.3 * window["due"]
    assert window["in_time"] < 0.7 * window["due"]


def test_what_is_due_but_can_not_be_sent_within_the_time_out_is_an_error_of_the_window(process: LoadProcess) -> None:
    stopped = threading.Event()

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        if stopped.is_set():
            talk.sock.recv(1)
            return
        talk.send(RIGHT)

    with serving(Numbered(act)) as server:
        load = open_load(200.0, connections=4)
        process.say(
            **measuring(JSON, target(server), slice_s=None, window_s=2.0, load=load, timeout_s=1.5, warmup_s=0.25)
        )
        while process.read().get("phase") != "measure":
            pass
        stopped.set()
        result = only(process.answer())
        assert server.requests == accounted(result)
    window, errors = result["window"], result["errors"]
    assert errors["unsent"] > 100
    assert window["sent"] + errors["unsent"] == window["due"] == pytest.approx(200 * result["window_s"], abs=2)
    assert result["requests"] + sum(errors.values()) == window["due"]
    assert window["censored"] == sum(errors.values())
    assert percentile_ms(result, 0.99, "intended_histogram") >= 1500


@pytest.mark.parametrize("turn_s", [None, 0.3], ids=["unbroken", "turns"])
def test_a_server_that_stops_near_the_end_of_a_window_owes_the_answers_that_were_due(
    process: LoadProcess, turn_s: float | None
) -> None:
    """200/s for 2 s; the server stops for a second after about three quarters of them."""
    go = threading.Event()
    go.set()
    began: list[float] = []

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        go.wait()
        talk.send(RIGHT)

    with serving(Numbered(act)) as server:
        order = measuring(
            JSON,
            target(server),
            slice_s=None,
            turn_s=turn_s,
            window_s=2.0,
            load=open_load(200.0, 128),
            warmup_s=0.25,
            timeout_s=8.0,
        )
        process.say(**order)
        while (said := process.read()).get("phase") != "measure" or said["done"] < 0.6:
            pass
        go.clear()
        began.append(time.monotonic())
        timer = threading.Timer(1.0, go.set)
        timer.start()
        result = only(process.answer())
        timer.join()
        assert server.requests == accounted(result)
    window = result["window"]
    assert turn_s is not None or window["visits"] == "unbroken"
    assert result["errors"] == {}
    assert window["due"] == window["sent"] == result["requests"]
    assert window["due"] == pytest.approx(200 * result["window_s"], abs=1 + window["pieces"])
    assert percentile_ms(result, 0.99, "intended_histogram") >= 700


def test_open_loops_go_in_turns_with_a_schedule_of_their_own_in_each(process: LoadProcess) -> None:
    with serving(slow_now_and_then(10**9, 0, 0.001)) as one, serving(slow_now_and_then(10**9, 0, 0.001)) as two:
        order = measuring(
            JSON,
            target(one, "one"),
            target(two, "two"),
            turn_s=0.3,
            window_s=2.4,
            load=open_load(300.0, 32),
            warmup_s=0.25,
        )
        results = process.ask(**order)["targets"]
        for server, result in zip((one, two), results, strict=True):
            assert server.requests == accounted(result)
            window = result["window"]
            assert window["visits"] == "turns"
            assert window["pieces"] == len(result["slices"]) > 1
            assert window["due"] == pytest.approx(300 * result["window_s"], abs=1 + window["pieces"])
            assert window["due"] == window["sent"] == result["requests"]
            assert result["intended_histogram"]["counts"]
            assert sum(result["intended_histogram"]["counts"]) == window["due"]


def test_answers_of_an_open_loop_that_become_slow_after_its_rehearsal_are_noticed_and_turns_given_up(
    process: LoadProcess,
) -> None:
    """One answer in three takes longer than a turn: what came after its end was drained before the next began."""
    began_slow = threading.Event()

    def act(talk: Talk, number: int) -> None:
        time.sleep(0.4 if began_slow.is_set() and number % 3 == 0 else 0.001)
        talk.send(RIGHT)

    with serving(Numbered(act)) as one, serving(slow_now_and_then(10**9, 0, 0.001)) as two:
        order = measuring(
            JSON, target(one, "one"), target(two, "two"), turn_s=0.3, window_s=3.0, load=open_load(100.0), warmup_s=0.25
        )
        process.say(**order)
        while process.read().get("phase") != "measure":
            pass
        began_slow.set()
        results = process.answer()["targets"]
        assert one.requests == accounted(results[0])
        assert two.requests == accounted(results[1])
    for result in results:
        window = result["window"]
        assert window["visits"] == "unbroken"
        if "would have to last" not in window["why"]:  # a very busy machine is too slow for turns anyway
            assert "turns were given up" in window["why"]
            assert window["uncounted"]["visits that were given up"] > 0
        assert window["due"] == window["sent"] == result["requests"]
    assert percentile_ms(results[0], 0.99, "intended_histogram") >= 390


# --- open loops on all servers at once -------------------------------------------------------------------------------


def waiting(folder: Path) -> Path:
    return scenario(
        folder,
        """
        class Waits(BenchUser):
            requests = (get("/json", expect=b'{"message":"Hello, World!"}'),)
            floor_s = 0.03
        """,
    )


def test_servers_whose_answers_wait_are_driven_at_once_and_each_owns_its_own_requests(
    process: LoadProcess, tmp_path: Path
) -> None:
    own = (os.getpid(),)
    with contextlib.ExitStack() as alive:
        delays_s = (0.03, 0.03, 0.06, 0.09)
        servers = [alive.enter_context(serving(slow_now_and_then(10**9, 0, delay_s))) for delay_s in delays_s]
        targets = [target(server, f"{place}", own) for place, server in enumerate(servers)]
        began = time.monotonic()
        order = measuring(
            waiting(tmp_path), *targets, slice_s=None, turn_s=0.3, window_s=2.0, load=open_load(40.0, 16), warmup_s=0.25
        )
        results = process.ask(**order)["targets"]
        took_s = time.monotonic() - began
        for server, result in zip(servers, results, strict=True):
            assert server.requests == accounted(result)
    counted_s = sum(result["window_s"] for result in results)
    for delay_s, result in zip(delays_s, results, strict=True):
        window = result["window"]
        assert window["visits"] == "together"
        assert "at the same time" in window["why"]
        assert window["due"] == window["sent"] == result["requests"] == sum(result["intended_histogram"]["counts"])
        assert window["due"] == pytest.approx(40 * result["window_s"], abs=2)
        assert result["requests"] == sum(result["requests_by_pid"].values())
        assert percentile_ms(result, 0.5) >= delay_s * 1e3
        assert sum(window["lateness_histogram_us"]["counts"]) == window["due"]
    # The counted time of all of them passed at the same time.
    assert counted_s > 0.9 * 4 * 2.0
    assert took_s < counted_s or any(result["window_s"] > 3 for result in results)


def test_a_server_that_stops_answering_takes_only_itself_out_of_a_window_that_all_share(
    process: LoadProcess, tmp_path: Path
) -> None:
    stopped = threading.Event()

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        if stopped.is_set():
            talk.sock.recv(1)  # until the client hangs up
        else:
            time.sleep(0.03)
            talk.send(RIGHT)

    own = (os.getpid(),)
    with serving(Numbered(act)) as one, serving(slow_now_and_then(10**9, 0, 0.03)) as two:
        order = measuring(
            waiting(tmp_path), target(one, "one", own), target(two, "two", own), slice_s=None, turn_s=0.3,
            window_s=1.5, load=open_load(40.0, 16), warmup_s=0.25, timeout_s=1.0,
        )  # fmt: skip
        process.say(**order)
        while process.read().get("phase") != "measure":
            pass
        stopped.set()
        first, second = process.answer()["targets"]
        assert one.requests == accounted(first)
        assert two.requests == accounted(second)
    assert first["gave_up"]["reason"] == "hung"
    assert second["gave_up"] is None
    assert second["errors"] == {}
    assert second["window"]["due"] == second["requests"] == pytest.approx(40 * second["window_s"], abs=2)


def test_lateness_is_noted_for_each_request_and_is_all_that_lies_between_due_and_sent(process: LoadProcess) -> None:
    """With more connections than requests there is never a queue: from due less service is the generator's own."""
    with serving(slow_now_and_then(3, 0.004, 0.0005)) as server:
        order = measuring(JSON, target(server), slice_s=None, window_s=1.0, load=open_load(2000.0, 64), warmup_s=0.25)
        result = only(process.ask(**order))
    due, service = mean_us(result["intended_histogram"]), mean_us(result["histogram"])
    late = result["window"]["lateness_histogram_us"]
    assert sum(late["counts"]) == result["window"]["due"]
    if result["window"]["queue_max"] == 0:
        assert mean_us(late) == pytest.approx(due - service, abs=0.002 * due + 1)
    else:
        assert mean_us(late) <= due - service + 0.002 * due + 1


def mean_us(data: dict[str, Any]) -> float:
    found = Histogram.from_data(HistogramData(gaps=tuple(data["gaps"]), counts=tuple(data["counts"]))).mean_us
    assert found is not None
    return found


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
        while process.read().get("phase") != "measure":
            pass
        twice.set()
        result = only(process.answer())
    assert result["errors"].get("leftover", 0) + result["errors_uncounted"].get("leftover", 0) == 1


# --- users who think -------------------------------------------------------------------------------------------------


def scenario(folder: Path, text: str) -> Path:
    path = folder / "thinking_scenario.py"
    path.write_text(
        "from locust import SequentialTaskSet, TaskSet, between, constant, constant_pacing, constant_throughput, task\n"
        "from sgibench.load.user import BenchUser, get\n" + dedent(text)
    )
    return path


def test_users_who_think_are_not_sliced_and_their_rate_is_that_of_their_thinking(
    process: LoadProcess, tmp_path: Path
) -> None:
    """16 users, each 0.1 to 0.2 s between tasks of two requests: about 213 requests per second, of every server."""
    path = scenario(
        tmp_path,
        """
        class Session(BenchUser):
            wait_time = between(0.1, 0.2)

            @task
            def visit(self):
                self.client.get("/json")
                self.client.get("/json")
        """,
    )
    with serving(slow_now_and_then(10**9, 0, 0)) as one, serving(slow_now_and_then(10**9, 0, 0)) as two:
        load = {"connections": 16}
        order = measuring(path, target(one, "one"), target(two, "two"), slice_s=0.1, window_s=1.5, load=load)
        results = process.ask(**order)["targets"]
        assert one.requests == accounted(results[0])
        assert two.requests == accounted(results[1])
    for result in results:
        window = result["window"]
        assert window["visits"] == "unbroken"
        assert "think" in window["why"]
        assert window["thinks"]
        users = window["in_flight"] + window["thinking"]
        assert users == pytest.approx(16, rel=0.06)
        assert window["thinking"] > window["in_flight"]
        # Little's law for users: each asks two requests a round of 0.15 s of thought and the time its answers take.
        round_s = 0.15 + 2 * result["mean_us"] / 1e6
        assert result["requests"] / result["window_s"] == pytest.approx(32 / round_s, rel=0.15)
        assert window["sessions"] == pytest.approx(result["requests"] / 2, abs=17)


@pytest.mark.parametrize("wait", ["constant_pacing(0.25)", "constant_throughput(4)"])
def test_pacing_is_kept_over_the_window(process: LoadProcess, tmp_path: Path, wait: str) -> None:
    path = scenario(
        tmp_path,
        f"""
        class Paced(BenchUser):
            wait_time = {wait}

            @task
            def ask(self):
                self.client.get("/json")
        """,
    )
    with serving(slow_now_and_then(10**9, 0, 0.01)) as server:
        order = measuring(path, target(server), slice_s=0.1, window_s=1.5, load={"connections": 12})
        result = only(process.ask(**order))
        assert server.requests == accounted(result)
    assert result["requests"] / result["window_s"] == pytest.approx(12 * 4, rel=0.1)


def test_weights_of_tasks_and_steps_of_sequences_are_exact_over_a_window(process: LoadProcess, tmp_path: Path) -> None:
    path = scenario(
        tmp_path,
        """
        class Mixed(BenchUser):
            wait_time = constant(0.02)

            @task(3)
            def often(self):
                self.client.get("/often")

            @task(1)
            def seldom(self):
                self.client.get("/seldom")
        """,
    )
    seen: dict[bytes, int] = {}
    lock = threading.Lock()

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            with lock:
                path = request.split(b" ")[1]
                seen[path] = seen.get(path, 0) + 1
            talk.send(RIGHT)

    with serving(script) as server:
        order = measuring(path, target(server), slice_s=None, window_s=0.5, load={"connections": 8}, identify=False)
        result = only(process.ask(**order))
        assert server.requests == accounted(result)
    total = seen[b"/often"] + seen[b"/seldom"]
    assert total > 100
    assert seen[b"/often"] == pytest.approx(0.75 * total, abs=4)


def test_a_pass_of_a_sequence_is_one_session_and_a_failed_one_is_none(process: LoadProcess, tmp_path: Path) -> None:
    path = scenario(
        tmp_path,
        """
        class Buying(SequentialTaskSet):
            @task
            def search(self):
                self.user.client.get("/search")

            @task
            def buy(self):
                self.user.client.get("/buy")

            @task
            def pay(self):
                self.user.client.get("/pay")

        class Buyer(BenchUser):
            tasks = [Buying]
        """,
    )
    orders: list[list[bytes]] = []

    def script(talk: Talk) -> None:
        mine: list[bytes] = []
        orders.append(mine)
        while (request := talk.request()) is not None:
            mine.append(request.split(b" ")[1])
            time.sleep(0.002)
            talk.send(RIGHT)

    with serving(script) as server:
        order = measuring(path, target(server), slice_s=None, window_s=0.6, load={"connections": 4}, identify=False)
        result = only(process.ask(**order))
        assert server.requests == accounted(result)
    steps = [b"/search", b"/buy", b"/pay"]
    for mine in orders:
        assert mine == [steps[place % 3] for place in range(len(mine))]
    assert result["window"]["sessions"] == pytest.approx(result["requests"] / 3, abs=5)


def all_right(server: Reference, asked: Asked) -> None:
    """Answer as the contract says, over HTTP/2."""
    server.answer(asked.stream, b'{"message":"Hello, World!"}', 200, ("content-type", "application/json"))


@pytest.mark.parametrize(
    ("script", "load"),
    [
        (slow_now_and_then(10**9, 0, 0), {"connections": 16}),
        (speaking(all_right, lambda: None), {"connections": 4, "protocol": "h2c", "streams": 4}),
    ],
    ids=["http", "h2c"],
)
def test_tasks_that_still_ask_when_a_run_ends_leave_no_traceback(
    tmp_path: Path, script: Script, load: dict[str, Any]
) -> None:
    path = scenario(
        tmp_path,
        """
        import gevent

        class Restless(BenchUser):
            @task
            def ask(self):
                gevent.sleep(0.0003)
                self.client.get("/json")
        """,
    )
    log = tmp_path / "load.log"
    with log.open("wb") as stderr, load_process(stderr) as process, serving(script) as server:
        for _ in range(3):
            order = measuring(path, target(server), slice_s=None, window_s=0.2, load=load, identify=False)
            assert only(process.ask(**order))["requests"] > 0
        assert process.ask(do="stop") == {"did": "stop"}
    assert "Traceback" not in log.read_text()
    assert "closed epoll" not in log.read_text()


def test_users_who_think_do_not_disturb_the_question_which_process_answered(
    process: LoadProcess, tmp_path: Path
) -> None:
    path = scenario(
        tmp_path,
        """
        class Thinks(BenchUser):
            wait_time = constant(0.05)

            @task
            def ask(self):
                self.client.get("/json")
        """,
    )

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            is_pid = request.startswith(b"GET /pid ")
            if is_pid:
                time.sleep(0.3)  # by then every user has thought
            talk.send(PID if is_pid else RIGHT)

    with serving(script) as server:
        order = measuring(path, target(server), slice_s=None, window_s=0.5, load={"connections": 8}, warmup_s=0.5)
        result = only(process.ask(**order))
        assert server.requests == accounted(result)
    assert result["errors"] == result["errors_uncounted"] == {}
    assert result["requests_by_pid"] == {"4711": result["requests"]}
