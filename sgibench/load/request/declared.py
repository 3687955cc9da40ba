"""What a scenario declares: requests as data, each with its right answer, checked when it is declared.

A check function must depend on nothing but the answer: an answer that equals, byte for byte, one that passed the check
is right without asking again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sgibench.answers.giving import FIELD, Values, filled, filled_text
from sgibench.load.wire.answer import Answer
from sgibench.load.wire.reader import SWITCHING

Check = Callable[[Answer], str | None]
"""None when the answer is right, else one sentence that says what is wrong."""

MOST_LEAST_S = 600
"""As long as a scenario's time-out may be."""
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
    distinct: tuple[str, ...] = ()
    """Fields of the JSON answer that no two answers may both hold with the same values, such as what a counter became:
    of two writes that were answered alike one was lost."""
    least_s: float = 0.0
    """No right answer to it can take less: one that comes sooner did not do what it was asked for."""
    streams: bool = False
    """Whether to time the first chunk of each answer and the gaps between chunks."""
    chunk_bytes: int | None = None
    """The body goes in chunks of this size and without a length; None sends it whole, with its length."""
    expects_continue: bool = False
    """The body is sent only when the server has said `100 Continue`."""
    example: bytes = b""
    """Where a check function decides: a body that passes it, for the null server."""
    example_type: str | None = "text/plain"
    """The Content-Type of that body; None for none."""

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


def expand(request: Request) -> Sequence[Request]:
    """Give the requests that a declaration with variants stands for, all under one name."""
    if not request.variants:
        return [request]
    named = replace(request, name=request.title)
    return [named.varied(variant) for variant in request.variants]


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
        if not key or not set(key) <= _TOKEN or any(ch in "\r\n\0" or ch > "\xff" for ch in value):
            yield f"expected header names and values of Latin-1 without line breaks, but one is {key!r}: {value!r}"
    yield from _problems_of_body_and_time(request)
    if request.variants and request.make:
        yield "expected either variants or make, but both are given"
    yield from _problems_of_giving(request)


def _problems_of_giving(request: Request) -> Iterator[str]:
    if not isinstance(request.gives, tuple) or not all(
        isinstance(field, str) and FIELD.fullmatch(field) for field in request.gives
    ):
        yield f'expected names of fields in `gives`, e.g. ("id",), but it is {request.gives!r}'
    elif not isinstance(request.distinct, tuple) or not all(isinstance(field, str) for field in request.distinct):
        yield f'expected names of fields in `distinct`, e.g. ("id",), but it is {request.distinct!r}'
    elif (request.gives or request.distinct) and (request.streams or request.method == "HEAD"):
        yield "expected a body that is read as a whole, because its fields are read, but it is streamed or a HEAD"


def _problems_of_body_and_time(request: Request) -> Iterator[str]:
    """Say what is wrong with how a body is to be sent, and how soon an answer may come."""
    if not isinstance(request.least_s, int | float) or not 0 <= request.least_s < MOST_LEAST_S:
        yield f"expected seconds from 0 to {MOST_LEAST_S} in `least_s`, but it is {request.least_s!r}"
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
