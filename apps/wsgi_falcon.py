"""Falcon: resources with a responder for each method, and its error handlers; the work is the contract's."""

# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return"
from __future__ import annotations

import time
from collections.abc import Iterator

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


class Reader:
    """A resource that is only read; HEAD is answered like GET, and Falcon leaves the body out."""

    def on_get(self, req: Request, resp: Response, argument: str = "") -> None:
        """Answer."""
        raise NotImplementedError

    def on_head(self, req: Request, resp: Response, **argument: str) -> None:
        """Answer without a body."""
        self.on_get(req, resp, **argument)


class Plaintext(Reader):
    """Greets."""

    def on_get(self, _req: Request, resp: Response, argument: str = "") -> None:  # noqa: ARG002 - no argument
        """Greet."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "Hello, World!"


class Contracted(Reader):
    """A resource whose answer is a handler of the contract."""

    def __init__(self, handler: contract.Handler) -> None:
        self.handler = handler

    def on_get(self, req: Request, resp: Response, argument: str = "") -> None:
        """Answer."""
        reply(resp, self.handler(argument, req.query_string, b""))


class Echo:
    """Sends the body back."""

    def on_post(self, req: Request, resp: Response) -> None:
        """Send the body back."""
        resp.content_type = contract.OCTETS
        resp.data = body_of(req)


class Upload:
    """Counts and digests the body."""

    def on_post(self, req: Request, resp: Response) -> None:
        """Count and digest the body."""
        reply(resp, contract.post_upload("", "", body_of(req)))


class Jobs:
    """Where jobs are handed in."""

    def on_post(self, req: Request, resp: Response) -> None:
        """Do one before the answer."""
        reply(resp, contract.post_job("", req.query_string, body_of(req)))


class Items(Reader):
    """All items."""

    def on_get(self, req: Request, resp: Response, argument: str = "") -> None:  # noqa: ARG002 - no argument
        """List items."""
        reply(resp, contract.get_items("", req.query_string, b""))

    def on_post(self, req: Request, resp: Response) -> None:
        """Add an item."""
        reply(resp, contract.post_item("", "", body_of(req)))


class Item(Reader):
    """One item."""

    def on_get(self, _req: Request, resp: Response, argument: str = "") -> None:
        """Tell it."""
        reply(resp, contract.get_item(argument, "", b""))

    def on_put(self, req: Request, resp: Response, argument: str) -> None:
        """Replace it."""
        reply(resp, contract.put_item(argument, "", body_of(req)))

    def on_patch(self, req: Request, resp: Response, argument: str) -> None:
        """Change it."""
        reply(resp, contract.patch_item(argument, "", body_of(req)))

    def on_delete(self, _req: Request, resp: Response, argument: str) -> None:
        """Delete it."""
        reply(resp, contract.delete_item(argument, "", b""))


class Raise:
    """The quantity of one item."""

    def on_post(self, _req: Request, resp: Response, argument: str) -> None:
        """Raise it by one, under a lock."""
        reply(resp, contract.post_raise(argument, "", b""))


app = falcon.App()
refuse(app, refused, unmatched)
route(
    app,
    {
        "/plaintext": Plaintext(),
        "/echo": Echo(),
        "/upload": Upload(),
        "/jobs": Jobs(),
        "/items": Items(),
        "/items/{argument:some}": Item(),
        "/raise/{argument:some}": Raise(),
    },
    Contracted,
)
