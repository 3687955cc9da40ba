"""The engine's end of the line to the load process: JSON lines out, JSON lines in.

The load process lives for the whole run, in a session of its own, on its own CPUs. This module starts it, gives it
orders, and calls back while it waits, so that the engine can watch the servers meanwhile. It never imports Locust.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Self

from sgibench.errors import DeclarationError, LoadError, SgibenchError
from sgibench.model import (
    CacheUse,
    Calibration,
    Exchange,
    Handshakes,
    Held,
    HistogramData,
    Interface,
    Load,
    LoadWorker,
    Overflow,
    Peak,
    RequestCpu,
    Scenario,
    Slice,
    Terms,
    Window,
    Windows,
)
from sgibench.model.behaviour import Behaviour, Sample, Watched
from sgibench.results.codec import decode, encode
from sgibench.secrets import hidden_in
from sgibench.serve.guarded import Command, Guarded, NotStartedError, readable

START_TIMEOUT_S = 60.0
WATCH_EVERY_S = 0.25
SETTLING_S = 30.0
"""What users who think may need to spread and settle."""
ASK_AFTER_S = 3.0
"""A load process that has been silent for so long is asked whether it is alive; it answers between two callbacks."""
STOPPED_S = 5.0
"""One that is stopped (SIGSTOP) and has not answered for so long is not waited for."""
SILENT_S = 30.0
"""One that runs and has not answered for so long has got stuck."""

CANCEL = "cancel"
"""What the web UI says behind a question that it takes back."""

Answerer = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Answers a question of the web UI: (its name, its words) -> the answer's words."""


@dataclass(frozen=True, kw_only=True)
class BesideTarget:
    """The user's app without a server, beside the servers: where it is told what to call, and its process."""

    port: int
    pid: int


@dataclass(frozen=True, kw_only=True)
class Target:
    """One server, as the load process needs to know it."""

    id: str
    host: str
    port: int
    pids: tuple[int, ...]
    front_pids: tuple[int, ...] = ()
    """Those of them that are its front's."""
    spawns: bool = False
    """Whether it starts a process for each request."""
    services: Mapping[str, int] = field(default_factory=dict)
    """First process of each private service that it uses, by id."""
    data: str | None = None
    """The folder in which its app counts what goes on inside it; None where each request has a process of its own."""
    beside: BesideTarget | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """Progress inside a running order."""

    target: str
    phase: str
    done: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the load process saw of one target; field by field what the protocol says."""

    id: str
    warmup_s: float | None = None
    window_s: float = 0.0
    requests: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    errors_uncounted: Mapping[str, int] = field(default_factory=dict)
    error_samples: Mapping[str, str] = field(default_factory=dict)
    cpu_s: float | None = None
    front_cpu_s: float | None = None
    """The front's part of it."""
    behaviour: Behaviour | None = None
    """What the engine makes of it where something was done to the deployment, or noted by the app."""
    slow: int | None = None
    """Slow clients that had a connection when the window ended; None where there were to be none."""
    samples: tuple[Sample, ...] = ()
    """Of an unbroken window, where they were asked for."""
    edges_ns: tuple[tuple[int, int], ...] = ()
    """Where the counted part of each visit began and ended, by the host's monotonic clock."""
    service_cpu_s: Mapping[str, float] = field(default_factory=dict)
    """CPU of each service over the same counted time."""
    inside: tuple[int, ...] | None = None
    """Most requests at once inside each process of the app in the same counted time; None where none was counted."""
    cache: CacheUse | None = None
    """How the app's cache fared in it; None when it was not asked."""
    answers: Mapping[str, int] = field(default_factory=dict)
    """All right answers, counted or not, by `METHOD name`."""
    mean_us: float | None = None
    max_us: float | None = None
    histogram: HistogramData | None = None
    intended_histogram: HistogramData | None = None
    first_chunk_histogram: HistogramData | None = None
    gap_histogram: HistogramData | None = None
    window: Window | None = None
    held: Held | None = None
    handshakes: Handshakes | None = None
    overflow: Overflow | None = None
    peak: Peak | None = None
    slices: tuple[Slice, ...] = ()
    singly: tuple[RequestCpu, ...] = ()
    series: tuple[int, ...] = ()
    connections_established: int | None = None
    jain: float | None = None
    slowest_share: float | None = None
    lag_us_p99: float | None = None
    generator_cpu_s: float | None = None
    generator_utilisation: float | None = None
    generator_workers: tuple[LoadWorker, ...] = ()
    connect_us_p50: float | None = None
    queue_max: int | None = None
    reopened: int | None = None
    answer_bytes: float | None = None
    requests_by_pid: Mapping[str, int] | None = None
    by_request: Mapping[str, HistogramData] = field(default_factory=dict)
    gave_up_reason: str | None = None
    gave_up_detail: str = ""


