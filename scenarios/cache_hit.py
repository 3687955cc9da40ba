"""A page that the framework's cache holds: what it costs to have it from there."""

from __future__ import annotations

from sgibench.load.pages import numbered, page_of
from sgibench.load.user import BenchUser, Variant, get

PAGES = 50


class CacheHit(BenchUser):
    """A page that the framework's cache holds: what it costs to have it from there."""

    requests = (
        get(
            "/cached/0",
            name="/cached hit",
            variants=tuple(Variant(path=f"/cached/{page}", expect=numbered(page)) for page in range(PAGES)),
            expect=numbered(0),
            example=page_of(rows=200),
            example_type="text/html; charset=utf-8",
        ),
    )
