"""Litestar: its route handlers, responses, Jinja2 templates and exception handlers; the work is the contract's."""

# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return"
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import contract
from jinja2 import Environment, FileSystemLoader
from jobs import do, handed
from litestar import (
    HttpMethod,
    Litestar,
    MediaType,
    Request,
    Response,
    WebSocket,
    delete,
    patch,
    post,
    put,
    route,
    websocket,
)
from litestar.background_tasks import BackgroundTask
from litestar.contrib.jinja import JinjaTemplateEngine
from litestar.response import Stream, Template
from litestar.template.config import TemplateConfig
from waiting import block, waited

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("litestar==2.25.0", "jinja2==3.1.6")
SERVICES: dict[str, tuple[str, ...]] = {"postgresql": ("asyncpg==0.32.0",)}
LACKS = {
    "*: * /*/: expected status 404*": "Litestar takes an address with a slash at its end for the one without",
    "bodies: *": "the app has no views that take or send a body piece by piece",
    "broadcast: *": "the app has no view that sends a message on to all who listen",
}

contract.await_items("asyncpg")

CHARSET = "; charset=utf-8"
READS = [HttpMethod.GET, HttpMethod.HEAD]
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, keep_trailing_newline=True
)


async def reply(answer: contract.Answer | contract.Parts) -> Response[Any]:
    """Make an answer of the contract Litestar's."""
    if isinstance(answer, contract.Later):
        answer = await answer.whole()
    headers = {"content-type": answer.content_type} if answer.content_type else {}
    if isinstance(answer, contract.Parts):
        if answer.length is not None:
            headers["content-length"] = str(answer.length)
        return Stream(paused(answer), status_code=200, headers=headers, media_type=answer.content_type)
    if answer.wait_s:
        await waited(answer)
    return said(answer)


def said(answer: contract.Answer) -> Response[Any]:
    """Make a whole answer Litestar's."""
    headers = dict(answer.extra)
    if answer.status == 204:  # noqa: PLR2004 - the one status without content
        return Response(None, status_code=204, headers=headers)
    kind = answer.content_type.removesuffix(CHARSET)  # which Litestar adds to texts by itself
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=kind)


async def paused(answer: contract.Parts) -> AsyncIterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            await asyncio.sleep(answer.pause_s)
        yield part


def refused(_request: Request[Any, Any, Any], refusal: contract.Refusal) -> Response[Any]:
    """Say no."""
    return said(refusal.answer)


def unmatched(request: Request[Any, Any, Any], _error: Exception) -> Response[Any]:
    """Refuse what no handler is for."""
    return said(contract.unmatched(request.method, request.scope["path"]))


@route("/plaintext", http_method=READS, media_type=MediaType.TEXT)
async def plaintext() -> str:
    """Greet."""
    return "Hello, World!"


@route("/json", http_method=READS)
async def document() -> dict[str, str]:
    """Serialise a small document."""
    return {"message": "Hello, World!"}


@route("/bytes/{n:str}", http_method=READS)
async def octets(n: str) -> Response[Any]:
    """Send that many bytes."""
    return await reply(contract.get_bytes(n, "", b""))


@post("/echo", status_code=200)
async def echo(request: Request[Any, Any, Any]) -> Response[Any]:
    """Send the body back."""
    return await reply(contract.post_echo("", "", await request.body()))


@post("/upload", status_code=200)
async def upload(request: Request[Any, Any, Any]) -> Response[Any]:
    """Count and digest the body."""
    return await reply(contract.post_upload("", "", await request.body()))


@route("/wait/{ms:str}", http_method=READS)
async def wait(ms: str) -> Response[Any]:
    """Answer after that many milliseconds."""
    return await reply(contract.get_wait(ms, "", b""))


@route("/block/{ms:str}", http_method=READS, sync_to_thread=True)
def blocking(ms: str) -> Response[Any]:
    """Answer after a call that blocks, in a thread."""
    answer = contract.get_block(ms, "", b"")
    block(answer.wait_s)
    return said(answer)


@route("/cpu/{n:str}", http_method=READS)
async def cpu(n: str) -> Response[Any]:
    """Work."""
    return await reply(contract.get_cpu(n, "", b""))


