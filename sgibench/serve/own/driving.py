"""The engine's side of the driver: what an app answers without a server, and its own CPU for each request.

Once before the run (`drive`), and beside the servers (`Beside`), where the load process says when it calls what.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import psutil

from sgibench.errors import ServerError
from sgibench.model import App, Asked
from sgibench.serve.guarded import Command, Guarded, Standstill
from sgibench.serve.logs import tail_of
from sgibench.serve.own.copying import in_copy
from sgibench.serve.own.preparing import folded, prepare_start
from sgibench.serve.own.spec import MODULE
from sgibench.serve.variables import variables_of

REDIRECT, BAD = 300, 400
"""Statuses from the one on and below the other say that the answer is elsewhere, where they say where."""
DRIVE = Path(__file__).with_name("drive.py")
START_S = 90.0
EACH_S = 60.0
"""Most time for one request, asked a few times and measured."""
WARM_S = 0.1
"""How long each request is called before it is measured beside the servers."""
LOOK_S = 0.02
ENDS_S = 3.0
"""So long its process may take to end when all is answered: what the app left running there is not waited for."""
MOST_LEFT = 100
"""Threads that may still run then: more than the pools of an app have, so requests left them behind."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One answer of an app that was called without a server."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    """From its beginning, at most a MiB."""
    size: int

    def header(self, name: str) -> str | None:
        """Give the first value of a header; `name` in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def leads_to(self) -> str | None:
        """Where a redirect goes; None for what is none: not every 3xx is one (304), nor has every one a Location."""
        return self.header("location") if REDIRECT <= self.status < BAD else None


@dataclass(frozen=True, kw_only=True)
class Driven:
    """What came of one request."""

    answers: tuple[Seen, ...]
    error: str | None = None
    """What the app raised instead."""
    statuses: tuple[tuple[int | None, int], ...] = ()
    """Each status that any of all calls was answered with, and which call was the first; None: no answer."""
    calls: int = 0
    cpu_us: float = 0.0
    """Of the app alone, per call: what an app that does nothing costs is taken off."""
    wall_us: float = 0.0
    wait_us: float = 0.0
    """Of that time, neither computing nor queueing for a CPU: the app waited for something."""
    printed_bytes: float = 0.0
    """Per call."""
    idle_cpus: float = 0.0
    """CPUs that the app's process used while nothing was asked of it; for all requests together."""
    peak_bytes: int = 0
    """The most that the app's process held in memory, for all requests together."""


def drive(
    app: App, requests: Sequence[Asked], scratch: Path, cpus: Sequence[int] = (), seconds: float = 0.3
) -> tuple[Driven, ...]:
    """Ask an app each request in a process of its own. Raises ServerError when that process can't do it."""
    process, answer = _process(app, requests, scratch / "drive", cpus, seconds, beside=False)
    with process:
        _await_end(app, requests, process, answer)
    told = _told(app, process, answer, requests)
    idle_cpus, peak_bytes = float(told["idle_cpus"]), int(told["peak_bytes"])
    return tuple(
        replace(_driven(one, told["idle"]["cpu_us"]), idle_cpus=idle_cpus, peak_bytes=peak_bytes)
        for one in told["requests"]
    )


def _await_end(app: App, requests: Sequence[Asked], process: Guarded, answer: Path) -> None:
    """Wait for as long as it goes on from one request to the next; raises ServerError when it doesn't.

    Once it has answered, its end is waited for only a moment: threads of the app's may keep it from that.
    """
    on, until_s, standstill, ends_s = None, time.monotonic() + START_S, Standstill(), None
    while not process.wait(LOOK_S):
        now = _on(answer.with_suffix(".at"))
        if standstill.seen(stopped=process.stopped()):
            raise _stopped(app, process, "" if now is None else f" by {requests[now].name}")
        if ends_s is None and answer.exists():
            ends_s = time.monotonic() + ENDS_S
        if ends_s is not None and time.monotonic() > ends_s:
            _refuse_pile(app, process, _told(app, process, answer))
            return
        if now != on:
            on, until_s = now, time.monotonic() + EACH_S
        if ends_s is None and time.monotonic() > until_s:
            raise _hung(app, process, "" if on is None else f" {requests[on].name}")


def _refuse_pile(app: App, process: Guarded, told: Mapping[str, Any]) -> None:
    """Raise ServerError when the requests that were answered left threads behind that go on."""
    try:
        left = psutil.Process(process.pid).num_threads() - 1
    except psutil.Error:  # it has ended meanwhile
        return
    if left > MOST_LEFT:
        calls = sum(len(one["answers"]) + one.get("warm_calls", 0) + one.get("calls", 0) for one in told["requests"])
        raise ServerError(
            "threads-left",
            f"{app.id}: called without a server it answered {calls:,} times, but {left:,} threads that it started go "
            "on: under load they would pile up. Let a few threads do that work, or ask something else",
        )


