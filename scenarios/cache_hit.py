"""A page that the framework's cache holds: what it costs to have it from there."""

from __future__ import annotations

from sgibench.load.user import Answer, BenchUser, Variant, get

PAGES = 50


def whole_page(answer: Answer) -> str | None:
    """Whether it is a page from its first to its last line."""
    if not answer.body.startswith(b"<!doctype html>"):
        return f"expected the page to begin with <!doctype html>, but it begins with {answer.body[:40]!r}"
    return None if answer.body.endswith(b"</html>\n") else f"expected </html> at the end, not {answer.body[-40:]!r}"


class CacheHit(BenchUser):
    """A page that the framework's cache holds: what it costs to have it from there."""

    requests = (
        get(
            "/cached/0",
            name="/cached hit",
            variants=tuple(Variant(path=f"/cached/{page}") for page in range(PAGES)),
            expect=whole_page,
            example=b"<!doctype html>\n" + b"<p>row</p>\n" * 200 + b"</html>\n",
            example_type="text/html; charset=utf-8",
        ),
    )
