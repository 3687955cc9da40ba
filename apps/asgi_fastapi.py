"""FastAPI as its tutorial teaches it: path operations, pydantic models for items; the rest is the contract's."""

# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return"
from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import caching
import contract
from aiocache import Cache
from fastapi import BackgroundTasks, FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader
from jobs import do, handed
from pydantic import BaseModel, Field
from starlette_replies import broadcast_messages, echo_messages, reply, said
from waiting import block

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("fastapi==0.165.0", "jinja2==3.1.6", "aiocache==0.12.3")
SERVICES: dict[str, tuple[str, ...]] = {
    "postgresql": ("psycopg[binary,pool]==3.3.9",),
    "redis": ("redis==8.1.0", "celery[redis]==5.7.0"),
    "memcached": ("aiomcache==0.8.2",),
}
WORKERS = {"redis": "celery --app jobs_celery worker --purge --concurrency 1 --loglevel WARNING"}

contract.await_items("psycopg")

TEMPLATES = Jinja2Templates(
    env=Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, keep_trailing_newline=True
    )
)
Name = Annotated[str, Field(strict=True, min_length=1, max_length=contract.MOST_NAME)]
Quantity = Annotated[int, Field(strict=True, ge=0, le=contract.MOST_QUANTITY)]


class NewItem(BaseModel):
    """An item as it is sent."""

    name: Name
    quantity: Quantity


class Change(BaseModel):
    """What may be changed of an item; one of them at least."""

    name: Name = ""
    quantity: Quantity = 0


class Item(BaseModel):
    """An item as it is told."""

    id: int
    name: str
    quantity: int


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII, as the contract has it."""

    def render(self, content: Any) -> bytes:
        """Serialise."""
        return contract.dump(content)


def kept_in() -> str:
    """Where aiocache keeps pages, as a URL of its own kind."""
    if named := caching.memcached():
        address, prefix = named
        return f"memcached://{address}?namespace={prefix}"
    return caching.redis_url() or "memory://"


app = FastAPI(redirect_slashes=False, default_response_class=AsciiJSONResponse)
READS = ["GET", "HEAD"]
QUEUE = importlib.import_module("jobs_celery" if caching.redis_url() else "contract")
cache = Cache.from_url(kept_in())


@app.exception_handler(contract.Refusal)
async def refused(_request: Request, refusal: contract.Refusal) -> Response:
    """Say no."""
    return await reply(refusal.answer)


@app.exception_handler(404)
@app.exception_handler(405)
async def unmatched(request: Request, _error: HTTPException) -> Response:
    """Refuse what no path operation is for."""
    return await reply(contract.unmatched(request.method, request.scope["path"]))


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, _error: RequestValidationError) -> Response:
    """Say what the models did not accept, in the contract's words."""
    path = request.scope["path"]
    return await reply(contract.respond(request.method, path, request.url.query, await request.body()))


def found(row: tuple[int, str, int] | None) -> Item:
    """Tell the item, or that there is none."""
    if row is None:
        raise contract.Refusal(404, "no such item")
    return Item(id=row[0], name=row[1], quantity=row[2])


@app.api_route("/plaintext", methods=READS, response_class=PlainTextResponse)
async def plaintext() -> str:
    """Greet."""
    return "Hello, World!"


@app.api_route("/json", methods=READS)
async def document() -> dict[str, str]:
    """Serialise a small document."""
    return {"message": "Hello, World!"}


@app.api_route("/bytes/{n}", methods=READS)
async def octets(n: str) -> Response:
    """Send that many bytes."""
    return await reply(contract.get_bytes(n, "", b""))


@app.post("/echo")
async def echo(request: Request) -> Response:
    """Send the body back."""
    return Response(await request.body(), media_type=contract.OCTETS)


@app.post("/upload")
async def upload(request: Request) -> Response:
    """Count and digest the body."""
    return await reply(contract.post_upload("", "", await request.body()))


@app.api_route("/pieces/{n}", methods=READS)
async def pieces(n: str) -> Response:
    """Send that many bytes piece by piece."""
    return await reply(contract.get_pieces(n, "", b""))


@app.post("/sink")
async def sink(request: Request) -> Response:
    """Count the body as it comes."""
    counted = contract.Sink()
    async for piece in request.stream():
        counted.take(piece)
    return await reply(counted.answer())


@app.api_route("/broadcast", methods=READS)
async def counted_broadcast() -> Response:
    """Count listeners and messages."""
    return await reply(contract.get_broadcast("", "", b""))


@app.api_route("/wait/{ms}", methods=READS)
async def wait(ms: str) -> Response:
    """Answer after that many milliseconds."""
    return await reply(contract.get_wait(ms, "", b""))


