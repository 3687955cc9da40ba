"""Flask: its routes, its Jinja2 templates, its error handlers; the work is the contract's."""

# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,no-any-return"
from __future__ import annotations

import importlib
import time
from collections.abc import Iterator

import caching
import contract
from flask import Flask, Response, render_template, request
from flask_caching import Cache
from waiting import block

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("flask==3.1.3", "flask-caching==2.5.1")
SERVICES: dict[str, tuple[str, ...]] = {
    "postgresql": ("psycopg[binary,pool]==3.3.9",),
    "redis": ("redis==8.1.0", "celery[redis]==5.7.0"),
    "memcached": ("python-memcached==1.62",),
}
WORKERS = {"redis": "celery --app jobs_celery worker --purge --concurrency 1 --loglevel WARNING"}
LACKS = {"bodies: *": "the app has no views that take or send a body piece by piece"}

app = Flask(__name__, static_folder=None)
app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
app.url_map.merge_slashes = False
app.jinja_options = {"keep_trailing_newline": True}
SHARED = caching.redis_url()
queue = importlib.import_module("jobs_celery" if SHARED else "contract")


def kept_in() -> dict[str, object]:
    """Flask-Caching's settings, by the service that there is."""
    if named := caching.memcached():
        address, prefix = named
        return {"CACHE_TYPE": "MemcachedCache", "CACHE_MEMCACHED_SERVERS": [address], "CACHE_KEY_PREFIX": prefix}
    return {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": SHARED} if SHARED else {"CACHE_TYPE": "SimpleCache"}


cache = Cache(app, config={**kept_in(), "CACHE_DEFAULT_TIMEOUT": caching.TIMEOUT_S})


def reply(answer: contract.Answer | contract.Parts) -> Response:
    """Make an answer of the contract Flask's."""
    if isinstance(answer, contract.Parts):
        headers = {} if answer.length is None else {"Content-Length": str(answer.length)}
        return Response(paused(answer), content_type=answer.content_type, headers=headers)
    block(answer.wait_s) if answer.wait_s else None
    return said(answer)


def said(answer: contract.Answer) -> Response:
    """Make a whole answer Flask's."""
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


@app.get("/block/<ms>")
def blocking(ms: str) -> Response:
    """Answer after a call that blocks."""
    return reply(contract.get_block(ms, "", b""))


@app.get("/cpu/<n>")
def cpu(n: str) -> Response:
    """Work."""
    return reply(contract.get_cpu(n, "", b""))


@app.get("/page")
def page() -> str:
    """Render a template."""
    return render_template("page.html", **contract.page_data())


@app.get("/cached/<n>")
def cached(n: str) -> str:
    """Send the page from the cache."""
    number = contract.page_number(n)
    caching.ASKED()
    return rendered(number)


@cache.cached(make_cache_key=caching.key_of)
def rendered(number: int) -> str:
    """Render the page, when the cache hasn't got it; without its cache Flask-Caching renders it each time."""
    caching.MISSED()
    return render_template("page.html", **contract.page_data(number))


@app.get("/static/<name>")
def static_file(name: str) -> Response:
    """Send a file."""
    return reply(contract.get_static(name, "", b""))


@app.get("/stream/<n>")
def stream(n: str) -> Response:
    """Send events."""
    return reply(contract.get_stream(n, query(), b""))


@app.post("/jobs")
def create_job() -> Response:
    """Do a job before the answer, or hand it to Celery where there is Redis."""
    return reply(queue.post_job("", query(), request.get_data()))


@app.get("/jobs/<job_id>")
def read_job(job_id: str) -> Response:
    """Tell what became of a job."""
    return reply(queue.get_job(job_id, "", b""))


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


@app.post("/raise/<item_id>")
def raise_item(item_id: str) -> Response:
    """Raise an item's quantity by one, under a lock."""
    return reply(contract.post_raise(item_id, "", b""))


@app.get("/query/<ms>")
def slow_query(ms: str) -> Response:
    """Ask the database something slow."""
    return reply(contract.get_query(ms, "", b""))
