"""WebSocket messages read and written with wsproto, in the shape of the HTTP reader: bytes in, answers out.

An answer is one whole message. Pings are answered through `reply`, which the caller sends. Frames that go out are
masked with one fixed mask: the masking protects proxies from hostile pages (RFC 6455 section 10.3), of which there are
none here, and prepared bytes are what makes the generator fast.
"""

from __future__ import annotations

import base64
import hashlib

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import Opcode
from wsproto.utilities import RemoteProtocolError

from sgibench.load.wire.answer import Answer, Head, WireError

KEY = base64.b64encode(b"sgibench-16bytes").decode()
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 section 1.3."""
ACCEPT = base64.b64encode(hashlib.sha1(f"{KEY}{GUID}".encode(), usedforsecurity=False).digest()).decode()
HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", KEY),
)
MASK = b"\x5a\xa5\x3c\xc3"
LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024


AGREED = (
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
).encode()
"""A server's answer to the handshake."""


def accepted(answer: Answer) -> str | None:
    """Check the answer to a handshake."""
    found = answer.header("sec-websocket-accept")
    return None if found == ACCEPT else f"expected Sec-WebSocket-Accept {ACCEPT}, but got {found}"


def frame(payload: bytes, *, text: bool = False, masked: bool = True) -> bytes:
    """Write one frame (RFC 6455 section 5.2): a client's are masked, a server's are not."""
    size = len(payload)
    bit = 0x80 if masked else 0
    head = bytes([0x80 | (Opcode.TEXT if text else Opcode.BINARY)])
    if size < 126:  # noqa: PLR2004 - the three forms of a length
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    masks = int.from_bytes((MASK * (size // 4 + 1))[:size], "big")
    return head + MASK + (int.from_bytes(payload, "big") ^ masks).to_bytes(size, "big")


class FrameReader:
    """Reads messages from an open WebSocket connection."""

    def __init__(self) -> None:
        self._connection = Connection(ConnectionType.CLIENT)
        self._parts: list[bytes] = []
        self._waiting: list[bytes] = []
        self._size = 0
        self._began = False
        self.reply = b""
        """What must be sent: answers to pings."""
        self.leftover = b""

    def expect(self, *, is_head: bool) -> None:
        """Make ready for the next message."""
        del is_head
        self._size = 0
        self.leftover = b""

    @property
    def untouched(self) -> bool:
        """Whether nothing of a message has come yet."""
        return not self._began and not self._size

    def feed(self, data: bytes) -> Answer | None:
        """Take what came; give the message once it is whole; raises WireError."""
        self._size += len(data)
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                self._take(event)
        except RemoteProtocolError as error:
            raise WireError("protocol", f"expected WebSocket frames, but: {error}") from error
        if not self._waiting:
            return None
        body = self._waiting.pop(0)
        if self._waiting:
            self.leftover = self._waiting.pop(0)
        size, self._size = self._size, 0
        return _message(body, size)

    def _take(self, event: Event) -> None:
        if isinstance(event, BytesMessage | TextMessage):
            self._began = not event.message_finished
            data = event.data
            self._parts.append(data.encode() if isinstance(data, str) else bytes(data))
            if event.message_finished:
                self._waiting.append(b"".join(self._parts))
                self._parts.clear()
            elif sum(map(len, self._parts)) > LARGEST_MESSAGE_BYTES:
                raise WireError("too-large", f"a message went on past {LARGEST_MESSAGE_BYTES} bytes")
        elif isinstance(event, Ping):
            self.reply += self._connection.send(event.response())
        elif isinstance(event, CloseConnection) and self._connection.state is ConnectionState.OPEN:
            # wsproto tells of what it can't read in the shape of a close, but only a real one changes the state.
            raise WireError("protocol", f"expected WebSocket frames, but: {event.reason}")
        elif isinstance(event, CloseConnection):
            raise WireError("closed", f"the server closed the WebSocket: {event.code} {event.reason or ''}")

    def next_waiting(self) -> Answer | None:
        """Give a further message that came with the last one."""
        if not self.leftover:
            return None
        body, self.leftover = self.leftover, b""
        if self._waiting:
            self.leftover = self._waiting.pop(0)
        return _message(body, len(body))

    def end(self) -> Answer:
        """The stream ended without a message."""
        raise WireError("closed", "the connection was closed before the message came")


def _message(body: bytes, size: int) -> Answer:
    """A message in the shape of an answer; its status is 200, for want of one."""
    head = Head(status=200, fields=(), length=len(body), chunked=False, closes=False, size=size - len(body))
    return Answer(head, body, size)
