"""WebSocket messages read and written with wsproto, in the shape of the HTTP reader: bytes in, answers out.

An answer is one whole message. Pings are answered through `reply`, which the caller sends. Frames that go out are
masked with one fixed mask: the masking protects proxies from hostile pages (RFC 6455 section 10.3), of which there are
none here, and prepared bytes are what makes the generator fast.
"""

from __future__ import annotations

import base64
import hashlib
import zlib

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import Opcode
from wsproto.utilities import RemoteProtocolError

from sgibench.load.wire.answer import Answer, Head, Unspoken, WireError

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
OFFER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
"""Compression (RFC 7692) that forgets each message: equal messages are equal bytes, on every connection."""
DEFLATED_HANDSHAKE = (*HANDSHAKE, ("Sec-WebSocket-Extensions", OFFER))
_WINDOW = ("server_max_window_bits", "client_max_window_bits")
SYNC_END = b"\x00\x00\xff\xff"
"""What each compressed message ends with, and is sent without."""
MASK = b"\x5a\xa5\x3c\xc3"
LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024


AGREED = (
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
).encode()
"""A server's answer to the handshake."""


def agreed_with(extension: str = OFFER) -> bytes:
    """Write a server's answer to a handshake whose offer it takes."""
    return AGREED.removesuffix(b"\r\n") + f"Sec-WebSocket-Extensions: {extension}\r\n\r\n".encode()


def accepted(answer: Answer) -> str | None:
    """Check the answer to a handshake that offered nothing."""
    extra = answer.header("sec-websocket-extensions")
    return _agreed(answer) if extra is None else f"expected no extension, as none was offered, but got {extra[:120]}"


def _agreed(answer: Answer) -> str | None:
    """Check what every answer to a handshake must say (RFC 6455 section 4.1)."""
    upgrade = answer.header("upgrade") or ""
    connection = ",".join(value for name, value in answer.head.fields if name == "connection")
    if upgrade.strip().lower() != "websocket":
        return f"expected Upgrade: websocket, but got {upgrade[:120] or None}"
    if "upgrade" not in {part.strip().lower() for part in connection.split(",")}:
        return f"expected Connection: Upgrade, but got {connection[:120] or None}"
    if (chosen := answer.header("sec-websocket-protocol")) is not None:
        return f"expected no subprotocol, as none was offered, but got {chosen[:120]}"
    found = answer.header("sec-websocket-accept")
    return None if found == ACCEPT else f"expected Sec-WebSocket-Accept {ACCEPT}, but got {found}"


def accepted_deflated(answer: Answer) -> str | None:
    """Check the answer to a handshake that offered compression: the server must take it as it was offered."""
    found = answer.header("sec-websocket-extensions")
    if found is None:
        return _agreed(answer) or Unspoken(
            "expected the server to agree to permessage-deflate, but it does not speak it"
        )
    name, *rest = (part.strip() for part in found.split(";"))
    known = {"server_no_context_takeover", "client_no_context_takeover"}
    odd = [part for part in rest if part not in known and not _is_window(part)]
    if name != "permessage-deflate" or odd or len(set(rest)) != len(rest):
        return f"expected {OFFER} or less, but got {found[:120]}"
    if "server_no_context_takeover" not in rest:
        return Unspoken(f"expected the server to compress each message for itself, but it agreed to {found[:120]}")
    return _agreed(answer)


def _is_window(part: str) -> bool:
    name, equals, bits = part.partition("=")
    return name.strip() in _WINDOW[:1] and bool(equals) and bits.strip() in {str(n) for n in range(9, 16)}


def deflated(payload: bytes) -> bytes:
    """Compress one message by itself (RFC 7692 section 7.2.1)."""
    press = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -15)
    return (press.compress(payload) + press.flush(zlib.Z_SYNC_FLUSH)).removesuffix(SYNC_END)


def frame(payload: bytes, *, text: bool = False, masked: bool = True, deflate: bool = False) -> bytes:
    """Write one frame (RFC 6455 section 5.2): a client's are masked, a server's are not."""
    if deflate:
        payload = deflated(payload)
    size = len(payload)
    bit = 0x80 if masked else 0
    head = bytes([0x80 | (0x40 if deflate else 0) | (Opcode.TEXT if text else Opcode.BINARY)])
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

    def __init__(self, agreed: str | None = None) -> None:
        """`agreed` is what the server said of extensions; None for nothing."""
        press = None if agreed is None else PerMessageDeflate()
        if press is not None and agreed is not None:
            press.finalize(agreed)
        self._connection = Connection(ConnectionType.CLIENT, None if press is None else [press])
        self._parts: list[bytes] = []
        self._waiting: list[tuple[bytes, bool]] = []
        """Whole messages, and whether each is text."""
        self._size = 0
        self._began = False
        self.reply = b""
        """What must be sent: answers to pings."""
        self.leftover = b""
        self.alone = False
        """Whether what came last was one frame and nothing else."""

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
            events = 0
            for events, event in enumerate(self._connection.events(), 1):  # noqa: B007 - counted
                self._take(event)
            self.alone = events == 1
        except RemoteProtocolError as error:
            raise WireError("protocol", f"expected WebSocket frames, but: {error}") from error
        if not self._waiting:
            return None
        body, text = self._waiting.pop(0)
        # What is left over is told by its bytes; an empty message is one, too.
        self.leftover = self._waiting[0][0] or b"\0" if self._waiting else b""
        size, self._size = self._size, 0
        return _message(body, size, text=text)

    def _take(self, event: Event) -> None:
        if isinstance(event, BytesMessage | TextMessage):
            self._began = not event.message_finished
            data = event.data
            self._parts.append(data.encode() if isinstance(data, str) else bytes(data))
            if event.message_finished:
                self._waiting.append((b"".join(self._parts), isinstance(event, TextMessage)))
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
        self.leftover = b""
        if not self._waiting:
            return None
        body, text = self._waiting.pop(0)
        return _message(body, len(body), text=text)

    def end(self) -> Answer:
        """The stream ended without a message."""
        raise WireError("closed", "the connection was closed before the message came")


def _message(body: bytes, size: int, *, text: bool) -> Answer:
    """A message in the shape of an answer; its status is 200, for want of one."""
    head = Head(status=200, fields=(), length=len(body), chunked=False, closes=False, size=size - len(body))
    answer = Answer(head, body, size)
    answer.text_message = text
    return answer
