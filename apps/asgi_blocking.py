"""Starlette with the classic mistake: a coroutine makes a call that blocks, and all other requests wait with it."""

# mypy: disable-error-code="import-not-found,misc,no-any-return"
from __future__ import annotations

import contract
from asgi_starlette import ROUTES, site
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette_replies import said
from waiting import block

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("starlette==1.10.0", "jinja2==3.1.6")


async def blocking(request: Request) -> Response:
    """Answer after a call that blocks, made on the event loop itself."""
    answer = contract.get_block(request.path_params["ms"], "", b"")
    block(answer.wait_s)
    return said(answer)


async def create_job(request: Request) -> Response:
    """Do a job before the answer, on the event loop itself."""
    return said(contract.post_job("", request.url.query, await request.body()))


app = site([Route("/block/{ms}", blocking), Route("/jobs", create_job, methods=["POST"]), *ROUTES])
