"""An app of the catalogue called without a server: what one request of a scenario's mix costs the app itself.

In the app's own environment and in a process of its own (`mix`), called as apps of the user's are. The answers are held
against what the scenario expects: an app that answers otherwise without a server has no cost here.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgibench.answers.giving import filled, given
from sgibench.errors import ServerError
from sgibench.model import App, Exchange, Interface, Scenario
from sgibench.serve.envs import Environment
from sgibench.serve.guarded import Command, Guarded
from sgibench.serve.logs import tail_of
from sgibench.serve.own.preparing import folded
from sgibench.serve.variables import import_paths, variables_of

MIX = Path(__file__).with_name("mix.py")
LONGEST_S = 120.0
"""For a start, and for all requests a few hundred times."""
CALLED: frozenset[Interface] = frozenset({"wsgi", "asgi"})
"""Interfaces that can be called without a server."""


@dataclass(frozen=True, kw_only=True)
class Alone:
    """What came of it."""

    cpu_us: float
    """CPU of the app's process per request of the mix; what calling an app that does nothing costs is taken off."""
    calls: int


def can_be_called(app: App, scenario: Scenario) -> bool:
    """Whether a scenario can be asked of an app without a server: tasks and sockets can't, nor what needs a service."""
    needs_more = app.own is not None or app.uses or scenario.services or not scenario.exchanges
    return app.interface in CALLED and not needs_more


def deck_of(weights: Sequence[int]) -> list[int]:
    """Give each place as often as its weight says, evenly spread: the k-th of w amid the k-th of w equal parts."""
    cards = [((turn + 0.5) / weight, place) for place, weight in enumerate(weights) for turn in range(weight)]
    return [place for _, place in sorted(cards)]


def call_alone(
    app: App,
    environment: Environment,
    scenario: Scenario,
    scratch: Path,
    *,
    cpus: Collection[int] = (),
    seconds: float = 0.5,
) -> Alone:
    """Ask an app a scenario's requests without a server; raises ServerError when it can't be done, or answers wrong."""
    folder = scratch / "alone"
    shutil.rmtree(folder / "data", ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    order = {
        "target": app.target,
        "interface": app.interface,
        "seconds": seconds,
        "requests": [_request(exchange) for exchange in scenario.exchanges],
        "deck": deck_of([exchange.weight for exchange in scenario.exchanges]),
    }
    told = _driven(app, environment, folder, order, tuple(cpus))
    if problem := _problem(scenario.exchanges, told):
        raise ServerError("wrong-answer", f"{app.id} called without a server: {problem}")
    return Alone(cpu_us=max(0.0, float(told["cpu_us"])), calls=int(told["calls"]))


def _request(exchange: Exchange) -> dict[str, Any]:
    return {
        "method": exchange.method,
        "path": exchange.path,
        "headers": [list(pair) for pair in exchange.headers],
        "body": base64.b64encode(exchange.body).decode(),
        "gives": list(exchange.gives),
    }


def _driven(
    app: App, environment: Environment, folder: Path, order: Mapping[str, Any], cpus: tuple[int, ...]
) -> Mapping[str, Any]:
    """Have the script carry the order out; raises ServerError."""
    answer, log = folder / "answer.json", folder / "mix.log"
    for stale in (answer, log):
        stale.unlink(missing_ok=True)
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    command = Command(
        argv=(str(environment.bin / "python"), str(MIX), str(folder / "order.json"), str(answer)),
        cwd=app.folder,
        env=variables_of(environment.bin, folder / "data", import_paths(app.folder, None, folder)),
        log=log,
        cpus=cpus,
    )
    with Guarded(command) as process:
        if not process.wait(LONGEST_S):
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
