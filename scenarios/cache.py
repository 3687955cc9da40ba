"""A page from the framework's cache, one request in ten for one that it has never seen."""

from __future__ import annotations

from sgibench.load.pages import Unseen, numbered, page_of, whole_page
from sgibench.load.user import BenchUser, get

PAGE = page_of(rows=200)
NEXT = Unseen("/cached/")


class Cache(BenchUser):
    """A page from the framework's cache, one request in ten for one that it has never seen."""

    requests = (
        get("/cached/0", name="/cached hit", weight=9, expect=numbered(0), example=PAGE),
        get(NEXT.first, name="/cached miss", weight=1, make=NEXT, expect=whole_page, example=PAGE),
    )