def _on(at: Path) -> int | None:
    """Give the place of the request that is asked now; None before the first one."""
    try:
        return int(at.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


class Beside:
    """An app that lives beside the servers and is called without one; a context manager that leaves nothing behind."""

    def __init__(self, app: App, requests: Sequence[Asked], scratch: Path, cpus: Sequence[int]) -> None:
        """Nothing is started before the context is entered; raises ServerError when the app can't be prepared."""
        self._app = app
        self._process, self._answer = _process(app, requests, scratch, cpus, WARM_S, beside=True)
        self._patience_s = START_S + EACH_S * len(requests)
        self._standstill = Standstill()
        self.port = 0
        """Where it is told what to call."""

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it and wait until each request was called; raises ServerError."""
        self._process.start()
        try:
            self.port = self._await_port()
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()

    def given_up(self) -> str | None:
        """Look whether it was stopped and does not go on; then it is ended, as it would be waited for, and says so."""
        if not self._standstill.seen(stopped=self._process.stopped()):
            return None
        self._process.kill()
        return _stopped(self._app, self._process).detail

    def _await_port(self) -> int:
        until_s, standstill = time.monotonic() + self._patience_s, Standstill()
        while not self._answer.exists() and not self._process.wait(LOOK_S):
            if standstill.seen(stopped=self._process.stopped()):
                raise _stopped(self._app, self._process)
            if time.monotonic() > until_s:
                raise _hung(self._app, self._process)
        return int(_told(self._app, self._process, self._answer)["port"])


def _process(
    app: App, requests: Sequence[Asked], folder: Path, cpus: Sequence[int], seconds: float, *, beside: bool
) -> tuple[Guarded, Path]:
    """Give the process that calls an app, not yet started, and the file that it answers in."""
    own = app.own
    if own is None:
        raise AssertionError(f"{app.id} is of the catalogue")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    own = in_copy(own, folder) if own.copied else own
    env = variables_of(own.base.python.parent, folder / "data", own.paths, own)
    prepare_start(own, folder, env)
    order = {
        "name": MODULE,
        "source": own.source,
        "interface": app.interface,
        "lifespan": own.lifespan == "supported",
        "seconds": seconds,
        "beside": beside,
        "requests": [order_of(asked) for asked in requests],
    }
    answer, log = folder / "answer.json", folder / "drive.log"
    for file in (answer, answer.with_suffix(".at"), log):
        file.unlink(missing_ok=True)
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    command = Command(
        argv=(str(own.base.python), str(DRIVE), str(folder / "order.json"), str(answer)),
        cwd=own.project,
        env=env,
        log=log,
        cpus=tuple(cpus),
    )
    return Guarded(command), answer


def _hung(app: App, process: Guarded, asked: str = "") -> ServerError:
    tail = tail_of(process.command.log) if process.command.log else ""
    return ServerError(
        "hung",
        f"{app.id}: called without a server it did not answer{asked} in time: what never ends (a stream, a long poll), "
        "or takes many seconds, can't be measured; ask something else",
        tail,
    )


def _stopped(app: App, process: Guarded, asked: str = "") -> ServerError:
    tail = tail_of(process.command.log) if process.command.log else ""
    return ServerError(
        "stopped", f"{app.id}: called without a server its process was stopped (SIGSTOP){asked} and did not go on", tail
    )


def _told(app: App, process: Guarded, answer: Path, requests: Sequence[Asked] = ()) -> dict[str, Any]:
    """Read what it answered; raises ServerError when it ended without, with the request that was its last."""
    if not answer.exists():
        tail = folded(tail_of(process.command.log)) if process.command.log else ""
        on = _on(answer.with_suffix(".at"))
        asked = "" if on is None or not requests else f": {requests[on].name} ended its process"
        status = "" if process.exit_status is None else f" (status {process.exit_status})"
        raise ServerError("not-driven", f"{app.id} can't be called without a server{asked}{status}{tail}")
    return dict(json.loads(answer.read_text(encoding="utf-8")))


def order_of(asked: Asked) -> dict[str, Any]:
    """Write a request for the scripts that call an app."""
    return {
        "method": asked.method,
        "path": asked.path,
        "headers": [list(pair) for pair in asked.headers],
        "body": base64.b64encode(asked.body).decode(),
    }


def _driven(told: Mapping[str, Any], idle_us: float) -> Driven:
    answers = tuple(
        Seen(
            status=int(one["status"]),
            headers=tuple((name.lower(), value) for name, value in one["headers"]),
            body=base64.b64decode(one["body"]),
            size=int(one["bytes"]),
        )
        for one in told["answers"]
        if one["status"] is not None
    )
    if "error" in told:
        return Driven(answers=answers, error=" ".join(str(told["error"]).split()))
    return Driven(
        answers=answers,
        statuses=tuple((status, int(number)) for status, number in told["statuses"]),
        calls=int(told["calls"]),
        cpu_us=max(0.0, float(told["cpu_us"]) - idle_us),
        wall_us=float(told["wall_us"]),
        wait_us=float(told["wait_us"]),
        printed_bytes=float(told["printed_bytes"]),
    )
