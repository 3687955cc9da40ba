"""An answer's head and the answer itself, as data; what is wrong on the wire, by kind.

Heads repeat (the same bytes come back for a whole second, until the Date changes), so parsed heads are remembered by
their bytes. Strict on purpose: what RFC 9112 does not allow a server to send is an error, never guessed at.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sgibench.model.kinds import ErrorKind

_STATUS_LINE = re.compile(rb"HTTP/(1)\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_DIGITS = re.compile(rb"[0-9]{1,18}")
MAX_HEAD_BYTES = 64 * 1024


class WireError(Exception):
    """An answer that can't count; `kind` says how it is counted, the text what was seen."""

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(detail)
        self.kind: ErrorKind = kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Status line and header fields, and what they say about the body's framing."""

    status: int
    fields: tuple[tuple[str, str], ...]
    """Names in lower case, in the order they came."""
    length: int | None
    """Content-Length; None without one."""
    chunked: bool
    closes: bool
    """Whether the server ends the connection after this answer."""
    size: int
    """Bytes on the wire."""


class Answer:
    """A whole answer: status, head fields, body."""

    __slots__ = ("body", "chunk_times_ns", "head", "size")

    def __init__(self, head: Head, body: bytes, size: int) -> None:
        self.head = head
        self.body = body
        self.size = size
        """Bytes on the wire, framing included, informational answers not."""
        self.chunk_times_ns: list[int] | None = None
        """When each chunk of the body was whole, monotonic ns; only for requests that stream."""

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    def header(self, name: str) -> str | None:
        """Give the value of the first field of that name, in any case; None when there is none."""
        lowered = name.lower()
        return next((value for key, value in self.head.fields if key == lowered), None)

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as UTF-8, undecodable bytes replaced."""
        return self.body.decode("utf-8", "replace")


@lru_cache(maxsize=1024)
def parse_head(raw: bytes) -> Head:
    """Read a head, its closing empty line included; raises WireError of the kind `protocol`."""
    lines = raw[:-4].split(b"\r\n")
    start = _STATUS_LINE.fullmatch(lines[0])
    if start is None:
        raise WireError("protocol", f"expected a status line of HTTP/1.1, but got {lines[0][:80]!r}")
    fields = tuple(_field(line) for line in lines[1:])
    coding = ",".join(value for name, value in fields if name == "transfer-encoding").lower().strip()
    if coding not in {"", "chunked"}:
        raise WireError("protocol", f"expected the transfer coding chunked, but got {coding[:80]!r}")
    options = {option.strip() for name, value in fields if name == "connection" for option in value.lower().split(",")}
    old = start[2] == b"0"
    return Head(
        status=int(start[3]),
        fields=fields,
        length=None if coding else _length(fields),
        chunked=bool(coding),
        closes="close" in options or (old and "keep-alive" not in options),
        size=len(raw),
    )


def _field(line: bytes) -> tuple[str, str]:
    """Read one header field."""
    match = _FIELD.fullmatch(line)
    if match is None:
        raise WireError("protocol", f"expected a header field, but got {line[:80]!r}")
    return match[1].decode("ascii").lower(), match[2].decode("latin-1")


def _length(fields: tuple[tuple[str, str], ...]) -> int | None:
    """Content-Length, which may be repeated only with the same value."""
    values = {item.strip() for name, value in fields if name == "content-length" for item in value.split(",")}
    if not values:
        return None
    if len(values) > 1 or not _DIGITS.fullmatch(next(iter(values)).encode("latin-1")):
        raise WireError("protocol", f"expected one Content-Length, but got {', '.join(sorted(values))[:80]!r}")
    return int(values.pop())
