"""WebSocketUser: messages over WebSocket, measured like requests; echo by declared messages, broadcast by deliveries.

A declared message is asked like a request: prepared frames, the echo compared byte for byte, closed or open loop, the
same histograms; text must come back as text. A broadcast is sent by one connection and heard by all: every delivery is
counted, and `broadcast` has the law of what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from sgibench.load.beside import Beside
from sgibench.load.broadcast import BroadcastPace
from sgibench.load.choir import DIGITS, STAMP, Choir
from sgibench.load.lines import Pace
from sgibench.load.request import METHOD, Request
from sgibench.load.target import Target
from sgibench.load.user import BenchUser, Terms
from sgibench.load.wire.frames import (
    AGREED,
    DEFLATED_HANDSHAKE,
    HANDSHAKE,
    accepted,
    accepted_deflated,
    agreed_with,
    frame,
)
from sgibench.load.wire.reader import SWITCHING
from sgibench.model import Interface

__all__ = ["Beside", "Terms", "WebSocketUser", "echo", "idle_sockets"]

PATTERN = b'{"id":7,"name":"Item 7","tags":["a","b"],"quantity":42},'
"""What the messages of a broadcast are filled with: about as easy to compress as an API's documents are."""


def echo(body: bytes | str, *, weight: int = 1, name: str = "") -> Request:
    """Declare a message that the server sends back; text goes as a text message."""
    raw = body.encode() if isinstance(body, str) else body
    opcode = (("opcode", "text"),) if isinstance(body, str) else ()
    return Request(
        method=METHOD, path="/", headers=opcode, body=raw, expect=raw, weight=weight, name=name or f"{len(raw)} bytes"
    )


def idle_sockets(count: int, path: str = "/ws") -> Beside:
    """Declare sockets that are open beside and say nothing."""
    return Beside(count=count, handshake=opening(path, deflate=False))


def opening(path: str, *, deflate: bool) -> Request:
    """Write the request that opens a WebSocket."""
    fields, check = (DEFLATED_HANDSHAKE, accepted_deflated) if deflate else (HANDSHAKE, accepted)
    return Request(method="GET", path=path, headers=fields, status=SWITCHING, expect=check)


class WebSocketUser(BenchUser):
    """One WebSocket connection that sends what its class declares, and checks every echo."""

    abstract = True
    path: ClassVar[str] = "/ws"
    interfaces: ClassVar[tuple[Interface, ...]] = ("asgi",)
    terms: ClassVar[Terms] = Terms(unit="message", protocols=("http",))
    deflate: ClassVar[bool] = False
    """Whether messages are compressed (permessage-deflate, each for itself); a server that can't is skipped."""
    broadcast_bytes: ClassVar[int | None] = None
    """Size of the messages of a broadcast; None for echo."""
    broadcast_text: ClassVar[bool] = False
    """Whether those are text."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if cls.broadcast_bytes is not None:
            size = max(cls.broadcast_bytes, DIGITS if cls.broadcast_text else STAMP.size)
            body = (PATTERN * (size // len(PATTERN) + 1))[:size]
            cls.requests = (Request(method=METHOD, path=cls.path, body=body, name=f"broadcast {cls.path}"),)
            cls.terms = replace(cls.terms, unit="delivery", calibrated=False, one_worker=True, one_client=True)
        super().__init_subclass__(**kwargs)

    @classmethod
    def pace(cls, target: Target) -> Pace | None:
        """A broadcast has a pace of its own."""
        if cls.broadcast_bytes is None:
            return None
        return BroadcastPace(Choir(target, text=cls.broadcast_text, deflate=cls.deflate))

    @classmethod
    def writer(cls) -> Callable[[Request], bytes] | None:
        """Messages are written as frames."""
        return lambda request: frame(request.body, text=bool(request.headers), deflate=cls.deflate)

    @classmethod
    def rehearsal(cls) -> tuple[dict[str, list[bytes]], dict[bytes, bytes]]:
        """The null server agrees to the handshake, and knows the echo of each message."""
        echoes = {
            frame(request.body, text=bool(request.headers), deflate=cls.deflate): frame(
                request.body, text=bool(request.headers), masked=False, deflate=cls.deflate
            )
            for request in cls.requests
        }
        return {f"GET {cls.path}": [agreed_with() if cls.deflate else AGREED]}, echoes

    @classmethod
    def handshake(cls) -> Request | None:
        """The request that opens the connection."""
        return opening(cls.path, deflate=cls.deflate)
