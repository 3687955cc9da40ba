"""Whether a rate was kept, on a real load process against a server whose capacity is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sgibench import audit
from sgibench.engine.orders import measured_of
from sgibench.engine.trials import as_kept, latency_of
from sgibench.model import Generator, Load, Trial
from sgibench.results.codec import encode
from sgibench.stats.rates import rate_kept
from tests.load_process import SCENARIOS, LoadProcess, load_process, measuring, target
from tests.scripted_server import Script, Talk, answer, serving

JSON = SCENARIOS / "json.py"
BODY = b'{"message":"Hello, World!"}'
WHOLE = answer(BODY, "200 OK", "Content-Type: application/json")


@pytest.fixture(scope="module")
def process() -> Iterator[LoadProcess]:
    with load_process() as running:
        yield running


def one_after_the_other(every_s: float) -> Script:
    """Answer all connections from one queue, one answer in `every_s`."""
    turn = threading.Lock()

    def script(talk: Talk) -> None:
        while talk.request() is not None:
            with turn:
                time.sleep(every_s)
                talk.send(WHOLE)

    return script


def trial_of(process: LoadProcess, script: Script, load: Load, scenario: Path = JSON, **changes: object) -> Trial:
    """Put the load on the script, and what was seen into a trial."""
    with serving(script) as server:
        order = measuring(scenario, target(server), load=encode(load), **{"window_s": 0.8, **changes})
        (seen,) = process.ask(**order)["targets"]
    measured = measured_of(seen)
    generator = Generator(
        cpu_s=None,
        utilisation=measured.generator_utilisation,
        lag_us_p99=measured.lag_us_p99,
        connections_established=measured.connections_established,
        jain=measured.jain,
        slowest_share=measured.slowest_share,
    )
    return Trial(
        cell="server/app/json/open/w1t1",
        server="server",
        app="app",
        scenario="json",
        load=load,
        workers=1,
        threads=1,
        block=0,
        order=0,
        started_at="2026-01-01T00:00:00Z",
        status="ok",
        window_s=measured.window_s,
        requests=measured.requests,
        rps=measured.requests / measured.window_s,
        latency_us=latency_of(measured, open_loop=load.kind == "open"),
        histogram_us=measured.histogram,
        intended_histogram_us=measured.intended_histogram,
        window=measured.window,
        generator=generator,
    )


def at_rate(rate_per_s: float, connections: int = 64) -> Load:
    return Load(kind="open", connections=connections, rate_per_s=rate_per_s)


def kinds_of(trial: Trial) -> set[str]:
    return {each.kind for each in audit.trial_doubts(trial, audit.Surroundings())}


@pytest.mark.parametrize(
    ("connections", "turn_s"), [(8, None), (256, None), (256, 0.3)], ids=["a queue", "no queue", "no queue, in turns"]
)
def test_twice_what_a_server_can_do_is_not_kept(process: LoadProcess, connections: int, turn_s: float | None) -> None:
    trial = trial_of(process, one_after_the_other(0.01), at_rate(200.0, connections), turn_s=turn_s)
    assert not rate_kept(trial)
    assert "RateNotKept" in kinds_of(trial)
    assert "RateNotKept" in kinds_of(as_kept(trial))
    assert not kinds_of(as_kept(trial)) & audit.REFUTING
    assert "GeneratorLag" not in kinds_of(trial)


@pytest.mark.parametrize("turn_s", [None, 0.3], ids=["unbroken", "in turns"])
def test_a_third_of_what_a_server_can_do_is_kept(process: LoadProcess, turn_s: float | None) -> None:
    trial = trial_of(process, one_after_the_other(0.001), at_rate(100.0), turn_s=turn_s)
    assert rate_kept(trial)


def test_a_tenth_more_than_a_server_can_do_is_not_kept(process: LoadProcess) -> None:
    """Fourteen requests more wait at the end, which might be chance; that fewer never wait is none."""
    trial = trial_of(process, one_after_the_other(0.02), at_rate(55.0), window_s=2.4, warmup_s=0.25)
    assert not rate_kept(trial)
    assert "RateNotKept" in kinds_of(trial)


THINKING = """
from locust import between, task
from sgibench.load.user import BenchUser

class Session(BenchUser):
    wait_time = between(0.1, 0.5)

    @task
    def visit(self) -> None:
        self.client.get("/json")
        self.client.get("/json")
"""


def test_think_time_is_no_missing_connection(process: LoadProcess, tmp_path: Path) -> None:
    path = tmp_path / "thinking.py"
    path.write_text(f'"""Users who think."""\n{THINKING}')
    users = Load(kind="closed", connections=16)
    trial = trial_of(process, one_after_the_other(0.001), users, path, window_s=3.0, slice_s=0.1)
    assert trial.window is not None
    assert trial.window.thinks
    assert trial.rps is not None
    assert 50 < trial.rps < 150, "32 requests in 0.3 s of thought and what their answers take"
    assert not kinds_of(trial) & {*audit.REFUTING, "ServerIdle"}
    claimed = replace(trial, rps=trial.rps * 100, requests=(trial.requests or 0) * 100)
    assert "LittleMismatch" in kinds_of(claimed), "more were at work than there are users"
