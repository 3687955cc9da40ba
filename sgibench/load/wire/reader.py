"""Reads answers from pieces of any size: bytes in, at most one answer out; no sockets, a clock only for streams.

One reader belongs to one connection and reads one answer at a time, because this generator never pipelines: bytes
after an answer's end are kept in `leftover`, and it is the caller's to call that an error.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from time import monotonic_ns

from sgibench.load.wire.answer import Answer, Head, WireError, field_of, parse_head
from sgibench.model.kinds import MOST_HEAD_BYTES

LARGEST_BODY_BYTES = 256 * 1024 * 1024
"""A body that grows beyond this is the error `too-large`."""
SMALLEST_FINAL = 200
CONTINUE = 100
SWITCHING = 101
BODILESS = frozenset({204, 304})
MOST_INTERIM = 100
"""Interim answers (1xx) before the final one; more are the error `too-large`."""
MAX_SIZE_DIGITS = 16
_HEX = frozenset(b"0123456789abcdefABCDEF")


class Phase(Enum):
    """What chunked framing expects next."""

    CHUNK_SIZE = auto()
    CHUNK_END = auto()
    TRAILER = auto()


class Reader:
    """State of the answer that is being read."""

    __slots__ = (
        "_buffer",
        "_head",
        "_interim",
        "_is_head",
        "_missing",
        "_parts",
        "_phase",
        "_size",
        "_step",
        "_trailers",
        "chunk_times_ns",
        "continued",
        "leftover",
    )

    def __init__(self) -> None:
        self.expect(is_head=False)

    def expect(self, *, is_head: bool) -> None:
        """Make ready for the next answer; `is_head` when it answers a HEAD request, and so has no body."""
        self._is_head = is_head
        self._step: Callable[[bytes], Answer | None] = self._read_head
        self._buffer = b""
        self._head: Head | None = None
        self._parts: list[bytes] = []
        self._interim = 0
        self._missing = 0
        self._trailers = 0
        self._phase = Phase.CHUNK_SIZE
        self._size = 0
        self.leftover = b""
        self.continued = False
        """Whether the server said `100 Continue`."""
        self.chunk_times_ns: list[int] | None = None
        """When each chunk was whole (without chunked framing: when each piece came), monotonic ns; None: not asked."""

    @property
    def untouched(self) -> bool:
        """Whether nothing of the answer has come yet."""
        return not self._buffer and self._head is None

    def feed(self, data: bytes) -> Answer | None:
        """Take what came; give the answer once it is whole; raises WireError."""
        return self._step(data)

    def end(self) -> Answer:
        """The stream ended: give the answer that only the end delimits, or raise WireError `closed`."""
        if self._head is not None and self._step == self._read_to_end:
            return self._whole()
        if self.untouched:
            raise WireError("closed", "the connection was closed before any answer")
        raise WireError("closed", "the connection was closed in the middle of an answer")

    def _read_head(self, data: bytes) -> Answer | None:
        if self._buffer:
            data = self._buffer + data
        at = 0
        while True:
            end = data.find(b"\r\n\r\n", at) + 4
            if end < 4:  # noqa: PLR2004 - not found
                self._buffer = _unfinished_head(data[at:])
                return None
            if end - at > MOST_HEAD_BYTES:
                _unfinished_head(data[at : at + MOST_HEAD_BYTES])  # raises: it is as if it had not ended yet
            head = parse_head(data[at:end])
            at = end
            if head.status >= SMALLEST_FINAL or head.status == SWITCHING:
                break
            self.continued |= head.status == CONTINUE
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise WireError("too-large", f"expected at most {MOST_INTERIM} interim answers before the final one")
        self._head = head
        self._size = head.size
        self._buffer = b""
        return self._start_body(head, data[at:])

    def _start_body(self, head: Head, rest: bytes) -> Answer | None:
        """Choose the framing of RFC 9112 section 6.3, and read what has come of the body."""
        if self._is_head or head.status in BODILESS or head.status == SWITCHING or head.length == 0:
            self.leftover = rest
            return self._whole()
        if head.chunked:
            self._step = self._read_chunked
        elif head.length is not None:
            if head.length > LARGEST_BODY_BYTES:
                raise WireError("too-large", f"a body of {head.length} bytes was announced")
            self._missing = head.length
            self._step = self._read_length
        else:
            self._missing = LARGEST_BODY_BYTES
            self._step = self._read_to_end
        return self._step(rest) if rest else None

    def _take(self, piece: bytes, *, ends_chunk: bool = True) -> None:
        """Keep a piece of the body."""
        self._parts.append(piece)
        self._size += len(piece)
        if ends_chunk and self.chunk_times_ns is not None:
            self.chunk_times_ns.append(monotonic_ns())

    def _whole(self) -> Answer:
        head = self._head
        if head is None:
            raise AssertionError("a body without a head")
        parts = self._parts
        answer = Answer(head, parts[0] if len(parts) == 1 else b"".join(parts), self._size)
        answer.chunk_times_ns = self.chunk_times_ns
        return answer

    def _read_length(self, data: bytes) -> Answer | None:
        missing = self._missing
        if len(data) < missing:
            self._take(data)
            self._missing = missing - len(data)
            return None
        if len(data) > missing:
            self.leftover = data[missing:]
            data = data[:missing]
        self._take(data)
        return self._whole()

    def _read_to_end(self, data: bytes) -> Answer | None:
        self._take(data)
        self._missing -= len(data)
        if self._missing < 0:
            raise WireError("too-large", f"a body went on past {LARGEST_BODY_BYTES} bytes")
        return None

    def _read_chunked(self, data: bytes) -> Answer | None:
        """Read as many lines and chunks as have come; loops, because one segment may hold thousands of chunks."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        at = 0
        while True:
            if self._missing:
                piece = data[at : at + self._missing]
                if not piece:
                    return None
                self._missing -= len(piece)
                self._take(piece, ends_chunk=not self._missing)
                at += len(piece)
                if self._missing:
                    return None
                self._phase = Phase.CHUNK_END
            end = data.find(b"\n", at)
            if end < 0:
                self._buffer = _unfinished(data[at:], self._phase)
                return None
            line = _line(data[at : end + 1], self._phase)
            self._size += end + 1 - at
            at = end + 1
            if self._read_line(line):
                self.leftover = data[at:]
                return self._whole()

    def _read_line(self, line: bytes) -> bool:
        """Take one line of chunked framing; whether it was the last of the answer."""
        if self._phase is Phase.TRAILER:
            self._take_trailer(line)
            return not line
        if self._phase is Phase.CHUNK_END:
            self._phase = Phase.CHUNK_SIZE
            return False
        digits = line.split(b";", 1)[0].rstrip(b" \t")
        if not digits or not _HEX.issuperset(digits):
            raise WireError("protocol", f"expected the size of a chunk, but got {line[:80]!r}")
        self._missing = int(digits, 16) if len(digits) <= MAX_SIZE_DIGITS else LARGEST_BODY_BYTES
        if self._missing + self._size > LARGEST_BODY_BYTES:
            raise WireError("too-large", f"a chunked body went on past {LARGEST_BODY_BYTES} bytes")
        if not self._missing:
            self._phase = Phase.TRAILER
        return False

    def _take_trailer(self, line: bytes) -> None:
        """Look at a line of the trailers, which mean nothing here; a folded one belongs to the line before."""
        if line and not (self._trailers and line.startswith((b" ", b"\t"))):
            field_of(line)
        self._trailers += len(line)
        if self._trailers > MOST_HEAD_BYTES:
            raise WireError("too-large", f"expected trailers of at most {MOST_HEAD_BYTES >> 10} KiB")


