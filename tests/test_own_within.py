"""The user's app called within its server: one path opens the door, everything else passes it as it came."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sgibench.model import App, Asked
from sgibench.model.own import WITHIN, WITHIN_DONE, WITHIN_DOOR
from sgibench.serve.own.wrapping import wrapped

WSGI = """
seen = []

def app(environ, start_response):
    seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]))
    if environ["PATH_INFO"] == "/broken":
        raise ValueError
    body = environ["wsgi.input"].read()
    start_response("201 Created", [("X-Own", "1")])
    return [body]
"""
ASGI = """
seen = []

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        seen.append("lifespan")
        return
    seen.append((scope["method"], scope["path"], scope["query_string"], scope.get("state")))
    if scope["path"] == "/broken":
        raise ValueError
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": body})
"""
ASKED = (
    Asked(method="GET", path="/a"),
    Asked(method="POST", path="/b?x=1", body=b"hi"),
    Asked(method="GET", path="/broken"),
)


def app_of(interface: Any, folder: Path) -> App:
    return App(id="a:app", interface=interface, target="a:app", folder=folder, packages=(), summary="")


def served(interface: Any, source: str, folder: Path) -> dict[str, Any]:
    """Import the little module."""
    app = app_of(interface, folder)
    names: dict[str, Any] = {}
    exec(wrapped(app, source, ASKED, folder), names)  # noqa: S102 - servers import it
    return names


def ask_wsgi(names: dict[str, Any], path: str, query: str, **more: Any) -> tuple[str, bytes]:
    statuses: list[str] = []
    environ = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": "GET", **more}
    body = b"".join(names["app"](environ, lambda status, _headers: statuses.append(status)))
    return statuses[0], body


def ask_asgi(names: dict[str, Any], path: str, query: str, body: bytes = b"") -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "state": {"pool": 1}}
    asyncio.run(names["app"](scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_a_wsgi_app_is_called_within_with_the_request_whose_place_is_named(tmp_path: Path) -> None:
    names = served("wsgi", WSGI, tmp_path)
    assert ask_wsgi(names, WITHIN, WITHIN_DOOR) == ("200 OK", WITHIN_DONE)
    assert ask_wsgi(names, WITHIN, "") == ("200 OK", WITHIN_DONE)
    assert names["seen"] == []
    assert ask_wsgi(names, WITHIN, "1") == ("200 OK", WITHIN_DONE)
    assert names["seen"] == [("POST", "/b", "x=1")]
    status, body = ask_wsgi(names, WITHIN, "2")
    assert (status, len(body), body != WITHIN_DONE) == ("200 OK", len(WITHIN_DONE), True)


def test_an_asgi_app_is_called_within_with_the_state_of_its_start_up(tmp_path: Path) -> None:
    names = served("asgi", ASGI, tmp_path)
    assert ask_asgi(names, WITHIN, WITHIN_DOOR) == (200, WITHIN_DONE)
    assert ask_asgi(names, WITHIN, "") == (200, WITHIN_DONE)
    assert names["seen"] == []
    assert ask_asgi(names, WITHIN, "1") == (200, WITHIN_DONE)
    assert names["seen"] == [("POST", "/b", b"x=1", {"pool": 1})]
    status, body = ask_asgi(names, WITHIN, "2")
    assert (status, len(body), body != WITHIN_DONE) == (200, len(WITHIN_DONE), True)


@pytest.mark.parametrize("path", ["/", "/a", WITHIN + "/", WITHIN.upper()])
def test_everything_else_passes_the_door_as_it_came(path: str, tmp_path: Path) -> None:
    names = served("wsgi", WSGI, tmp_path)
    assert ask_wsgi(names, path, "1", **{"wsgi.input": io.BytesIO(b"own")}) == ("201 Created", b"own")
    names = served("asgi", ASGI, tmp_path)
    assert ask_asgi(names, path, "1", b"own") == (201, b"own")


FRAMES = """
import sys

frames = []

def app(environ, start_response):
    frames.append(sys._getframe(1).f_code)
    start_response("200 OK", [])
    return [b""]
"""


def test_the_app_is_called_from_the_same_frame_for_a_server_and_within_it(tmp_path: Path) -> None:
    names = served("wsgi", FRAMES, tmp_path)
    ask_wsgi(names, "/", "")
    ask_wsgi(names, WITHIN, "0")
    assert names["frames"] == [names["app"].__code__] * 2


def test_lifespan_passes_the_door(tmp_path: Path) -> None:
    names = served("asgi", ASGI, tmp_path)
    asyncio.run(names["app"]({"type": "lifespan"}, None, None))
    assert names["seen"] == ["lifespan"]


def test_calling_within_brings_no_asyncio_into_a_wsgi_server(tmp_path: Path) -> None:
    app = app_of("wsgi", tmp_path)
    (tmp_path / "served.py").write_text(wrapped(app, WSGI, ASKED, tmp_path), encoding="utf-8")
    script = (
        "import sys, served\n"
        "before = set(sys.modules)\n"
        f"served.app({{'PATH_INFO': {WITHIN!r}, 'QUERY_STRING': {WITHIN_DOOR!r}}}, lambda *_: None)\n"
        "assert set(sys.modules) == before\n"
        f"served.app({{'PATH_INFO': {WITHIN!r}, 'QUERY_STRING': '1'}}, lambda *_: None)\n"
        "print(served.seen, 'asyncio' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True, text=True)
    assert told.stdout == "[('POST', '/b', 'x=1')] False\n"
