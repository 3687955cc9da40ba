"""Every app of `apps/` keeps the contract: asked in-process without any server, and live behind real servers."""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import hashlib
import importlib
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from sgibench import catalogue, inside, verify
from sgibench.errors import DeclarationError
from sgibench.model import App, Rows, ServerEntry, Settings
from sgibench.model.catalogue import WITH
from sgibench.serve import envs, needs, process
from sgibench.serve.services import House
from sgibench.serve.services.finding import on_system
from sgibench.verify.client import Client, Question
from tests.requirements_for_tests import lacking

CATALOGUE = catalogue.load()
FOLDER = CATALOGUE.contract.parent
PLAIN = [app for app in CATALOGUE.apps if not app.packages]
"""Apps that need no package run in this process; all run live."""
FRAMEWORKS = [app for app in CATALOGUE.apps if app.packages and app.id != "asgi_anyio"]
"""Apps of a framework: asked in-process in an environment of their own, and live behind one server."""
TWISTS = {
    *("asgi_blocking", "asgi_one_thread", "wsgi_flask_async", "wsgi_django_pool"),
    *("wsgi_flask_compress", "asgi_starlette_gzip"),
    *("wsgi_whitenoise", "wsgi_flask_whitenoise", "wsgi_django_whitenoise"),
}
"""Of those, apps that are another one but for the way in which they wait, compress, or serve files."""
OWN_MODULES = {"contract", "inside", "waiting", "caching", "jobs"}
"""Modules of `apps/` that are no apps and that all apps may use."""
SERVERS = [entry for entry in CATALOGUE.servers if entry.variant.optional is None]
TYPICAL = {"wsgi": "gunicorn-gthread", "asgi": "uvicorn-httptools"}
"""The servers behind which every app is tested; the others are tested with the first app that they can run."""
OWN_HEADERS = {"content-type", "content-length", "location", "allow"}

pytestmark = pytest.mark.timeout(900)  # whichever test comes first makes some forty environments


def first_app(entry: ServerEntry) -> App:
    """The plain app of its interface, or the one that it needs."""
    plain = [app for app in CATALOGUE.apps if entry.runs(app) and app.id.endswith("_plain")]
    return (plain or [app for app in CATALOGUE.apps if entry.runs(app)])[0]


PAIRS = [
    (entry, app)
    for entry in SERVERS
    for app in CATALOGUE.apps
    if app == first_app(entry) or (entry.id == TYPICAL.get(app.interface) and entry.runs(app))
]


# --- asking an app without a server ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Heard:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Heard]


