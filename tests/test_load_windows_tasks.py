"""Windows of users who think: what their thinking takes is no missing connection, and sessions are counted whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.h2_server import Asked, Reference, speaking
from tests.load_process import LoadProcess, load_process, measuring, target
from tests.measured import (
    PID,
    RIGHT,
    measured,
    measured_all,
    only,
    scenario,
    steady,
)
from tests.scripted_server import Script, Talk, serving


@pytest.fixture(scope="module", name="process")
def running() -> Iterator[LoadProcess]:
    with load_process() as process:
        yield process


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
    results = measured_all(process, [steady(), steady()], path, slice_s=0.1, window_s=1.5, load={"connections": 16})
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
    result = measured(process, steady(0.01), path, slice_s=0.1, window_s=1.5, load={"connections": 12})
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

    measured(process, script, path, slice_s=None, window_s=0.5, load={"connections": 8}, identify=False)
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

    result = measured(process, script, path, slice_s=None, window_s=0.6, load={"connections": 4}, identify=False)
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
        (steady(), {"connections": 16}),
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

    result = measured(process, script, path, slice_s=None, window_s=0.5, load={"connections": 8}, warmup_s=0.5)
    assert result["errors"] == result["errors_uncounted"] == {}
    assert result["requests_by_pid"] == {"4711": result["requests"]}
