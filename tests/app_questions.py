"""Asks an app of `apps/` in-process, in the app's own environment: `python app_questions.py APP` with JSON in and out.

Standard library only, because an app's environment holds nothing of ours. In: `[[method, path, body, query], …]`, out:
`[[status, {header: value}, body], …]`, bodies as base64; an app that raises answers with status 0 and its exception.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import io
import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

Heard = tuple[int, dict[str, str], bytes]
LOOP = asyncio.new_event_loop()
"""One for all questions, as a server has: an app's pool of connections belongs to it."""


def ask_wsgi(app: Any, method: str, path: str, body: bytes, query: str) -> Heard:
    """Call a WSGI app through the standard library's validator."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "QUERY_STRING": quote(query, safe="=&%")}
    environ |= {"PATH_INFO": path.encode().decode("latin-1"), "SERVER_NAME": "localhost", "HTTP_HOST": "localhost"}
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    setup_testing_defaults(environ)
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        head[:] = [int(status[:3]), {name.lower(): value for name, value in headers}]
        return lambda _: None

    answer = validator(app)(environ, start_response)
    try:
        got = b"".join(answer)
    finally:
        answer.close()  # type: ignore[attr-defined]
    return head[0], head[1], got


async def ask_asgi(app: Any, method: str, path: str, body: bytes, query: str) -> Heard:
    """Drive an ASGI app by hand; the client leaves when it is answered."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": quote(query, safe="=&%").encode(),
        "root_path": "",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "state": {},
        "headers": [(b"host", b"localhost"), (b"content-length", str(len(body)).encode())],
    }
    given = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answered.set()

    await app(scope, receive, send)
    start, *bodies = sent
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, b"".join(message.get("body", b"") for message in bodies)


def ask(interface: str, app: Any, question: tuple[str, str, bytes, str]) -> Heard:
    """Ask once."""
    try:
        if interface == "wsgi":
            return ask_wsgi(app, *question)
        return LOOP.run_until_complete(asyncio.wait_for(ask_asgi(app, *question), 30))
    except Exception as error:  # noqa: BLE001 - whatever an app raises is its answer here
        return 0, {}, repr(error).encode()


def main() -> None:
    """Answer all questions of standard input."""
    module = importlib.import_module(sys.argv[1])
    app = getattr(module, module.TARGET)
    heard = []
    for method, path, body, query in json.load(sys.stdin):
        status, headers, got = ask(module.INTERFACE, app, (method, path, base64.b64decode(body), query))
        heard.append([status, headers, base64.b64encode(got).decode()])
    json.dump(heard, sys.stdout)


if __name__ == "__main__":
    main()
