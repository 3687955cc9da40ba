"""Many load processes measure as one: all requests are accounted for, histograms merged, every turn taken together."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.load_process import SCENARIOS, LoadProcess, accounted, load_process, measuring, target
from tests.measured import histogram
from tests.scripted_server import serving
from tests.test_load_driver import good

JSON = SCENARIOS / "json.py"


@pytest.fixture(scope="module", name="process")
def running() -> Iterator[LoadProcess]:
    with load_process() as process:
        yield process


def together(*targets: dict[str, Any], workers: int = 2, **changes: Any) -> dict[str, Any]:
    return measuring(JSON, *targets, load_workers=workers, **changes)


@pytest.mark.parametrize("slice_s", [0.05, None], ids=["slices", "unbroken"])
def test_two_processes_count_what_the_server_counts(process: LoadProcess, slice_s: float | None) -> None:
    with serving(good()) as one, serving(good()) as two:
        order = together(target(one, "one"), target(two, "two"), slice_s=slice_s, load={"connections": 7})
        measured = process.ask(**order)
        assert measured["did"] == "measure", measured
        for server, result in zip((one, two), measured["targets"], strict=True):
            assert server.requests == accounted(result)
            assert server.connections == 7
            assert result["errors"] == {}
            assert result["connections_established"] == 7
            assert [worker["requests"] > 0 for worker in result["generator_workers"]] == [True, True]
            assert sum(worker["requests"] for worker in result["generator_workers"]) == result["requests"]
            assert histogram(result["histogram"]).count == result["requests"]
            assert result["window_s"] > 0.2  # a busy machine may make it longer
            assert result["requests_by_pid"] == {"4711": result["requests"]}


def test_an_open_rate_is_shared_out_and_added_up(process: LoadProcess) -> None:
    load = {"kind": "open", "rate_per_s": 400.0, "connections": 8}
    with serving(good()) as server:
        (result,) = process.ask(**together(target(server), load=load, window_s=1.5))["targets"]
        assert server.requests == accounted(result)
    assert result["achieved_rate_per_s"] == pytest.approx(400, rel=0.05)
    assert len(result["generator_workers"]) == 2


@pytest.mark.parametrize("connections", [1, 3])
def test_an_open_rate_is_shared_out_as_connections_are(process: LoadProcess, connections: int) -> None:
    """A process with fewer connections, or with none, owes less of the rate: else what is due there is never sent.

    Answers take 50 ms: 8 per second and connection can be had, and one of three does not carry half of the rate.
    """
    load = {"kind": "open", "rate_per_s": 8.0 * connections, "connections": connections}
    with serving(good(wait_s=0.05)) as server:
        order = together(target(server), load=load, window_s=3.0, warmup_s=0.5)
        (result,) = process.ask(**order)["targets"]
        assert server.requests == accounted(result)
    assert result["gave_up"] is None
    assert result["errors"] == result["errors_uncounted"] == {}
    assert result["requests"] == result["window"]["due"]
    assert result["requests"] == pytest.approx(8 * connections * result["window_s"], abs=3)
    assert [worker["requests"] > 0 for worker in result["generator_workers"]] == [True, connections > 1]
    first = result["generator_workers"][0]["requests"]
    assert first == pytest.approx(result["requests"] * (1 if connections == 1 else 2 / 3), abs=2)


def test_a_target_that_only_fails_is_given_up_by_all(process: LoadProcess) -> None:
    with serving(good(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")) as wrong, serving(good()) as right:
        order = together(target(wrong, "wrong"), target(right, "right"), warmup_s=0.5)
        bad, fine = process.ask(**order)["targets"]
    assert bad["gave_up"]["reason"] == "no-right-answer"
    assert fine["gave_up"] is None
    assert fine["requests"] > 0


def test_an_abort_and_a_drop_reach_all(process: LoadProcess) -> None:
    with serving(good()) as one, serving(good()) as two:
        process.say(**together(target(one, "one"), target(two, "two"), window_s=60.0))
        process.until_measuring()
        process.say(do="drop", target="one", reason="its process died")
        time.sleep(1.0)
        process.say(do="abort")
        measured = process.answer()
    dropped, other = measured["targets"]
    assert measured["aborted"] is True
    assert dropped["gave_up"] == {"reason": "gone", "detail": "its process died"}
    assert other["window_s"] > dropped["window_s"]
    assert other["requests"] > 0


def test_a_worker_that_dies_fails_the_order_and_the_next_one_has_a_new_crew(process: LoadProcess) -> None:
    with serving(good()) as server:
        process.say(**together(target(server), window_s=60.0))
        process.until_measuring()
        pids = workers_of(process.process.pid)
        assert len(pids) == 2
        os.kill(pids[0], signal.SIGKILL)
        failed = process.answer()
        assert failed["did"] == "error"
        assert "load worker ended" in failed["message"]
        assert f"pid {pids[0]}, killed by SIGKILL" in failed["message"]
        answer = process.ask(**together(target(server)))
        assert answer["did"] == "measure", answer
        assert answer["targets"][0]["requests"] > 0


def test_a_worker_that_is_stopped_is_named(process: LoadProcess) -> None:
    with serving(good()) as server:
        process.say(**together(target(server), window_s=60.0))
        process.until_measuring()
        stopped = workers_of(process.process.pid)[1]
        os.kill(stopped, signal.SIGSTOP)
        failed = process.answer()
        assert failed["did"] == "error"
        assert f"a load worker (pid {stopped}) was stopped from outside (SIGSTOP)" in failed["message"]
        answer = process.ask(**together(target(server)))
        assert answer["did"] == "measure", answer


LATE = """
import sys
from sgibench.load.begin import begin
begin(int(sys.argv[2]))
import gevent
from locust.runners import WorkerRunner
join = WorkerRunner.connect_to_master
WorkerRunner.connect_to_master = lambda runner: (join(runner), gevent.sleep(2))
from sgibench.load.member import main
main(int(sys.argv[1]))
"""
"""A worker that Locust takes for ready two seconds before it hears an order."""


def test_a_worker_that_listens_late_gets_its_order_all_the_same() -> None:
    late = f"""
import os, subprocess, sys
from sgibench.load.crew import Crew
Crew._start = lambda crew, index: subprocess.Popen(
    [sys.executable, "-c", {LATE!r}, str(crew._master.server.port), str(os.getpid())], stdin=subprocess.DEVNULL
)
"""
    with load_process(script=late) as process, serving(good()) as server:
        measured = process.ask(**together(target(server)))
        assert measured["did"] == "measure", measured
        assert server.requests == accounted(measured["targets"][0])


def test_users_that_locust_does_not_send_are_spawned_all_the_same() -> None:
    sends_none = "from locust.runners import MasterRunner\nMasterRunner.start = lambda *_, **__: None"
    with load_process(script=sends_none) as process, serving(good()) as server:
        measured = process.ask(**together(target(server), load={"connections": 4}))
        assert measured["did"] == "measure", measured
        (result,) = measured["targets"]
        assert server.requests == accounted(result)
        assert server.connections == result["connections_established"] == 4


def workers_of(pid: int) -> list[int]:
    """Processes that a process has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("needs /proc to find the workers: run on Linux")
    return [int(child) for child in children.read_text().split()]


def test_workers_do_not_outlive_the_load_process() -> None:
    with load_process() as process, serving(good()) as server:
        process.ask(**together(target(server)))
        pids = workers_of(process.process.pid)
        assert len(pids) == 2
        process.close()
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.05)
