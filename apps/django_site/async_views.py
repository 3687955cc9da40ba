"""Views of the ASGI app, coroutines all: Django's class-based views, ORM and templates; the rest is the contract's."""

# mypy: disable-error-code="import-not-found,misc,no-any-return"
from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import ClassVar

import caching
import contract
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.views import View
from jobs import Job, do, handed
from waiting import waited

from django_site import answers
from django_site.models import Item, raised_item, slow_query

Change = Callable[[bytes], tuple[str | None, int | None]]


async def reply(request: HttpRequest, answer: contract.Answer | contract.Parts) -> HttpResponse:
    """Make an answer of the contract Django's."""
    if isinstance(answer, contract.Parts):
        return answers.streamed(request, answer, paused(answer))
    if answer.wait_s:
        await waited(answer)
    return answers.reply(request, answer)


async def paused(answer: contract.Parts) -> AsyncIterator[bytes]:
    """Wait between two parts."""
    for index, part in enumerate(answer.parts):
        if index and answer.pause_s:
            await asyncio.sleep(answer.pause_s)
        yield part


async def found(item_id: str) -> Item:
    """Get an item, or refuse."""
    try:
        return await Item.objects.aget(pk=contract.item_id_of(item_id))
    except Item.DoesNotExist:
        raise contract.Refusal(404, "no such item") from None


class ContractView(View):
    """Any view: methods that it has no answer for are refused as the contract has it."""

    http_method_names: ClassVar[list[str]] = ["get", "head", "post", "put", "patch", "delete"]

    async def http_method_not_allowed(self, request: HttpRequest, *_args: object, **_kwargs: object) -> HttpResponse:
        """Name the right methods."""
        return answers.unmatched(request)


class Plaintext(ContractView):
    """Greets."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Greet."""
        return answers.without_body(request, HttpResponse("Hello, World!", content_type=contract.TEXT))


class Document(ContractView):
    """A small document."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Serialise it."""
        return answers.document(request, {"message": "Hello, World!"})


class Page(ContractView):
    """The page."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Render it."""
        return answers.page(request)


class Cached(ContractView):
    """The page from Django's cache."""

    async def get(self, request: HttpRequest, argument: str) -> HttpResponse:
        """Send it; it is rendered and kept when it isn't there."""
        number = contract.page_number(argument)
        caching.ASKED()
        page = await cache.aget_or_set(caching.key_of(number), functools.partial(answers.rendered, number))
        return answers.without_body(request, HttpResponse(page, content_type=contract.HTML))


class Contracted(ContractView):
    """A view whose answer is a handler of the contract."""

    handler: contract.Handler = staticmethod(contract.get_pid)

    async def get(self, request: HttpRequest, argument: str = "") -> HttpResponse:
        """Answer."""
        return await reply(request, self.handler(argument, request.META["QUERY_STRING"], b""))


RUNNING: set[asyncio.Task[None]] = set()
"""Jobs that threads are at, held here because the event loop holds tasks only weakly."""


def in_thread(job: Job) -> None:
    """Have a job done by a thread of the loop's pool."""
    task = asyncio.get_running_loop().create_task(asyncio.to_thread(do, job))
    RUNNING.add(task)
    task.add_done_callback(RUNNING.discard)


class Jobs(ContractView):
    """Where jobs are handed in."""

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Have one done in a thread, or hand it to Celery where there is Redis."""
        query, body = request.META["QUERY_STRING"], request.body
        if answers.queue is contract:
            return await reply(request, handed(query, body, in_thread))
        return await reply(request, await asyncio.to_thread(answers.queue.post_job, "", query, body))


class OneJob(ContractView):
    """A job that was handed in."""

    async def get(self, request: HttpRequest, job_id: str) -> HttpResponse:
        """Tell what became of it."""
        return await reply(request, await asyncio.to_thread(answers.queue.get_job, job_id, "", b""))


class Posted(ContractView):
    """A view that is sent a body."""

    handler: contract.Handler = staticmethod(contract.post_echo)

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return await reply(request, self.handler("", "", request.body))


class Items(ContractView):
    """All items."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """List them."""
        limit, offset = contract.page_asked(request.META["QUERY_STRING"])
        rows = Item.objects.values("id", "name", "quantity")[offset : offset + limit]
        return answers.document(request, [row async for row in rows])

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Add one."""
        name, quantity = contract.read_item(request.body)
        item = await Item.objects.acreate(name=name, quantity=quantity)
        return answers.document(request, item.document(), 201, Location=f"/items/{item.id}")


class OneItem(ContractView):
    """One item."""

    async def get(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Tell it."""
        return answers.document(request, (await found(item_id)).document())

    async def put(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Replace it."""
        return await self.changed(request, item_id, contract.read_item)

    async def patch(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Change it."""
        return await self.changed(request, item_id, contract.read_change)

    async def changed(self, request: HttpRequest, item_id: str, read: Change) -> HttpResponse:
        """Save what is not None."""
        contract.item_id_of(item_id)
        name, quantity = read(request.body)
        item = await found(item_id)
        item.name = item.name if name is None else name
        item.quantity = item.quantity if quantity is None else quantity
        await item.asave(update_fields=["name", "quantity"])
        return answers.document(request, item.document())

    async def delete(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Delete it."""
        await (await found(item_id)).adelete()
        return answers.reply(request, contract.Answer(204, "", b""))


class Raised(ContractView):
    """The quantity of one item."""

    async def post(self, request: HttpRequest, item_id: str) -> HttpResponse:
        """Raise it by one, in a thread, because a transaction of Django's can't be awaited."""
        item = await sync_to_async(raised_item)(item_id)
        return answers.document(request, item.document())


class SlowQuery(ContractView):
    """A question that takes the database long."""

    async def get(self, request: HttpRequest, argument: str) -> HttpResponse:
        """Ask it."""
        ms = contract.query_asked(argument)
        await sync_to_async(slow_query)(ms / 1000)
        return answers.reply(request, contract.queried(ms))