class LoadProcess:
    """The running load process; a context manager."""

    def __init__(self, cpus: Sequence[int], log: Path, workers: int = 1, *, awake: bool = False) -> None:
        """`log` takes its stderr; with several `workers` it measures through Locust's master and workers.

        `awake`: it has its CPUs for itself, so in open loops it need not sleep until shortly before a request is due.
        """
        self.cpus = tuple(cpus)
        self.awake = awake
        self.log = log
        self.workers = workers
        self._process: Guarded | None = None
        self._half = b""
        self._heard_s = 0.0
        """When it last said something, or was expected to begin."""
        self._asked_s: float | None = None
        """When it was asked whether it is alive; None when it has said something since."""
        self.spent_s: Mapping[str, float] = {}
        """Where the time of the last `measure` went, by phase; empty where several processes shared it."""
        self._asks: list[dict[str, Any]] = []
        """Questions of the web UI that wait for an answer."""

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        process = self._process = Guarded(
            Command(
                argv=(sys.executable, "-P", "-m", "sgibench.load"),
                env={**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1"},
                log=self.log,
                cpus=self.cpus,
                pipes=frozenset({"stdin", "stdout"}),
            )
        )
        try:
            process.start()
        except NotStartedError as error:
            raise LoadError(f"the load process can't be started: {error}") from None
        self._heard_s = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """End it with all that it started; it has nothing to say any more."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    # --- orders ----------------------------------------------------------------------------------------------------

    def describe(self, paths: Sequence[Path]) -> list[Scenario]:
        """Read scenario files; raises DeclarationError for a broken one."""
        answer = self._order({"do": "describe", "scenarios": [str(path) for path in paths]}, START_TIMEOUT_S)
        return [_scenario(data) for data in answer["scenarios"]]

    def measure(
        self,
        scenario: Scenario,
        targets: Sequence[Target],
        load: Load,
        windows: Windows,
        seed: int,
        *,
        on_step: Callable[[Step], None],
        watch: Callable[[], Mapping[str, str]],
        identify: bool = True,
        samples: bool = False,
        singly: Sequence[int] = (),
    ) -> list[Measured]:
        """Load the targets and return what was seen of each, in their order.

        `identify`: ask `GET /pid` afterwards which process served each connection. `samples`: note what was answered
        and what failed every tenth of a second. `singly`: places of the requests that are then asked by themselves, in
        turn with the app that lives beside the targets.

        `watch` is called several times a second and names the targets that are gone, with the reason.
        """
        order = {
            "do": "measure",
            "scenario": str(scenario.path),
            "targets": [encode(target) for target in targets],
            "load": encode(load),
            **encode(windows),
            "seed": seed,
            "identify": identify,
            "samples": samples,
            "singly": list(singly),
            "load_workers": self.workers,
            "awake": self.awake,
        }
        dropped: set[str] = set()

        def watch_and_drop() -> None:
            for gone, reason in watch().items():
                if gone not in dropped:
                    dropped.add(gone)
                    self._send({"do": "drop", "target": gone, "reason": reason})

        answer = self._order(order, _longest_s(len(targets), load, windows), on_step=on_step, watch=watch_and_drop)
        self.spent_s = {str(phase): float(seconds) for phase, seconds in (answer.get("spent_s") or {}).items()}
        return [measured_of(data) for data in answer["targets"]]

    def calibrate(self, scenario: Scenario, window_s: float) -> Calibration:
        """Find the generator's ceiling for a scenario against a server that only sends prepared bytes."""
        order = {"do": "calibrate", "scenario": str(scenario.path), "window_s": window_s}
        answer = self._order(order, START_TIMEOUT_S + 10 * window_s)
        return Calibration(
            scenario=scenario.id,
            rps_per_core=float(answer["rps_per_core"]),
            requests=int(answer["requests"]),
            cpu_s=float(answer["cpu_s"]),
            utilisation=float(answer["utilisation"]),
        )

    # --- the web UI: here the load process asks, and the engine answers -----------------------------------------------

    def ui(self, order: Mapping[str, Any]) -> tuple[str, int]:
        """Open the Locust web UI in the load process; returns its address and port."""
        answer = self._order({"do": "ui", **order}, START_TIMEOUT_S)
        return str(answer["url"]), int(answer["port"])

    def attend(self, answer: Answerer, watch: Callable[[], None]) -> NoReturn:
        """Answer the web UI's questions, one after the other, until something ends this by an exception.

        `answer` takes a question's name and words; a SgibenchError that it raises is told as a refusal. `watch` is
        called several times a second while nobody asks.
        """
        while True:
            watch()
            if not self._asks:
                self._asks += [line for line in self._lines(WATCH_EVERY_S) if "ask" in line]
            while self._asks:
                ask = self._asks.pop(0)
                try:
                    told = answer(str(ask["ask"]), ask)
                except SgibenchError as error:
                    self.tell("refused", id=ask["id"], message=str(error))
                else:
                    self.tell(str(ask["ask"]), id=ask["id"], **told)

    def taken_back(self) -> bool:
        """Whether the web UI takes back what it asked: a `cancel` waits behind it. For answers that take long."""
        self._asks += [line for line in self._lines(0) if "ask" in line]
        return any(ask["ask"] == CANCEL for ask in self._asks)

    def tell(self, name: str, **words: Any) -> None:
        """Tell the web UI something, asked (with the question's `id`) or unasked."""
        self._send(hidden_in({"tell": name, **words}))

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process is not None and self._process.alive()

    # --- the line --------------------------------------------------------------------------------------------------

    def _order(
        self,
        order: dict[str, Any],
        timeout_s: float,
        on_step: Callable[[Step], None] = lambda _step: None,
        watch: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        self._send(order)
        self._heard_s, self._asked_s = time.monotonic(), None
        deadline = self._heard_s + timeout_s
        while time.monotonic() < deadline:
            watch()
            for line in self._lines(WATCH_EVERY_S):
                if "ask" in line:
                    self._asks.append(line)
                elif line.get("event") == "progress":
                    on_step(Step(target=line["target"], phase=line["phase"], done=float(line["done"])))
                elif line.get("did") == "error":
                    raise _error_of(line)
                elif line.get("did") == order["do"]:
                    return line
        raise LoadError(
            f"the load process did not finish {order['do']!r} within {timeout_s:.0f} s; {self._last_words()}"
        )

    def _started(self) -> Guarded:
        if self._process is None:
            raise AssertionError("the load process is spoken to outside the context")
        return self._process

    def _send(self, order: Mapping[str, Any]) -> None:
        line = json.dumps(order).encode() + b"\n"
        pipe = self._started().pipes["stdin"]
        try:
            while line:
                line = line[os.write(pipe, line) :]
        except BrokenPipeError:
            raise self._ended() from None

    def _lines(self, timeout_s: float) -> list[dict[str, Any]]:
        pipe = self._started().pipes["stdout"]
        if not readable([pipe], timeout_s):
            self._refuse_silence()
            return []
        words = os.read(pipe, 1 << 20)
        if not words:
            raise self._ended()
        self._heard_s, self._asked_s = time.monotonic(), None
        *lines, self._half = (self._half + words).split(b"\n")
        try:
            return [json.loads(line) for line in lines if line.strip()]
        except ValueError:
            raise LoadError(f"the load process said something that is no JSON: {words[:200]!r}") from None

    def _refuse_silence(self) -> None:
        """Raise LoadError when it is stopped, or alive and saying nothing, for longer than it ever should."""
        process, now_s = self._started(), time.monotonic()
        if self._asked_s is None:
            if now_s - self._heard_s > ASK_AFTER_S:
                self._asked_s = now_s
                self._send({"do": "ping"})
            return
        silent_s = now_s - self._asked_s
        if silent_s > STOPPED_S and process.stopped():
            raise LoadError(
                f"the load process (pid {process.pid}) was stopped from outside (SIGSTOP) and did not go on"
            )
        if silent_s > SILENT_S:
            raise LoadError(
                f"the load process (pid {process.pid}) runs but has not answered for {silent_s:.0f} s; "
                f"{self._last_words()}"
            )

    def _ended(self) -> LoadError:
        """Say how it ended."""
        process = self._started()
        process.wait(1.0)
        status = process.exit_status
        how = "" if status is None else f" with status {status}" if status >= 0 else f", killed by {_signal(-status)}"
        return LoadError(f"the load process (pid {process.pid}) ended{how}; {self._last_words()}")

    def _last_words(self) -> str:
        try:
            tail = self.log.read_bytes()[-600:].decode("utf-8", errors="replace").strip().replace("\n", " | ")
        except OSError:
            tail = ""
        return f"its last words: {tail}" if tail else "it said nothing"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _longest_s(targets: int, load: Load, windows: Windows) -> float:
    """Give an order ample time: everything may go wrong once for every target before it is called lost."""
    calm = targets * (windows.warmup_s + windows.window_s) * 2
    return 60 + calm * 3 + targets * (windows.timeout_s * 6 + SETTLING_S) + load.connections / 100


def _error_of(line: Mapping[str, Any]) -> SgibenchError:
    kinds: dict[str, type[SgibenchError]] = {"DeclarationError": DeclarationError}
    kind = kinds.get(str(line.get("kind")), LoadError)
    message = str(line.get("message", "no reason was given"))
    if line.get("traceback"):
        message = f"{message}\n{line['traceback']}"
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def _scenario(data: Mapping[str, Any]) -> Scenario:
    interfaces: tuple[Interface, ...] = tuple(data["interfaces"])
    return Scenario(
        id=data["id"],
        summary=data["summary"],
        path=Path(data["path"]),
        exchanges=tuple(_exchange(exchange) for exchange in data["exchanges"]),
        floor_s=float(data["floor_s"]),
        interfaces=interfaces,
        watched=decode(Watched, data.get("watched") or {}),
        jobs=bool(data.get("jobs")),
        services=tuple(data.get("services") or ()),
        rows={str(name): int(count) for name, count in (data.get("rows") or {}).items()},
        pieces=None if data.get("pieces") is None else {str(k): int(v) for k, v in data["pieces"].items()},
        terms=decode(Terms, data.get("terms") or {}),
    )


def _exchange(data: Mapping[str, Any]) -> Exchange:
    expected = data["expected_b64"]
    return Exchange(
        name=data["name"],
        method=data["method"],
        path=data["path"],
        headers=tuple((str(name), str(value)) for name, value in data["headers"]),
        body=base64.b64decode(data["body_b64"]),
        status=int(data["status"]),
        expected_body=None if expected is None else base64.b64decode(expected),
        weight=int(data["weight"]),
        gives=tuple(data["gives"]),
    )


def measured_of(data: Mapping[str, Any]) -> Measured:
    """Read what was seen of one target; raises LoadError."""
    gave_up = data.get("gave_up") or {}
    try:
        return decode(
            Measured, {**data, "gave_up_reason": gave_up.get("reason"), "gave_up_detail": gave_up.get("detail", "")}
        )
    except ValueError as error:
        raise LoadError(f"the load process answered outside its protocol: {error}") from None
