"""WSGI without a framework: the contract and nothing else, so that what is measured is the server.

The translation is kept short because servers are compared by it: one look-up of the route, one list of headers, one
body. The whole request body is read before anything is answered, since several servers reset a connection whose body
was left unread. Every answer has a Content-Length, except the event stream, which the server frames.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import contract
from waiting import block

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ()
SERVICES: dict[str, tuple[str, ...]] = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}

# Not an empty list: hypercorn sends the head of an answer with its first piece, so there must be one.
NOTHING = (b"",)

STATUS = {
    200: "200 OK",
    201: "201 Created",
    202: "202 Accepted",
    204: "204 No Content",
    400: "400 Bad Request",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    411: "411 Length Required",
    422: "422 Unprocessable Content",
}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one request."""
    method = environ["REQUEST_METHOD"]
    try:
        if environ["PATH_INFO"] == contract.SINK and method == "POST":
            answer: contract.Answer | contract.Parts = drain(environ).answer()
        else:
            body = read_body(environ)
            answer = contract.respond(method, environ["PATH_INFO"], environ.get("QUERY_STRING", ""), body)
    except contract.Refusal as refusal:
        answer = refusal.answer
    if isinstance(answer, contract.Parts):
        return send_parts(answer, method, start_response)
    status, content_type, body, extra, wait_s = answer
    if wait_s:
        block(wait_s)
    if status == 204:  # noqa: PLR2004 - the one status without content
        start_response(STATUS[status], list(extra))
        return NOTHING
    start_response(STATUS[status], [("Content-Type", content_type), ("Content-Length", str(len(body))), *extra])
    return NOTHING if method == "HEAD" else [body]


def read_body(environ: WSGIEnvironment) -> bytes:
    """Read the whole request body; a chunked one only where the server promises that its end can be seen.

    PEP 3333 knows no length but Content-Length; `wsgi.input_terminated` is the servers' later agreement that reading
    to the end is safe. Without it such a body can't be read at all, and the request is refused with 411.
    """
    length = environ.get("CONTENT_LENGTH")
    if length:
        return read_exactly(environ["wsgi.input"], length)
    if "HTTP_TRANSFER_ENCODING" not in environ:
        return b""
    if not environ.get("wsgi.input_terminated"):
        raise contract.Refusal(411, "this server gives a WSGI app no way to read a chunked body")
    body: bytes = environ["wsgi.input"].read()
    return body


def drain(environ: WSGIEnvironment) -> contract.Sink:
    """Count a body piece by piece; a chunked one where the server promises that its end can be seen."""
    sink, length, stream = contract.Sink(), environ.get("CONTENT_LENGTH"), environ["wsgi.input"]
    if not length and "HTTP_TRANSFER_ENCODING" not in environ:
        return sink
    if not length and not environ.get("wsgi.input_terminated"):
        raise contract.Refusal(411, "this server gives a WSGI app no way to read a chunked body")
    if length and not (length.isascii() and length.isdecimal()):
        raise contract.Refusal(400, "Content-Length must be a whole number")
    while not length or sink.count < int(length):
        missing = contract.CHUNK_BYTES if not length else min(contract.CHUNK_BYTES, int(length) - sink.count)
        piece = stream.read(missing)
        if not piece:
            break
        sink.take(piece)
    if length and sink.count != int(length):
        raise contract.Refusal(400, "the body ended before its Content-Length")
    return sink


def read_exactly(stream: Any, length: str) -> bytes:
    """Read `length` bytes; a server may give fewer at a time."""
    if not (length.isascii() and length.isdecimal()):
        raise contract.Refusal(400, "Content-Length must be a whole number")
    missing = int(length)
    body: bytes = stream.read(missing)
    if len(body) == missing:
        return body
    pieces = [body]
    while body and (missing := missing - len(body)):
        body = stream.read(missing)
        pieces.append(body)
    if missing:
        raise contract.Refusal(400, "the body ended before its Content-Length")
    return b"".join(pieces)


def send_parts(answer: contract.Parts, method: str, start_response: StartResponse) -> Iterable[bytes]:
    """Send a file or an event stream piece by piece."""
    headers = [("Content-Type", answer.content_type)]
    if answer.length is not None:
        headers.append(("Content-Length", str(answer.length)))
    start_response("200 OK", headers)
    if method == "HEAD":
        return NOTHING
    return paused(answer.parts, answer.pause_s) if answer.pause_s else answer.parts


def paused(parts: Iterable[bytes], pause_s: float) -> Iterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(parts):
        if index:
            time.sleep(pause_s)
        yield part
