"""Windows on scripted servers, for tests: servers with a script for each request, measured, both sides counting.

Whatever a test looks at besides: each server must have been sent exactly the requests that its result accounts for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent
from typing import Any

from sgibench.histogram import Histogram
from sgibench.model import HistogramData
from tests.load_process import SCENARIOS, LoadProcess, accounted, measuring, target
from tests.scripted_server import Script, Talk, answer, serving

JSON = SCENARIOS / "json.py"
RIGHT = answer(b'{"message":"Hello, World!"}')
PID = answer(b"4711")


# --- servers ---------------------------------------------------------------------------------------------------------


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


class StopsForASecond(Numbered):
    """A server that answers rightly at once, but for one second some requests after it is told to stop.

    A turn counts from when its server keeps up: what is told between two of them begins in the next one's middle.
    """

    AFTER = 12

    def __init__(self) -> None:
        super().__init__(self._act)
        self._goes = threading.Event()
        self._goes.set()
        self._stops_at = 0

    def _act(self, talk: Talk, number: int) -> None:
        if number == self._stops_at:
            self._goes.clear()
            threading.Timer(1.0, self._goes.set).start()
        self._goes.wait()
        talk.send(RIGHT)

    def stop(self) -> None:
        """Answer nothing for a second, soon."""
        self._stops_at = self.count + self.AFTER


def slow_now_and_then(every: int, slow_s: float, fast_s: float) -> Numbered:
    """One answer in `every` takes `slow_s`, the others `fast_s`."""

    def act(talk: Talk, number: int) -> None:
        time.sleep(slow_s if number % every == 0 else fast_s)
        talk.send(RIGHT)

    return Numbered(act)


def steady(each_s: float = 0.0) -> Numbered:
    """All answers take as long."""
    return slow_now_and_then(1, each_s, each_s)


def falling_silent(stopped: threading.Event, each_s: float = 0.0) -> Numbered:
    """The same until it is told to stop: from then on nobody gets an answer."""

    def act(talk: Talk, number: int) -> None:  # noqa: ARG001 - all are alike
        if stopped.is_set():
            wait_for_the_end(talk)
        else:
            time.sleep(each_s)
            talk.send(RIGHT)

    return Numbered(act)


def wait_for_the_end(talk: Talk) -> None:
    """Say nothing until the client hangs up."""
    talk.sock.recv(1)


# --- what they are asked ---------------------------------------------------------------------------------------------


def scenario(folder: Path, text: str) -> Path:
    """Write a scenario of tasks."""
    path = folder / "thinking_scenario.py"
    path.write_text(
        "from locust import SequentialTaskSet, TaskSet, between, constant, constant_pacing, constant_throughput, task\n"
        "from sgibench.load.user import BenchUser, get\n" + dedent(text)
    )
    return path


def at_rate(rate: float, connections: int = 64) -> dict[str, Any]:
    """What an order says of an open loop: a short warm-up, and no slices."""
    load = {"kind": "open", "rate_per_s": rate, "connections": connections}
    return {"load": load, "slice_s": None, "warmup_s": 0.25}


def measured_all(
    process: LoadProcess,
    scripts: Sequence[Script],
    path: Path = JSON,
    *,
    then: Callable[[], Any] = lambda: None,
    at: float | None = None,
    pids: tuple[int, ...] = (),
    **order: Any,
) -> list[dict[str, Any]]:
    """Measure a server for each script in one group; `then` is called when a window begins, or `at` a share of it."""
    with ExitStack() as alive:
        servers = [alive.enter_context(serving(script)) for script in scripts]
        targets = [target(server, f"{place}", pids) for place, server in enumerate(servers)]
        process.say(**measuring(path, *targets, **order))
        if at is not None:
            process.until_measuring(at)
        then()
        results = targets_of(process.answer())
        for server, result in zip(servers, results, strict=True):
            assert server.requests == accounted(result)
    return results


def measured(process: LoadProcess, script: Script, path: Path = JSON, **order: Any) -> dict[str, Any]:
    """Measure one server."""
    (result,) = measured_all(process, [script], path, **order)
    return result


def targets_of(answered: dict[str, Any]) -> list[dict[str, Any]]:
    """The results in an answer to a measure order."""
    assert answered["did"] == "measure", answered
    return list(answered["targets"])


def only(answered: dict[str, Any]) -> dict[str, Any]:
    """The result of the only target."""
    (result,) = targets_of(answered)
    return result


# --- what came out ---------------------------------------------------------------------------------------------------


def histogram(data: dict[str, Any]) -> Histogram:
    """A histogram as it stands in a result."""
    return Histogram.from_data(HistogramData(gaps=tuple(data["gaps"]), counts=tuple(data["counts"])))


def percentile_ms(result: dict[str, Any], q: float, name: str = "histogram") -> float:
    found = histogram(result[name]).percentile_us(q)
    assert found is not None
    return found / 1e3


def mean_us(data: dict[str, Any]) -> float:
    found = histogram(data).mean_us
    assert found is not None
    return found


def share_above(result: dict[str, Any], limit_s: float) -> float:
    """Share of the answers that took so long."""
    found = histogram(result["histogram"])
    return found.above(limit_s * 1e6 * 0.99) / found.count
