"""Bottle: its routes, its own templates and error handlers; the work is the contract's."""

# mypy: disable-error-code="import-not-found,untyped-decorator,no-any-return"
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import contract
from bottle import Bottle, HTTPResponse, SimpleTemplate, request, response
from jobs import do, handed, pool
from waiting import block

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("bottle==0.13.4",)
SERVICES: dict[str, tuple[str, ...]] = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}
LACKS = {"bodies: *": "the app has no views that take or send a body piece by piece"}

app = Bottle()
PAGE = SimpleTemplate(name="page.tpl", lookup=[str(Path(__file__).with_name("templates"))])


def reply(answer: contract.Answer | contract.Parts) -> HTTPResponse:
    """Make an answer of the contract Bottle's."""
    headers = {"Content-Type": answer.content_type} if answer.content_type else {}
    if isinstance(answer, contract.Parts):
        if answer.length is not None:
            headers["Content-Length"] = str(answer.length)
        return HTTPResponse(paused(answer), 200, headers)
    if answer.wait_s:
        block(answer.wait_s)
    if answer.status != 204:  # noqa: PLR2004 - the one status without content
        headers["Content-Length"] = str(len(answer.body))
    return HTTPResponse(answer.body, answer.status, headers | dict(answer.extra))


def paused(answer: contract.Parts) -> Iterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            time.sleep(answer.pause_s)
        yield part


def body() -> bytes:
    """Read the body; one that the server has decoded already is not decoded again."""
    if request.chunked and request.environ.get("wsgi.input_terminated"):
        return request.environ["wsgi.input"].read()
    return request.body.read()


def refusing(callback: Any) -> Any:
    """Say no where a view refuses: a plugin, which Bottle wraps around every route."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*args, **kwargs)
        except contract.Refusal as refusal:
            return reply(refusal.answer)

    return wrapper


app.install(refusing)


@app.error(404)
@app.error(405)
def unmatched(_error: Any) -> bytes:
    """Refuse what no route is for."""
    answer = contract.unmatched(request.method, request.path)
    response.content_type = answer.content_type
    for name, value in answer.extra:
        response.set_header(name, value)
    return answer.body


@app.get("/plaintext")
def plaintext() -> str:
    """Greet."""
    response.content_type = contract.TEXT
    return "Hello, World!"


@app.get("/json")
def document() -> HTTPResponse:
    """Serialise a small document."""
    return reply(contract.get_json("", "", b""))


@app.get("/bytes/<n>")
def octets(n: str) -> HTTPResponse:
    """Send that many bytes."""
    return reply(contract.get_bytes(n, "", b""))


@app.post("/echo")
def echo() -> bytes:
    """Send the body back."""
    response.content_type = contract.OCTETS
    return body()


@app.post("/upload")
def upload() -> HTTPResponse:
    """Count and digest the body."""
    return reply(contract.post_upload("", "", body()))


@app.get("/wait/<ms>")
def wait(ms: str) -> HTTPResponse:
    """Answer after that many milliseconds."""
    return reply(contract.get_wait(ms, "", b""))


@app.get("/block/<ms>")
def blocking(ms: str) -> HTTPResponse:
    """Answer after a call that blocks."""
    return reply(contract.get_block(ms, "", b""))


@app.get("/cpu/<n>")
def cpu(n: str) -> HTTPResponse:
    """Work."""
    return reply(contract.get_cpu(n, "", b""))


@app.get("/page")
def page() -> str:
    """Render a template."""
    response.content_type = contract.HTML
    return PAGE.render(**contract.page_data())


@app.get("/cached/<n>")
def cached(n: str) -> HTTPResponse:
    """Send the page from a cache."""
    return reply(contract.get_cached(n, "", b""))


@app.get("/static/<name>")
def static_file(name: str) -> HTTPResponse:
    """Send a file."""
    return reply(contract.get_static(name, "", b""))


@app.get("/stream/<n>")
def stream(n: str) -> HTTPResponse:
    """Send events."""
    return reply(contract.get_stream(n, request.query_string, b""))


@app.post("/jobs")
def create_job() -> HTTPResponse:
    """Have a job done by a pool of threads."""
    return reply(handed(request.query_string, body(), lambda job: pool().submit(do, job)))


@app.get("/jobs/<job_id>")
def read_job(job_id: str) -> HTTPResponse:
    """Tell what became of a job."""
    return reply(contract.get_job(job_id, "", b""))


@app.get("/pid")
def pid() -> HTTPResponse:
    """Tell which process answers."""
    return reply(contract.get_pid("", "", b""))


@app.get("/error")
def error() -> HTTPResponse:
    """Fail."""
    return reply(contract.get_error("", "", b""))


@app.get("/items")
def list_items() -> HTTPResponse:
    """List items."""
    return reply(contract.get_items("", request.query_string, b""))


@app.post("/items")
def create_item() -> HTTPResponse:
    """Add an item."""
    return reply(contract.post_item("", "", body()))


@app.get("/items/<item_id>")
def read_item(item_id: str) -> HTTPResponse:
    """Tell one item."""
    return reply(contract.get_item(item_id, "", b""))


@app.put("/items/<item_id>")
def replace_item(item_id: str) -> HTTPResponse:
    """Replace an item."""
    return reply(contract.put_item(item_id, "", body()))


@app.route("/items/<item_id>", method="PATCH")
def change_item(item_id: str) -> HTTPResponse:
    """Change an item."""
    return reply(contract.patch_item(item_id, "", body()))


@app.delete("/items/<item_id>")
def delete_item(item_id: str) -> HTTPResponse:
    """Delete an item."""
    return reply(contract.delete_item(item_id, "", b""))


@app.post("/raise/<item_id>")
def raise_item(item_id: str) -> HTTPResponse:
    """Raise an item's quantity by one, under a lock."""
    return reply(contract.post_raise(item_id, "", b""))


@app.get("/query/<ms>")
def slow_query(ms: str) -> HTTPResponse:
    """Ask the database something slow."""
    return reply(contract.get_query(ms, "", b""))
