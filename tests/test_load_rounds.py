"""Users and their tasks: spread over a round, missed when they leave, and what goes wrong in a task is no figure."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from sgibench.engine.orders import measured_of
from sgibench.engine.trials import judge
from tests.load_process import LoadProcess, accounted, load_process, measuring, target
from tests.scripted_server import ScriptedServer, Talk, always, answer, serving

RIGHT = answer(b'{"message":"Hello, World!"}')


@pytest.fixture(scope="module", name="process")
def running() -> Iterator[LoadProcess]:
    with load_process() as process:
        yield process


def scenario(folder: Path, text: str) -> Path:
    path = folder / "users.py"
    path.write_text(
        "import gevent\n"
        "from locust import SequentialTaskSet, TaskSet, constant, constant_pacing, task\n"
        "from locust.exception import StopUser\n"
        "from sgibench.load.user import BenchUser\n" + dedent(text)
    )
    return path


def measured(process: LoadProcess, path: Path, server: ScriptedServer, **changes: Any) -> dict[str, Any]:
    order = {"warmup_s": 0.25, "window_s": 0.4, "slice_s": 0.1, "identify": False, **changes}
    (result,) = process.ask(**measuring(path, target(server), **order))["targets"]
    return dict(result)


@pytest.mark.parametrize(
    ("wait", "own"), [("wait_time = constant_pacing(0.8)", "pass"), ("floor_s = 0.05", "gevent.sleep(0.8)")]
)
def test_users_who_think_equally_long_do_not_ask_all_at_once(
    process: LoadProcess, tmp_path: Path, wait: str, own: str
) -> None:
    """Ten users, each 0.8 s from one request to the next: a window of half a round owns five of their requests.

    Those who fell asleep together in the warm-up would wake together ever after: in this window, or in none.
    """
    path = scenario(
        tmp_path,
        f"""
        class Thinks(BenchUser):
            {wait}

            @task
            def ask(self):
                self.client.get("/json")
                {own}
        """,
    )
    with serving(always(RIGHT)) as server:
        result = measured(process, path, server, load={"connections": 10})
        assert server.requests == accounted(result)
    assert result["window"]["visits"] == "unbroken"
    assert result["requests"] == pytest.approx(10 * result["window_s"] / 0.8, abs=4.1)
    assert result["window"]["in_flight"] + result["window"]["thinking"] == pytest.approx(10, rel=0.15)


def test_a_user_who_thinks_holds_no_connection_that_is_good_for_one_request(
    process: LoadProcess, tmp_path: Path
) -> None:
    """A server of one request at a time would wait for it, and everybody else for the server."""
    path = scenario(
        tmp_path,
        """
        class Thinks(BenchUser):
            wait_time = constant(0.3)

            @task
            def ask(self):
                self.client.get("/json")
        """,
    )
    one_at_a_time = threading.Lock()

    def script(talk: Talk) -> None:
        with one_at_a_time:
            if talk.request() is not None:
                talk.send(answer(b'{"message":"Hello, World!"}', "200 OK", "Connection: close"))

    with serving(script) as server:
        result = measured(process, path, server, window_s=1.0, load={"connections": 8, "connection": "close"})
        assert server.requests == accounted(result)
        assert server.connections - server.requests < 12, "those of who thinks at both edges would be sixteen"
    assert result["errors"] == result["errors_uncounted"] == {}
    # What is left is the time that connections take to be opened.
    assert 4 < result["window"]["in_flight"] + result["window"]["thinking"] < 8.5


WRONGS = {
    "a task that raises": (
        """
        def ask(self):
            self.client.get("/json").json()["id"]
        """,
        "task; first: ask (line 8 of users.py): KeyError: 'id'",
    ),
    "a task that raises before it asks": (
        """
        def ask(self):
            self.nothing.there()
        """,
        "task; first: ask (line 8 of users.py): AttributeError",
    ),
    "a user who leaves": (
        """
        def ask(self):
            self.client.get("/json")
            raise StopUser
        """,
        "task; first: a user left",
    ),
    "a user who is interrupted": (
        """
        def ask(self):
            gevent.Timeout(0.01).start()
            gevent.sleep(5)
        """,
        "task; first: a user left: ask (line 9 of users.py): Timeout",
    ),
    "a user who never begins": (
        """
        def on_start(self):
            raise ValueError("no account")

        def ask(self):
            self.client.get("/json")
        """,
        "task; first: a user left: on_start (line 8 of users.py): ValueError: no account",
    ),
}


@pytest.mark.parametrize("name", WRONGS)
def test_what_goes_wrong_in_a_task_is_named_and_makes_no_figure(
    process: LoadProcess, tmp_path: Path, name: str
) -> None:
    body, told = WRONGS[name]
    odd = "class Odd(BenchUser):\n" + indent(dedent(body), "    ") + "\n    tasks = [ask]\n"
    path = scenario(tmp_path, odd)
    with serving(always(RIGHT)) as server:
        result = measured(process, path, server)
        assert server.requests == accounted(result)
    failure = judge(measured_of(result), "")
    assert failure is not None
    assert failure.reason == "client"
    assert told in failure.detail


@pytest.mark.parametrize("load", [{"connections": 4}, {"kind": "open", "rate_per_s": 20.0, "connections": 4}])
def test_an_abort_ends_soon_although_tasks_wait_for_answers(
    process: LoadProcess, tmp_path: Path, load: dict[str, Any]
) -> None:
    """They are told that there will be none, and go on to ask again; the process must not wait for that."""
    path = scenario(
        tmp_path,
        """
        class Waits(BenchUser):
            @task
            def ask(self):
                self.client.get("/json")
        """,
    )
    asked = threading.Event()

    def script(talk: Talk) -> None:
        talk.request()
        asked.set()
        talk.sock.recv(1)  # until the client hangs up

    with serving(script) as server:
        process.say(**measuring(path, target(server), load=load, warmup_s=0.25, timeout_s=60.0, identify=False))
        assert asked.wait(60)
        process.say(do="abort")
        answered = process.answer()
        assert answered["aborted"]
        assert server.requests == accounted(answered["targets"][0])


def test_users_who_ask_nothing_leave_the_process_to_the_others(process: LoadProcess, tmp_path: Path) -> None:
    """Whether they do nothing in their task, or leave the task set that they just entered."""
    path = scenario(
        tmp_path,
        """
        class Inner(TaskSet):
            @task
            def leave(self):
                self.interrupt()

        class Idle(BenchUser):
            tasks = [Inner]
        """,
    )
    with serving(always(RIGHT)) as server:
        process.say(**measuring(path, target(server), warmup_s=0.25, identify=False))
        while process.read().get("phase") != "warmup":
            pass
        process.say(do="abort")
        assert process.answer()["aborted"]
        assert server.requests == 0


def test_who_leaves_a_sequence_at_its_end_has_made_a_session(process: LoadProcess, tmp_path: Path) -> None:
    path = scenario(
        tmp_path,
        """
        class Paying(TaskSet):
            @task
            def pay(self):
                self.user.client.get("/pay")
                self.interrupt()

        class Buying(SequentialTaskSet):
            @task
            def search(self):
                self.user.client.get("/search")

            tasks = [Paying]

            @task
            def leave(self):
                self.interrupt(reschedule=False)

        class Buyer(BenchUser):
            tasks = [Buying]
        """,
    )

    def script(talk: Talk) -> None:
        while talk.request() is not None:
            time.sleep(0.002)
            talk.send(RIGHT)

    with serving(script) as server:
        result = measured(process, path, server, slice_s=None, load={"connections": 4})
        assert server.requests == accounted(result)
    assert result["errors"] == {}
    # Of each pass two requests, and two sessions: the task inside, and the pass.
    assert result["window"]["sessions"] == pytest.approx(result["requests"], abs=9)
