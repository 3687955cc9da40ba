"""Whether a rate was kept, on a real load process against a server whose capacity is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sgibench import audit
from sgibench.engine.orders import measured_of
from sgibench.model import Load, Trial
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


def trial_of(process: LoadProcess, script: Script, rate_per_s: float, connections: int, **changes: object) -> Trial:
    """Offer the rate to the script, and put what was seen into a trial."""
    load = Load(kind="open", connections=connections, rate_per_s=rate_per_s)
    with serving(script) as server:
        asked = {"kind": "open", "rate_per_s": rate_per_s, "connections": connections}
        found = process.ask(**measuring(JSON, target(server), load=asked, window_s=0.8, **changes))
    (seen,) = found["targets"]
    measured = measured_of(seen)
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
        histogram_us=measured.histogram,
        intended_histogram_us=measured.intended_histogram,
        window=measured.window,
    )


@pytest.mark.parametrize(
    ("connections", "turn_s"), [(8, None), (256, None), (256, 0.3)], ids=["a queue", "no queue", "no queue, in turns"]
)
def test_twice_what_a_server_can_do_is_not_kept(process: LoadProcess, connections: int, turn_s: float | None) -> None:
    trial = trial_of(process, one_after_the_other(0.01), 200.0, connections, turn_s=turn_s)
    assert not rate_kept(trial)
    kinds = {each.kind for each in audit.trial_doubts(trial, audit.Surroundings())}
    assert "RateNotKept" in kinds
    assert "GeneratorLag" not in kinds


@pytest.mark.parametrize("turn_s", [None, 0.3], ids=["unbroken", "in turns"])
def test_a_third_of_what_a_server_can_do_is_kept(process: LoadProcess, turn_s: float | None) -> None:
    trial = trial_of(process, one_after_the_other(0.001), 100.0, 64, turn_s=turn_s)
    assert rate_kept(trial)
