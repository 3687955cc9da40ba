"""ASGI without a framework: the contract and nothing else, so that what is measured is the server.

The translation is kept short because servers are compared by it. A body is read to its end before anything is answered;
GET and HEAD have none. SQLite and small files are used on the event loop itself: an embedded database answers in tens
of microseconds, less than handing the work to a thread and back would cost; PostgreSQL is awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import contract
from waiting import waited

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ()
SERVICES: dict[str, tuple[str, ...]] = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}

contract.await_items("psycopg")

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request, one WebSocket, or the server's start and stop."""
    if scope["type"] != "http":
        await OTHER_PROTOCOLS[scope["type"]](scope, receive, send)
        return
    method = scope["method"]
    if scope["path"] == contract.SINK and method == "POST":
        await send_answer((await drain(receive)).answer(), send)
        return
    body = b"" if method in {"GET", "HEAD"} else await read_body(receive)
    if body is None:
        return  # the client went away
    answer = contract.respond(method, scope["path"], scope["query_string"].decode("latin-1"), body)
    if not isinstance(answer, contract.Answer):
        if isinstance(answer, contract.Parts):
            await send_parts(answer, method, send)
            return
        answer = await answer.whole()
    status, content_type, body, extra, wait_s = answer
    if wait_s:
        await waited(answer)
    headers: list[tuple[bytes, bytes]] = []
    if status != 204:  # noqa: PLR2004 - the one status without content
        headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    if extra:
        headers += [(name.lower().encode(), value.encode()) for name, value in extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def drain(receive: Receive) -> contract.Sink:
    """Count a body as it comes, to its end or until the client goes away."""
    sink, more = contract.Sink(), True
    while more:
        message = await receive()
        sink.take(message.get("body", b""))
        more = message.get("more_body", False)
    return sink


async def send_answer(answer: contract.Answer, send: Send) -> None:
    """Send a whole answer that has a body."""
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def read_body(receive: Receive) -> bytes | None:
    """Read the whole request body; None when the client went away first."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        if not message.get("more_body", False):
            return b"".join((*pieces, piece)) if pieces else piece
        pieces.append(piece)


async def send_parts(answer: contract.Parts, method: str, send: Send) -> None:
    """Send a file or an event stream piece by piece."""
    headers = [(b"content-type", answer.content_type.encode())]
    if answer.length is not None:
        headers.append((b"content-length", b"%d" % answer.length))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if method != "HEAD":
        for index, part in enumerate(answer.parts):
            if index and answer.pause_s:
                await asyncio.sleep(answer.pause_s)
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def broadcast(receive: Receive, send: Send) -> None:
    """Listen, and have every message of one's own sent to all who do."""

    async def deliver(message: str | bytes) -> None:
        await send({"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message})

    await send({"type": "websocket.accept"})
    listener = object()
    contract.ROOM.listeners[listener] = deliver
    try:
        await deliver(contract.JOINED)
        while (message := await receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            await contract.ROOM.pass_on(message["bytes"] if text is None else text)
    finally:
        contract.ROOM.listeners.pop(listener, None)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send every WebSocket message back, text as text and binary as binary; other paths are refused."""
    await receive()  # websocket.connect
    if scope["path"] == contract.BROADCAST:
        await broadcast(receive, send)
        return
    if scope["path"] != contract.WEBSOCKET:
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        # The specification lets a server leave the other key out, or set it to None.
        text = message.get("text")
        if text is None:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
        else:
            await send({"type": "websocket.send", "text": text})


async def lifespan(_scope: Scope, receive: Receive, send: Send) -> None:
    """Say yes to the server's start and stop; there is nothing to prepare."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


OTHER_PROTOCOLS: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
    "websocket": echo,
    "lifespan": lifespan,
}
