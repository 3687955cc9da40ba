"""Falcon on ASGI: resources with a responder for each method, and its error handlers; the work is the contract's."""

# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return"
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import contract
import falcon
import falcon.asgi
from falcon.asgi import Request, Response
from falcon_routes import refuse, route
from jobs import do, handed
from waiting import waited

INTERFACE = "asgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("falcon==4.4.0",)
SERVICES: dict[str, tuple[str, ...]] = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}
LACKS = {
    "websocket: *": "a responder must know beforehand whether the next message is text or binary",
    "broadcast: *": "a responder must know beforehand whether a message is text or binary",
    "bodies: *": "the app has no views that take or send a body piece by piece",
}

contract.await_items("psycopg")


async def reply(resp: Response, answer: contract.Answer | contract.Parts) -> None:
    """Make an answer of the contract Falcon's."""
    if isinstance(answer, contract.Later):
        answer = await answer.whole()
    resp.content_type = answer.content_type or None
    if isinstance(answer, contract.Parts):
        resp.stream = paused(answer)
        if answer.length is not None:
            resp.content_length = answer.length
        return
    if answer.wait_s:
        await waited(answer)
    resp.status = answer.status
    resp.data = answer.body
    resp.set_headers(answer.extra)


async def paused(answer: contract.Parts) -> AsyncIterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            await asyncio.sleep(answer.pause_s)
        yield part


async def refused(_req: Request, resp: Response, refusal: contract.Refusal, _params: object) -> None:
    """Say no."""
    await reply(resp, refusal.answer)


async def unmatched(req: Request, resp: Response, _error: falcon.HTTPError, _params: object) -> None:
    """Refuse what no resource is for."""
    await reply(resp, contract.unmatched(req.method, req.path))


def responder(handler: contract.Handler, *, reads: bool) -> Callable[..., Awaitable[None]]:
    """Make a responder of a handler of the contract."""

    async def respond(req: Request, resp: Response, argument: str = "") -> None:
        await reply(resp, handler(argument, req.query_string, await req.stream.read() if reads else b""))

    return respond


class Plaintext:
    """Greets."""

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Greet."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "Hello, World!"

    on_head = on_get


class Echo:
    """Sends the body back."""

    async def on_post(self, req: Request, resp: Response) -> None:
        """Send the body back."""
        resp.content_type = contract.OCTETS
        resp.data = await req.stream.read()


class Jobs:
    """Where jobs are handed in."""

    async def on_post(self, req: Request, resp: Response) -> None:
        """Have one done in a thread once the answer is sent."""
        body = await req.stream.read()
        await reply(resp, handed(req.query_string, body, lambda job: resp.schedule_sync(partial(do, job))))


app = falcon.asgi.App()
refuse(app, refused, unmatched)
route(app, {"/plaintext": Plaintext(), "/echo": Echo(), "/jobs": Jobs()}, responder)
