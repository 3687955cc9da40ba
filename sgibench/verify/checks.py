"""What a live server is asked, and what it must answer: one row or one function for each part of the contract.

The expectations are the contract's own: `apps/contract.py` is loaded by path, and its pure functions say what each
question must be answered. Only what can't be known beforehand (ids of items, process ids) is checked by hand.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from sgibench.errors import DeclarationError, ServerError
from sgibench.model.terms import MULTIPLEXED, TLS, Protocol
from sgibench.verify.client import Asker, Client, Question, Reply, echo_over_websocket

SHOWN_BYTES = 60
"""How much of an unexpected body a message quotes."""
ACCEPTED = 202
KEPT_S = 0.05
"""A connection that is not closed for so long after an answer is kept."""
CLOSED_WITHIN_S = 1.0
"""So long a server that closes its connections may take for it."""
NO_CONTENT = 204
LENGTH_REQUIRED = 411
SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding: `wrong` breaks the contract, `note` is worth knowing but allowed."""

    check: str
    severity: Literal["wrong", "note"]
    detail: str
    """One sentence: what was asked, what was expected, what came."""

    def __str__(self) -> str:
        """Show it as a line."""
        return f"{self.check}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The server under question and what is declared about it."""

    host: str
    port: int
    interface: str
    keep_alive: bool
    contract: Any
    """The module loaded from `apps/contract.py`."""
    protocol: Protocol = "http"

    def client(self) -> Asker:
        """Make a connection of its own for a check."""
        return client_for(self.host, self.port, self.protocol)


def client_for(host: str, port: int, protocol: Protocol) -> Asker:
    """Make a client that speaks a protocol."""
    if protocol not in MULTIPLEXED:
        return Client(host, port, tls=protocol in TLS)
    # Only those who speak it load HTTP/2.
    made: Asker = import_module("sgibench.verify.http2").Http2Client(host, port, tls=protocol in TLS)
    return made


Findings = Iterator[tuple[Literal["wrong", "note"], str]]
Check = Callable[[Target], Findings]


