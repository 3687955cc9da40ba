"""Starlette that makes calls which block through asgiref's sync_to_async: one thread a process makes them all in turn.

It is what code of Django's gets outside Django's own handler (in another ASGI framework, in a consumer of Channels);
inside that handler each request has a thread of its own, as `asgi_django` shows.
"""

# mypy: disable-error-code="import-not-found,misc,no-any-return"
from __future__ import annotations

import contract
from asgi_starlette import ROUTES, site
from asgiref.sync import sync_to_async
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette_replies import said
from waiting import block

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("starlette==1.10.0", "jinja2==3.1.6", "asgiref==3.12.1")


async def blocking(request: Request) -> Response:
    """Answer after a call that blocks, made in asgiref's one thread."""
    answer = contract.get_block(request.path_params["ms"], "", b"")
    await sync_to_async(block)(answer.wait_s)
    return said(answer)


app = site([Route("/block/{ms}", blocking), *ROUTES])
