"""What a scenario declares: requests as data, and what a right answer to each is.

Everything is checked here, when it is declared, so that the hot loop may trust it. A check function must depend on
nothing but the answer: an answer that equals, byte for byte, one that passed the check is right without asking again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import cycle, repeat
from math import gcd
from random import Random
from typing import Any, TypeVar

from sgibench.answers.giving import FIELD, Values, filled, filled_text, given_by
from sgibench.load.wire.answer import Answer
from sgibench.load.wire.reader import SWITCHING

Check = Callable[[Answer], str | None]
"""None when the answer is right, else one sentence that says what is wrong."""

METHOD = "WS"
"""Of a message over WebSocket, which has none."""
BODILESS_METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
T = TypeVar("T")
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What may differ from one request to the next; None keeps what the request says."""

    path: str | None = None
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] | None = None
    expect: bytes | Check | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request of a scenario and the answer it must get."""

    method: str
    path: str
    """Path and query, as it goes on the wire."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    status: int = 200
    expect: bytes | Check | None = None
    """The exact body, or a check function; None accepts any body with the right status."""
    weight: int = 1
    """How often it is asked, in proportion to the scenario's other requests."""
    name: str = ""
    """Under this name it appears in statistics; the path when not given."""
    variants: tuple[Variant, ...] = ()
    """Prepared beforehand and asked in turn."""
    make: Callable[[int], Variant] | None = None
    """Called for every request with its serial number, when no two may be alike; costs time per request."""
    gives: tuple[str, ...] = ()
    """Fields of the JSON answer that later requests of the session take: `{id}` in their path, headers, body or
    `expect`. Every connection then goes through sessions of its own (`steps`)."""
    streams: bool = False
    """Whether to time the first chunk of each answer and the gaps between chunks."""
    chunk_bytes: int | None = None
    """The body goes in chunks of this size and without a length; None sends it whole, with its length."""
    expects_continue: bool = False
    """The body is sent only when the server has said `100 Continue`."""
    example: bytes = b""
    """Where a check function decides: a body that passes it, for the null server."""
    example_type: str = "text/plain"
    """The Content-Type of that body."""

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ValueError(f"{self.method} {self.path}: {problem}")

    @property
    def title(self) -> str:
        """Its name in statistics."""
        return self.name or self.path

    def varied(self, variant: Variant) -> Request:
        """Apply a variant."""
        return replace(
            self,
            path=self.path if variant.path is None else variant.path,
            body=self.body if variant.body is None else variant.body,
            headers=self.headers if variant.headers is None else variant.headers,
            expect=self.expect if variant.expect is None else variant.expect,
            variants=(),
            make=None,
        )

    def filled(self, values: Values) -> Request:
        """Fill the blanks; what the fields of `values` stand for is written into them."""
        return replace(
            self,
            name=self.title,
            path=filled_text(self.path, values),
            body=filled(self.body, values),
            headers=tuple((name, filled_text(value, values)) for name, value in self.headers),
            expect=filled(self.expect, values) if isinstance(self.expect, bytes) else self.expect,
        )


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


def _problems(request: Request) -> Iterator[str]:
    """Say what is wrong with a declaration."""
    if not request.method or not set(request.method) <= _TOKEN:
        yield f"expected an HTTP method, but it is {request.method!r}"
    if not request.path.startswith("/") or any(ch <= " " or ch > "~" for ch in request.path):
        yield f"expected a path that starts with / and is percent-encoded, but it is {request.path!r}"
    if request.status != SWITCHING and not 200 <= request.status <= 599:  # noqa: PLR2004 - final statuses of HTTP
        yield f"expected a final status, 200 to 599, but it is {request.status!r}"
    if not isinstance(request.body, bytes):
        yield f"expected a body of bytes, but it is {type(request.body).__name__}"
    if request.expect is not None and not isinstance(request.expect, bytes) and not callable(request.expect):
        yield f"expected bytes or a check function in `expect`, but it is {type(request.expect).__name__}"
    if not isinstance(request.weight, int) or request.weight < 1:
        yield f"expected a weight of at least 1, but it is {request.weight!r}"
    for key, value in request.headers:
        if not key or not set(key) <= _TOKEN or any(ch in "\r\n\0" for ch in value):
            yield f"expected header names and values without line breaks, but one is {key!r}: {value!r}"
    yield from _body_problems(request)
    if request.variants and request.make:
        yield "expected either variants or make, but both are given"
    yield from _problems_of_giving(request)


def _problems_of_giving(request: Request) -> Iterator[str]:
    if not isinstance(request.gives, tuple) or not all(
        isinstance(field, str) and FIELD.fullmatch(field) for field in request.gives
    ):
        yield f'expected names of fields in `gives`, e.g. ("id",), but it is {request.gives!r}'
    elif request.gives and (request.streams or request.method == "HEAD"):
        yield "expected a body that is read as a whole, because it gives something, but it is streamed or a HEAD"


def _body_problems(request: Request) -> Iterator[str]:
    """Say what is wrong with how a body is to be sent."""
    if request.chunk_bytes is not None and (not isinstance(request.chunk_bytes, int) or request.chunk_bytes < 1):
        yield f"expected chunks of at least one byte, but it is {request.chunk_bytes!r}"
    if (request.chunk_bytes is not None or request.expects_continue) and not request.body:
        yield "expected a body to send in chunks, or after 100 Continue, but there is none"


def get(path: str, **fields: Any) -> Request:
    """Declare a GET; the keywords are the fields of Request."""
    return Request(method="GET", path=path, **fields)


