"""Flask: its routes, its Jinja2 templates, its error handlers; the work is the contract's."""

# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,no-any-return"
from __future__ import annotations

import time
from collections.abc import Iterator

import contract
from flask import Flask, Response, render_template, request

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("flask==3.1.3",)

app = Flask(__name__, static_folder=None)
app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
app.url_map.merge_slashes = False
app.jinja_options = {"keep_trailing_newline": True}


def reply(answer: contract.Answer | contract.Parts) -> Response:
    """Make an answer of the contract Flask's."""
    if isinstance(answer, contract.Parts):
        headers = {} if answer.length is None else {"Content-Length": str(answer.length)}
        return Response(paused(answer), content_type=answer.content_type, headers=headers)
    time.sleep(answer.wait_s) if answer.wait_s else None
    response = Response(answer.body, answer.status, dict(answer.extra), content_type=answer.content_type)
    if not answer.content_type:
        del response.headers["Content-Type"]
    return response


def paused(answer: contract.Parts) -> Iterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            time.sleep(answer.pause_s)
        yield part


def query() -> str:
    """The query string as it came."""
    return request.query_string.decode("latin-1")


@app.errorhandler(contract.Refusal)
def refused(refusal: contract.Refusal) -> Response:
    """Say no."""
    return reply(refusal.answer)


@app.errorhandler(404)
@app.errorhandler(405)
def unmatched(_error: Exception) -> Response:
    """Refuse what no view is for."""
    return reply(contract.unmatched(request.method, request.path))


@app.get("/plaintext")
def plaintext() -> Response:
    """Greet."""
    return Response("Hello, World!", content_type=contract.TEXT)


@app.get("/json")
def document() -> Response:
    """Serialise a small document."""
    return Response(app.json.dumps({"message": "Hello, World!"}, separators=(",", ":")), mimetype="application/json")


@app.get("/bytes/<n>")
def octets(n: str) -> Response:
    """Send that many bytes."""
    return reply(contract.get_bytes(n, "", b""))


@app.post("/echo")
def echo() -> Response:
    """Send the body back."""
    return Response(request.get_data(), content_type=contract.OCTETS)


@app.post("/upload")
def upload() -> Response:
    """Count and digest the body."""
    return reply(contract.post_upload("", "", request.get_data()))


@app.get("/wait/<ms>")
def wait(ms: str) -> Response:
    """Answer after that many milliseconds."""
    return reply(contract.get_wait(ms, "", b""))


@app.get("/cpu/<n>")
def cpu(n: str) -> Response:
    """Work."""
    return reply(contract.get_cpu(n, "", b""))


@app.get("/page")
def page() -> str:
    """Render a template."""
    return render_template("page.html", **contract.page_data())


@app.get("/static/<name>")
def static_file(name: str) -> Response:
    """Send a file."""
    return reply(contract.get_static(name, "", b""))


@app.get("/stream/<n>")
def stream(n: str) -> Response:
    """Send events."""
    return reply(contract.get_stream(n, query(), b""))


@app.get("/pid")
def pid() -> Response:
    """Tell which process answers."""
    return reply(contract.get_pid("", "", b""))


@app.get("/error")
def error() -> Response:
    """Fail."""
    return reply(contract.get_error("", "", b""))


@app.get("/items")
def list_items() -> Response:
    """List items."""
    return reply(contract.get_items("", query(), b""))


@app.post("/items")
def create_item() -> Response:
    """Add an item."""
    return reply(contract.post_item("", "", request.get_data()))


@app.get("/items/<item_id>")
def read_item(item_id: str) -> Response:
    """Tell one item."""
    return reply(contract.get_item(item_id, "", b""))


@app.put("/items/<item_id>")
def replace_item(item_id: str) -> Response:
    """Replace an item."""
    return reply(contract.put_item(item_id, "", request.get_data()))


@app.patch("/items/<item_id>")
def change_item(item_id: str) -> Response:
    """Change an item."""
    return reply(contract.patch_item(item_id, "", request.get_data()))


@app.delete("/items/<item_id>")
def delete_item(item_id: str) -> Response:
    """Delete an item."""
    return reply(contract.delete_item(item_id, "", b""))