def _unfinished_head(rest: bytes) -> bytes:
    """Give the beginning of a head whose end has not come yet, if it can still become one."""
    if not rest.startswith(b"HTTP/1."[: len(rest)]):
        raise WireError("protocol", f"expected a status line of HTTP/1.1, but got {rest[:80]!r}")
    if rest.count(b"\n") != rest.count(b"\r\n"):
        raise WireError("protocol", f"expected lines to end in CR LF, but got {rest[:80]!r}")
    if len(rest) >= MOST_HEAD_BYTES:
        raise WireError("too-large", f"expected a head of at most {MOST_HEAD_BYTES >> 10} KiB")
    return rest


def _line(raw: bytes, phase: Phase) -> bytes:
    """Strip a line's CR LF, which both must be there; behind a chunk nothing else may be."""
    if phase is Phase.CHUNK_END and raw != b"\r\n":
        raise WireError("protocol", f"expected the end of a chunk, but got {raw[:80]!r}")
    if len(raw) > MOST_HEAD_BYTES:
        raise WireError("too-large", f"expected lines of at most {MOST_HEAD_BYTES >> 10} KiB, but got {raw[:80]!r}")
    if not raw.endswith(b"\r\n") or b"\r" in raw[:-2]:
        raise WireError("protocol", f"expected a line to end in CR LF, but got {raw[-80:]!r}")
    return raw[:-2]


def _unfinished(rest: bytes, phase: Phase) -> bytes:
    """Give the beginning of a line whose end has not come yet, if it can still become one."""
    if phase is Phase.CHUNK_END and rest not in {b"", b"\r"}:
        raise WireError("protocol", f"expected the end of a chunk, but got {rest[:80]!r}")
    if len(rest) >= MOST_HEAD_BYTES:
        raise WireError("too-large", f"expected lines of at most {MOST_HEAD_BYTES >> 10} KiB, but got {rest[:80]!r}")
    return rest
