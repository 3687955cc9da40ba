"""Client and server keep books of their own, and these agree to the request; another client sees the same as ours."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from wsproto.events import BytesMessage

from sgibench.histogram import Histogram
from sgibench.model import HistogramData
from tests.load_process import SCENARIOS, LoadProcess, accounted, load_process, measuring, target
from tests.reference_client import PERCENTILES, MixedServer, measure, random_mix
from tests.scripted_server import Talk, answer, serving
from tests.test_load_websocket import WebSocketTalk

BODY = b'{"message":"Hello, World!"}'
RIGHT = answer(BODY)
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module", name="process")
def running() -> Iterator[LoadProcess]:
    with load_process() as process:
        yield process


class Moody:
    """A server that answers late, in pieces or not at all, by a seeded whim, and keeps books."""

    def __init__(self, seed: int, *, losses: bool) -> None:
        self._random = random.Random(seed)
        self._losses = losses
        self._lock = threading.Lock()
        self.received = 0
        self.right = 0
        self.paths: Counter[str] = Counter()

    def note(self, path: str) -> tuple[float, float]:
        """Book a request; gives how long to wait, and a whim from 0 to 1."""
        with self._lock:
            self.received += 1
            self.paths[path] += 1
            wait_s = self._random.choice((0, 0.001, 0.001, 0.004, self._random.uniform(0.005, 0.03)))
            return wait_s, self._random.random()

    def answered(self) -> None:
        """Book a right answer, before it is sent."""
        with self._lock:
            self.right += 1

    def __call__(self, talk: Talk) -> None:
        """Serve one HTTP connection."""
        while (request := talk.request()) is not None:
            path = request.split(b" ")[1].decode()
            if not path.startswith(("/own-", "/pid")):  # another test's client, whose server had this port before
                talk.send(RIGHT)
                continue
            wait_s, whim = self.note(path)
            time.sleep(wait_s)
            if self._losses and path != "/pid" and whim < 0.02:
                return  # received, and the connection ends without an answer
            self.answered()
            if path == "/pid":
                talk.send(answer(b"7"))
            elif path == "/own-stream":
                talk.send(STREAM, b"5\r\nHello\r\n", b"5\r\nWorld\r\n0\r\n\r\n")
            elif whim < 0.2:
                talk.send(RIGHT[:20], RIGHT[20:])
            else:
                talk.send(RIGHT)

    def echo(self, talk: Talk) -> None:
        """Serve one WebSocket connection."""
        socket = WebSocketTalk(talk)
        for message in socket.messages():
            wait_s, _ = self.note("/ws")
            time.sleep(wait_s)
            self.answered()
            socket.send(BytesMessage(data=bytes(message.data)))


KINDS: dict[str, str] = {
    "closed": 'requests = (get("/own-json", weight=3), post("/own-echo", body=b"x"))',
    "open": 'requests = (get("/own-json"),)',
    "tasks": """
        @task(2)
        def read(self):
            self.client.get("/own-json")

        @task
        def write(self):
            self.client.post("/own-echo", body=b"x")
    """,
    "think": """
        wait_time = between(0.005, 0.02)

        @task
        def visit(self):
            self.client.get("/own-json")
            self.client.get("/own-mine")
    """,
    "open tasks": """
        @task
        def visit(self):
            self.client.get("/own-json")
    """,
    "streams": 'requests = (get("/own-stream", streams=True, expect=b"HelloWorld"),)',
    "sockets": "",
}
SOCKETS = """
from sgibench.load.websocket import WebSocketUser, echo

class Kind(WebSocketUser):
    requests = (echo(b"abc", weight=2), echo(b"defgh"))
"""


def scenario(folder: Path, kind: str) -> Path:
    path = folder / "kind_scenario.py"
    if kind == "sockets":
        path.write_text(SOCKETS)
        return path
    body = dedent(KINDS[kind]).strip().replace("\n", "\n    ")
    path.write_text(
        "from locust import between, task\nfrom sgibench.load.user import BenchUser, get, post\n\n"
        f"class Kind(BenchUser):\n    {body}\n"
    )
    return path


@pytest.mark.parametrize(("sliced", "workers"), [(True, 1), (False, 2)], ids=["visits", "unbroken, two processes"])
@pytest.mark.parametrize("kind", KINDS)
def test_client_and_server_agree_about_every_single_request(
    process: LoadProcess, tmp_path: Path, kind: str, *, sliced: bool, workers: int
) -> None:
    is_open = kind.startswith("open")
    moody = Moody(seed=len(kind) + workers, losses=kind not in {"sockets", "streams"})
    load: dict[str, Any] = {"connections": 12}
    if is_open:
        load |= {"kind": "open", "rate_per_s": 250.0, "arrivals": "uniform" if sliced else "poisson"}
    with serving(moody.echo if kind == "sockets" else moody) as server:
        order = measuring(
            scenario(tmp_path, kind),
            target(server),
            load=load,
            slice_s=0.3 if sliced else None,
            turn_s=0.3 if sliced else None,
            window_s=0.9,
            warmup_s=0.5,
            load_workers=workers,
        )
        measured = process.ask(**order)
    assert measured["did"] == "measure", measured
    (result,) = measured["targets"]
    window = result["window"]
    assert moody.received == accounted(result)
    asked = moody.paths["/pid"]
    assert moody.right == result["requests"] + result["requests_uncounted"] + asked
    assert window["sent"] == result["requests"] + sum(result["errors"].values())
    assert result["requests"] > 0
    assert sum(result["histogram"]["counts"]) == result["requests"] + window["censored"]
    if is_open:
        assert window["due"] == window["sent"]
        assert sum(result["intended_histogram"]["counts"]) == result["requests"] + window["censored"]
    if kind == "streams":
        assert sum(result["first_chunk_histogram"]["counts"]) == result["requests"]
    if kind == "closed":
        assert moody.paths["/own-json"] == pytest.approx(3 * moody.paths["/own-echo"], abs=8 * workers)
    if kind == "think":
        assert window["visits"] == "unbroken"


@pytest.mark.parametrize("seed", [3, 8])
def test_a_client_that_shares_no_code_measures_the_same(process: LoadProcess, seed: int) -> None:
    """Two servers of one mix at the same time, one for each client; `benchmarks/exactness.py` has twenty mixes."""
    mix = random_mix(seed)
    seen: list[Any] = []
    with serving(MixedServer(mix)) as ours, serving(MixedServer(mix)) as theirs:
        other = threading.Thread(
            target=lambda: seen.append(measure(theirs.host, theirs.port, mix.connections, 1.0, 4.0))
        )
        other.start()
        load = {"connections": mix.connections}
        order = measuring(SCENARIOS / "json.py", target(ours), slice_s=0.1, window_s=4.0, load=load, timeout_s=20.0)
        (result,) = process.ask(**order)["targets"]
        other.join()
    (reference,) = seen
    assert result["requests"] / result["window_s"] == pytest.approx(reference.rate_per_s, rel=0.1)
    data = result["histogram"]
    histogram = Histogram.from_data(HistogramData(gaps=tuple(data["gaps"]), counts=tuple(data["counts"])))
    for q, theirs_s in zip(PERCENTILES, reference.percentiles_s, strict=True):
        assert (histogram.percentile_us(q) or 0) / 1e6 == pytest.approx(theirs_s, rel=0.15, abs=0.05)
