"""WebSocketUser: messages over WebSocket, measured like requests; echo by declared messages, broadcast by deliveries.

A declared message is asked like a request: prepared frames, the echo compared byte for byte, closed or open loop,
the same histograms. A broadcast is sent by one connection at a time; every connection that receives it is one
counted delivery, timed from the sending by the moment that the message itself carries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from sgibench.load.broadcast import STAMP, BroadcastPace
from sgibench.load.lines import Pace
from sgibench.load.request import Request
from sgibench.load.target import Target
from sgibench.load.user import BenchUser
from sgibench.load.wire.frames import AGREED, HANDSHAKE, accepted, frame
from sgibench.load.wire.reader import SWITCHING
from sgibench.model import Interface

METHOD = "WS"


def echo(body: bytes | str, *, weight: int = 1, name: str = "") -> Request:
    """Declare a message that the server sends back; text goes as a text message."""
    raw = body.encode() if isinstance(body, str) else body
    opcode = (("opcode", "text"),) if isinstance(body, str) else ()
    return Request(
        method=METHOD, path="/", headers=opcode, body=raw, expect=raw, weight=weight, name=name or f"{len(raw)} bytes"
    )


def message_bytes(request: Request) -> bytes:
    """Write a declared message as it goes on the wire."""
    return frame(request.body, text=bool(request.headers))


class WebSocketUser(BenchUser):
    """One WebSocket connection that sends what its class declares, and checks every echo."""

    abstract = True
    path: ClassVar[str] = "/ws"
    interfaces: ClassVar[tuple[Interface, ...]] = ("asgi",)
    broadcast_bytes: ClassVar[int | None] = None
    """Size of the messages of a broadcast; None for echo."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if cls.broadcast_bytes is not None:
            body = b"\0" * max(cls.broadcast_bytes, STAMP.size)
            cls.requests = (Request(method=METHOD, path=cls.path, body=body, name=f"broadcast {cls.path}"),)
        super().__init_subclass__(**kwargs)

    @classmethod
    def pace(cls, target: Target) -> Pace | None:
        """A broadcast has a pace of its own."""
        return BroadcastPace(target) if cls.broadcast_bytes is not None else None

    @classmethod
    def writer(cls) -> Callable[[Request], bytes] | None:
        """Messages are written as frames."""
        return message_bytes

    @classmethod
    def rehearsal(cls) -> tuple[dict[str, list[bytes]], dict[bytes, bytes]]:
        """The null server agrees to the handshake, and knows the echo of each message."""
        echoes = {
            message_bytes(request): frame(request.body, text=bool(request.headers), masked=False)
            for request in cls.requests
        }
        return {f"GET {cls.path}": [AGREED]}, echoes

    @classmethod
    def handshake(cls) -> Request | None:
        """The request that opens the connection."""
        return Request(method="GET", path=cls.path, headers=HANDSHAKE, status=SWITCHING, expect=accepted)
