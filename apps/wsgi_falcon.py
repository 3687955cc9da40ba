"""Falcon: resources with a responder for each method, and its error handlers; the work is the contract's."""

# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return"
from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import contract
import falcon
from falcon import Request, Response
from falcon_routes import refuse, route
from waiting import block

INTERFACE = "wsgi"
TARGET = "app"
PACKAGES: tuple[str, ...] = ("falcon==4.4.0",)
SERVICES: dict[str, tuple[str, ...]] = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}
LACKS = {"bodies: *": "the app has no views that take or send a body piece by piece"}


def reply(resp: Response, answer: contract.Answer | contract.Parts) -> None:
    """Make an answer of the contract Falcon's."""
    resp.content_type = answer.content_type or None
    if isinstance(answer, contract.Parts):
        resp.stream = paused(answer)
        if answer.length is not None:
            resp.content_length = answer.length
        return
    if answer.wait_s:
        block(answer.wait_s)
    resp.status = answer.status
    resp.data = answer.body
    resp.set_headers(answer.extra)


def paused(answer: contract.Parts) -> Iterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            time.sleep(answer.pause_s)
        yield part


def body_of(req: Request) -> bytes:
    """Read the body; one without a length where the server says that its end can be seen."""
    stream = req.stream if req.env.get("wsgi.input_terminated") else req.bounded_stream
    return stream.read()


def refused(_req: Request, resp: Response, refusal: contract.Refusal, _params: object) -> None:
    """Say no."""
    reply(resp, refusal.answer)


def unmatched(req: Request, resp: Response, _error: falcon.HTTPError, _params: object) -> None:
    """Refuse what no resource is for."""
    reply(resp, contract.unmatched(req.method, req.path))


def responder(handler: contract.Handler, *, reads: bool) -> Callable[..., None]:
    """Make a responder of a handler of the contract."""

    def respond(req: Request, resp: Response, argument: str = "") -> None:
        reply(resp, handler(argument, req.query_string, body_of(req) if reads else b""))

    return respond


class Plaintext:
    """Greets."""

    def on_get(self, _req: Request, resp: Response) -> None:
        """Greet."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "Hello, World!"

    on_head = on_get


class Echo:
    """Sends the body back."""

    def on_post(self, req: Request, resp: Response) -> None:
        """Send the body back."""
        resp.content_type = contract.OCTETS
        resp.data = body_of(req)


class Jobs:
    """Where jobs are handed in."""

    def on_post(self, req: Request, resp: Response) -> None:
        """Do one before the answer."""
        reply(resp, contract.post_job("", req.query_string, body_of(req)))


app = falcon.App()
refuse(app, refused, unmatched)
route(app, {"/plaintext": Plaintext(), "/echo": Echo(), "/jobs": Jobs()}, responder)