@route("/page", http_method=READS)
async def page() -> Template:
    """Render a template."""
    return Template("page.html", context=contract.page_data(), media_type=MediaType.HTML)


@route("/cached/{n:str}", http_method=READS)
async def cached(n: str) -> Response[Any]:
    """Send the page from a cache."""
    return await reply(contract.get_cached(n, "", b""))


@route("/static/{name:str}", http_method=READS)
async def static_file(name: str) -> Response[Any]:
    """Send a file."""
    return await reply(contract.get_static(name, "", b""))


@route("/stream/{n:str}", http_method=READS)
async def stream(n: str, request: Request[Any, Any, Any]) -> Response[Any]:
    """Send events."""
    return await reply(contract.get_stream(n, request.url.query, b""))


@post("/jobs")
async def create_job(request: Request[Any, Any, Any]) -> Response[Any]:
    """Have a job done as a background task of Litestar's: a plain function is run in a thread."""
    tasks: list[BackgroundTask] = []
    body = await request.body()
    response = said(handed(request.url.query, body, lambda job: tasks.append(BackgroundTask(do, job))))
    response.background = tasks[0] if tasks else None
    return response


@route("/jobs/{job_id:str}", http_method=READS)
async def read_job(job_id: str) -> Response[Any]:
    """Tell what became of a job."""
    return await reply(contract.get_job(job_id, "", b""))


@route("/pid", http_method=READS)
async def pid() -> Response[Any]:
    """Tell which process answers."""
    return await reply(contract.get_pid("", "", b""))


@route("/error", http_method=READS)
async def error() -> Response[Any]:
    """Fail."""
    return await reply(contract.get_error("", "", b""))


@route("/items", http_method=READS)
async def list_items(request: Request[Any, Any, Any]) -> Response[Any]:
    """List items."""
    return await reply(contract.get_items("", request.url.query, b""))


@post("/items")
async def create_item(request: Request[Any, Any, Any]) -> Response[Any]:
    """Add an item."""
    return await reply(contract.post_item("", "", await request.body()))


@route("/items/{item_id:str}", http_method=READS)
async def read_item(item_id: str) -> Response[Any]:
    """Tell one item."""
    return await reply(contract.get_item(item_id, "", b""))


@put("/items/{item_id:str}")
async def replace_item(item_id: str, request: Request[Any, Any, Any]) -> Response[Any]:
    """Replace an item."""
    return await reply(contract.put_item(item_id, "", await request.body()))


@patch("/items/{item_id:str}")
async def change_item(item_id: str, request: Request[Any, Any, Any]) -> Response[Any]:
    """Change an item."""
    return await reply(contract.patch_item(item_id, "", await request.body()))


@delete("/items/{item_id:str}", status_code=200)
async def delete_item(item_id: str) -> Response[Any]:
    """Delete an item."""
    return await reply(contract.delete_item(item_id, "", b""))


@post("/raise/{item_id:str}", status_code=200)
async def raise_item(item_id: str) -> Response[Any]:
    """Raise an item's quantity by one, under a lock."""
    return await reply(contract.post_raise(item_id, "", b""))


@route("/query/{ms:str}", http_method=READS)
async def slow_query(ms: str) -> Response[Any]:
    """Ask the database something slow."""
    return await reply(contract.get_query(ms, "", b""))


@websocket(contract.WEBSOCKET)
async def websocket_echo(socket: WebSocket[Any, Any, Any]) -> None:
    """Send every message back, text as text and binary as binary."""
    await socket.accept()
    while (message := await socket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        await (socket.send_bytes(message["bytes"]) if text is None else socket.send_text(text))


HANDLERS: list[Any] = [
    *(
        plaintext,
        document,
        octets,
        echo,
        upload,
        wait,
        blocking,
        cpu,
        page,
        cached,
        static_file,
        stream,
        create_job,
        read_job,
        pid,
        error,
    ),
    *(list_items, create_item, read_item, replace_item, change_item, delete_item, websocket_echo),
    *(raise_item, slow_query),
]

app = Litestar(
    HANDLERS,
    exception_handlers={contract.Refusal: refused, 404: unmatched, 405: unmatched},
    template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(TEMPLATES)),
    openapi_config=None,
)
