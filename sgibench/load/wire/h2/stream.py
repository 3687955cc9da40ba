"""One stream's place: what is asked on it now, how far the answer has come; used again for the next request.

It reads the frames of an answer in order and keeps what is needed to know the same answer again by its bytes.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import Any

from sgibench.load.request import Ask
from sgibench.load.wire.answer import Answer, Head, WireError
from sgibench.load.wire.h2.frames import END_STREAM, HEAD_SIZE, Type, joinable
from sgibench.load.wire.h2.headers import check_trailers, head_of
from sgibench.load.wire.reader import BODILESS, LARGEST_BODY_BYTES, MOST_INTERIM, SMALLEST_FINAL, SWITCHING

STREAM_WINDOW = 1 << 24
"""What a server may send on one stream before it is told to go on."""
MOST_FRAMES = 4
LARGEST_KNOWN = 65536
"""An answer of more frames or bytes is read each time."""

Frame = tuple[int, int, bytes]
"""Type, flags, payload."""


class Stream:
    """The place of one stream among those of a connection."""

    __slots__ = (
        "ask",
        "began",
        "body_size",
        "chunk_times_ns",
        "frames",
        "head",
        "interim",
        "key",
        "owner",
        "parts",
        "receivable",
        "sendable",
        "size",
        "unsent",
    )

    ask: Ask

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        """Whose place it is; the session only hands it back."""
        self.key = b""
        """The number of the stream that has this place now, as four bytes."""
        self.began = False
        """Whether an answer is being read that did not come as a known one."""
        self.head: Head | None = None
        self.parts: list[bytes] = []
        self.body_size = 0
        self.size = 0
        self.interim = 0
        self.frames: list[Frame] | None = None
        """The answer's frames so far; None when it won't be remembered."""
        self.chunk_times_ns: list[int] | None = None
        self.receivable = STREAM_WINDOW
        """Bytes that the server may still send on this stream."""
        self.sendable = 0
        """Bytes that it still takes on this stream."""
        self.unsent: memoryview | None = None
        """The rest of a body that waits for its window."""

    def begin(self) -> None:
        """Something comes that is not the known answer, whole and in one piece: read it."""
        self.began = True
        self.head = None
        self.parts.clear()
        self.body_size = self.size = self.interim = 0
        self.frames = [] if self.ask.remember else None
        self.chunk_times_ns = [] if self.ask.streams else None
        self.receivable = STREAM_WINDOW

    def _keep(self, frame: Frame, size: int) -> None:
        """Keep a frame as it came, in case that the answer is right."""
        self.size += size
        if self.frames is not None:
            self.frames.append(frame)
            if len(self.frames) > MOST_FRAMES or self.size > LARGEST_KNOWN:
                self.frames = None

    def take_headers(self, flags: int, block: bytes, size: int, *, plain: bool) -> Answer | None:
        """Take a whole header block; gives the answer when it ends it; raises WireError for this stream.

        `size` is what it took on the wire; `plain` says that it came in one frame that held nothing else.
        """
        ends = bool(flags & END_STREAM)
        if self.head is not None:
            check_trailers(block)
            if not ends:
                raise WireError("protocol", "expected trailers to end their stream")
        else:
            head = head_of(block)
            if head.status < SMALLEST_FINAL:
                self._take_interim(head, ends=ends)
                return None
            self.head = head
        self._keep((Type.HEADERS, flags, block), size)
        if not plain:
            self.frames = None
        return self._whole() if ends else None

    def _take_interim(self, head: Head, *, ends: bool) -> None:
        self.frames = None
        self.interim += 1
        if ends or head.status == SWITCHING:
            raise WireError("protocol", f"expected a final answer, but status {head.status} ended the stream")
        if self.interim > MOST_INTERIM:
            raise WireError("too-large", f"expected at most {MOST_INTERIM} interim answers before the final one")

    def take_data(self, flags: int, body: bytes, payload_size: int) -> Answer | None:
        """Take a piece of the body; gives the answer when it ends it; raises WireError for this stream."""
        if self.head is None:
            raise WireError("protocol", "expected HEADERS before DATA")
        self.receivable -= payload_size
        self.body_size += len(body)
        if self.body_size > LARGEST_BODY_BYTES:
            raise WireError("too-large", f"a body went on past {LARGEST_BODY_BYTES} bytes")
        if body:
            self.parts.append(body)
            if self.chunk_times_ns is not None:
                self.chunk_times_ns.append(monotonic_ns())
        self._keep((Type.DATA, flags, body), HEAD_SIZE + payload_size)
        if len(body) != payload_size:
            self.frames = None
        return self._whole() if flags & END_STREAM else None

    def _whole(self) -> Answer:
        head = self.head
        if head is None:
            raise AssertionError("a body without a head")
        bodiless = self.ask.is_head or head.status in BODILESS
        if bodiless and self.body_size:
            raise WireError("leftover", f"expected no body with this answer, but {self.body_size} bytes came")
        if head.length is not None and not bodiless and head.length != self.body_size:
            told = f"expected a body of {head.length} bytes as Content-Length says, but {self.body_size} came"
            raise WireError("protocol", told)
        answer = Answer(head, b"".join(self.parts), self.size)
        answer.chunk_times_ns = self.chunk_times_ns
        return answer

    def remember(self, answer: Answer) -> None:
        """The answer was right: know it again by its bytes."""
        if self.frames:
            self.ask.known = joinable(self.frames)
            self.ask.known_body = self.body_size
            self.ask.answer = answer