def ask_wsgi(app: Any, method: str, path: str, body: bytes = b"", query: str = "") -> Heard:
    """Call a WSGI app through the standard library's validator, which raises at any breach of PEP 3333."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query}
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    setup_testing_defaults(environ)
    return call_wsgi(validator(app), environ)


def call_wsgi(app: Any, environ: dict[str, Any]) -> Heard:
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        head[:] = [int(status[:3]), {name.lower(): value for name, value in headers}]
        return lambda _: None

    answer = app(environ, start_response)
    try:
        body = b"".join(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return Heard(status=head[0], headers=head[1], body=body)


def http_scope(method: str, path: str, query: str = "") -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [],
    }


def drive(app: Any, scope: dict[str, Any], incoming: Iterable[Mapping[str, object]]) -> list[dict[str, Any]]:
    """Drive an ASGI app by hand: give it the events in order, return what it sent."""
    events = iter(incoming)
    sent: list[dict[str, Any]] = []

    async def receive() -> Mapping[str, object]:
        return next(events)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def ask_asgi(app: Any, method: str, path: str, body: bytes = b"", query: str = "") -> Heard:
    sent = drive(app, http_scope(method, path, query), [{"type": "http.request", "body": body, "more_body": False}])
    start, *bodies = sent
    assert start["type"] == "http.response.start"
    assert [message.get("more_body", False) for message in bodies] == [True] * (len(bodies) - 1) + [False]
    return Heard(
        status=start["status"],
        headers={name.decode(): value.decode() for name, value in start["headers"]},
        body=b"".join(message["body"] for message in bodies),
    )


class RsgiExchange:
    """What Granian hands an RSGI app, and what the app sends through it."""

    def __init__(self, method: str, path: str, body: bytes, query: str) -> None:
        self.proto, self.method, self.path, self.query_string = "http", method, path, query
        self.given = body
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    async def __call__(self) -> bytes:
        return self.given

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status, dict(headers)

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, dict(headers), body

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> RsgiExchange:
        self.status, self.headers = status, dict(headers)
        return self

    async def send_bytes(self, part: bytes) -> None:
        self.body += part


def ask_rsgi(app: Any, method: str, path: str, body: bytes = b"", query: str = "") -> Heard:
    exchange = RsgiExchange(method, path, body, query)
    asyncio.run(app(exchange, exchange))
    return Heard(status=exchange.status, headers=exchange.headers, body=exchange.body)


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The contract's module as the apps import it, with a new database."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("SGIBENCH_DATA", str(tmp_path))
    module = importlib.import_module("contract")
    module.items.cache_clear()
    module.embedded_items.cache_clear()
    importlib.import_module("jobs").jobs.cache_clear()
    return module


def asker(app: App) -> Ask:
    loaded = getattr(importlib.import_module(app.id), app.target.partition(":")[2])
    ask = {"wsgi": ask_wsgi, "asgi": ask_asgi, "rsgi": ask_rsgi}[app.interface]
    return lambda *request, **more: ask(loaded, *request, **more)


@pytest.fixture(params=PLAIN, ids=lambda app: app.id)
def ask(request: pytest.FixtureRequest, contract: Any) -> Ask:  # noqa: ARG001 - sets the module path
    """Ask one of the apps."""
    return asker(request.param)


# --- what every app answers -----------------------------------------------------------------------------------------

PLAIN_TEXT = "text/plain; charset=utf-8"
OCTETS = "application/octet-stream"


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/plaintext", PLAIN_TEXT, b"Hello, World!"),
        ("/json", "application/json", b'{"message":"Hello, World!"}'),
        ("/bytes/0", OCTETS, b""),
        ("/bytes/20", OCTETS, b"0123456789abcdef0123"),
        ("/bytes/10240", OCTETS, b"0123456789abcdef" * 640),
        ("/bytes/16777216", OCTETS, b"0123456789abcdef" * 2**20),
        ("/wait/0", PLAIN_TEXT, b"waited 0 ms"),
        ("/cpu/0", PLAIN_TEXT, b"53676962656e6368"),
        ("/stream/2", "text/event-stream", b"data: chunk 0\n\ndata: chunk 1\n\n"),
        ("/stream/0", "text/event-stream", b""),
    ],
)
def test_a_get_is_answered_exactly(ask: Ask, path: str, content_type: str, body: bytes) -> None:
    heard = ask("GET", path)
    assert (heard.status, heard.headers["content-type"], heard.body) == (200, content_type, body)
    assert heard.headers.get("content-length") == (None if path.startswith("/stream") else str(len(body)))


@pytest.mark.parametrize(
    "path", ["/plaintext", "/json", "/bytes/100", "/page", "/static/pattern.bin", "/items", "/items/1"]
)
def test_head_answers_like_get_without_a_body(ask: Ask, path: str) -> None:
    got, head = ask("GET", path), ask("HEAD", path)
    assert (head.status, head.headers, head.body) == (200, got.headers, b"")
    assert int(head.headers["content-length"]) == len(got.body) > 0


@pytest.mark.parametrize("body", [b"", b"ping", bytes(range(256)) * 1000])
def test_echo_and_upload_read_the_whole_body(ask: Ask, body: bytes) -> None:
    assert ask("POST", "/echo", body).body == body
    told = ask("POST", "/upload", body).document
    assert told == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_cpu_answers_the_digest_of_the_rounds(ask: Ask) -> None:
    state = 0x53676962656E6368
    for _ in range(50):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        state ^= state // 2**29
    assert ask("GET", "/cpu/50").body == f"{state:016x}".encode()


def test_wait_answers_not_before_its_time(ask: Ask) -> None:
    started_s = time.monotonic()
    assert ask("GET", "/wait/30").body == b"waited 30 ms"
    assert time.monotonic() - started_s >= 0.03


def test_a_stream_may_pause_between_events(ask: Ask) -> None:
    started_s = time.monotonic()
    assert ask("GET", "/stream/4", query="pause_ms=10").body.count(b"data: ") == 4
    assert time.monotonic() - started_s >= 0.03


def test_the_page_shows_every_item_escaped(ask: Ask) -> None:
    heard = ask("GET", "/page")
    page = heard.body.decode()
    assert heard.headers["content-type"] == "text/html; charset=utf-8"
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert page.count("<tr><td>") == 12
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page
    assert "Nuts &amp; bolts" in page
    assert "日本茶" in page


@pytest.mark.parametrize("file", sorted((FOLDER / "static").iterdir()), ids=lambda path: path.name)
def test_a_static_file_comes_whole(ask: Ask, file: Path) -> None:
    heard = ask("GET", f"/static/{file.name}")
    assert heard.body == file.read_bytes()
    assert heard.headers["content-length"] == str(file.stat().st_size)
    types = {
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".txt": "text/plain",
        ".bin": OCTETS,
    }
    assert heard.headers["content-type"].startswith(types[file.suffix])


@pytest.mark.parametrize(
    "name", ["../contract.py", "..", ".", "nothing.txt", "/etc/passwd", "..\\contract.py", "hello.txt\0"]
)
def test_nothing_outside_the_static_folder_is_served(ask: Ask, name: str) -> None:
    assert ask("GET", f"/static/{name}").status == 404


def test_pid_tells_the_process(ask: Ask) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getppid())"], capture_output=True, text=True, check=True
    )
    assert ask("GET", "/pid").body == told.stdout.strip().encode()


def test_error_leaves_the_exception_to_the_server(ask: Ask) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        ask("GET", "/error")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("GET", "", 404),
        ("GET", "/bytes", 404),
        ("GET", "/bytes/", 404),
        ("GET", "/bytes/1/2", 404),
        ("GET", "/bytes/many", 404),
        ("GET", "/bytes/-1", 404),
        ("GET", "/bytes/²", 404),
        ("GET", "/bytes/16777217", 400),
        ("GET", "/bytes/" + "9" * 5000, 400),
        ("GET", "/wait/60001", 400),
        ("GET", "/cpu/10000001", 400),
        ("GET", "/stream/10001", 400),
        ("POST", "/nothing", 404),
    ],
)
def test_what_is_not_offered_is_refused_in_one_sentence(ask: Ask, method: str, path: str, status: int) -> None:
    heard = ask(method, path)
    assert heard.status == status
    assert heard.headers["content-type"] == "application/json"
    assert heard.document.keys() == {"error"}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/plaintext", "GET, HEAD"),
        ("GET", "/echo", "POST"),
        ("DELETE", "/items", "GET, HEAD, POST"),
        ("POST", "/items/1", "GET, HEAD, PUT, PATCH, DELETE"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(ask: Ask, method: str, path: str, allow: str) -> None:
    heard = ask(method, path)
    assert (heard.status, heard.headers["allow"]) == (405, allow)


# --- items ----------------------------------------------------------------------------------------------------------


def item(name: object, quantity: object) -> bytes:
    return json.dumps({"name": name, "quantity": quantity}).encode()


def test_an_item_lives_from_post_to_delete(ask: Ask) -> None:
    created = ask("POST", "/items", item("Ünïcode <b>", 3))
    assert created.status == 201
    assert created.document == {"id": 101, "name": "Ünïcode <b>", "quantity": 3}
    assert created.headers["location"] == "/items/101"
    assert ask("GET", "/items/101").body == created.body
    assert ask("PATCH", "/items/101", b'{"quantity":4}').document == {"id": 101, "name": "Ünïcode <b>", "quantity": 4}
    assert ask("PATCH", "/items/101", b'{"name":"n"}').document == {"id": 101, "name": "n", "quantity": 4}
    assert ask("PUT", "/items/101", item("m", 0)).document == {"id": 101, "name": "m", "quantity": 0}
    assert ask("GET", "/items/101").document == {"id": 101, "name": "m", "quantity": 0}
    deleted = ask("DELETE", "/items/101")
    assert (deleted.status, deleted.headers, deleted.body) == (204, {}, b"")
    for method, body in (("GET", b""), ("DELETE", b""), ("PUT", item("m", 0)), ("PATCH", b'{"quantity":4}')):
        assert ask(method, "/items/101", body).status == 404


def test_an_id_is_never_given_twice(ask: Ask) -> None:
    first = ask("POST", "/items", item("a", 1)).document["id"]
    ask("DELETE", f"/items/{first}")
    assert ask("POST", "/items", item("b", 1)).document["id"] == first + 1


def test_items_are_listed_in_pages(ask: Ask) -> None:
    assert [row["id"] for row in ask("GET", "/items").document] == list(range(1, 21))
    assert [row["id"] for row in ask("GET", "/items", query="limit=3&offset=97").document] == [98, 99, 100]
    assert ask("GET", "/items", query="offset=1000").document == []
    assert ask("GET", "/items", query="limit=0&other=x").document == []


@pytest.mark.parametrize("query", ["limit=-1", "limit=101", "limit=x", "limit=", "offset=1.5", "offset=" + "9" * 5000])
def test_a_page_that_makes_no_sense_is_refused(ask: Ask, query: str) -> None:
    assert ask("GET", "/items", query=query).status == 422


@pytest.mark.parametrize(
    "path", ["/items/0", "/items/999", "/items/x", "/items/-1", "/items/1.0", "/items/" + "9" * 30]
)
def test_an_item_that_is_not_there_is_missing(ask: Ask, path: str) -> None:
    heard = ask("GET", path)
    assert (heard.status, heard.document) == (404, {"error": "no such item"})


WRONG_ITEMS = {
    "no JSON": b"{",
    "empty": b"",
    "no text": b"\xff\xfe\xfd",
    "too deep": b"[" * 100_000,
    "no object": b"[1]",
    "nothing known": b'{"nmae": "x"}',
    "name is no text": item(5, 1),
    "name is null": item(None, 1),
    "name is empty": item("", 1),
    "name is too long": item("x" * 201, 1),
    "name is half a character": b'{"name": "\\ud800", "quantity": 1}',
    "quantity is a text": item("a", "1"),
    "quantity is true": b'{"name": "a", "quantity": true}',
    "quantity is no whole number": item("a", 1.5),
    "quantity is null": item("a", None),
    "quantity is negative": item("a", -1),
    "quantity is too large": item("a", 2**70),
    "quantity is not a number": b'{"name": "a", "quantity": NaN}',
}


@pytest.mark.parametrize("body", WRONG_ITEMS.values(), ids=WRONG_ITEMS.keys())
def test_a_wrong_item_is_refused_with_one_sentence(ask: Ask, body: bytes) -> None:
    for method, path in (("POST", "/items"), ("PUT", "/items/1"), ("PATCH", "/items/1")):
        heard = ask(method, path, body)
        assert heard.status == 422
        assert heard.document.keys() == {"error"}
    assert ask("GET", "/items/1").document == {"id": 1, "name": "Item 1", "quantity": 7}


def test_half_an_item_is_enough_only_for_patch(ask: Ask) -> None:
    assert [ask(*request, b'{"name":"a"}').status for request in (("POST", "/items"), ("PUT", "/items/1"))] == [
        422,
        422,
    ]
    assert ask("PATCH", "/items/1", b'{"name":"a"}').status == 200


# --- the cache and jobs ---------------------------------------------------------------------------------------------


def test_the_page_from_the_cache_is_the_page_and_is_made_once(ask: Ask) -> None:
    caching = importlib.import_module("caching")
    number, asked, missed = time.time_ns() % 10**9, caching.ASKED.count, caching.MISSED.count
    page = ask("GET", "/page")
    kept = [ask("GET", f"/cached/{number}") for _ in range(3)]
    assert kept == [kept[0]] * 3
    assert kept[0].body.replace(b", page %d" % number, b"") == page.body
    assert (caching.ASKED.count - asked, caching.MISSED.count - missed) == (3, 1)


def test_the_small_cache_keeps_so_many_and_for_so_long(contract: Any) -> None:  # noqa: ARG001 - sets the module path
    cache = importlib.import_module("caching").LocalCache(most=3)
    for number in range(4):
        cache.set(str(number), b"%d" % number)
    assert [cache.get(str(number)) for number in range(4)] == [None, b"1", b"2", b"3"]
    cache.set("1", b"again")
    cache.set("4", b"4")
    assert [cache.get(str(number)) for number in (1, 2, 3, 4)] == [b"again", None, b"3", b"4"]
    past = importlib.import_module("caching").LocalCache(timeout_s=-1)
    past.set("1", b"1")
    assert past.get("1") is None


def test_a_job_is_taken_done_and_told(ask: Ask) -> None:
    taken = ask("POST", "/jobs", b'{"rounds": 50}')
    job_id = taken.document["id"]
    assert (taken.status, taken.headers["location"]) == (202, f"/jobs/{job_id}")
    told = ask("GET", f"/jobs/{job_id}").document
    assert told == {"id": job_id, "state": "done", "result": ask("GET", "/cpu/50").body.decode()}
    assert ask("POST", "/jobs", b'{"rounds": 50}').document["id"] != job_id


@pytest.mark.parametrize("path", ["/jobs/0", "/jobs/x", "/jobs/-1", "/jobs/" + "9" * 30, "/jobs/a-b-c-d-e"])
def test_a_job_that_nobody_handed_in_is_missing(ask: Ask, path: str) -> None:
    heard = ask("GET", path)
    assert (heard.status, heard.document) == (404, {"error": "no such job"})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b"{}", b'{"rounds": 1.0}', b'{"rounds": "9"}', b'{"rounds": 10000001}', b"[" * 100_000]
)
def test_a_wrong_job_is_refused_with_one_sentence(ask: Ask, body: bytes) -> None:
    heard = ask("POST", "/jobs", body)
    assert (heard.status, heard.document.keys()) == (422, {"error"})


def test_many_processes_may_open_one_new_database_at_once(tmp_path: Path) -> None:
    program = (
        "import sys, threading, contract\n"
        "sys.stdin.readline()\n"
        "def add(): [contract.respond('POST', '/items', '', b'{\"name\":\"n\",\"quantity\":1}') for _ in range(20)]\n"
        "threads = [threading.Thread(target=add) for _ in range(3)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print(len(contract.items().page(1000, 0)))\n"
    )
    environment = {"PYTHONPATH": str(FOLDER), "SGIBENCH_DATA": str(tmp_path / "new"), "PYTHONDONTWRITEBYTECODE": "1"}
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(4)
        ]
        told = [worker.communicate("go\n", timeout=60) for worker in workers]
    assert [errors for _, errors in told] == [""] * 4
    # Whoever ended last saw the 100 items of a new database and everything that all have added.
    assert max(int(count) for count, _ in told) == 100 + 4 * 3 * 20


def test_without_a_named_folder_the_workers_of_one_server_share_a_private_one(tmp_path: Path) -> None:
    program = "import contract; print(contract.respond('GET', '/items/1', '', b'').status)"
    environment = {"PYTHONPATH": str(FOLDER), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout == "200\n"
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_forked_worker_leaves_its_parents_connection_alone(tmp_path: Path) -> None:
    program = (
        "import os, contract\n"
        "contract.respond('GET', '/items/1', '', b'')\n"
        "child = os.fork()\n"
        "answer = contract.respond('POST', '/items', '', b'{\"name\":\"n\",\"quantity\":1}')\n"
        "if not child: os._exit(answer.status - 200)\n"
        "_, status = os.waitpid(child, 0)\n"
        "print(os.waitstatus_to_exitcode(status), answer.status, len(contract.items().page(1000, 0)))\n"
    )
    environment = {"PYTHONPATH": str(FOLDER), "SGIBENCH_DATA": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (["1", "201", "102"], "")


# --- all apps alike -------------------------------------------------------------------------------------------------

ALIKE: tuple[tuple[str, str, bytes, str], ...] = (
    *(
        (method, path, b"", "")
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PATCH")
        for path in (
            *("/plaintext", "/json", "/bytes/0", "/bytes/70000", "/bytes/16777217", "/bytes/x", "/echo", "/upload"),
            *("/wait/1", "/cpu/10", "/page", "/pid", "/static/style.css", "/static/pattern.bin", "/static/none"),
            *("/block/1", "/block/60001", "/cached/7", "/cached/x", "/jobs", "/jobs/x", "/jobs/77"),
            *("/stream/3", "/items", "/items/7", "/items/x", "/items/é", "/", "//", "/Plaintext", "/plaintext/"),
        )
    ),
    *(
        (method, "/items/8", body, "")
        for method in ("PUT", "PATCH")
        for body in (item("n", 1), b"{}", b"", b'{"name":"m"}')
    ),
    ("POST", "/items", item("Ünïcode", 1), ""),
    ("GET", "/items", b"", "limit=100&offset=0"),
    ("GET", "/items", b"", "limit=%31"),
    ("GET", "/items", b"", "limit=é"),
    ("POST", "/echo", bytes(range(256)), ""),
    ("POST", "/upload", bytes(range(256)), ""),
    ("GET", "/plaintext", b"a body that nobody asked for", ""),
    ("GET", "/cached/7", b"", ""),
    ("POST", "/jobs", b'{"rounds":10}', "how=inline"),
    ("GET", "/jobs/1", b"", ""),
    *(("POST", "/jobs", body, "how=inline") for body in (b"{", b"[]", b'{"rounds":-1}', b'{"rounds":true}')),
    ("POST", "/jobs", b'{"rounds":10}', "how=slowly"),
    ("POST", "/jobs", b"{", "how="),
)


def test_all_apps_answer_alike_byte_for_byte(contract: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = {}
    for app in PLAIN:
        monkeypatch.setenv("SGIBENCH_DATA", str(tmp_path / app.id))
        contract.items.cache_clear()
        contract.embedded_items.cache_clear()
        importlib.import_module("jobs").jobs.cache_clear()
        ask = asker(app)
        heard[app.id] = [ask(method, path, body, query=query) for method, path, body, query in ALIKE]
    assert len(heard) >= 2
    first, *others = heard.values()
    for other in others:
        assert other == first


# --- frameworks, in-process in environments of their own ------------------------------------------------------------

ASKED_OF_FRAMEWORKS = (
    *(each for each in ALIKE if each[0] != "OPTIONS" and each[1] != "/pid"),
    ("POST", "/items", b'{"name": 5, "quantity": 1}', ""),
    ("POST", "/items", b'{"name": "half', ""),
    ("POST", "/items", b'{"name": "\\ud800", "quantity": 1}', ""),
    ("PATCH", "/items/1", b'{"quantity": "many"}', ""),
    ("PATCH", "/items/1", b'{"quantity": true}', ""),
    ("GET", "/items/1", b"", ""),
    ("GET", "/items", b"", "limit=-1"),
    ("GET", "/items", b"", "limit=101"),
    ("GET", "/items", b"", "limit=3&offset=97"),
    ("DELETE", "/items/9", b"", ""),
    ("DELETE", "/items/9", b"", ""),
)
"""A framework answers OPTIONS in its own way, and nobody is the worse for it."""


Asked = Sequence[tuple[str, str, bytes, str]]
"""Method, path, body, query."""


def asked_in(app: App, python: Path, data: Path, asked: Asked = ASKED_OF_FRAMEWORKS, **variables: str) -> list[Heard]:
    """Ask an app all of them, in a process of another interpreter."""
    questions = [[method, path, base64.b64encode(body).decode(), q] for method, path, body, q in asked]
    own = {"PYTHONPATH": str(FOLDER), "SGIBENCH_DATA": str(data), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python, Path(__file__).with_name("app_questions.py"), app.id.partition(WITH)[0]],
        input=json.dumps(questions),
        env=own | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [
        Heard(status=status, headers=headers, body=base64.b64decode(body))
        for status, headers, body in json.loads(done.stdout)
    ]


def unlike(question: str, wanted: Heard, heard: Heard, *, interface: str) -> Iterator[str]:
    """Say how an answer is not the plain app's; the body of a HEAD is the ASGI server's to leave out."""
    if wanted.status != heard.status:
        yield f"{question}: expected status {wanted.status}, but {heard.status} came with {heard.body[:80]!r}"
        return
    for name in sorted(OWN_HEADERS):
        want, got = wanted.headers.get(name), heard.headers.get(name)
        if want != got:
            yield f"{question}: expected {'no ' if want is None else ''}{name}, but {got!r} came, not {want!r}"
    if wanted.body != heard.body and not (question.startswith("HEAD") and interface == "asgi"):
        yield f"{question}: expected {wanted.body[:80]!r}, but {heard.body[:80]!r} came"


@pytest.fixture(scope="module")
def frameworks() -> Callable[[App], Path]:
    """Find the interpreter of a framework's environment; made at first use, all at once, and cached."""
    ready, refused = envs.ensure_all({app.id: app.packages for app in FRAMEWORKS})

    def find(app: App) -> Path:
        if app.id in refused:
            lacking(f"an environment for {app.id} ({refused[app.id]})", "check the network")
        return ready[app.id].bin / "python"

    return find


