"""How the server frames and keeps a connection: bodies without a length, keep-alive, WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from sgibench.errors import ServerError
from sgibench.model.terms import MULTIPLEXED
from sgibench.verify.checks.comparing import (
    ALL_BYTES,
    SHOWN_BYTES,
    Findings,
    Target,
    ask,
    ask_and_compare,
    differences,
    document_of,
    shown,
)
from sgibench.verify.client import Question, echo_over_websocket

KEPT_S = 0.05
"""A connection that is not closed for so long after an answer is kept."""
CLOSED_WITHIN_S = 1.0
"""So long a server that closes its connections may take for it."""
LENGTH_REQUIRED = 411

# An empty message is asked apart: daphne 4.2.3 never sends one, which no real program notices.
WEBSOCKET_MESSAGES: tuple[tuple[Literal["wrong", "note"], tuple[str | bytes, ...]], ...] = (
    ("wrong", ("Hello, Wörld!", b"\x00\xff" * 5, "x" * 70000, bytes(70000))),
    ("note", ("",)),
)


def check_chunked(target: Target) -> Findings:
    """Request bodies without a length; WSGI leaves it open whether an app can read them, so a 411 is only a note."""
    with target.client() as client:
        for path in ("/echo", "/upload"):
            question = Question(method="POST", path=path, body=ALL_BYTES, chunked=True)
            reply = ask(client, question)
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
            yield from ((severity, fault) for fault in _echo_faults(target, target.contract.WEBSOCKET, messages))
        except ServerError as error:
            yield severity, error.detail


def _echo_faults(
    target: Target, path: str, messages: tuple[str | bytes, ...], greeting: str | None = None
) -> Iterator[str]:
    """Say each message that did not come back as it was sent."""
    replies = echo_over_websocket(target.host, target.port, path, messages, greeting=greeting)
    for message, reply in zip(messages, replies, strict=True):
        if reply != message:
            yield f"WebSocket {path}: expected {message[:SHOWN_BYTES]!r} back, but {reply[:SHOWN_BYTES]!r} came"


def check_broadcast(target: Target) -> Findings:
    """Who sends hears it, too; listeners and messages are counted. Others are heard by the load's own measurements."""
    if target.interface != "asgi" or target.protocol != "http":
        return
    contract, messages = target.contract, ("Hello, all!", b"\x00\xff" * 5, "x" * 70000)
    for fault in _echo_faults(target, contract.BROADCAST, messages, contract.JOINED):
        yield "wrong", fault
    question = Question(method="GET", path="/broadcast")
    with target.client() as client:
        counts = client.ask(question)
    found = document_of(counts)
    if counts.status != 200 or not isinstance(found, dict) or set(found) != {"listeners", "received", "sent"}:  # noqa: PLR2004
        yield "wrong", f"{question}: expected 200 and counts, but {counts.status} came with {shown(counts.body)}"
