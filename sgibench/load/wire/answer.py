"""An answer's head and the answer itself, as data; what is wrong on the wire, by kind.

Heads repeat (the same bytes come back for a whole second, until the Date changes), so parsed heads are remembered by
their bytes. Where RFC 9112 tells a client one way to read what a server should not have sent, it is read so; where two
readers might differ about where the answer ends, it is an error and never guessed at. docs/load.md has the table.
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
_DIGITS = re.compile(r"[0-9]+")
_FOLDED = (b" ", b"\t")
MAX_LENGTH_DIGITS = 18


class WireError(Exception):
    """An answer that can't count; `kind` says how it is counted, the text what was seen."""

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(detail)
        self.kind: ErrorKind = kind


class Unspoken(str):
    """What a check says when the server does not speak what is needed at all: that is no wrong answer."""

    __slots__ = ()


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

    __slots__ = ("_document", "body", "chunk_times_ns", "head", "size", "text_message")

    def __init__(self, head: Head, body: bytes, size: int) -> None:
        self.head = head
        self.body = body
        self.size = size
        """Bytes on the wire, framing included, informational answers not."""
        self.chunk_times_ns: list[int] | None = None
        """When each chunk of the body was whole, monotonic ns; only for requests that stream."""
        self.text_message: bool | None = None
        """WebSocket: whether it came as text; None for other answers."""
        self._document: Any = None

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    def header(self, name: str) -> str | None:
        """Give the value of the first field of that name, in any case; None when there is none."""
        lowered = name.lower()
        return next((value for key, value in self.head.fields if key == lowered), None)

    def json(self) -> Any:
        """Read the body as JSON, once; whoever asks again gets the same object."""
        if self._document is None:
            self._document = json.loads(self.body)
        return self._document

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
    fields = tuple(field_of(line) for line in _unfolded(lines[1:]))
    options = {option.strip() for name, value in fields if name == "connection" for option in value.lower().split(",")}
    old = start[2] == b"0"
    length, chunked = length_of(fields), _chunked(fields, old=old)
    if chunked and length is not None:
        # Section 6.3: it "ought to be handled as an error", because two readers may see two ends.
        raise WireError("protocol", "expected either Content-Length or Transfer-Encoding, but got both")
    return Head(
        status=int(start[3]),
        fields=fields,
        length=length,
        chunked=chunked,
        closes="close" in options or (old and "keep-alive" not in options),
        size=len(raw),
    )


def _unfolded(lines: list[bytes]) -> list[bytes]:
    """Join a field that goes on in the next line by a space, as a user agent must (section 5.2)."""
    whole: list[bytes] = []
    for line in lines:
        if whole and line.startswith(_FOLDED):
            whole[-1] = whole[-1] + b" " + line.lstrip(b" \t")
        else:
            whole.append(line)
    return whole


def field_of(line: bytes) -> tuple[str, str]:
    """Read one header field."""
    match = _FIELD.fullmatch(line)
    if match is None:
        raise WireError("protocol", f"expected a header field, but got {line[:80]!r}")
    return match[1].decode("ascii").lower(), match[2].decode("latin-1")


def length_of(fields: tuple[tuple[str, str], ...]) -> int | None:
    """Content-Length, which may be repeated only with the same value."""
    values = {item.strip() for name, value in fields if name == "content-length" for item in value.split(",")}
    if not values:
        return None
    value = values.pop()
    if values or not _DIGITS.fullmatch(value):
        raise WireError(
            "protocol", f"expected one Content-Length, but got {', '.join(sorted({value, *values}))[:80]!r}"
        )
    if len(value) > MAX_LENGTH_DIGITS:
        raise WireError("too-large", f"a body of {value[:80]} bytes was announced")
    return int(value)


def _chunked(fields: tuple[tuple[str, str], ...], *, old: bool) -> bool:
    """Whether the body comes in chunks; `old` is HTTP/1.0, in which they make the framing faulty (section 6.1)."""
    codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
    if not codings:
        return False
    if codings != ["chunked"]:
        raise WireError("protocol", f"expected the transfer coding chunked, but got {', '.join(codings)[:80]!r}")
    if old:
        raise WireError("protocol", "expected no transfer coding in HTTP/1.0, but got chunked")
    return True
