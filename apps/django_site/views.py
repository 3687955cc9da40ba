"""Views of the WSGI app: Django's class-based views, its ORM and its templates; the rest is the contract's."""

# mypy: disable-error-code="import-not-found,misc,no-any-return"
from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import ClassVar

import caching
import contract
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.views import View
from waiting import block

from django_site import answers
from django_site.models import Item, raised_item, slow_query

Change = Callable[[bytes], tuple[str | None, int | None]]


def reply(request: HttpRequest, answer: contract.Answer | contract.Parts) -> HttpResponse:
    """Make an answer of the contract Django's."""
    if isinstance(answer, contract.Parts):
        return answers.streamed(request, answer, paused(answer))
    if answer.wait_s:
        block(answer.wait_s)
    return answers.reply(request, answer)


def paused(answer: contract.Parts) -> Iterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            time.sleep(answer.pause_s)
        yield part


def found(item_id: str) -> Item:
    """Get an item, or refuse."""
    try:
        return Item.objects.get(pk=contract.item_id_of(item_id))
    except Item.DoesNotExist:
        raise contract.Refusal(404, "no such item") from None


class ContractView(View):
    """Any view: methods that it has no answer for are refused as the contract has it."""

    http_method_names: ClassVar[list[str]] = ["get", "head", "post", "put", "patch", "delete"]

    def http_method_not_allowed(self, request: HttpRequest, *_args: object, **_kwargs: object) -> HttpResponse:
        """Name the right methods."""
        return answers.unmatched(request)


class Plaintext(ContractView):
    """Greets."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Greet."""
        return answers.without_body(request, HttpResponse("Hello, World!", content_type=contract.TEXT))


class Document(ContractView):
    """A small document."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Serialise it."""
        return answers.document(request, {"message": "Hello, World!"})


class Page(ContractView):
    """The page."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Render it."""
        return answers.page(request)


class Cached(ContractView):
    """The page from Django's cache."""

    def get(self, request: HttpRequest, argument: str) -> HttpResponse:
        """Send it; it is rendered and kept when it isn't there."""
        number = contract.page_number(argument)
        caching.ASKED()
        page = cache.get_or_set(caching.key_of(number), functools.partial(answers.rendered, number))
        return answers.without_body(request, HttpResponse(page, content_type=contract.HTML))


class Contracted(ContractView):
    """A view whose answer is a handler of the contract."""

    handler: contract.Handler = staticmethod(contract.get_pid)

    def get(self, request: HttpRequest, argument: str = "") -> HttpResponse:
        """Answer."""
        return reply(request, self.handler(argument, request.META["QUERY_STRING"], b""))


class Jobs(ContractView):
    """Where jobs are handed in."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Do one before the answer, or hand it to Celery where there is Redis."""
        return reply(request, answers.queue.post_job("", request.META["QUERY_STRING"], request.body))


class OneJob(ContractView):
    """A job that was handed in."""

    def get(self, request: HttpRequest, job_id: str) -> HttpResponse:
        """Tell what became of it."""
        return reply(request, answers.queue.get_job(job_id, "", b""))


class Posted(ContractView):
    """A view that is sent a body."""

    handler: contract.Handler = staticmethod(contract.post_echo)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return reply(request, self.handler("", "", request.body))


class Items(ContractView):
    """All items."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """List them."""
        limit, offset = contract.page_asked(request.META["QUERY_STRING"])
        rows = Item.objects.values("id", "name", "quantity")[offset : offset + limit]
        return answers.document(request, list(rows))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Add one."""
        name, quantity = contract.read_item(request.body)
        item = Item.objects.create(name=name, quantity=quantity)
        return answers.document(request, item.document(), 201, Location=f"/items/{item.id}")


class OneItem(ContractView):
    """One item."""

    def get(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Tell it."""
        return answers.document(request, found(item_id).document())

    def put(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Replace it."""
        return self.changed(request, item_id, contract.read_item)

    def patch(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Change it."""
        return self.changed(request, item_id, contract.read_change)

    def changed(self, request: HttpRequest, item_id: str, read: Change) -> HttpResponse:
        """Save what is not None."""
        contract.item_id_of(item_id)
        name, quantity = read(request.body)
        item = found(item_id)
        item.name = item.name if name is None else name
        item.quantity = item.quantity if quantity is None else quantity
        item.save(update_fields=["name", "quantity"])
        return answers.document(request, item.document())

    def delete(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Delete it."""
        found(item_id).delete()
        return answers.reply(request, contract.Answer(204, "", b""))


class Raised(ContractView):
    """The quantity of one item."""

    def post(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Raise it by one, under a lock."""
        return answers.document(request, raised_item(item_id).document())


class SlowQuery(ContractView):
    """A question that takes the database long."""

    def get(self, request: HttpRequest, argument: str) -> HttpResponse:
        """Ask it."""
        ms = contract.query_asked(argument)
        slow_query(ms / 1000)
        return answers.reply(request, contract.queried(ms))
