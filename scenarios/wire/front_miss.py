"""A page that a front's cache has never seen: what it costs to look for it, have it made, and keep it."""

from __future__ import annotations

from sgibench.load.pages import Unseen, page_of, whole_page
from sgibench.load.user import BenchUser, Terms, Watched, get

NEXT = Unseen("/noted/0?page=")


class FrontMiss(BenchUser):
    """A page that a front's cache has never seen: what it costs to look for it, have it made, and keep it."""

    terms = Terms(family="a page that a front may keep")
    requests = (get(NEXT.first, name="/noted/0 unseen", make=NEXT, expect=whole_page, example=page_of(rows=100)),)
    watched = Watched(noted=True)