@pytest.fixture(scope="module")
def plain_answers(tmp_path_factory: pytest.TempPathFactory) -> list[Heard]:
    """What the plain app answers to each question."""
    plain = next(app for app in CATALOGUE.apps if app.id == "wsgi_plain")
    return asked_in(plain, Path(sys.executable), tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("app", FRAMEWORKS, ids=lambda app: app.id)
def test_a_framework_answers_byte_for_byte_like_the_plain_app_but_for_what_it_declares(
    app: App, frameworks: Callable[[App], Path], plain_answers: list[Heard], tmp_path: Path
) -> None:
    heard = asked_in(app, frameworks(app), tmp_path)
    problems = [
        verify.Problem(check="in-process", severity="wrong", detail=detail)
        for (method, path, _body, _query), wanted, got in zip(ASKED_OF_FRAMEWORKS, plain_answers, heard, strict=True)
        if not (path.startswith("/static/") and "whitenoise" in app.id)  # its answers, which the live test checks
        for detail in unlike(f"{method} {path}", wanted, got, interface=app.interface)
    ]
    left = [str(problem) for problem in verify.excuse(problems, app.lacks) if problem.severity == "wrong"]
    assert left == []


STORED: Asked = (
    ("GET", "/items/7", b"", ""),
    ("GET", "/items", b"", "limit=3&offset=97"),
    ("POST", "/items", item("Ünïcode", 1), ""),
    ("PUT", "/items/101", item("other", 2), ""),
    ("PATCH", "/items/101", b'{"quantity":5}', ""),
    ("POST", "/raise/101", b"", ""),
    ("GET", "/items/101", b"", ""),
    ("DELETE", "/items/101", b"", ""),
    *((method, "/items/101", b"", "") for method in ("DELETE", "GET")),
    *((method, "/items/101", item("gone", 1), "") for method in ("PUT", "PATCH")),
    ("POST", "/raise/101", b"", ""),
    ("GET", f"/items/{2**31}", b"", ""),
    ("GET", f"/items/{2**70}", b"", ""),
    ("POST", "/items", item("next", 3), ""),
    ("GET", "/query/1", b"", ""),
)
ON_POSTGRESQL = [app.on("postgresql") for app in CATALOGUE.apps if "postgresql" in app.services]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[House]:
    entry = CATALOGUE.service("postgresql")
    if on_system(entry.service) is None:
        lacking("postgresql", entry.service.how)
    with House(CATALOGUE.services) as house:
        yield house


@pytest.fixture(scope="module")
def plain_stored(tmp_path_factory: pytest.TempPathFactory) -> list[Heard]:
    """What the plain app answers to these on SQLite."""
    return asked_in(CATALOGUE.app("wsgi_plain"), Path(sys.executable), tmp_path_factory.mktemp("stored"), STORED)


@pytest.mark.parametrize("app", ON_POSTGRESQL, ids=lambda app: app.id)
def test_on_postgresql_an_app_answers_like_the_plain_app_on_sqlite(
    app: App, postgresql: House, plain_stored: list[Heard], tmp_path: Path
) -> None:
    """Whatever its driver is, and whoever keeps its connections; it holds no more of them than its pool."""
    share = postgresql.share("postgresql", app.id)
    python = envs.ensure(app.packages).bin / "python"
    heard = asked_in(app, python, tmp_path, STORED, SGIBENCH_POOL="2", **share.variables)
    problems = [
        verify.Problem(check="in-process", severity="wrong", detail=detail)
        for (method, path, _body, _query), want, got in zip(STORED, plain_stored, heard, strict=True)
        for detail in unlike(f"{method} {path}", want, got, interface=app.interface)
    ]
    left = [str(problem) for problem in verify.excuse(problems, app.lacks) if problem.severity == "wrong"]
    assert left == []
    assert postgresql.rows(share) == Rows(count=101, pieces=4950 + 3)
    assert postgresql.look(share).opened == (1 if app.id == "wsgi_django+postgresql" else 2)


def test_every_framework_is_there_in_the_interfaces_that_it_has() -> None:
    named = {"wsgi": {"flask", "django", "falcon", "bottle"}}
    named["asgi"] = {"django", "starlette", "fastapi", "falcon", "litestar", "quart"}
    expected = {f"{kind}_{name}" for kind, names in named.items() for name in names}
    assert {app.id for app in FRAMEWORKS} == expected | TWISTS
    for app in FRAMEWORKS:
        assert all("==" in package for package in app.packages), "versions are pinned"


def test_a_users_framework_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    own = tmp_path / "apps" / "wsgi_mine.py"
    text = (FOLDER / "wsgi_bottle.py").read_text(encoding="utf-8")
    own.write_text(
        text.replace("app = Bottle()", 'LACKS = {"page: *": "no templates"}\napp = Bottle()'), encoding="utf-8"
    )
    found = next(app for app in catalogue.load([tmp_path]).apps if app.id == "wsgi_mine")
    assert (found.lacks, found.packages) == ({"page: *": "no templates"}, ("bottle==0.13.4",))
    own.write_text('INTERFACE = "wsgi"\nLACKS = ["page"]\n', encoding="utf-8")
    with pytest.raises(DeclarationError, match="LACKS"):
        catalogue.load([tmp_path])


@pytest.mark.parametrize("name", [*sorted(OWN_MODULES), *(app.id for app in PLAIN), "database/sqlite"])
def test_an_app_without_packages_imports_only_the_standard_library(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    imported = {
        alias.partition(".")[0]
        for node in ast.walk(tree)
        for alias in (
            [name.name for name in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names | OWN_MODULES | {"database"}


def test_the_contracts_page_names_every_route(contract: Any) -> None:
    page = (FOLDER.parent / "docs" / "contract.md").read_text(encoding="utf-8")
    shown = {tuple(route.split(" ", 1)) for route in re.findall(r"^\| `([A-Z]+ /[^`]*)`", page, flags=re.MULTILINE)}
    routes = {(method, path) for path, methods in contract.FIXED.items() for method in methods}
    routes |= {(method, f"{path}/") for path, methods in contract.PREFIXED.items() for method in methods}
    assert {(method, path.partition("{")[0]) for method, path in shown} == {r for r in routes if r[0] != "HEAD"}


# --- WSGI only ------------------------------------------------------------------------------------------------------


class _Trickle(io.BytesIO):
    """A body of which each read gives at most three bytes, as a socket may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3 if size is None or size > 3 else size)


def wsgi_post(contract: Any, stream: io.BytesIO, **environ: Any) -> Heard:
    assert contract
    full: dict[str, Any] = {"REQUEST_METHOD": "POST", "PATH_INFO": "/echo", "wsgi.input": stream, **environ}
    setup_testing_defaults(full)
    return call_wsgi(importlib.import_module("wsgi_plain").app, full)


def test_wsgi_reads_on_when_a_read_comes_short(contract: Any) -> None:
    assert wsgi_post(contract, _Trickle(b"0123456789"), CONTENT_LENGTH="10").body == b"0123456789"


def test_wsgi_leaves_alone_what_follows_the_body(contract: Any) -> None:
    stream = io.BytesIO(b"bodyGET /next")
    assert wsgi_post(contract, stream, CONTENT_LENGTH="4").body == b"body"
    assert stream.read() == b"GET /next"


def test_wsgi_reads_a_chunked_body_where_its_end_can_be_seen(contract: Any) -> None:
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    heard = wsgi_post(contract, io.BytesIO(b"decoded by the server"), **chunked, **{"wsgi.input_terminated": True})
    assert (heard.status, heard.body) == (200, b"decoded by the server")
    assert wsgi_post(contract, io.BytesIO(b"unreadable"), **chunked).status == 411


@pytest.mark.parametrize(
    ("length", "sentence"), [("ten", "whole number"), ("-1", "whole number"), ("11", "ended before")]
)
def test_wsgi_refuses_a_body_of_another_length(contract: Any, length: str, sentence: str) -> None:
    heard = wsgi_post(contract, io.BytesIO(b"0123456789"), CONTENT_LENGTH=length)
    assert heard.status == 400
    assert sentence in heard.document["error"]


# --- ASGI only ------------------------------------------------------------------------------------------------------


@pytest.fixture
def asgi_app(contract: Any) -> Any:
    assert contract
    return importlib.import_module("asgi_plain").app


def test_asgi_joins_a_body_that_comes_in_pieces(asgi_app: Any) -> None:
    pieces: list[dict[str, object]] = [
        {"type": "http.request", "body": b"one ", "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"two"},
    ]
    assert drive(asgi_app, http_scope("POST", "/echo"), pieces)[-1]["body"] == b"one two"


def test_asgi_says_nothing_to_a_client_that_went_away(asgi_app: Any) -> None:
    gone: list[dict[str, object]] = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert drive(asgi_app, http_scope("POST", "/echo"), gone) == []


def test_asgi_echoes_websocket_messages(asgi_app: Any) -> None:
    sent = drive(
        asgi_app,
        {"type": "websocket", "path": "/ws"},
        [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "hé", "bytes": None},
            {"type": "websocket.receive", "bytes": b"\x00"},
            {"type": "websocket.receive", "text": ""},
            {"type": "websocket.disconnect", "code": 1000},
        ],
    )
    assert sent == [
        {"type": "websocket.accept"},
        {"type": "websocket.send", "text": "hé"},
        {"type": "websocket.send", "bytes": b"\x00"},
        {"type": "websocket.send", "text": ""},
    ]


def test_asgi_refuses_a_websocket_anywhere_else(asgi_app: Any) -> None:
    sent = drive(asgi_app, {"type": "websocket", "path": "/other"}, [{"type": "websocket.connect"}])
    assert sent == [{"type": "websocket.close"}]


def test_asgi_agrees_to_start_and_stop(asgi_app: Any) -> None:
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = drive(asgi_app, {"type": "lifespan"}, events)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# --- live, behind real servers --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def environments() -> Callable[[ServerEntry, App], envs.Environment]:
    """Find the isolated environment of a server and an app; made at first use, all at once, and cached."""
    wanted = {f"{entry.id} {app.id}": (*entry.variant.packages, *app.packages) for entry, app in PAIRS}
    ready, refused = envs.ensure_all(wanted)

    def find(entry: ServerEntry, app: App) -> envs.Environment:
        name = f"{entry.id} {app.id}"
        if name not in ready | refused:
            return envs.ensure((*entry.variant.packages, *app.packages))
        return (
            ready[name]
            if name in ready
            else lacking(f"an environment for {name} ({refused[name]})", "check the network")
        )

    return find


@pytest.fixture
def serve(
    environments: Callable[[ServerEntry, App], envs.Environment], tmp_path: Path
) -> Iterator[Callable[[str, App], process.ServerProcess]]:
    """Start servers that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(server_id: str, app: App) -> process.ServerProcess:
            entry = CATALOGUE.server(server_id)
            if missing := needs.missing(entry.variant.needs):
                lacking(f"what {server_id} needs", missing)
            spec = process.ServerSpec(
                entry=entry,
                app=app,
                settings=Settings(workers=1, threads=4),
                bin=environments(entry, app).bin,
                cpus=(),
                scratch=tmp_path / server_id,
            )
            server = stack.enter_context(process.ServerProcess(spec))
            server.wait_ready()
            return server

        yield start


LIVE = [pytest.param(entry, app, id=f"{entry.id}-{app.id}") for entry, app in PAIRS]
Serve = Callable[[str, App], process.ServerProcess]


@pytest.mark.parametrize(("entry", "app"), LIVE)
def test_the_contract_holds_behind_every_server(serve: Serve, entry: ServerEntry, app: App) -> None:
    server = serve(entry.id, app)
    problems = verify.verify_contract(
        process.HOST, server.port, app.interface, CATALOGUE.contract, keep_alive=entry.variant.keep_alive
    )
    wrong = [
        problem
        for problem in verify.excuse(problems, {**entry.variant.lacks, **app.lacks})
        if problem.severity == "wrong"
    ]
    assert [str(problem) for problem in wrong] == []


def heard_live(port: int) -> list[tuple[Any, ...]]:
    """What a client hears to each request of ALIKE that every server lets through: status, the app's headers, body."""
    heard: list[tuple[Any, ...]] = []
    with Client(process.HOST, port) as client:
        for method, path, body, query in ALIKE:
            if method in {"HEAD", "OPTIONS"} or "é" in path + query or path in {"/pid", "//"}:
                continue  # a server may answer these by itself, or leave the length out
            reply = client.ask(Question(method=method, path=f"{path}?{query}" if query else path, body=body))
            own = sorted((name, value) for name, value in reply.headers if name in OWN_HEADERS)
            heard.append((method, path, reply.status, own, reply.body))
            if not reply.reusable:
                client.close()
    return heard


@pytest.mark.parametrize(
    ("wsgi_server", "asgi_server"),
    [
        ("gunicorn-gthread", "uvicorn-httptools"),
        ("waitress", "hypercorn-uvloop"),
        ("granian-wsgi", "granian-asgi"),
        ("gunicorn-gevent", "gunicorn-asgi"),
    ],
)
def test_a_client_cannot_tell_the_apps_apart(serve: Serve, wsgi_server: str, asgi_server: str) -> None:
    heard = []
    for server_id in (wsgi_server, asgi_server):
        for app in CATALOGUE.apps:
            if CATALOGUE.server(server_id).runs(app) and app not in FRAMEWORKS:
                heard.append(heard_live(serve(server_id, app).port))  # noqa: PERF401 - starting servers reads better so
    assert len(heard[0]) > 50
    for other in heard[1:]:
        assert other == heard[0]


@pytest.mark.parametrize(
    "entry",
    [entry for entry in SERVERS if entry.variant.concurrency in {"event loop", "greenlets"}],
    ids=lambda entry: entry.id,
)
def test_waiting_requests_do_not_hold_each_other_up(serve: Serve, entry: ServerEntry) -> None:
    server = serve(entry.id, first_app(entry))
    heard: list[bytes] = []

    def ask() -> None:
        with Client(process.HOST, server.port) as client:
            heard.append(client.ask(Question(method="GET", path="/wait/300")).body)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [b"waited 300 ms"] * 8
    at_once = inside.read(server.data)
    assert at_once is not None
    assert max(at_once) > 1  # one after the other, no two would ever be inside, whatever else the machine does


AT_ONCE = {
    "wsgi_plain": ("gunicorn-gthread", "/block/700", 4),
    "wsgi_flask_async": ("gunicorn-gthread", "/wait/700", 4),
    "asgi_fastapi": ("uvicorn-httptools", "/block/700", 6),
    "asgi_django": ("uvicorn-httptools", "/block/700", 6),
    "asgi_one_thread": ("uvicorn-httptools", "/block/70", 1),
    "asgi_blocking": ("uvicorn-httptools", "/block/70", 1),
}
"""What six clients ask at once of an app behind a server with four threads, and how many of them are inside at once."""


@pytest.mark.parametrize("app_id", AT_ONCE)
def test_an_app_counts_the_requests_that_are_inside_it_at_once(serve: Serve, app_id: str) -> None:
    server_id, path, expected = AT_ONCE[app_id]
    server = serve(server_id, CATALOGUE.app(app_id))
    assert inside.read(server.data) is None
    for _ in range(2):  # the second time, what was counted before is forgotten
        inside.forget(server.data)
        threads = [threading.Thread(target=heard_once, args=(server.port, path)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert inside.read(server.data) == (expected,)
    inside.forget(server.data)
    heard_once(server.port, path)
    assert inside.read(server.data) == (1,)


def heard_once(port: int, path: str) -> None:
    with Client(process.HOST, port) as client:
        client.ask(Question(method="GET", path=path))
