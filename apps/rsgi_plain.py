"""RSGI without a framework: the contract on Granian's own interface, which is neither WSGI nor ASGI.

One call of the app answers one request: no messages, a body that is awaited whole, an answer that is sent by one call.
GET and HEAD have no body; a stream is the only answer that is sent piece by piece.
"""

from __future__ import annotations

import asyncio
from typing import Any

import contract
from waiting import waited

INTERFACE = "rsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ()


async def app(scope: Any, protocol: Any) -> None:
    """Answer one request; a WebSocket is refused, because RSGI has messages of its own for them."""
    if scope.proto != "http":
        protocol.close(403)
        return
    method = scope.method
    body = b"" if method in {"GET", "HEAD"} else await protocol()
    answer = contract.respond(method, scope.path, scope.query_string, body)
    if isinstance(answer, contract.Parts):
        await send_parts(answer, method, protocol)
        return
    status, content_type, body, extra, wait_s = answer
    if wait_s:
        await waited(answer)
    if status == 204:  # noqa: PLR2004 - the one status without content
        protocol.response_empty(status, lowered(extra))
        return
    headers = [("content-type", content_type), ("content-length", str(len(body))), *lowered(extra)]
    if method == "HEAD":
        protocol.response_empty(status, headers)
    else:
        protocol.response_bytes(status, headers, body)


def lowered(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """RSGI wants the names of headers in small letters."""
    return [(name.lower(), value) for name, value in headers]


async def send_parts(answer: contract.Parts, method: str, protocol: Any) -> None:
    """Send a file or an event stream piece by piece."""
    headers = [("content-type", answer.content_type)]
    if answer.length is not None:
        headers.append(("content-length", str(answer.length)))
    if method == "HEAD":
        protocol.response_empty(200, headers)
        return
    stream = protocol.response_stream(200, headers)
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            await asyncio.sleep(answer.pause_s)
        await stream.send_bytes(part)
