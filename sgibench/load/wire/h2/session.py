"""One connection's side of HTTP/2: bytes in, answers out, bytes to send; no sockets, and no clock but for streams.

What concerns one stream fails that stream; what breaks the connection is kept in `fault`, and nothing is read after it.
A request is sent once: what the server refuses or leaves undone by GOAWAY is an error of its request.
"""

from __future__ import annotations

import struct

from sgibench.load.wire.answer import WireError
from sgibench.load.wire.h2.frames import (
    ACK,
    CONNECTION_KEY,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    HEAD_SIZE,
    MAX_FRAME_SIZE,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PADDED,
    PREFACE,
    WITH_PRIORITY,
    Setting,
    Type,
    code_named,
    frame,
    settings,
    window_update,
)
from sgibench.load.wire.h2.receiving import WINDOW, Receiving, broken
from sgibench.load.wire.h2.stream import STREAM_WINDOW, Stream
from sgibench.model.kinds import MOST_HEAD_BYTES

OURS = {
    Setting.HEADER_TABLE_SIZE: 0,
    Setting.ENABLE_PUSH: 0,
    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
    Setting.MAX_HEADER_LIST_SIZE: MOST_HEAD_BYTES,
}


class Session(Receiving):
    """State of one connection."""

    def __init__(self) -> None:
        super().__init__()
        self.out += [
            PREFACE,
            settings({int(name): value for name, value in OURS.items()}),
            window_update(CONNECTION_KEY, WINDOW - FIRST_WINDOW),
        ]
        self._readers = {
            Type.DATA: self._on_data,
            Type.HEADERS: self._on_headers,
            Type.PRIORITY: self._on_priority,
            Type.RST_STREAM: self._on_reset,
            Type.SETTINGS: self._on_settings,
            Type.PUSH_PROMISE: self._on_push,
            Type.PING: self._on_ping,
            Type.GOAWAY: self._on_goaway,
            Type.WINDOW_UPDATE: self._on_window_update,
            Type.CONTINUATION: self._on_continuation,
        }

    @property
    def usable(self) -> bool:
        """Whether something may be asked."""
        return self.settled and self.draining is None and self.fault is None

    # --- frames ----------------------------------------------------------------------------------------------------

    def _on_data(self, flags: int, key: bytes, payload: bytes) -> None:
        self._receivable -= len(payload)
        body = _unpadded(flags, payload)
        stream = self._stream_of(key, Type.DATA)
        if not body and not flags & END_STREAM:
            self._idle()
        if stream is None:
            if flags & END_STREAM:
                self._cancelled.discard(key)
            return
        try:
            answer = stream.take_data(flags, body, len(payload))
        except WireError as error:
            self._fail(stream, error)
            return
        if stream.receivable < 0:
            raise broken("FLOW_CONTROL_ERROR", f"the server sent {-stream.receivable} bytes past a stream's window")
        if answer is not None:
            self._end(stream, answer)
        elif stream.receivable < STREAM_WINDOW // 2:
            self._hungry[key] = stream

    def _on_headers(self, flags: int, key: bytes, payload: bytes) -> None:
        block = _unpadded(flags, payload)
        if flags & WITH_PRIORITY:
            if len(block) < 5:  # noqa: PLR2004 - what a priority takes
                raise broken("FRAME_SIZE_ERROR", "HEADERS came without the priority that it announces")
            block = block[5:]
        size = HEAD_SIZE + len(payload)
        if flags & END_HEADERS:
            self._on_block(flags, key, block, size, plain=not flags & (PADDED | WITH_PRIORITY))
        else:
            self._block = (key, flags, [block], size)

    def _on_continuation(self, flags: int, key: bytes, payload: bytes) -> None:
        if self._block is None:
            raise broken("PROTOCOL_ERROR", "CONTINUATION came without a header block before it")
        _, first_flags, pieces, size = self._block
        pieces.append(payload)
        size += HEAD_SIZE + len(payload)
        if size > MOST_HEAD_BYTES:
            raise WireError("too-large", f"expected a head of at most {MOST_HEAD_BYTES >> 10} KiB")
        self._block = (key, first_flags, pieces, size)
        if flags & END_HEADERS:
            self._block = None
            self._on_block(first_flags, key, b"".join(pieces), size, plain=False)

    def _on_block(self, flags: int, key: bytes, block: bytes, size: int, *, plain: bool) -> None:
        """A header block is whole."""
        stream = self._stream_of(key, Type.HEADERS)
        if stream is None:
            if flags & END_STREAM:
                self._cancelled.discard(key)
            return
        try:
            answer = stream.take_headers(flags, block, size, plain=plain)
        except WireError as error:
            self._fail(stream, error)
        else:
            if answer is not None:
                self._end(stream, answer)

    def _on_priority(self, flags: int, key: bytes, payload: bytes) -> None:
        del flags
        if key == CONNECTION_KEY or len(payload) != 5:  # noqa: PLR2004 - what a priority takes
            raise broken("FRAME_SIZE_ERROR", "expected PRIORITY of five bytes on a stream")
        self._idle()

    def _on_reset(self, flags: int, key: bytes, payload: bytes) -> None:
        del flags
        if len(payload) != 4:  # noqa: PLR2004 - an error code
            raise broken("FRAME_SIZE_ERROR", f"expected RST_STREAM of four bytes, but got {len(payload)}")
        stream = self._stream_of(key, Type.RST_STREAM)
        if stream is None:
            self._cancelled.discard(key)
            self._idle()
            return
        code = code_named(int.from_bytes(payload, "big"))
        self._end(stream, WireError("reset", f"the server reset the stream: {code}"))

    def _on_settings(self, flags: int, key: bytes, payload: bytes) -> None:
        if key != CONNECTION_KEY:
            raise broken("PROTOCOL_ERROR", "SETTINGS came on a stream")
        if len(payload) % 6 or (flags & ACK and payload):
            raise broken("FRAME_SIZE_ERROR", f"expected SETTINGS of six bytes each, but got {len(payload)} bytes")
        self._idle()
        if flags & ACK:
            return
        for name, value in struct.iter_unpack(">HI", payload):
            self._set(name, value)
        self.settled = True
        self.out.append(frame(Type.SETTINGS, ACK, CONNECTION_KEY))
        for stream in list(self._uploads.values()):
            self._send_more(stream)
        self._ask_waiting()

    def _set(self, name: int, value: int) -> None:
        """Take one of the server's settings."""
        if name == Setting.INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW:
                raise broken("FLOW_CONTROL_ERROR", f"expected a window of at most {MAX_WINDOW}, but it is {value}")
            for stream in self.streams.values():
                self._widen(stream, value - self._stream_window)
            self._stream_window = value
        elif name == Setting.MAX_FRAME_SIZE:
            if not MAX_FRAME_SIZE <= value < 1 << 24:
                raise broken("PROTOCOL_ERROR", f"expected a frame size of {MAX_FRAME_SIZE} or more, but it is {value}")
            self._frame_size = value
        elif name == Setting.MAX_CONCURRENT_STREAMS:
            self._most_streams = value
        elif name == Setting.ENABLE_PUSH and value:
            raise broken("PROTOCOL_ERROR", f"expected ENABLE_PUSH to be 0, but it is {value}")

    def _on_push(self, flags: int, key: bytes, payload: bytes) -> None:
        del flags, key, payload
        raise broken("PROTOCOL_ERROR", "PUSH_PROMISE came although pushing was forbidden")

    def _on_ping(self, flags: int, key: bytes, payload: bytes) -> None:
        if key != CONNECTION_KEY:
            raise broken("PROTOCOL_ERROR", "PING came on a stream")
        if len(payload) != 8:  # noqa: PLR2004 - section 6.7
            raise broken("FRAME_SIZE_ERROR", f"expected PING of eight bytes, but got {len(payload)}")
        self._idle()
        if not flags & ACK:
            self.out.append(frame(Type.PING, ACK, CONNECTION_KEY, payload))

    def _on_goaway(self, flags: int, key: bytes, payload: bytes) -> None:
        del flags
        if key != CONNECTION_KEY or len(payload) < 8:  # noqa: PLR2004 - section 6.8
            raise broken("FRAME_SIZE_ERROR", "expected GOAWAY of at least eight bytes on the connection")
        last = int.from_bytes(payload[:4], "big") & MAX_STREAM_ID
        code = code_named(int.from_bytes(payload[4:8], "big"))
        more = f" {payload[8:88]!r}" if payload[8:] else ""
        self.draining = f"the server went away: {code}{more}"
        undone = [stream for number, stream in self.streams.items() if int.from_bytes(number, "big") > last]
        undone += [stream for stream, _ in self._waiting]
        self._waiting.clear()
        for stream in undone:
            self.streams.pop(stream.key, None)
            self._uploads.pop(stream.key, None)
            self._done.append((stream, WireError("closed", f"{self.draining}, and left the request undone")))

    def _on_window_update(self, flags: int, key: bytes, payload: bytes) -> None:
        del flags
        if len(payload) != 4:  # noqa: PLR2004 - an increment
            raise broken("FRAME_SIZE_ERROR", f"expected WINDOW_UPDATE of four bytes, but got {len(payload)}")
        more = int.from_bytes(payload, "big") & MAX_WINDOW
        if not more:
            raise broken("PROTOCOL_ERROR", "WINDOW_UPDATE came with no increment")
        if key == CONNECTION_KEY:
            self._sendable += more
            if self._sendable > MAX_WINDOW:
                raise broken("FLOW_CONTROL_ERROR", f"the connection's window grew past {MAX_WINDOW}")
            for stream in list(self._uploads.values()):
                self._send_more(stream)
            if not self._uploads:
                self._idle()
            return
        waiting = self.streams.get(key)
        if waiting is None:
            self._stream_of(key, Type.WINDOW_UPDATE)
            self._idle()
            return
        self._widen(waiting, more)
        if waiting.unsent is None:
            self._idle()
        else:
            self._send_more(waiting)

    @staticmethod
    def _widen(stream: Stream, more: int) -> None:
        """Let a stream send more, or less, than before; whether it has anything to send or not."""
        stream.sendable += more
        if stream.sendable > MAX_WINDOW:
            raise broken("FLOW_CONTROL_ERROR", f"a stream's window grew past {MAX_WINDOW}")


def _unpadded(flags: int, payload: bytes) -> bytes:
    """Take the padding off (section 6.1)."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise broken("PROTOCOL_ERROR", "expected less padding than payload")
    return payload[1 : len(payload) - payload[0]]
