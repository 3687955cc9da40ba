"""Quart: its routes, its Jinja2 templates, its error handlers; the work is the contract's."""

# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,no-any-return"
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import contract
from jobs import do, handed
from quart import Quart, Response, render_template, request, websocket
from waiting import block, waited

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("quart==0.22.0",)
SERVICES: dict[str, tuple[str, ...]] = {"postgresql": ("asyncpg==0.32.0",)}
LACKS = {
    "bodies: *": "the app has no views that take or send a body piece by piece",
    "broadcast: *": "the app has no view that sends a message on to all who listen",
}

contract.await_items("asyncpg")

app = Quart(__name__, static_folder=None)
app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
app.url_map.merge_slashes = False
app.jinja_options = {"keep_trailing_newline": True}


async def reply(answer: contract.Answer | contract.Parts) -> Response:
    """Make an answer of the contract Quart's."""
    if isinstance(answer, contract.Later):
        answer = await answer.whole()
    if isinstance(answer, contract.Parts):
        headers = {} if answer.length is None else {"Content-Length": str(answer.length)}
        return Response(paused(answer), content_type=answer.content_type, headers=headers)
    await waited(answer) if answer.wait_s else None
    return said(answer)


def said(answer: contract.Answer) -> Response:
    """Make a whole answer Quart's."""
    response = Response(answer.body, answer.status, dict(answer.extra), content_type=answer.content_type)
    if not answer.content_type:
        del response.headers["Content-Type"]
        del response.headers["Content-Length"]
    return response


async def paused(answer: contract.Parts) -> AsyncIterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            await asyncio.sleep(answer.pause_s)
        yield part


def query() -> str:
    """The query string as it came."""
    return request.query_string.decode("latin-1")


@app.errorhandler(contract.Refusal)
async def refused(refusal: contract.Refusal) -> Response:
    """Say no."""
    return await reply(refusal.answer)


@app.errorhandler(404)
@app.errorhandler(405)
async def unmatched(_error: Exception) -> Response:
    """Refuse what no view is for."""
    return await reply(contract.unmatched(request.method, request.path))


@app.get("/plaintext")
async def plaintext() -> Response:
    """Greet."""
    return Response("Hello, World!", content_type=contract.TEXT)


@app.get("/json")
async def document() -> Response:
    """Serialise a small document."""
    return Response(app.json.dumps({"message": "Hello, World!"}, separators=(",", ":")), mimetype="application/json")


@app.get("/bytes/<n>")
async def octets(n: str) -> Response:
    """Send that many bytes."""
    return await reply(contract.get_bytes(n, "", b""))


@app.post("/echo")
async def echo() -> Response:
    """Send the body back."""
    return Response(await request.get_data(), content_type=contract.OCTETS)


@app.post("/upload")
async def upload() -> Response:
    """Count and digest the body."""
    return await reply(contract.post_upload("", "", await request.get_data()))


@app.get("/wait/<ms>")
async def wait(ms: str) -> Response:
    """Answer after that many milliseconds."""
    return await reply(contract.get_wait(ms, "", b""))


@app.get("/block/<ms>")
def blocking(ms: str) -> Response:
    """Answer after a call that blocks: Quart runs a plain function in a thread."""
    answer = contract.get_block(ms, "", b"")
    block(answer.wait_s)
    return said(answer)


@app.get("/cpu/<n>")
async def cpu(n: str) -> Response:
    """Work."""
    return await reply(contract.get_cpu(n, "", b""))


@app.get("/page")
async def page() -> str:
    """Render a template."""
    return await render_template("page.html", **contract.page_data())


@app.get("/cached/<n>")
async def cached(n: str) -> Response:
    """Send the page from a cache."""
    return await reply(contract.get_cached(n, "", b""))


@app.get("/static/<name>")
async def static_file(name: str) -> Response:
    """Send a file."""
    return await reply(contract.get_static(name, "", b""))


@app.get("/stream/<n>")
async def stream(n: str) -> Response:
    """Send events."""
    return await reply(contract.get_stream(n, query(), b""))


@app.post("/jobs")
async def create_job() -> Response:
    """Have a job done as a background task of Quart's: a plain function is run in a thread."""
    body = await request.get_data()
    return await reply(handed(query(), body, lambda job: app.add_background_task(do, job)))


@app.get("/jobs/<job_id>")
async def read_job(job_id: str) -> Response:
    """Tell what became of a job."""
    return await reply(contract.get_job(job_id, "", b""))


@app.get("/pid")
async def pid() -> Response:
    """Tell which process answers."""
    return await reply(contract.get_pid("", "", b""))


@app.get("/error")
async def error() -> Response:
    """Fail."""
    return await reply(contract.get_error("", "", b""))


@app.get("/items")
async def list_items() -> Response:
    """List items."""
    return await reply(contract.get_items("", query(), b""))


@app.post("/items")
async def create_item() -> Response:
    """Add an item."""
    return await reply(contract.post_item("", "", await request.get_data()))


@app.get("/items/<item_id>")
async def read_item(item_id: str) -> Response:
    """Tell one item."""
    return await reply(contract.get_item(item_id, "", b""))


@app.put("/items/<item_id>")
async def replace_item(item_id: str) -> Response:
    """Replace an item."""
    return await reply(contract.put_item(item_id, "", await request.get_data()))


@app.patch("/items/<item_id>")
async def change_item(item_id: str) -> Response:
    """Change an item."""
    return await reply(contract.patch_item(item_id, "", await request.get_data()))


@app.delete("/items/<item_id>")
async def delete_item(item_id: str) -> Response:
    """Delete an item."""
    return await reply(contract.delete_item(item_id, "", b""))


@app.post("/raise/<item_id>")
async def raise_item(item_id: str) -> Response:
    """Raise an item's quantity by one, under a lock."""
    return await reply(contract.post_raise(item_id, "", b""))


@app.get("/query/<ms>")
async def slow_query(ms: str) -> Response:
    """Ask the database something slow."""
    return await reply(contract.get_query(ms, "", b""))


@app.websocket(contract.WEBSOCKET)
async def websocket_echo() -> None:
    """Send every message back."""
    while True:
        await websocket.send(await websocket.receive())
