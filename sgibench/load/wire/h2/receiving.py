"""What comes on a connection over HTTP/2: bytes to frames, known answers to outcomes, windows opened in time.

An answer that equals the last right one byte for byte, the stream's number apart, is not even taken apart. What a frame
means is for `session`; here is what all frames have in common: their order, their size, whom they are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.h2.asking import Asking
from sgibench.load.wire.h2.frames import CANCEL, CONNECTION_KEY, HEAD_SIZE, MAX_FRAME_SIZE, Type, frame, window_update
from sgibench.load.wire.h2.stream import STREAM_WINDOW, Stream

WINDOW = 1 << 24
"""What a server may send on the whole connection before it is told to go on."""
MOST_IDLE_FRAMES = 10_000
"""Frames that bring no answer on: after so many of them in a row the server is told apart from one that works."""

Outcome = Answer | WireError | None
"""What became of a request; None for the known right answer."""

Reader = Callable[[int, bytes, bytes], None]
"""Takes a frame: flags, stream's number, payload."""


def broken(kind_of_error: str, detail: str) -> WireError:
    """What the server must not do, with HTTP/2's name for it."""
    return WireError("protocol", f"{detail} ({kind_of_error})")


class Receiving(Asking):
    """What has come on one connection, and what became of its requests."""

    def __init__(self) -> None:
        super().__init__()
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
        self._readers: Mapping[int, Reader] = {}
        """By type of frame."""

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
