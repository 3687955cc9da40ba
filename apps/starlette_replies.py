"""What Starlette and FastAPI, which is made of it, have in common: the contract's answers as its responses; sockets."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import contract
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket
from waiting import waited


async def reply(answer: contract.Answer | contract.Parts) -> Response:
    """Make an answer of the contract a response."""
    if isinstance(answer, contract.Later):
        answer = await answer.whole()
    if isinstance(answer, contract.Parts):
        headers = {"content-type": answer.content_type}
        if answer.length is not None:
            headers["content-length"] = str(answer.length)
        return StreamingResponse(paused(answer), headers=headers)
    if answer.wait_s:
        await waited(answer)
    return said(answer)


def said(answer: contract.Answer) -> Response:
    """Make a whole answer a response."""
    headers = {"content-type": answer.content_type} if answer.content_type else {}
    return Response(answer.body, answer.status, headers | dict(answer.extra))


async def paused(answer: contract.Parts) -> AsyncIterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            await asyncio.sleep(answer.pause_s)
        yield part


async def echo_messages(websocket: WebSocket) -> None:
    """Send every message back, text as text and binary as binary."""
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        await (websocket.send_bytes(message["bytes"]) if text is None else websocket.send_text(text))


async def broadcast_messages(websocket: WebSocket) -> None:
    """Listen, and have every message of one's own sent to all who do."""

    async def deliver(message: str | bytes) -> None:
        await (websocket.send_text(message) if isinstance(message, str) else websocket.send_bytes(message))

    await websocket.accept()
    contract.ROOM.listeners[websocket] = deliver
    try:
        await deliver(contract.JOINED)
        while (message := await websocket.receive())["type"] == "websocket.receive":
            text = message.get("text")
            await contract.ROOM.pass_on(message["bytes"] if text is None else text)
    finally:
        contract.ROOM.listeners.pop(websocket, None)
