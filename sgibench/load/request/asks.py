"""Requests made ready for the wire: bytes to send, what to compare the answer with, and where its latency goes.

All that can be done before a request is due is done here, once, so that the hot loop compares bytes and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from sgibench.answers.giving import given_by
from sgibench.load.request.declared import Check, Request
from sgibench.load.wire.answer import Answer

METHOD = "WS"
"""Of a message over WebSocket, which has none."""
REMEMBERED = 65_536
"""Values that are remembered: a write that is lost shows in the next answers, not hours later."""
BODILESS_METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})


class Gives:
    """A check function: whether an answer has the fields that it is to give, and is right otherwise."""

    __slots__ = ("_check", "_fields", "values")

    def __init__(self, fields: tuple[str, ...], check: Check | None) -> None:
        self._fields = fields
        self._check = check
        self.values: dict[str, bytes] = {}
        """What the answer gave that was looked at last."""

    def __call__(self, answer: Answer) -> str | None:
        """None when it is."""
        try:
            document = answer.json()
        except (ValueError, RecursionError):
            document = None
        try:
            self.values = given_by(document, answer.body, self._fields)
        except ValueError as error:
            return str(error)
        return None if self._check is None else self._check(answer)


class Distinct:
    """A check function: whether an answer has other values in some fields than those before it, and is right otherwise.

    The request's `example` may come again and again: it is what the null server answers.
    """

    __slots__ = ("_check", "_example", "_fields", "_seen")

    def __init__(self, request: Request, check: Check | None, seen: dict[tuple[object, ...], None]) -> None:
        """`seen` are the values that have come, in their order; all asks of one name share them."""
        self._check = check
        self._example = request.example
        self._fields = request.distinct
        self._seen = seen

    def __call__(self, answer: Answer) -> str | None:
        """None when it does."""
        if (wrong := None if self._check is None else self._check(answer)) is not None:
            return wrong
        document = answer.json()
        values = tuple(document.get(field) for field in self._fields)
        if values in self._seen and answer.body != self._example:
            named = ", ".join(f"{field} {value!r}" for field, value in zip(self._fields, values, strict=True))
            return f"expected an answer unlike those before, but {named} came again: one of the two writes was lost"
        self._seen[values] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return None


class Foretold:
    """What a right answer will be, byte for byte, where its body is expected: the last one's head, and that body.

    Only where the body is as long as that one was, so that the head fits. An answer that is otherwise is read; if it is
    right, the next one is foretold by it.
    """

    __slots__ = ("_head", "_size")

    def __init__(self) -> None:
        self._head = b""
        self._size = -1

    def learn(self, whole: bytes, answer: Answer) -> None:
        """Take a right answer, whose body has its length before it."""
        if answer.body and answer.head.length == len(answer.body):
            self._size = len(answer.body)
            self._head = whole[: -self._size]

    def whole(self, body: bytes) -> bytes | None:
        """Give the answer with this body; None when nothing is known."""
        return self._head + body if len(body) == self._size else None


class Ask:
    """A request made ready for the wire: bytes to send, what to compare, and where its latencies go."""

    __slots__ = (
        "answer",
        "body",
        "check",
        "foretold",
        "gives",
        "is_head",
        "known",
        "known_body",
        "method",
        "name",
        "parts",
        "payload",
        "record",
        "remember",
        "rest",
        "size",
        "status",
        "streams",
        "text_message",
        "upload",
        "whole",
    )

    def __init__(self, request: Request, payload: bytes, record: Callable[[int], None]) -> None:
        self.name = request.title
        self.method = request.method
        self.is_head = request.method == "HEAD"
        self.rest: bytes | None = None
        """What is sent when the server has said `100 Continue`; None when all is sent at once."""
        if request.expects_continue:
            head = payload.index(b"\r\n\r\n") + 4
            payload, self.rest = payload[:head], payload[head:]
        self.payload = payload
        self.size = len(payload)
        self.status = request.status
        self.body: bytes | None = request.expect if isinstance(request.expect, bytes) else None
        self.check: Check | None = request.expect if callable(request.expect) else None
        self.foretold: Foretold | None = None
        """Learns from its answer what the next one of its kind will be."""
        self.gives: Gives | None = None
        """Reads what the answer gives; a part of the check."""
        if request.gives:
            self.check = self.gives = Gives(request.gives, self.check)
        self.record = record
        self.streams = request.streams
        self.remember = not (request.streams or request.gives or request.expects_continue or request.distinct)
        """Whether an answer may be taken as right because its bytes equal those of one that was."""
        self.whole: bytes | None = None
        """The last answer found right, from its first byte to its last; None when none may be remembered."""
        self.text_message: bool | None = bool(request.headers) if request.method == METHOD else None
        """WebSocket: whether text must come back as text."""
        self.upload = request.body
        """The body that is sent."""
        self.parts: tuple[bytes, ...] | None = None
        """HTTP/2: the request's frames, to be joined by the stream's number; None until it is asked once."""
        self.known: tuple[bytes, ...] | None = None
        """HTTP/2: the frames of the last answer found right, likewise; None when none may be remembered."""
        self.known_body = 0
        """Bytes of flow control that they take."""
        self.answer: Answer | None = None
        """The same, read."""


def spoken(method: str, name: str) -> str:
    """What a kind of request is called, e.g. `GET /json`: its method, once, before its name."""
    return name if name.startswith(f"{method} ") else f"{method} {name}"


def payload_of(request: Request, *, host: str, keep_alive: bool) -> bytes:
    """Write the request as it goes on the wire; `host` is the Host header's value."""
    names = {key.lower() for key, _ in request.headers}
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    if "host" not in names:
        lines.append(f"Host: {host}")
    lines += [f"{key}: {value}" for key, value in request.headers]
    if not keep_alive and "connection" not in names:
        lines.append("Connection: close")
    if request.body or request.method not in BODILESS_METHODS:
        if "content-type" not in names and request.body:
            lines.append("Content-Type: application/octet-stream")
        if request.expects_continue:
            lines.append("Expect: 100-continue")
        if request.chunk_bytes is not None:
            lines.append("Transfer-Encoding: chunked")
        elif "content-length" not in names:
            lines.append(f"Content-Length: {len(request.body)}")
    body = request.body if request.chunk_bytes is None else in_chunks(request.body, request.chunk_bytes)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def in_chunks(body: bytes, size: int) -> bytes:
    """Frame a body as RFC 9112 section 7.1 has it."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join([*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"])