def load_contract(path: Path) -> Any:
    """Load the contract under a private name. Raises DeclarationError."""
    name = "_sgibench_contract"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise DeclarationError(path, "the contract of the apps", "there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def run(names: Iterable[str], target: Target) -> Iterator[Problem]:
    """Make the named checks; one that gets no answer at all is a finding too."""
    for name in names:
        try:
            for severity, detail in CHECKS[name](target):
                yield Problem(check=name, severity=severity, detail=detail)
        except ServerError as error:
            yield Problem(check=name, severity="wrong", detail=error.detail)


# --- comparing ------------------------------------------------------------------------------------------------------


def shown(body: bytes) -> str:
    """Quote a body in a message."""
    cut = body if len(body) <= SHOWN_BYTES else body[:SHOWN_BYTES]
    return f"{len(body)} bytes {cut!r}" + ("…" if len(cut) < len(body) else "")


def differences(question: Question, reply: Reply, expected: Any) -> Findings:
    """Compare an answer with the contract's `Answer` or `Parts`."""
    status = getattr(expected, "status", 200)
    if reply.status != status:
        yield "wrong", f"{question}: expected status {status}, but {reply.status} came with {shown(reply.body)}"
        return
    whole = b"".join(expected.parts) if hasattr(expected, "parts") else expected.body
    body = b"" if question.method == "HEAD" else whole
    if reply.body != body:
        yield "wrong", f"{question}: expected {shown(body)}, but {shown(reply.body)} came"
    wanted = dict(getattr(expected, "extra", ()))
    if status != NO_CONTENT:
        wanted["Content-Type"] = expected.content_type
        if getattr(expected, "length", 0) is not None:
            wanted["Content-Length"] = str(len(whole))
    for name, value in wanted.items():
        came = reply.all(name.lower())
        # To a HEAD a server may leave Content-Length out (RFC 9110, section 8.6).
        if came != [value] and not (question.method == "HEAD" and name == "Content-Length" and not came):
            yield "wrong", f"{question}: expected {name}: {value}, but {', '.join(came) or 'none'} came"


def ask_and_compare(client: Asker, target: Target, question: Question, expected: Any = None) -> Findings:
    """Ask once and compare; without `expected`, with what the contract answers to that question."""
    reply = client.ask(question)
    if not reply.reusable:
        client.close()
    if expected is None:
        path, _, query = question.path.partition("?")
        expected = target.contract.respond(question.method, unquote(path), query, question.body)
    yield from differences(question, reply, expected)


def asking(*questions: Question) -> Check:
    """Make a check that asks one question after the other, on one connection while the server keeps it."""

    def check(target: Target) -> Findings:
        with target.client() as client:
            for question in questions:
                yield from ask_and_compare(client, target, question)

    return check


def get(*paths: str) -> tuple[Question, ...]:
    """HEAD before GET: a body that is sent to a HEAD spoils the next answer on the connection, and so shows."""
    return tuple(Question(method=method, path=path) for path in paths for method in ("HEAD", "GET"))


# --- checks that need more than one look at a time ------------------------------------------------------------------

ALL_BYTES = bytes(range(256)) * 160


def check_wait(target: Target) -> Findings:
    """The answer is right and does not come before its time."""
    question = Question(method="GET", path="/wait/40")
    with target.client() as client:
        started_s = time.monotonic()
        yield from ask_and_compare(client, target, question)
        took_ms = (time.monotonic() - started_s) * 1000
    if took_ms < 40:  # noqa: PLR2004 - what was asked for
        yield "wrong", f"{question}: expected an answer after 40 ms at the earliest, but it came after {took_ms:.1f} ms"


def check_block(target: Target) -> Findings:
    """A call that blocks has an answer like any other, and what the path can't mean is refused."""
    with target.client() as client:
        for path in ("/block/5", "/block/60001", "/block/long"):
            yield from ask_and_compare(client, target, Question(method="GET", path=path))


def check_cached(target: Target) -> Findings:
    """The page from the cache is the page, the first time and ever after."""
    page = target.contract.respond("GET", "/page", "", b"")
    with target.client() as client:
        for method, number in (("GET", 1), ("GET", 1), ("HEAD", 1), ("GET", 2)):
            yield from ask_and_compare(client, target, Question(method=method, path=f"/cached/{number}"), page)
        for path in ("/cached/some", "/cached/1000000001"):
            yield from ask_and_compare(client, target, Question(method="GET", path=path))


def check_static(target: Target) -> Findings:
    """Every file comes whole, and nothing beside them can be reached."""
    outside = (
        "/static/nothing.txt",
        "/static/%2e%2e%2fcontract.py",
        "/static/..%5ccontract.py",
        "/static/../contract.py",
    )
    with target.client() as client:
        for question in get(*(f"/static/{name}" for name in target.contract.STATIC)):
            yield from ask_and_compare(client, target, question)
        for path in outside:
            reply = client.ask(Question(method="GET", path=path))
            if not reply.reusable:
                client.close()
            # A server may refuse such a path by itself; all that counts is that no file comes.
            if reply.status not in {400, 403, 404}:
                yield "wrong", f"GET {path}: expected status 404, but {reply.status} came with {shown(reply.body)}"


def check_stream(target: Target) -> Findings:
    """The events are right; that they are flushed one by one is worth knowing but not demanded."""
    with target.client() as client:
        yield from ask_and_compare(client, target, Question(method="GET", path="/stream/3"))
    yield from _check_stream_head(target)
    question = Question(method="GET", path="/stream/4?pause_ms=50")
    with target.client() as client:
        reply = client.ask(question)
    yield from differences(question, reply, target.contract.respond("GET", "/stream/4", "", b""))
    if reply.arrivals_s and reply.arrivals_s[-1] - reply.arrivals_s[0] < 0.075:  # noqa: PLR2004 - half of three pauses
        after_ms = reply.arrivals_s[-1] * 1000
        yield "note", f"{question}: the events are 50 ms apart, but all came together after {after_ms:.0f} ms"


def _check_stream_head(target: Target) -> Findings:
    """A HEAD of an answer without a length: some servers send the end mark of a chunked body that may not be there."""
    with target.client() as client:
        try:
            yield from ask_and_compare(client, target, Question(method="HEAD", path="/stream/3"))
            yield from ask_and_compare(client, target, Question(method="GET", path="/plaintext"))
        except ServerError as error:
            yield "note", f"after HEAD /stream/3 the connection is spoilt: {error.detail}"


def check_pid(target: Target) -> Findings:
    """A process id in digits."""
    with target.client() as client:
        reply = client.ask(Question(method="GET", path="/pid"))
    if reply.status != 200 or not reply.body.isdigit():  # noqa: PLR2004
        yield "wrong", f"GET /pid: expected 200 and a number, but {reply.status} came with {shown(reply.body)}"


def check_error(target: Target) -> Findings:
    """An exception in the app becomes a 500, and the server lives on."""
    with target.client() as client:
        reply = client.ask(Question(method="GET", path="/error"))
        if reply.status != SERVER_ERROR:
            yield "wrong", f"GET /error: expected status 500, but {reply.status} came"
        client.close()
        yield from ask_and_compare(client, target, Question(method="GET", path="/plaintext"))


def check_chunked(target: Target) -> Findings:
    """Request bodies without a length; WSGI leaves it open whether an app can read them, so a 411 is only a note."""
    with target.client() as client:
        for path in ("/echo", "/upload"):
            question = Question(method="POST", path=path, body=ALL_BYTES, chunked=True)
            reply = client.ask(question)
            if not reply.reusable:
                client.close()
            if target.interface == "wsgi" and reply.status == LENGTH_REQUIRED:
                yield "note", f"{question}: refused with 411, because WSGI apps can't read one on this server"
                return
            unseen = target.contract.respond("POST", path, "", b"")
            if target.interface == "wsgi" and target.protocol in MULTIPLEXED and reply.body == unseen.body:
                yield "note", f"{question}: over HTTP/2 the app sees no body without its length"
                return
            yield from differences(question, reply, target.contract.respond("POST", path, "", ALL_BYTES))


def check_keep_alive(target: Target) -> Findings:
    """The connection is kept or closed as the server's declaration says."""
    question = Question(method="GET", path="/plaintext")
    with target.client() as client:
        reply = client.ask(question)
        kept = reply.reusable and not client.closed_by_server(KEPT_S if target.keep_alive else CLOSED_WITHIN_S)
        if kept != target.keep_alive:
            words = {True: "kept", False: "closed"}
            yield (
                "wrong",
                f"{question}: expected the connection to be {words[target.keep_alive]}, but it was {words[kept]}",
            )
        elif kept:
            yield from ask_and_compare(client, target, question)


def check_websocket(target: Target) -> Findings:
    """Text comes back as text, binary as binary."""
    if target.interface != "asgi" or target.protocol != "http":
        return
    for severity, messages in WEBSOCKET_MESSAGES:
        try:
            yield from ((severity, detail) for detail in _echo_faults(target, messages))
        except ServerError as error:
            yield severity, error.detail


# An empty message is asked apart: daphne 4.2.3 never sends one, which no real program notices.
WEBSOCKET_MESSAGES: tuple[tuple[Literal["wrong", "note"], tuple[str | bytes, ...]], ...] = (
    ("wrong", ("Hello, Wörld!", b"\x00\xff" * 5, "x" * 70000, bytes(70000))),
    ("note", ("",)),
)


def _echo_faults(target: Target, messages: tuple[str | bytes, ...]) -> Iterator[str]:
    path: str = target.contract.WEBSOCKET
    replies = echo_over_websocket(target.host, target.port, path, messages)
    for message, reply in zip(messages, replies, strict=True):
        if reply != message:
            yield f"WebSocket {path}: expected {message[:SHOWN_BYTES]!r} back, but {reply[:SHOWN_BYTES]!r} came"


def check_broadcast(target: Target) -> Findings:
    """Who sends hears it, too; listeners and messages are counted. Others are heard by the load's own measurements."""
    if target.interface != "asgi" or target.protocol != "http":
        return
    path: str = target.contract.BROADCAST
    messages: tuple[str | bytes, ...] = ("Hello, all!", b"\x00\xff" * 5, "x" * 70000)
    replies = echo_over_websocket(target.host, target.port, path, messages, greeting=target.contract.JOINED)
    for message, reply in zip(messages, replies, strict=True):
        if reply != message:
            yield "wrong", f"WebSocket {path}: expected {message[:SHOWN_BYTES]!r}, but {reply[:SHOWN_BYTES]!r} came"
    question = Question(method="GET", path="/broadcast")
    with target.client() as client:
        counts = client.ask(question)
    try:
        found = set(json.loads(counts.body))
    except (ValueError, TypeError):
        found = set()
    if counts.status != 200 or found != {"listeners", "received", "sent"}:  # noqa: PLR2004
        yield "wrong", f"{question}: expected 200 and counts, but {counts.status} came with {shown(counts.body)}"


def check_bodies(target: Target) -> Findings:
    """A body is counted piece by piece; one of known bytes comes in pieces. Chunks have a check of their own."""
    with target.client() as client:
        yield from ask_and_compare(client, target, Question(method="POST", path="/sink", body=ALL_BYTES * 5))
        for path in ("/pieces/100000", "/pieces/131072"):
            yield from ask_and_compare(client, target, Question(method="GET", path=path))


def check_items(target: Target) -> Findings:
    """The life of one item, from POST to DELETE, and what is refused on the way."""
    contract = target.contract
    with target.client() as client:
        yield from _check_list(client)
        given = {"name": "Verifier's <item> é", "quantity": 3}
        reply = client.ask(Question(method="POST", path="/items", body=contract.dump(given)))
        item_id = _id_of(reply)
        if item_id is None:
            yield "wrong", f"POST /items: expected 201 and an item, but {reply.status} came with {shown(reply.body)}"
            return
        client.close() if not reply.reusable else None
        path = f"/items/{item_id}"
        created = contract.Answer(201, contract.JSON, contract.dump({"id": item_id} | given), (("Location", path),))
        yield from differences(Question(method="POST", path="/items"), reply, created)
        missing = contract.Refusal(404, "no such item").answer
        patched, replaced = given | {"quantity": 4}, {"name": "Replaced", "quantity": 5}
        for method, document, after in (
            ("HEAD", None, given),
            ("GET", None, given),
            ("PATCH", {"quantity": 4}, patched),
            ("GET", None, patched),
            ("PUT", replaced, replaced),
            ("GET", None, replaced),
            ("DELETE", None, None),
            ("GET", None, missing),
            ("DELETE", None, missing),
            ("PUT", replaced, missing),
        ):
            body = b"" if document is None else contract.dump(document)
            if after is None:
                expected = contract.Answer(NO_CONTENT, "", b"")
            elif after is missing:
                expected = missing
            else:
                expected = contract.Answer(200, contract.JSON, contract.dump({"id": item_id} | after))
            yield from ask_and_compare(client, target, Question(method=method, path=path, body=body), expected)
        for question in REFUSED_ITEMS:
            yield from ask_and_compare(client, target, question)


def check_raise(target: Target) -> Findings:
    """An item is raised by one each time, and one that is missing is refused."""
    contract = target.contract
    with target.client() as client:
        reply = client.ask(
            Question(method="POST", path="/items", body=contract.dump({"name": "raised", "quantity": 7}))
        )
        client.close() if not reply.reusable else None
        item_id = _id_of(reply)
        if item_id is None:
            yield "wrong", f"POST /items: expected 201 and an item, but {reply.status} came with {shown(reply.body)}"
            return
        for quantity in (8, 9):
            item = contract.dump({"id": item_id, "name": "raised", "quantity": quantity})
            answer = contract.Answer(200, contract.JSON, item)
            yield from ask_and_compare(client, target, Question(method="POST", path=f"/raise/{item_id}"), answer)
        deleted = contract.Answer(NO_CONTENT, "", b"")
        yield from ask_and_compare(client, target, Question(method="DELETE", path=f"/items/{item_id}"), deleted)
        missing = contract.Refusal(404, "no such item").answer
        yield from ask_and_compare(client, target, Question(method="POST", path=f"/raise/{item_id}"), missing)
        for question in (Question(method="POST", path="/raise/none"), Question(method="GET", path="/raise/1")):
            yield from ask_and_compare(client, target, question)


def check_query(target: Target) -> Findings:
    """The database is asked something slow, and the answer does not come before its time."""
    question = Question(method="GET", path="/query/40")
    with target.client() as client:
        started_s = time.monotonic()
        yield from ask_and_compare(client, target, question, target.contract.queried(40))
        took_ms = (time.monotonic() - started_s) * 1000
        yield from ask_and_compare(client, target, Question(method="GET", path="/query/10001"))
    if took_ms < 40:  # noqa: PLR2004 - what was asked for
        yield "wrong", f"{question}: expected an answer after 40 ms at the earliest, but it came after {took_ms:.1f} ms"


def _check_list(client: Asker) -> Findings:
    question = Question(method="GET", path="/items?limit=2&offset=1")
    reply = client.ask(question)
    if not reply.reusable:
        client.close()
    try:
        found = json.loads(reply.body)
    except ValueError:
        found = None
    fields = {"id", "name", "quantity"}
    if reply.status != 200 or not isinstance(found, list) or [set(item) for item in found] != [fields, fields]:  # noqa: PLR2004
        yield "wrong", f"{question}: expected 200 and two items, but {reply.status} came with {shown(reply.body)}"


def _id_of(reply: Reply) -> int | None:
    try:
        item_id = json.loads(reply.body)["id"]
    except (ValueError, TypeError, KeyError):
        return None
    return item_id if isinstance(item_id, int) else None


def check_jobs(target: Target) -> Findings:
    """A job is taken, and can be asked about where the answer says; what is none is refused."""
    contract = target.contract
    with target.client() as client:
        for path in ("/jobs", "/jobs?how=inline"):
            question = Question(method="POST", path=path, body=contract.dump({"rounds": 10}))
            reply = client.ask(question)
            client.close() if not reply.reusable else None
            job_id = _text_id_of(reply)
            if job_id is None:
                yield "wrong", f"{question}: expected 202 and an id, but {reply.status} came with {shown(reply.body)}"
                continue
            yield from differences(question, reply, contract.accepted(job_id))
            yield from _check_job(client, target, job_id, done=path.endswith("inline"))
        for question in REFUSED_JOBS:
            yield from ask_and_compare(client, target, question)


def _check_job(client: Asker, target: Target, job_id: str, *, done: bool) -> Findings:
    """What is told of a job: where nobody is there to do it, it waits."""
    question = Question(method="GET", path=f"/jobs/{job_id}")
    reply = client.ask(question)
    client.close() if not reply.reusable else None
    result = target.contract.get_cpu("10", "", b"").body.decode()
    finished = target.contract.job_answer(job_id, "done", result)
    waits = target.contract.job_answer(job_id, "queued", None)
    yield from differences(question, reply, finished if done or b"done" in reply.body else waits)


def _text_id_of(reply: Reply) -> str | None:
    try:
        job_id = json.loads(reply.body)["id"]
    except (ValueError, TypeError, KeyError):
        return None
    return job_id if isinstance(job_id, str) and reply.status == ACCEPTED else None


REFUSED_JOBS = (
    Question(method="POST", path="/jobs", body=b'{"rounds": 10'),
    Question(method="POST", path="/jobs", body=b'{"rounds": "many"}'),
    Question(method="POST", path="/jobs", body=b'{"rounds": 10000001}'),
    Question(method="POST", path="/jobs?how=slowly", body=b'{"rounds": 10}'),
    Question(method="GET", path="/jobs/none"),
    Question(method="GET", path="/jobs"),
    Question(method="DELETE", path="/jobs/1"),
)
"""Refused before anything is handed in."""

REFUSED_ITEMS = (
    Question(method="POST", path="/items", body=b'{"name": "half'),
    Question(method="POST", path="/items", body=b'{"name": 5, "quantity": 1}'),
    Question(method="POST", path="/items", body=b'{"name": "no quantity"}'),
    Question(method="PATCH", path="/items/1", body=b'{"quantity": "many"}'),
    Question(method="GET", path="/items?limit=-1"),
    Question(method="GET", path="/items/none"),
    Question(method="DELETE", path="/items"),
    Question(method="POST", path="/items/1"),
)
"""Refused before the database is asked, so the contract's functions can answer them here."""


# --- the table ------------------------------------------------------------------------------------------------------

CHECKS: dict[str, Check] = {
    "plaintext": asking(*get("/plaintext"), Question(method="POST", path="/plaintext", body=b"surplus")),
    "json": asking(*get("/json")),
    "bytes": asking(*get("/bytes/0", "/bytes/1", "/bytes/10240", "/bytes/1048577", "/bytes/16777217", "/bytes/many")),
    "echo": asking(
        Question(method="POST", path="/echo"),
        Question(method="POST", path="/echo", body=b"ping"),
        Question(method="POST", path="/echo", body=ALL_BYTES),
        Question(method="GET", path="/echo"),
    ),
    "upload": asking(
        Question(method="POST", path="/upload"),
        Question(method="POST", path="/upload", body=ALL_BYTES * 25),
    ),
    "wait": check_wait,
    "block": check_block,
    "cpu": asking(*get("/cpu/0", "/cpu/100")),
    "page": asking(*get("/page")),
    "cached": check_cached,
    "static": check_static,
    "items": check_items,
    "raise": check_raise,
    "query": check_query,
    "jobs": check_jobs,
    "stream": check_stream,
    "pid": check_pid,
    "unknown": asking(
        *get("/", "/nothing", "/items/", "/bytes/1/2"), Question(method="POST", path="/nothing", body=b"x")
    ),
    "chunked": check_chunked,
    "keep-alive": check_keep_alive,
    "bodies": check_bodies,
    "websocket": check_websocket,
    "broadcast": check_broadcast,
    "error": check_error,
}
"""Name -> check, in the order they are made; the exception comes last."""
