"""Calls an app of the catalogue without a server, inside its own environment: what a scenario's mix costs it.

A plain script for Python 3.11 or newer; beside the standard library it has only `own/drive.py`, whose way of calling an
app and of counting CPU it shares. It reads its order from a file and writes one JSON object beside it.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import importlib.util
import json
import select
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

AT_ONCE = 8
"""Requests that wait are asked so many at a time, as under a server: one by one, each would begin on a cold CPU."""
HEAD_BYTES = 150
"""About the head of a small request, and of an answer."""
ROOM = 1 << 18
WAITS_S = 0.001
"""A request that waits for longer is one."""

Told = dict[str, Any]
Call = Callable[[], Told]
Caller = Callable[[Any, dict[str, Any]], Call]
"""App and request -> what asks it once."""
Crowd = Callable[[Any, dict[str, Any]], Callable[[], list[Told]]]
"""App and request -> what asks it AT_ONCE times at once."""


def main() -> None:
    """Carry out the order in the file that the first argument names."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if entry != str(here)]
    drive = driver(here / "own" / "drive.py")
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    module, _, attribute = order["target"].partition(":")
    app = importlib.import_module(module)
    for name in attribute.split("."):
        app = getattr(app, name)
    told = {"asgi": on_asgi, "wsgi": on_wsgi}[order["interface"]](drive, app, order)
    answer = Path(sys.argv[2])
    beside = answer.with_suffix(".new")
    beside.write_text(json.dumps(told), encoding="utf-8")
    beside.replace(answer)


