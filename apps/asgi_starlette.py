"""Starlette: its routes, responses, Jinja2 templates and exception handlers; the work is the contract's."""

# mypy: disable-error-code="import-not-found,misc,no-any-return"
from __future__ import annotations

from pathlib import Path
from typing import Any

import contract
from jinja2 import Environment, FileSystemLoader
from jobs import do, handed
from starlette.applications import Starlette
from starlette.background import BackgroundTasks
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.templating import Jinja2Templates
from starlette_replies import broadcast_messages, echo_messages, reply, said
from waiting import block

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("starlette==1.10.0", "jinja2==3.1.6")
SERVICES: dict[str, tuple[str, ...]] = {"postgresql": ("asyncpg==0.32.0",)}

contract.await_items("asyncpg")

TEMPLATES = Jinja2Templates(
    env=Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, keep_trailing_newline=True
    )
)


async def refused(_request: Request, refusal: contract.Refusal) -> Response:
    """Say no."""
    return await reply(refusal.answer)


async def unmatched(request: Request, _error: Exception) -> Response:
    """Refuse what no endpoint is for."""
    return await reply(contract.unmatched(request.method, request.scope["path"]))


async def plaintext(_request: Request) -> Response:
    """Greet."""
    return PlainTextResponse("Hello, World!")


async def document(_request: Request) -> Response:
    """Serialise a small document."""
    return JSONResponse({"message": "Hello, World!"})


async def octets(request: Request) -> Response:
    """Send that many bytes."""
    return await reply(contract.get_bytes(request.path_params["n"], "", b""))


async def echo(request: Request) -> Response:
    """Send the body back."""
    return Response(await request.body(), media_type=contract.OCTETS)


async def upload(request: Request) -> Response:
    """Count and digest the body."""
    return await reply(contract.post_upload("", "", await request.body()))


async def sink(request: Request) -> Response:
    """Count the body as it comes."""
    counted = contract.Sink()
    async for piece in request.stream():
        counted.take(piece)
    return await reply(counted.answer())


async def pieces(request: Request) -> Response:
    """Send that many bytes piece by piece."""
    return await reply(contract.get_pieces(request.path_params["n"], "", b""))


async def counted_broadcast(_request: Request) -> Response:
    """Count listeners and messages."""
    return await reply(contract.get_broadcast("", "", b""))


async def wait(request: Request) -> Response:
    """Answer after that many milliseconds."""
    return await reply(contract.get_wait(request.path_params["ms"], "", b""))


def blocking(request: Request) -> Response:
    """Answer after a call that blocks: Starlette runs a plain function in a thread of its pool."""
    answer = contract.get_block(request.path_params["ms"], "", b"")
    block(answer.wait_s)
    return said(answer)


async def cpu(request: Request) -> Response:
    """Work."""
    return await reply(contract.get_cpu(request.path_params["n"], "", b""))


async def page(request: Request) -> Response:
    """Render a template."""
    return TEMPLATES.TemplateResponse(request, "page.html", contract.page_data())


async def cached(request: Request) -> Response:
    """Send the page from a cache; Starlette brings none."""
    return await reply(contract.get_cached(request.path_params["n"], "", b""))


async def static_file(request: Request) -> Response:
    """Send a file."""
    return await reply(contract.get_static(request.path_params["name"], "", b""))


async def stream(request: Request) -> Response:
    """Send events."""
    return await reply(contract.get_stream(request.path_params["n"], request.url.query, b""))


async def create_job(request: Request) -> Response:
    """Have a job done as a background task of Starlette's: a plain function is run in a thread of its pool."""
    tasks = BackgroundTasks()
    body = await request.body()
    response = said(handed(request.url.query, body, lambda job: tasks.add_task(do, job)))
    response.background = tasks
    return response


async def read_job(request: Request) -> Response:
    """Tell what became of a job."""
    return await reply(contract.get_job(request.path_params["job_id"], "", b""))


async def pid(_request: Request) -> Response:
    """Tell which process answers."""
    return await reply(contract.get_pid("", "", b""))


async def error(_request: Request) -> Response:
    """Fail."""
    return await reply(contract.get_error("", "", b""))


async def list_items(request: Request) -> Response:
    """List items."""
    return await reply(contract.get_items("", request.url.query, b""))


async def create_item(request: Request) -> Response:
    """Add an item."""
    return await reply(contract.post_item("", "", await request.body()))


async def read_item(request: Request) -> Response:
    """Tell one item."""
    return await reply(contract.get_item(request.path_params["item_id"], "", b""))


async def replace_item(request: Request) -> Response:
    """Replace an item."""
    return await reply(contract.put_item(request.path_params["item_id"], "", await request.body()))


async def change_item(request: Request) -> Response:
    """Change an item."""
    return await reply(contract.patch_item(request.path_params["item_id"], "", await request.body()))


async def delete_item(request: Request) -> Response:
    """Delete an item."""
    return await reply(contract.delete_item(request.path_params["item_id"], "", b""))


async def raise_item(request: Request) -> Response:
    """Raise an item's quantity by one, under a lock."""
    return await reply(contract.post_raise(request.path_params["item_id"], "", b""))


async def slow_query(request: Request) -> Response:
    """Ask the database something slow."""
    return await reply(contract.get_query(request.path_params["ms"], "", b""))


ROUTES: list[Any] = [
    Route("/plaintext", plaintext),
    Route("/json", document),
    Route("/bytes/{n}", octets),
    Route("/pieces/{n}", pieces),
    Route("/sink", sink, methods=["POST"]),
    Route("/broadcast", counted_broadcast),
    Route("/echo", echo, methods=["POST"]),
    Route("/upload", upload, methods=["POST"]),
    Route("/wait/{ms}", wait),
    Route("/block/{ms}", blocking),
    Route("/cpu/{n}", cpu),
    Route("/page", page),
    Route("/cached/{n}", cached),
    Route("/static/{name}", static_file),
    Route("/stream/{n}", stream),
    Route("/jobs", create_job, methods=["POST"]),
    Route("/jobs/{job_id}", read_job),
    Route("/pid", pid),
    Route("/error", error),
    Route("/items", list_items),
    Route("/items", create_item, methods=["POST"]),
    Route("/items/{item_id}", read_item),
    Route("/items/{item_id}", replace_item, methods=["PUT"]),
    Route("/items/{item_id}", change_item, methods=["PATCH"]),
    Route("/items/{item_id}", delete_item, methods=["DELETE"]),
    Route("/raise/{item_id}", raise_item, methods=["POST"]),
    Route("/query/{ms}", slow_query),
    WebSocketRoute(contract.WEBSOCKET, echo_messages),
    WebSocketRoute(contract.BROADCAST, broadcast_messages),
]


def site(routes: list[Any]) -> Starlette:
    """Make the app of these routes; of two for one address the first is asked."""
    made = Starlette(routes=routes, exception_handlers={404: unmatched, 405: unmatched, contract.Refusal: refused})
    made.router.redirect_slashes = False
    return made


app = site(ROUTES)
