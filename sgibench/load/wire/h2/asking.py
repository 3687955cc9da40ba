"""What a connection asks over HTTP/2: requests on streams of their own, bodies as far as windows let them through.

What the server says about streams and windows is read by `session`, which changes these numbers.
"""

from __future__ import annotations

from collections import deque

from sgibench.load.request import Ask
from sgibench.load.wire.h2.frames import (
    CANCEL,
    CONNECTION_KEY,
    END_STREAM,
    FIRST_WINDOW,
    MAX_FRAME_SIZE,
    MAX_STREAM_ID,
    MAX_WINDOW,
    Type,
    frame,
    request_parts,
)
from sgibench.load.wire.h2.stream import Stream


class Asking:
    """The requests of one connection that have no answer yet."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        """What is to be sent, in order."""
        self.draining: str | None = None
        """Why no more is asked on this connection; its requests in flight go on."""
        self.streams: dict[bytes, Stream] = {}
        """Those that wait for their answer, by number."""
        self._waiting: deque[tuple[Stream, Ask]] = deque()
        """Requests for which the server allows no stream yet."""
        self._uploads: dict[bytes, Stream] = {}
        """Streams whose body is not sent to its end."""
        self._cancelled: set[bytes] = set()
        """Streams that were given up here, on which the server may still send."""
        self._next_id = 1
        self._sendable = FIRST_WINDOW
        self._stream_window = FIRST_WINDOW
        self._frame_size = MAX_FRAME_SIZE
        self._most_streams = MAX_WINDOW

    def ask(self, stream: Stream, ask: Ask) -> None:
        """Send a request on a new stream, or as soon as the server allows one more."""
        stream.ask = ask
        stream.began = False
        if len(self.streams) >= self._most_streams:
            self._waiting.append((stream, ask))
            return
        stream.key = key = self._next_id.to_bytes(4, "big")
        self._next_id += 2
        if self._next_id > MAX_STREAM_ID:
            self.draining = "all stream numbers are used"
        self.streams[key] = stream
        stream.sendable = self._stream_window
        upload = ask.upload
        if ask.parts is None:
            fits = len(upload) <= MAX_FRAME_SIZE
            ask.parts = request_parts(ask.payload, upload if fits else b"", more=not fits)
        if not upload:
            self.out.append(key.join(ask.parts))
        else:
            self._ask_with_body(stream, ask.parts, upload)

    def _ask_with_body(self, stream: Stream, parts: tuple[bytes, ...], upload: bytes) -> None:
        """Send the body with the request where both windows have room for it, else as they open."""
        size = len(upload)
        stream.unsent = None
        if size <= MAX_FRAME_SIZE and size <= self._sendable and size <= stream.sendable:
            self._sendable -= size
            stream.sendable -= size
            self.out.append(stream.key.join(parts))
            return
        head = parts if size > MAX_FRAME_SIZE else request_parts(stream.ask.payload, b"", more=True)
        self.out.append(stream.key.join(head))
        stream.unsent = memoryview(upload)
        self._uploads[stream.key] = stream
        self._send_more(stream)

    def _send_more(self, stream: Stream) -> None:
        """Send as much of a body as the windows let through."""
        unsent, key = stream.unsent, stream.key
        while unsent is not None:
            size = min(len(unsent), self._frame_size, self._sendable, stream.sendable)
            if size <= 0:
                break
            last = size == len(unsent)
            self.out.append(frame(Type.DATA, END_STREAM if last else 0, key, bytes(unsent[:size])))
            self._sendable -= size
            stream.sendable -= size
            unsent = None if last else unsent[size:]
        stream.unsent = unsent
        if unsent is None:
            self._uploads.pop(key, None)

    def cancel(self, stream: Stream) -> None:
        """Give a request up; what still comes for it is ignored."""
        if self.streams.get(stream.key) is stream:
            self._give_back(stream)
            self._cancelled.add(stream.key)
            self.out.append(frame(Type.RST_STREAM, 0, stream.key, CANCEL.to_bytes(4, "big")))
        else:
            self._waiting = deque(pair for pair in self._waiting if pair[0] is not stream)

    def _give_back(self, stream: Stream) -> None:
        """A stream is over: its number is gone, and one that waits may begin."""
        del self.streams[stream.key]
        if stream.unsent is not None:
            stream.unsent = None
            self._uploads.pop(stream.key, None)
        if self._waiting:
            self._ask_waiting()

    def _ask_waiting(self) -> None:
        while self._waiting and len(self.streams) < self._most_streams and self.draining is None:
            self.ask(*self._waiting.popleft())

    def say_goodbye(self, why: str) -> None:
        """Ask nothing more, and tell the server (section 6.8: who is about to close a connection should)."""
        if self.draining is None:
            self.draining = why
            self.out.append(frame(Type.GOAWAY, 0, CONNECTION_KEY, bytes(8)))

    @property
    def in_flight(self) -> int:
        """Requests that have no answer yet."""
        return len(self.streams) + len(self._waiting)
