"""Flask with a coroutine as the view that waits: each request gets an event loop of its own in its server's thread."""

# mypy: disable-error-code="import-not-found,import-untyped,misc,no-any-return"
from __future__ import annotations

import asyncio

import contract
from flask import Response
from inside import INSIDE
from wsgi_flask import app, said

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("flask[async]==3.1.3", "flask-caching==2.5.1")
LACKS = {"bodies: *": "the app has no views that take or send a body piece by piece"}


async def wait(ms: str) -> Response:
    """Answer after that many milliseconds."""
    answer = contract.get_wait(ms, "", b"")
    with INSIDE:
        await asyncio.sleep(answer.wait_s)
    return said(answer)


app.view_functions["wait"] = wait