def driver(path: Path) -> Any:
    """Load the script that knows how to call an app."""
    spec = importlib.util.spec_from_file_location("_sgibench_drive", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def on_wsgi(drive: Any, app: Any, order: Told) -> Told:
    """Call a WSGI app; what waits, in threads."""

    def caller(called: Any, request: Told) -> Call:
        body = base64.b64decode(request["body"])
        kept = drive.environ_of(request, body)
        return lambda: drive.call_wsgi(called, dict(kept), body)

    with ThreadPoolExecutor(AT_ONCE) as pool:

        def crowd(called: Any, request: Told) -> Callable[[], list[Told]]:
            call = caller(called, request)
            return lambda: [one.result() for one in [pool.submit(call) for _ in range(AT_ONCE)]]

        return mixed(drive, order, caller, crowd, app, drive.nothing_wsgi)


def on_asgi(drive: Any, app: Any, order: Told) -> Told:
    """Call an ASGI app on one loop, after its start-up; what waits, in tasks."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    state: Told = {}
    started = loop.run_until_complete(drive.start_up(app, state))

    def caller(called: Any, request: Told) -> Call:
        body = base64.b64decode(request["body"])
        kept = drive.scope_of(request)
        return lambda: loop.run_until_complete(drive.call_asgi(called, {**kept, "state": dict(state)}, body))

    def crowd(called: Any, request: Told) -> Callable[[], list[Told]]:
        body = base64.b64decode(request["body"])
        kept = drive.scope_of(request)

        async def several() -> list[Told]:
            scopes = [{**kept, "state": dict(state)} for _ in range(AT_ONCE)]
            return list(await asyncio.gather(*(drive.call_asgi(called, scope, body) for scope in scopes)))

        return lambda: loop.run_until_complete(several())

    told = mixed(drive, order, caller, crowd, app, drive.nothing_asgi)
    started.cancel()
    loop.run_until_complete(asyncio.gather(started, return_exceptions=True))
    return told


def mixed(drive: Any, order: Told, caller: Caller, crowd: Crowd, app: Any, nothing: Any) -> Told:  # noqa: PLR0917
    """Ask a scenario's requests once, then mixed as its deck says; what one request of the mix costs on average.

    Mixed, because a request that is asked again and again finds its code in the caches, which under load it does not.
    What calling an app that does nothing costs is taken off.
    """
    asked, answers = met_once(drive, order["requests"], caller, app)
    waits = [waiting_s(drive, caller(app, request)) > WAITS_S for request in asked]
    statuses: list[dict[Any, int]] = [{} for _ in asked]
    quick = [place for place in order["deck"] if not waits[place]]
    seconds, total_us, calls = order["seconds"], 0.0, 0
    if quick:
        carried = carriers(asked, answers)
        own = [carried[at](drive.noting(caller(app, asked[at]), statuses[at])) for at in quick]
        idle = [carried[at](drive.noting(caller(nothing, asked[at]), {})) for at in quick]
        own, idle = drive.cost_of(in_a_row(own), seconds), drive.cost_of(in_a_row(idle), seconds / 3)
        total_us += own["cpu_us"] - idle["cpu_us"]
        calls += own["calls"] * len(quick)
    for place in sorted({place for place in order["deck"] if waits[place]}):
        own = drive.cost_of(crowd(app, asked[place]), seconds / 3)
        idle = drive.cost_of(crowd(nothing, asked[place]), seconds / 9)
        total_us += order["deck"].count(place) * (own["cpu_us"] - idle["cpu_us"]) / AT_ONCE
        calls += own["calls"] * AT_ONCE
    return {
        "answers": answers,
        "statuses": [list(each) for each in statuses],
        "cpu_us": total_us / len(order["deck"]),
        "calls": calls,
    }


def met_once(drive: Any, requests: list[Told], caller: Caller, app: Any) -> tuple[list[Told], list[Told]]:
    """Ask each request once, its blanks filled with what earlier answers gave; the requests so filled, and the answers.

    Where an answer lacks what it should give, the blanks stay, and whoever judges the answers will see it.
    """
    asked, answers = [], []
    values: dict[str, str] = {}
    for request in requests:
        asked.append(with_values(request, values))
        told = caller(app, asked[-1])()
        answers.append(drive.shown(told))
        try:
            document = json.loads(told["body"]) if request["gives"] else {}
            values.update({field: str(document[field]) for field in request["gives"]})
        except (ValueError, TypeError, KeyError):
            continue
    return asked, answers


def carriers(asked: list[Told], answers: list[Told]) -> list[Callable[[Call], Callable[[], None]]]:
    """Give for each request what carries it to a call and the answer back, over a pair of sockets.

    So a call finds the caches as it does under a server, which has just read from a socket and then writes to one. The
    app that does nothing is called alike, and so this costs the app nothing.
    """
    here, there = socket.socketpair()
    for end in (here, there):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    return [
        carrier(here, there, len(base64.b64decode(request["body"])), answer["bytes"])
        for request, answer in zip(asked, answers, strict=True)
    ]


def carrier(
    here: socket.socket, there: socket.socket, asked_bytes: int, answered_bytes: int
) -> Callable[[Call], Callable[[], None]]:
    """Give what carries one request; of bodies that do not fit into a socket's buffer, as much as does."""
    request, answer = (bytes(min(HEAD_BYTES + size, ROOM // 4)) for size in (asked_bytes, answered_bytes))
    waiting = select.epoll() if hasattr(select, "epoll") else None
    if waiting is not None:
        waiting.register(there, select.EPOLLIN)

    def around(call: Call) -> Callable[[], None]:
        def carry() -> None:
            here.send(request)
            if waiting is not None:
                waiting.poll()
            there.recv(ROOM)
            call()
            there.send(answer)
            here.recv(ROOM)

        return carry

    return around


def with_values(request: Told, values: dict[str, str]) -> Told:
    """Fill the blanks `{field}`."""
    body = base64.b64decode(request["body"])
    path, headers = request["path"], request["headers"]
    for field, value in values.items():
        blank = "{" + field + "}"
        path = path.replace(blank, value)
        body = body.replace(blank.encode(), value.encode())
        headers = [[name, text.replace(blank, value)] for name, text in headers]
    return {**request, "path": path, "headers": headers, "body": base64.b64encode(body).decode()}


def in_a_row(calls: list[Callable[[], Any]]) -> Callable[[], None]:
    """Make one call of many."""

    def call_all() -> None:
        for call in calls:
            call()

    return call_all


def waiting_s(drive: Any, call: Call) -> float:
    """How long a call waits, neither computing nor queueing for a CPU; the shorter of two."""
    found: list[float] = []
    for _ in range(2):
        queued_s, cpu_s, began_s = drive.in_queue_s(), time.process_time(), time.perf_counter()
        call()
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        found.append(took_s - cpu_s - (drive.in_queue_s() - queued_s))
    return min(found)


if __name__ == "__main__":
    main()
