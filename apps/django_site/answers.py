"""Answers of the contract as Django's responses, for the views of both interfaces."""

# mypy: disable-error-code="import-not-found,misc,no-any-return"
from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import caching
import contract
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

queue: Any = importlib.import_module("jobs_celery" if caching.redis_url() else "contract")


def reply(request: HttpRequest, answer: contract.Answer) -> HttpResponse:
    """Make a whole answer Django's; a HEAD gets the length and no body."""
    body = b"" if request.method == "HEAD" else answer.body
    response = HttpResponse(
        body, status=answer.status, content_type=answer.content_type or None, headers=dict(answer.extra)
    )
    if answer.status == 204:  # noqa: PLR2004 - the one status without content
        del response.headers["Content-Type"]
        response.headers.pop("Content-Length", None)
    else:
        response.headers["Content-Length"] = str(len(answer.body))
    return response


def streamed(
    request: HttpRequest, answer: contract.Parts, parts: Iterator[bytes] | AsyncIterator[bytes]
) -> HttpResponse:
    """Send a file or events piece by piece."""
    if request.method == "HEAD":
        parts = nothing() if isinstance(parts, AsyncIterator) else iter(())
    response = StreamingHttpResponse(parts, content_type=answer.content_type)
    if answer.length is not None:
        response.headers["Content-Length"] = str(answer.length)
    return response


async def nothing() -> AsyncIterator[bytes]:
    """No part at all."""
    parts: tuple[bytes, ...] = ()
    for part in parts:
        yield part


def document(request: HttpRequest, content: Any, status: int = 200, **headers: str) -> HttpResponse:
    """Serialise with Django's own encoder, compactly."""
    made = JsonResponse(
        content, status=status, safe=False, json_dumps_params={"separators": (",", ":")}, headers=headers
    )
    return without_body(request, made)


def page(request: HttpRequest) -> HttpResponse:
    """Render a template."""
    return without_body(request, render(request, "page.html", contract.page_data(), content_type=contract.HTML))


def rendered(number: int) -> str:
    """Render a page, when the cache hasn't got it."""
    caching.MISSED()
    return str(render_to_string("page.html", contract.page_data(number)))


def without_body(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Leave the body of a HEAD out, and its length in."""
    response.headers["Content-Length"] = str(len(response.content))
    if request.method == "HEAD":
        response.content = b""
    return response


def unmatched(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Refuse what no address or method is for."""
    del exception
    return reply(request, contract.unmatched(request.method, request.path))


class Refusals:
    """The middleware that says no where a view refuses; it waits in neither interface."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Pass on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a refusal; leave everything else to Django."""
        return reply(request, exception.answer) if isinstance(exception, contract.Refusal) else None
