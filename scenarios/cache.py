"""A page from the framework's cache, one request in ten for one that it has never seen."""

from __future__ import annotations

import secrets

from sgibench.load.user import Answer, BenchUser, Variant, get

FIRST = secrets.randbelow(900_000_000)
"""Somewhere in very many pages, so that none of those after it was asked for before."""
EXAMPLE = b"<!doctype html>\n" + b"<p>row</p>\n" * 200 + b"</html>\n"


def whole_page(answer: Answer) -> str | None:
    """Whether it is a page from its first to its last line."""
    if not answer.body.startswith(b"<!doctype html>"):
        return f"expected the page to begin with <!doctype html>, but it begins with {answer.body[:40]!r}"
    return None if answer.body.endswith(b"</html>\n") else f"expected </html> at the end, not {answer.body[-40:]!r}"


class Unseen:
    """Makes a request for a page of its own each time, whoever asks."""

    def __init__(self) -> None:
        self._page = FIRST

    def __call__(self, _serial: int) -> Variant:
        """The next one."""
        self._page += 1
        return Variant(path=f"/cached/{self._page}")


class Cache(BenchUser):
    """A page from the framework's cache, one request in ten for one that it has never seen."""

    requests = (
        get("/cached/0", name="/cached hit", weight=9, expect=whole_page, example=EXAMPLE),
        get(f"/cached/{FIRST}", name="/cached miss", weight=1, make=Unseen(), expect=whole_page, example=EXAMPLE),
    )
