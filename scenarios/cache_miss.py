"""A page that the framework's cache has never seen: what it costs to render it and to have the cache keep it."""

from __future__ import annotations

from sgibench.load.pages import Unseen, page_of, whole_page
from sgibench.load.user import BenchUser, get

NEXT = Unseen("/cached/")


class CacheMiss(BenchUser):
    """A page that the framework's cache has never seen: what it costs to render it and to have the cache keep it."""

    requests = (
        get(
            NEXT.first,
            name="/cached miss",
            make=NEXT,
            expect=whole_page,
            example=page_of(rows=200),
            example_type="text/html; charset=utf-8",
        ),
    )
