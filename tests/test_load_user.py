"""BenchUser inside ordinary Locust: listeners, shapes, rates, tasks and draining behave as a Locust user expects."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from tests.scripted_server import Script, Talk, always, answer, serving
from tests.test_scenarios import ENVIRONMENT, entries, finished

HELLO = answer(b"hello")


def locustfile(folder: Path, text: str) -> Path:
    path = folder / "locustfile.py"
    path.write_text(
        "from locust import LoadTestShape, constant, events, task\nfrom sgibench.load.user import *\n"
        + textwrap.dedent(text)
    )
    return path


def locust(path: Path, host: str, *arguments: str) -> subprocess.Popen[str]:
    """Start Locust as a user would."""
    return subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", str(path), "--headless", "--host", host, "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )


def slow(wait_s: float, body: bytes = b"hello") -> Script:
    def script(talk: Talk) -> None:
        while talk.request() is not None:
            time.sleep(wait_s)
            talk.send(answer(body))

    return script


def url(server: Any) -> str:
    return f"http://{server.host}:{server.port}"


def test_locust_counts_what_the_server_counts_on_both_paths(tmp_path: Path) -> None:
    path = locustfile(
        tmp_path,
        """
        class Declared(BenchUser):
            requests = (get("/a", expect=b"hello"), post("/b", body=b"x", expect=b"hello", weight=2))

        class Tasks(BenchUser):
            @task
            def ask(self):
                assert self.client.put("/c", body=b"y", expect=b"hello").status == 200
                self.client.request("DELETE", "/d", expect=(200, b"hello"), name="delete it")
        """,
    )
    with serving(always(HELLO)) as server:
        found = entries(locust(path, url(server), "-u", "6", "-r", "6", "-t", "2s"))
        assert server.requests == sum(entry["num_requests"] for entry in found)
    assert {entry["name"] for entry in found} == {"/a", "/b", "/c", "delete it"}
    assert not any(entry["num_failures"] for entry in found)


def test_requests_in_flight_at_the_end_are_still_counted(tmp_path: Path) -> None:
    path = locustfile(tmp_path, 'class Slow(BenchUser):\n    requests = (get("/", expect=b"hello"),)\n')
    with serving(slow(2.5)) as server:
        (entry,) = entries(locust(path, url(server), "-u", "3", "-r", "3", "-t", "1s"))
        assert entry["num_requests"] == server.requests == 3


def test_wrong_answers_are_failures_with_what_was_expected(tmp_path: Path) -> None:
    path = locustfile(
        tmp_path,
        """
        class Declared(BenchUser):
            requests = (get("/a", expect=b"hullo"),)

        class Tasks(BenchUser):
            @task
            def ask(self):
                self.client.get("/b", expect=404)
                raise AssertionError("a failed request ends the task")
        """,
    )
    with serving(slow(0.01)) as server:
        run = locust(path, url(server), "-u", "2", "-r", "2", "-t", "2s")
        output, _ = run.communicate(timeout=60)
        assert run.returncode == 1
    assert "expected b'hullo', but got b'hello'" in output
    assert "expected status 404, but got 200" in output
    assert "ends the task" not in output


def test_request_listeners_hear_of_every_task_request_and_batch_listeners_of_declared_ones(tmp_path: Path) -> None:
    path = locustfile(
        tmp_path,
        """
        from sgibench.load.field import batch
        heard, batched = [], []

        @events.request.add_listener
        def note(request_type, name, response_time, response_length, exception, **rest):
            heard.append((request_type, name, response_time > 0, response_length, exception))

        @batch.add_listener
        def note_batch(method, name, latencies_ns, **rest):
            batched.append((method, name, len(latencies_ns)))

        @events.quitting.add_listener
        def report(environment, **rest):
            print("HEARD", len(heard), sorted(set(heard), key=str))
            print("BATCHED", sum(count for _, name, count in batched if name == "/declared"))
            print("COUNTED", environment.stats.get("/task", "GET").num_requests)
            print("DECLARED", environment.stats.get("/declared", "GET").num_requests)

        class Declared(BenchUser):
            requests = (get("/declared", expect=b"hello"),)

        class Tasks(BenchUser):
            @task
            def ask(self):
                self.client.get("/task", expect=b"hello")
        """,
    )
    with serving(always(HELLO)) as server:
        output = finished(locust(path, url(server), "-u", "2", "-r", "2", "-t", "2s"))
    said = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in output.splitlines() if line[:5].isupper()}
    assert said["HEARD"].split(" ", 1)[0] == said["COUNTED"]
    assert said["HEARD"].split(" ", 1)[1] == "[('GET', '/task', True, 5, None)]"
    assert said["BATCHED"] == said["DECLARED"] != "0"


def test_a_load_shape_ramps_connections_up_and_down(tmp_path: Path) -> None:
    path = locustfile(
        tmp_path,
        """
        class Slow(BenchUser):
            requests = (get("/", expect=b"hello"),)

        class Steps(LoadTestShape):
            def tick(self):
                now = self.get_run_time()
                return (2, 100) if now < 2 else (8, 100) if now < 4 else (1, 100) if now < 6 else None
        """,
    )
    levels: set[int] = set()
    with serving(slow(0.02)) as server:
        run = locust(path, url(server))
        while run.poll() is None:
            levels.add(len(server._open))
            time.sleep(0.05)
        (entry,) = entries(run)
        assert entry["num_requests"] == server.requests
    assert {1, 2, 8} <= levels
    assert entry["num_failures"] == 0


def test_a_rate_as_a_function_of_time_makes_an_open_loop(tmp_path: Path) -> None:
    path = locustfile(
        tmp_path,
        """
        class Ramp(BenchUser):
            requests = (get("/", expect=b"hello"),)
            rate = staticmethod(lambda t: 200 if t < 2 else 600)
        """,
    )
    with serving(always(HELLO)) as server:
        (entry,) = entries(locust(path, url(server), "-u", "10", "-r", "10", "-t", "4s"))
        assert entry["num_requests"] == server.requests
    assert entry["num_requests"] == pytest.approx(200 * 2 + 600 * 2, rel=0.15)


def test_think_time_is_kept_and_no_think_time_costs_no_sleep(tmp_path: Path) -> None:
    path = locustfile(
        tmp_path,
        """
        class Thinks(BenchUser):
            wait_time = constant(0.1)
            @task
            def ask(self):
                self.client.get("/thinks", expect=b"hello")

        class Hurries(BenchUser):
            @task
            def ask(self):
                self.client.get("/hurries", expect=b"hello")
        """,
    )
    with serving(always(HELLO)) as server:
        found = entries(locust(path, url(server), "-u", "2", "-r", "2", "-t", "3s"))
    counts = {entry["name"]: entry["num_requests"] for entry in found}
    assert 15 <= counts["/thinks"] <= 31
    assert counts["/hurries"] > 20 * counts["/thinks"]


def test_a_class_with_both_requests_and_tasks_is_refused_when_it_is_declared(tmp_path: Path) -> None:
    path = locustfile(
        tmp_path,
        """
        class Both(BenchUser):
            requests = (get("/"),)
            @task
            def ask(self): ...
        """,
    )
    output, _ = locust(path, "http://127.0.0.1:9").communicate(timeout=60)
    assert "expected either `requests` or @task methods, but both are there" in output
