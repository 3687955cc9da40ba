"""What a server needs to call the user's app within its own process: what to call it with, and where the answer goes.

A plain script for Python 3.9 or newer, loaded into a server's process when it is first asked for, after the windows, so
that in them a server is as it always is. The call itself is made by the door in the little module (`wrapping.py`), from
the very frame that calls the app for a server: where its frames lie in memory decides about a tenth of the time of a
loop. The request whose place is the query is asked; an app that does nothing is called when there is none.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

DONE = b"done"
HEAD = (("Content-Type", "text/plain"), ("Content-Length", "4"))
ASGI_HEAD = [(name.lower().encode(), value.encode()) for name, value in HEAD]


def driver() -> Any:
    """Load the script that knows how to write what a server hands over."""
    name = "_sgibench_drive"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("drive.py"))
        if spec is None or spec.loader is None:
            raise ImportError("drive.py can't be loaded")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


def requests_of(order_path: str) -> list[dict[str, Any]]:
    """Read the requests."""
    requests: list[dict[str, Any]] = json.loads(Path(order_path).read_text(encoding="utf-8"))["requests"]
    return requests


class Wsgi:
    """Calls of a WSGI app."""

    def __init__(self, app: Any, order_path: str) -> None:
        drive = driver()
        self._app, self._nothing = app, drive.nothing_wsgi
        self._kept = []
        for request in requests_of(order_path):
            body = base64.b64decode(request["body"])
            self._kept.append((drive.environ_of(request, body), body))

    def enter(self, environ: dict[str, Any]) -> WsgiCall:
        """Prepare one call."""
        place = environ.get("QUERY_STRING")
        kept, body = self._kept[int(place) if place else 0]
        return WsgiCall(self._app if place else self._nothing, {**kept, "wsgi.input": io.BytesIO(body)})


class WsgiCall:
    """One call: `app(environ, start)`, whose answer `leave` takes."""

    __slots__ = ("app", "environ", "pieces")

    def __init__(self, app: Any, environ: dict[str, Any]) -> None:
        self.app = app
        self.environ = environ
        self.pieces: list[bytes] = []

    def start(self, _status: str, _headers: Any, exc_info: Any = None) -> Any:
        """Begin the answer."""
        if exc_info is not None and self.pieces:
            raise exc_info[1].with_traceback(exc_info[2])
        return self.pieces.append

    def leave(self, answer: Any, start_response: Any) -> list[bytes]:
        """Take the app's whole answer, and answer whoever asked."""
        try:
            self.pieces.extend(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        b"".join(self.pieces)
        return self.tell(DONE, start_response)

    def tell(self, body: bytes, start_response: Any) -> list[bytes]:
        """Answer whoever asked."""
        start_response("200 OK", list(HEAD))
        return [body]


class Asgi:
    """Calls of an ASGI app, on the server's own loop, with the state that the app's start-up left."""

    def __init__(self, app: Any, order_path: str) -> None:
        drive = driver()
        self._app, self._nothing = app, drive.nothing_asgi
        self._kept = [
            (drive.scope_of(request), base64.b64decode(request["body"])) for request in requests_of(order_path)
        ]

    def enter(self, scope: dict[str, Any]) -> AsgiCall:
        """Prepare one call."""
        place = scope.get("query_string")
        kept, body = self._kept[int(place) if place else 0]
        state = {"state": scope["state"]} if "state" in scope else {}
        return AsgiCall(self._app if place else self._nothing, {**kept, **state}, body)


class AsgiCall:
    """One call: `app(scope, receive, send)`."""

    __slots__ = ("app", "asked", "body", "pieces", "scope")

    def __init__(self, app: Any, scope: dict[str, Any], body: bytes) -> None:
        self.app = app
        self.scope = scope
        self.body = body
        self.asked = False
        self.pieces: list[bytes] = []

    async def receive(self) -> dict[str, Any]:
        """Hand over the body, and then nothing more."""
        if self.asked:
            import asyncio  # noqa: PLC0415 - a server of ASGI has it; at the top it would come into those of WSGI, too

            await asyncio.Event().wait()
        self.asked = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.body":
            self.pieces.append(message.get("body", b""))

    async def tell(self, body: bytes, send: Any) -> None:
        """Answer whoever asked."""
        await send({"type": "http.response.start", "status": 200, "headers": ASGI_HEAD})
        await send({"type": "http.response.body", "body": body})


INSIDERS = {"asgi": Asgi, "wsgi": Wsgi}
