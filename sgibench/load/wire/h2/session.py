"""One connection's side of HTTP/2: bytes in, answers out, bytes to send; no sockets, and no clock but for streams.

What concerns one stream fails that stream; what breaks the connection is kept in `fault`, and nothing is read after it.
A request is sent once: what the server refuses or leaves undone by GOAWAY is an error of its request.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from sgibench.load.wire.answer import MAX_HEAD_BYTES, Answer, WireError
from sgibench.load.wire.h2.asking import Asking
from sgibench.load.wire.h2.frames import (
    ACK,
    CANCEL,
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
from sgibench.load.wire.h2.stream import STREAM_WINDOW, Stream

WINDOW = 1 << 24
"""What a server may send on the whole connection before it is told to go on."""
MOST_IDLE_FRAMES = 10_000
"""Frames that bring no answer on: after so many of them in a row the server is told apart from one that works."""
OURS = {
    Setting.HEADER_TABLE_SIZE: 0,
    Setting.ENABLE_PUSH: 0,
    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
    Setting.MAX_HEADER_LIST_SIZE: MAX_HEAD_BYTES,
}

Outcome = Answer | WireError | None
"""What became of a request; None for the known right answer."""


def broken(kind_of_error: str, detail: str) -> WireError:
    """What the server must not do, with HTTP/2's name for it."""
    return WireError("protocol", f"{detail} ({kind_of_error})")


