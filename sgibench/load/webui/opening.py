"""Opens the web UI: Locust's own, behind the guard, with our form, our tabs and our way to start and stop."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from typing import Any

import gevent
from locust.env import Environment
from locust.stats import stats_history
from locust.web import WebUI

from sgibench.errors import LoadError
from sgibench.load.webui.form import Form, Option
from sgibench.load.webui.guard import LOOPBACK, only_own, own_names
from sgibench.load.webui.line import EngineLine
from sgibench.load.webui.pages import Pages
from sgibench.load.webui.session import Session

STARTED_S = 5.0


@dataclass(frozen=True, kw_only=True)
class UiOrder:
    """What the UI offers, and where."""

    options: tuple[Option, ...]
    users: int
    target: str | None
    """The one address that may be loaded besides servers the engine starts."""
    web_host: str
    web_port: int


def read_ui(order: dict[str, Any]) -> UiOrder:
    """Read a `ui` order; raises LoadError."""
    try:
        return UiOrder(
            options=tuple(
                Option(
                    name=str(option["name"]),
                    default=str(option["default"]),
                    choices=None if option["choices"] is None else tuple(map(str, option["choices"])),
                    help=str(option["help"]),
                )
                for option in order["options"]
            ),
            users=int(order["users"]),
            target=order.get("target"),
            web_host=str(order.get("web_host", "127.0.0.1")),
            web_port=int(order.get("web_port", 8089)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(f"ui: an order that can't be read: {type(error).__name__}: {error}") from error


def open_ui(order: UiOrder, line: EngineLine) -> dict[str, Any]:
    """Open the web UI and leave it serving; gives the protocol's answer, raises LoadError."""
    port = free_port(order.web_host, order.web_port)
    form = Form(order.options, order.users)
    environment = Environment(
        user_classes=[], host=order.target or "", locustfile="sgibench", parsed_options=form.install(), stop_timeout=1
    )
    runner = environment.create_local_runner()
    ui = environment.create_web_ui(order.web_host, port, delayed_start=True)
    session = Session(environment, line)
    app: Any = ui.app
    app.debug = False
    app.json.sort_keys = False
    app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}  # the form shows its options in our order
    Pages(ui, session, form).install()
    app.wsgi_app = only_own(app.wsgi_app, own_names(order.web_host, port))
    ui.start()  # type: ignore[no-untyped-call]  # Locust's method
    gevent.spawn(stats_history, runner)
    _await_start(ui)
    host = f"[{order.web_host}]" if ":" in order.web_host else order.web_host
    return {"did": "ui", "url": f"http://{host}:{port}/", "port": port}


def free_port(host: str, port: int) -> int:
    """Find a port to serve on: the one asked for, or any other when that is taken; raises LoadError."""
    if host not in LOOPBACK:
        raise LoadError(f"ui: expected a loopback address to serve on, such as 127.0.0.1, but it is {host}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in (port, 0):
        try:
            with socket.create_server((host, candidate), family=family) as listener:
                return int(listener.getsockname()[1])
        except OSError as error:
            if candidate == 0 or error.errno != errno.EADDRINUSE:
                raise LoadError(f"ui: can't serve on {host}:{port}: {os.strerror(error.errno or 0)}") from error
    raise AssertionError("unreachable")


def _await_start(ui: WebUI) -> None:
    """Wait until the UI's server listens."""
    with gevent.Timeout(STARTED_S, LoadError(f"ui: the web UI did not start within {STARTED_S:g} s")):
        while ui.server is None or not ui.server.started:
            if ui.greenlet is not None and ui.greenlet.dead:
                raise LoadError(f"ui: the web UI did not start: {ui.greenlet.exception}")
            gevent.sleep(0.01)