def head(path: str, **fields: Any) -> Request:
    """Declare a HEAD, whose answer has no body."""
    return Request(method="HEAD", path=path, **fields)


def post(path: str, **fields: Any) -> Request:
    """Declare a POST."""
    return Request(method="POST", path=path, **fields)


def put(path: str, **fields: Any) -> Request:
    """Declare a PUT."""
    return Request(method="PUT", path=path, **fields)


def patch(path: str, **fields: Any) -> Request:
    """Declare a PATCH."""
    return Request(method="PATCH", path=path, **fields)


def delete(path: str, **fields: Any) -> Request:
    """Declare a DELETE."""
    return Request(method="DELETE", path=path, **fields)


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
        self.remember = not (request.streams or request.gives or request.expects_continue)
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


@dataclass(kw_only=True)
class Program:
    """All requests of a scenario, ready for one target; gives an endless sequence of asks."""

    requests: Sequence[Request]
    host: str
    keep_alive: bool = True
    seed: int = 0
    write: Callable[[Request], bytes] | None = None
    """Writes a request as it goes on the wire; HTTP when None."""
    handshake: Request | None = None
    """Asked once on every new connection before anything else."""
    times_opening: bool = False
    """Whether a request's time begins when its connection begins to be opened."""
    resumes: bool = False
    """Whether each connection takes up the TLS session of the one before it."""
    latencies: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """Service times in ns, not yet folded, by (method, name)."""
    sessions: int = 0
    """Whole passes in which every answer was right, where requests depend on others."""
    _next: Callable[[], Ask] | None = None
    _serial: int = 0

    @property
    def dependent(self) -> bool:
        """Whether some requests take what others give, so that each connection goes through sessions of its own."""
        return any(request.gives for request in self.requests)

    @property
    def many(self) -> bool:
        """Whether one request may be unlike the one before."""
        return len(self.requests) != 1 or bool(self.requests[0].variants or self.requests[0].make)

    @cached_property
    def of_kinds(self) -> bool:
        """Whether there may be several kinds of requests: declared ones of several names, or those of tasks."""
        return len({(request.method, request.title) for request in self.requests}) != 1

    def ask_for(self, request: Request) -> Ask:
        """Make one ask whose latencies land in this program's lists."""
        return Ask(request, self._bytes_of(request), self.record_for(request.method, request.title))

    def apart(self, request: Request, record: Callable[[int], None]) -> Ask:
        """Make an ask whose latencies go elsewhere, and whose answer is read each time."""
        ask = Ask(request, self._bytes_of(request), record)
        ask.remember = False
        return ask

    def _bytes_of(self, request: Request) -> bytes:
        return self.write(request) if self.write else self._http(request)

    def greeting(self) -> Ask:
        """Make the ask that opens a connection; its time counts as connecting, not as a request."""
        if self.handshake is None:
            raise AssertionError("only programs with a handshake greet")
        return Ask(self.handshake, self._http(self.handshake), lambda _: None)

    def _http(self, request: Request) -> bytes:
        return payload_of(request, host=self.host, keep_alive=self.keep_alive)

    def record_for(self, method: str, name: str) -> Callable[[int], None]:
        """Give the function that records a latency in ns under a name."""
        return self.latencies.setdefault((method, name), []).append

    def sequence(self) -> Callable[[], Ask]:
        """Endless asks.

        All connections take from one ring, so that whatever a window holds has the declared weights, whoever sent it.
        """
        if self._next is None:
            if any(request.make for request in self.requests):
                self._next = self._made().__next__
            else:
                ring = self._ring()
                self._next = repeat(ring[0]).__next__ if len(ring) == 1 else cycle(ring).__next__
        return self._next

    def _ring(self) -> list[Ask]:
        """Every request as often as its weight says, variants in turn, evenly spread in a seeded random order."""
        variants = [[self.ask_for(each) for each in expand(request)] for request in self.requests]
        times = max(map(len, variants))
        turns = [cycle(asks).__next__ for asks in variants]
        random = Random(self.seed)
        weights = self.weights
        deck = sum(weights.values())
        rounds = 1 if deck == 1 and times == 1 else max(times, -(-256 // deck))
        return [turns[place]() for _ in range(rounds) for place in spread(weights, random)]

    @property
    def weights(self) -> dict[int, int]:
        """Weight of each request by its place."""
        common = gcd(*(request.weight for request in self.requests))
        return {place: request.weight // common for place, request in enumerate(self.requests)}

    def _made(self) -> Iterator[Ask]:
        """Asks written afresh for each request."""
        random = Random(self.seed)
        fixed = {place: self.ask_for(request) for place, request in enumerate(self.requests) if not request.make}
        while True:
            for place in spread(self.weights, random):
                request = self.requests[place]
                if request.make is None:
                    yield fixed[place]
                    continue
                self._serial += 1
                named = replace(request, name=request.title)
                yield self.ask_for(named.varied(request.make(self._serial)))


def spread(weights: Mapping[T, int], random: Random) -> list[T]:
    """Give each key as often as its weight says, in an order that is random and even.

    The k-th of w lies at random in the k-th of w equal parts (stratified sampling), so any stretch of the list holds
    each key in proportion, to within one or two.
    """
    placed = [((place + random.random()) / weight, key) for key, weight in weights.items() for place in range(weight)]
    placed.sort(key=lambda pair: pair[0])
    return [key for _, key in placed]


def expand(request: Request) -> Sequence[Request]:
    """Give the requests that a declaration with variants stands for, all under one name."""
    if not request.variants:
        return [request]
    named = replace(request, name=request.title)
    return [named.varied(variant) for variant in request.variants]