@app.api_route("/block/{ms}", methods=READS)
def blocking(ms: str) -> Response:
    """Answer after a call that blocks: FastAPI runs a plain function in a thread of its pool."""
    answer = contract.get_block(ms, "", b"")
    block(answer.wait_s)
    return said(answer)


@app.api_route("/cpu/{n}", methods=READS)
async def cpu(n: str) -> Response:
    """Work."""
    return await reply(contract.get_cpu(n, "", b""))


@app.api_route("/page", methods=READS)
async def page(request: Request) -> Response:
    """Render a template."""
    return TEMPLATES.TemplateResponse(request, "page.html", contract.page_data())


@app.api_route("/cached/{n}", methods=READS)
async def cached(n: str) -> Response:
    """Send the page from aiocache."""
    number = contract.page_number(n)
    key = caching.key_of(number)
    caching.ASKED()
    page = await cache.get(key)
    if page is None:
        caching.MISSED()
        page = TEMPLATES.get_template("page.html").render(contract.page_data(number))
        await cache.set(key, page, ttl=caching.TIMEOUT_S)
    return HTMLResponse(page)


@app.api_route("/static/{name}", methods=READS)
async def static_file(name: str) -> Response:
    """Send a file."""
    return await reply(contract.get_static(name, "", b""))


@app.api_route("/stream/{n}", methods=READS)
async def stream(n: str, request: Request) -> Response:
    """Send events."""
    return await reply(contract.get_stream(n, request.url.query, b""))


@app.post("/jobs")
async def create_job(request: Request, tasks: BackgroundTasks) -> Response:
    """Have a job done as a background task of FastAPI's, or hand it to Celery where there is Redis."""
    query, body = request.url.query, await request.body()
    if QUEUE is contract:
        return said(handed(query, body, lambda job: tasks.add_task(do, job)))
    return said(await run_in_threadpool(QUEUE.post_job, "", query, body))


@app.api_route("/jobs/{job_id}", methods=READS)
def read_job(job_id: str) -> Response:
    """Tell what became of a job; a plain function, because Celery's client blocks."""
    return said(QUEUE.get_job(job_id, "", b""))


@app.api_route("/pid", methods=READS)
async def pid() -> Response:
    """Tell which process answers."""
    return await reply(contract.get_pid("", "", b""))


@app.api_route("/error", methods=READS)
async def error() -> Response:
    """Fail."""
    return await reply(contract.get_error("", "", b""))


@app.api_route("/items", methods=READS)
async def list_items(
    limit: Annotated[int, Query(ge=0, le=contract.MOST_ITEMS)] = 20,
    offset: Annotated[int, Query(ge=0, le=contract.MOST_OFFSET)] = 0,
) -> list[Item]:
    """List items."""
    return [found(row) for row in await contract.given(contract.items().page(limit, offset))]


@app.post("/items", status_code=201)
async def create_item(item: NewItem, response: Response) -> Item:
    """Add an item."""
    created = found(await contract.given(contract.items().add(item.name, item.quantity)))
    response.headers["Location"] = f"/items/{created.id}"
    return created


@app.api_route("/items/{item_id}", methods=READS)
async def read_item(item_id: str) -> Item:
    """Tell one item."""
    return found(await contract.given(contract.items().get(contract.item_id_of(item_id))))


@app.put("/items/{item_id}")
async def replace_item(item_id: str, item: NewItem) -> Item:
    """Replace an item."""
    change = contract.items().change(contract.item_id_of(item_id), item.name, item.quantity)
    return found(await contract.given(change))


@app.patch("/items/{item_id}")
async def change_item(item_id: str, change: Change) -> Item:
    """Change an item."""
    given = change.model_dump(exclude_unset=True)
    if not given:
        raise contract.Refusal(422, "give a name, a quantity or both")
    name, quantity = given.get("name"), given.get("quantity")
    return found(await contract.given(contract.items().change(contract.item_id_of(item_id), name, quantity)))


@app.delete("/items/{item_id}", status_code=204, response_class=Response)
async def delete_item(item_id: str) -> None:
    """Delete an item."""
    found(await contract.given(contract.items().delete(contract.item_id_of(item_id))))


@app.post("/raise/{item_id}")
async def raise_item(item_id: str) -> Item:
    """Raise an item's quantity by one, under a lock."""
    return found(await contract.given(contract.items().raise_by_one(contract.item_id_of(item_id))))


@app.api_route("/query/{ms}", methods=READS)
async def slow_query(ms: str) -> Response:
    """Ask the database something slow."""
    return await reply(contract.get_query(ms, "", b""))


app.add_api_websocket_route(contract.WEBSOCKET, echo_messages)
app.add_api_websocket_route(contract.BROADCAST, broadcast_messages)
