"""An app of the catalogue called without a server: what one request of a scenario's mix costs the app itself.

In the app's own environment and in a process of its own (`mix`), asked by another (`asker`) in the manner of a server.
The answers are held against what the scenario expects: an app that answers otherwise without a server has no cost here.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgibench.answers.giving import filled, given
from sgibench.errors import ServerError
from sgibench.model import App, Cell, Exchange, Interface, Scenario, ServerEntry
from sgibench.paths import remove
from sgibench.serve.envs import Environment
from sgibench.serve.guarded import Command, Guarded, Standstill
from sgibench.serve.logs import tail_of
from sgibench.serve.own.preparing import folded
from sgibench.serve.variables import import_paths, variables_of

MIX = Path(__file__).with_name("mix.py")
LONGEST_S = 120.0
"""For a start, and for all requests a few hundred times."""
LOOK_S = 0.5
CALLED: frozenset[Interface] = frozenset({"wsgi", "asgi"})
"""Interfaces that can be called without a server."""


ASYNCIO, UVLOOP = "asyncio", "uvloop"
MOST_AT_ONCE = 64
"""More lines tell nothing new."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a server calls its app, as far as that matters to what the app costs."""

    at_once: int
    """Requests that are at work at the same time."""
    loop: str = ASYNCIO
    """Of ASGI apps: asyncio or uvloop."""


def manner_of(entry: ServerEntry, cell: Cell, environment: Environment) -> Manner:
    """Say how a server calls its app: on uvloop where that is installed for it."""
    load = cell.load
    most = {"threads": cell.settings.threads, "greenlets": cell.settings.threads, "processes": 1}
    at_once = most.get(entry.variant.concurrency, load.connections * load.streams)
    on_uvloop = entry.variant.interface == "asgi" and UVLOOP in environment.versions
    return Manner(at_once=max(1, min(at_once, MOST_AT_ONCE)), loop=UVLOOP if on_uvloop else ASYNCIO)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where it is done."""

    scratch: Path
    cpus: Collection[int] = ()
    """Of the app, as of servers."""
    asker_cpus: Collection[int] = ()
    """Of the process that asks, as of the load."""


@dataclass(frozen=True, kw_only=True)
class Alone:
    """What came of it."""

    cpu_us: float
    """CPU of the app's process per request of the mix; what calling an app that does nothing costs is taken off."""
    calls: int


def can_be_called(app: App, scenario: Scenario) -> bool:
    """Whether a scenario can be asked of an app without a server: tasks and sockets can't."""
    return app.interface in CALLED and app.own is None and bool(scenario.exchanges)


def deck_of(weights: Sequence[int]) -> list[int]:
    """Give each place as often as its weight says, evenly spread: the k-th of w amid the k-th of w equal parts."""
    cards = [((turn + 0.5) / weight, place) for place, weight in enumerate(weights) for turn in range(weight)]
    return [place for _, place in sorted(cards)]


def call_alone(
    app: App,
    environment: Environment,
    scenario: Scenario,
    place: Place,
    *,
    manner: Manner,
    variables: Mapping[str, str] | None = None,
    seconds: float = 0.5,
) -> Alone:
    """Ask an app a scenario's requests without a server; raises ServerError when it can't be done, or answers wrong.

    `variables` tell the app of the services that it uses.
    """
    folder = place.scratch / "alone"
    remove(folder / "data")
    (folder / "data").mkdir(parents=True)
    order = {
        "target": app.target,
        "interface": app.interface,
        "seconds": seconds,
        "at_once": manner.at_once,
        "loop": manner.loop,
        "asker_cpus": sorted(place.asker_cpus),
        "requests": [_request(exchange) for exchange in scenario.exchanges],
        "deck": deck_of([exchange.weight for exchange in scenario.exchanges]),
    }
    told = _driven(app, environment, folder, order, tuple(place.cpus), variables or {})
    if problem := _problem(scenario.exchanges, told):
        raise ServerError("wrong-answer", f"{app.id} called without a server: {problem}")
    if told["cpu_us"] is None:
        raise ServerError("hung", f"{app.id} called without a server: it was not asked in time")
    return Alone(cpu_us=max(0.0, float(told["cpu_us"])), calls=int(told["calls"]))


def _request(exchange: Exchange) -> dict[str, Any]:
    return {
        "method": exchange.method,
        "path": exchange.path,
        "headers": [list(pair) for pair in exchange.headers],
        "body": base64.b64encode(exchange.body).decode(),
        "gives": list(exchange.gives),
    }


def _driven(  # noqa: PLR0917 - one call site
    app: App,
    environment: Environment,
    folder: Path,
    order: Mapping[str, Any],
    cpus: tuple[int, ...],
    variables: Mapping[str, str],
) -> Mapping[str, Any]:
    """Have the script carry the order out; raises ServerError."""
    answer, log = folder / "answer.json", folder / "mix.log"
    for stale in (answer, log):
        stale.unlink(missing_ok=True)
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    command = Command(
        argv=(str(environment.bin / "python"), str(MIX), str(folder / "order.json"), str(answer)),
        cwd=app.folder,
        env={
            **variables_of(environment.bin, folder / "data", import_paths(app.folder, None, folder)),
            **variables,
        },
        log=log,
        cpus=cpus,
    )
    with Guarded(command) as process:
        until_s, standstill = time.monotonic() + LONGEST_S, Standstill()
        while not process.wait(LOOK_S) and time.monotonic() < until_s:
            if standstill.seen(stopped=process.stopped()):
                stopped = f"{app.id}: called without a server its process was stopped (SIGSTOP)"
                raise ServerError("stopped", stopped, tail_of(log))
        if process.alive():
            raise ServerError("hung", f"{app.id}: called without a server it did not answer in time", tail_of(log))
    if not answer.exists():
        raise ServerError("not-driven", f"{app.id} can't be called without a server{folded(tail_of(log))}")
    told: Mapping[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return told


def _problem(exchanges: Sequence[Exchange], told: Mapping[str, Any]) -> str | None:
    """Hold the answers against what is expected of them."""
    values: dict[str, bytes] = {}
    for exchange, seen, later in zip(exchanges, told["answers"], told["statuses"], strict=True):
        where = f"{exchange.method} {exchange.path}"
        statuses = {seen["status"], *later}
        if statuses != {exchange.status}:
            others = ", ".join(sorted(str(status) for status in statuses - {exchange.status}))
            return f"{where}: expected status {exchange.status}, but {others} came"
        body = base64.b64decode(seen["body"])
        if exchange.expected_body is not None and body != filled(exchange.expected_body, values):
            return f"{where}: expected {filled(exchange.expected_body, values)[:60]!r}, but {body[:60]!r} came"
        try:
            values |= given(body, exchange.gives) if exchange.gives else {}
        except ValueError as error:
            return f"{where}: {error}"
    return None
