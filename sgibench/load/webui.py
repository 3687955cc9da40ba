"""Locust's own web UI, driving one scenario against one server, for this machine's user only.

It is bound to the loopback interface and refuses requests whose Host or Origin is not its own: any page the user
visits could otherwise start a load through it (Locust allows every origin).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from locust.argument_parser import parse_options
from locust.env import Environment
from locust.stats import stats_history
from locust.web import WebUI

from sgibench.errors import LoadError
from sgibench.load.loading import load_scenario

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
STARTED_S = 5.0


@dataclass(frozen=True, kw_only=True)
class UiOrder:
    """What the UI shows and where."""

    scenario: Path
    host: str
    port: int
    connections: int
    web_host: str
    web_port: int


def read_ui(order: dict[str, Any]) -> UiOrder:
    """Read a `ui` order; raises LoadError."""
    try:
        return UiOrder(
            scenario=Path(order["scenario"]),
            host=str(order["host"]),
            port=int(order["port"]),
            connections=int(order.get("connections", 64)),
            web_host=str(order.get("web_host", "127.0.0.1")),
            web_port=int(order.get("web_port", 8089)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(f"ui: an order that can't be read: {type(error).__name__}: {error}") from error


def start_ui(order: UiOrder) -> dict[str, Any]:
    """Start the web UI and leave it serving; gives the protocol's answer, raises LoadError."""
    port = _free_port(order.web_host, order.web_port)
    cls = load_scenario(order.scenario)
    target = f"http://{order.host}:{order.port}"
    users = str(order.connections)
    environment = Environment(
        user_classes=[cls],
        host=target,
        locustfile=order.scenario.name,
        parsed_options=parse_options(["--users", users, "--spawn-rate", users, "--host", target]),
        stop_timeout=1,
    )
    runner = environment.create_local_runner()
    ui = environment.create_web_ui(order.web_host, port, delayed_start=True)
    app: Any = ui.app
    app.debug = False
    app.wsgi_app = only_own(app.wsgi_app, own_names(order.web_host, port))
    ui.start()  # type: ignore[no-untyped-call]  # Locust's method
    gevent.spawn(stats_history, runner)
    _await_start(ui)
    return {"did": "ui", "url": f"http://{order.web_host}:{port}/"}


def _free_port(host: str, port: int) -> int:
    """Make sure that the port can be had; 0 picks one."""
    if host not in {"127.0.0.1", "::1", "localhost"}:
        raise LoadError(f"ui: expected a loopback address to serve on, such as 127.0.0.1, but it is {host}")
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        raise LoadError(f"ui: can't serve on {host}:{port}: {os.strerror(error.errno or 0)}") from error


def _await_start(ui: WebUI) -> None:
    """Wait until the UI's server listens."""
    with gevent.Timeout(STARTED_S, LoadError(f"ui: the web UI did not start within {STARTED_S:g} s")):
        while ui.server is None or not ui.server.started:
            if ui.greenlet is not None and ui.greenlet.dead:
                raise LoadError(f"ui: the web UI did not start: {ui.greenlet.exception}")
            gevent.sleep(0.01)


def own_names(host: str, port: int) -> frozenset[str]:
    """Values of the Host header under which this UI may be asked for."""
    names = {host if ":" not in host else f"[{host}]", "localhost", "127.0.0.1"}
    return frozenset(f"{name}:{port}" for name in names)


def only_own(app: Wsgi, names: frozenset[str]) -> Wsgi:
    """Refuse requests that come by another name, or from a page of another origin."""
    origins = {f"http://{name}" for name in names}

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        if environ.get("HTTP_HOST", "") in names and (origin is None or origin in origins):
            return app(environ, start_response)
        body = b"This web UI answers only pages of its own address.\n"
        start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    return guarded
