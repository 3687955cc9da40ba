"""The plain ASGI app without a call of asyncio: it waits through anyio, and so runs on trio too.

All else is asgi_plain's own code, so that what differs between the two is the way they wait and nothing more.
"""

from __future__ import annotations

import anyio
import anyio.to_thread
import contract
from asgi_plain import OTHER_PROTOCOLS, Message, Receive, Scope, Send, drain, read_body, send_answer
from inside import INSIDE
from waiting import block

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("anyio==4.16.0",)


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
    if isinstance(answer, contract.Parts):
        await send_parts(answer, method, send)
        return
    status, content_type, body, extra, wait_s = answer
    if wait_s:
        await wait(answer)
    headers: list[tuple[bytes, bytes]] = []
    if status != 204:  # noqa: PLR2004 - the one status without content
        headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    if extra:
        headers += [(name.lower().encode(), value.encode()) for name, value in extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def wait(answer: contract.Answer) -> None:
    """Wait, or have a call that blocks made in a thread of anyio's pool."""
    if answer.blocks:
        await anyio.to_thread.run_sync(block, answer.wait_s)
        return
    with INSIDE:
        await anyio.sleep(answer.wait_s)


async def send_parts(answer: contract.Parts, method: str, send: Send) -> None:
    """Send a file or an event stream piece by piece."""
    headers = [(b"content-type", answer.content_type.encode())]
    if answer.length is not None:
        headers.append((b"content-length", b"%d" % answer.length))
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    await send(start)
    if method != "HEAD":
        for index, part in enumerate(answer.parts):
            if index and answer.pause_s:
                await anyio.sleep(answer.pause_s)
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
