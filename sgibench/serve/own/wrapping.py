"""The little module that servers import, with a door at one path to the app within (`within.py`).

The door costs every request one comparison, a tenth of a microsecond, under every server alike. The app is called from
the same frame for a server and for whoever comes through the door, so that its own frames lie at the same place.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sgibench.model import App, Asked
from sgibench.model.own import WITHIN, WITHIN_DONE, WITHIN_DOOR, WITHIN_LOST
from sgibench.serve.own.driving import order_of

SCRIPT = Path(__file__).with_name("within.py")
OPENING = """
_served, _insiders = app, []


def _insider():
    if not _insiders:
        import importlib.util

        spec = importlib.util.spec_from_file_location("_sgibench_within", {script!r})
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _insiders.append(module.INSIDERS[{interface!r}](_served, {order!r}))
    return _insiders[0]

"""
DOORS = {
    "wsgi": """
def app(environ, start_response):
    if environ.get("PATH_INFO") != {path!r}:
        return _served(environ, start_response)
    if environ.get("QUERY_STRING") == {door!r}:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "{size}")])
        return [{done!r}]
    call = _insider().enter(environ)
    try:
        return call.leave(call.app(call.environ, call.start), start_response)
    except Exception:
        return call.tell({lost!r}, start_response)
""",
    "asgi": """
async def app(scope, receive, send):
    if scope.get("path") != {path!r}:
        return await _served(scope, receive, send)
    if scope.get("query_string") == {door!r}.encode():
        head = [(b"content-type", b"text/plain"), (b"content-length", b"{size}")]
        await send({{"type": "http.response.start", "status": 200, "headers": head}})
        return await send({{"type": "http.response.body", "body": {done!r}}})
    call = _insider().enter(scope)
    try:
        await call.app(call.scope, call.receive, call.send)
    except Exception:
        return await call.tell({lost!r}, send)
    await call.tell({done!r}, send)
""",
}


def wrapped(app: App, source: str, asked: Sequence[Asked], folder: Path) -> str:
    """Give the little module's text with the door in it, and write beside it what may be called behind it."""
    if app.interface not in DOORS:
        return source
    order = folder / "within.json"
    order.write_text(json.dumps({"requests": [order_of(each) for each in asked]}), encoding="utf-8")
    words = {"path": WITHIN, "door": WITHIN_DOOR, "done": WITHIN_DONE, "lost": WITHIN_LOST, "size": len(WITHIN_DONE)}
    opening = OPENING.format(script=str(SCRIPT), interface=app.interface, order=str(order))
    return source + opening + DOORS[app.interface].format(**words)
