"""Answers that need more than one look at a time: when they come, from where, in how many pieces.

Only what can't be known beforehand (a moment, a process id) is checked by hand.
"""

from __future__ import annotations

from sgibench.errors import ServerError
from sgibench.verify.checks.comparing import (
    ALL_BYTES,
    Findings,
    Target,
    ask,
    ask_and_compare,
    ask_for_at_least,
    differences,
    get,
    shown,
)
from sgibench.verify.client import Question

SERVER_ERROR = 500


def check_wait(target: Target) -> Findings:
    """The answer is right and does not come before its time."""
    with target.client() as client:
        yield from ask_for_at_least(client, target, Question(method="GET", path="/wait/40"), 40)


def check_block(target: Target) -> Findings:
    """A call that blocks has an answer like any other, and what the path can't mean is refused."""
    with target.client() as client:
        for path in ("/block/5", "/block/60001", "/block/long"):
            yield from ask_and_compare(client, target, Question(method="GET", path=path))


def check_cached(target: Target) -> Findings:
    """A page from the cache is the one that was asked for, the first time and ever after."""
    contract = target.contract
    with target.client() as client:
        for method, number in (("GET", 1), ("GET", 1), ("HEAD", 1), ("GET", 2), ("GET", 1)):
            page = contract.Answer(200, contract.HTML, contract.rendered_page(number))
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
            reply = ask(client, Question(method="GET", path=path))
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


def check_bodies(target: Target) -> Findings:
    """A body is counted piece by piece; one of known bytes comes in pieces. Chunks have a check of their own."""
    with target.client() as client:
        yield from ask_and_compare(client, target, Question(method="POST", path="/sink", body=ALL_BYTES * 5))
        for path in ("/pieces/100000", "/pieces/131072"):
            yield from ask_and_compare(client, target, Question(method="GET", path=path))