class Session(Asking):
    """State of one connection."""

    def __init__(self) -> None:
        super().__init__()
        self.out += [
            PREFACE,
            settings({int(name): value for name, value in OURS.items()}),
            window_update(CONNECTION_KEY, WINDOW - FIRST_WINDOW),
        ]
        self.settled = False
        """Whether the server's SETTINGS came: before that nothing is asked, because it may want few streams."""
        self.fault: WireError | None = None
        """What broke the connection."""
        self._hungry: dict[bytes, Stream] = {}
        """Streams of which half a window came."""
        self._rest = b""
        self._block: tuple[bytes, int, list[bytes], int] | None = None
        """A header block whose CONTINUATION must come next: number, flags, pieces, size on the wire."""
        self._receivable = WINDOW
        self._idle_frames = 0
        self._done: list[tuple[Stream, Outcome]] = []
        self._readers: dict[int, Callable[[int, bytes, bytes], None]] = {
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

    # --- reading ---------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[tuple[Stream, Outcome]]:
        """Take what came; gives what became of requests, in order. Afterwards look at `fault`, and send `out`."""
        done: list[tuple[Stream, Outcome]] = []
        self._done = done
        try:
            self._read(self._rest + data if self._rest else data, done)
            if self._receivable < WINDOW // 2:
                self._open_window()
            if self._hungry:
                self._open_windows()
        except WireError as error:
            self.fault = error
        if done:
            self._idle_frames = 0
        return done

    def _read(self, data: bytes, done: list[tuple[Stream, Outcome]]) -> None:
        """Read frames; an answer that is a known one, number apart, is not even taken apart."""
        streams, size, at = self.streams, len(data), 0
        while at + HEAD_SIZE <= size:
            key = data[at + 5 : at + 9]
            stream = streams.get(key)
            if stream is not None and not stream.began and (known := stream.ask.known) and self._block is None:
                whole = key.join(known)
                if data.startswith(whole, at):
                    at += len(whole)
                    self._receivable -= stream.ask.known_body
                    if stream.unsent is None and not self._waiting:
                        del streams[key]
                    else:
                        self._answered(stream)
                    done.append((stream, None))
                    continue
                if size - at < len(whole) and whole.startswith(data[at:]):
                    break  # so far it is the known one
            length = int.from_bytes(data[at : at + 3], "big")
            if length > MAX_FRAME_SIZE or not self.settled:
                self._refuse(data[at:], length)
            stop = at + HEAD_SIZE + length
            if stop > size:
                break
            self._take(data[at + 3], data[at + 4], key, data[at + HEAD_SIZE : stop])
            at = stop
        self._rest = data[at:]
        if not self.settled and self._rest:
            self._refuse(self._rest, 0)

    def _refuse(self, data: bytes, length: int) -> None:
        """Look at the beginning of a frame that may not be: too long, or before the server's SETTINGS."""
        if not self.settled and not (b"\0" + data[1:3] + b"\x04\0\0\0\0\0").startswith(data[:HEAD_SIZE]):
            raise broken("PROTOCOL_ERROR", f"expected the server's SETTINGS first, but got {data[:60]!r}")
        if length > MAX_FRAME_SIZE:
            raise broken("FRAME_SIZE_ERROR", f"expected frames of at most {MAX_FRAME_SIZE} bytes, but one has {length}")

    def _take(self, kind: int, flags: int, key: bytes, payload: bytes) -> None:
        """Take one whole frame."""
        key = bytes((key[0] & 0x7F,)) + key[1:]
        if self._block is not None and (kind != Type.CONTINUATION or key != self._block[0]):
            raise broken("PROTOCOL_ERROR", f"expected CONTINUATION of a header block, but a frame of type {kind} came")
        reader = self._readers.get(kind)
        if reader is None:
            self._idle()  # unknown frames are ignored (section 4.1)
        else:
            reader(flags, key, payload)

    def _idle(self) -> None:
        """Count a frame that brings no answer on."""
        self._idle_frames += 1
        if self._idle_frames > MOST_IDLE_FRAMES:
            raise WireError("too-large", f"{MOST_IDLE_FRAMES} frames came in a row that brought no answer on")

    def _open_window(self) -> None:
        """Let the server send on."""
        if self._receivable < 0:
            raise broken(
                "FLOW_CONTROL_ERROR", f"the server sent {-self._receivable} bytes past the connection's window"
            )
        self.out.append(window_update(CONNECTION_KEY, WINDOW - self._receivable))
        self._receivable = WINDOW

    def _open_windows(self) -> None:
        """Let the server go on with single streams; only now, so that it is seen when it does not wait for that."""
        for key, stream in self._hungry.items():
            if self.streams.get(key) is stream:
                self.out.append(window_update(key, STREAM_WINDOW - stream.receivable))
                stream.receivable = STREAM_WINDOW
        self._hungry.clear()

    def _stream_of(self, key: bytes, kind: Type) -> Stream | None:
        """Find the stream that a frame is for; None for one that is over and on which this frame may still come."""
        stream = self.streams.get(key)
        if stream is not None:
            if not stream.began:
                stream.begin()
            return stream
        number = int.from_bytes(key, "big")
        if not number % 2 or number >= self._next_id:
            raise broken("PROTOCOL_ERROR", f"{kind.name} came on stream {number}, which nobody opened")
        if key in self._cancelled or kind in {Type.RST_STREAM, Type.WINDOW_UPDATE}:
            return None
        raise WireError("leftover", f"{kind.name} came on stream {number} after its answer's end (STREAM_CLOSED)")

    def _end(self, stream: Stream, outcome: Outcome) -> None:
        """A request is done."""
        self._answered(stream)
        self._done.append((stream, outcome))

    def _answered(self, stream: Stream) -> None:
        """Free the stream; where the answer came before the request was sent to the end, the rest is not sent."""
        if stream.unsent is not None:
            self.out.append(frame(Type.RST_STREAM, 0, stream.key, CANCEL.to_bytes(4, "big")))
        self._give_back(stream)

    def _fail(self, stream: Stream, error: WireError) -> None:
        """One stream's answer is wrong in itself: the others go on."""
        self.cancel(stream)
        self._done.append((stream, error))

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
        if size > MAX_HEAD_BYTES:
            raise WireError("too-large", f"expected a head of at most {MAX_HEAD_BYTES} bytes")
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
                stream.sendable += value - self._stream_window
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
        if waiting.unsent is None:
            self._idle()
            return
        waiting.sendable += more
        if waiting.sendable > MAX_WINDOW:
            raise broken("FLOW_CONTROL_ERROR", f"a stream's window grew past {MAX_WINDOW}")
        self._send_more(waiting)


def _unpadded(flags: int, payload: bytes) -> bytes:
    """Take the padding off (section 6.1)."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise broken("PROTOCOL_ERROR", "expected less padding than payload")
    return payload[1 : len(payload) - payload[0]]
