"""HTML pages, as several scenarios ask for them: what a whole one is, and pages that nobody has asked for before.

Imported by scenario files beside `BenchUser`, so that what they have in common is said once.
"""

from __future__ import annotations

import secrets

from sgibench.load.request import Variant
from sgibench.load.wire.answer import Answer

BEGIN, END = b"<!doctype html>", b"</html>\n"
NUMBER = b", page "
"""What stands before a page's number in its title."""


def page_of(rows: int) -> bytes:
    """Write a page for the null server, about as long as a real one with so many rows."""
    return BEGIN + b"\n" + b"<p>row</p>\n" * rows + END


def whole_page(answer: Answer) -> str | None:
    """Whether it is a page from its first to its last line."""
    return whole(answer.body)


def whole(body: bytes) -> str | None:
    """Say what is wrong with a page; None when it is whole."""
    if not body.startswith(BEGIN):
        return f"expected the page to begin with {BEGIN.decode()}, but it begins with {body[:40]!r}"
    return None if body.endswith(END) else f"expected the page to end with </html>, but it ends with {body[-40:]!r}"


class numbered:  # noqa: N801 - reads as a sentence where it is used
    """Check that a whole page is the one with this number, where it says which it is: the null server's do not."""

    __slots__ = ("_said",)

    def __init__(self, page: int) -> None:
        self._said = b"%b%d<" % (NUMBER, page)

    def __call__(self, answer: Answer) -> str | None:
        """None when it is."""
        at = answer.body.find(NUMBER)
        if at < 0 or answer.body.startswith(self._said, at):
            return whole(answer.body)
        return f"expected the page with {self._said!r} in its title, but it has {answer.body[at : at + 20]!r}"


class Unseen:
    """Makes a request for a page of its own each time: `{path}{number}`, whoever asks.

    The first number lies somewhere in very many, so that none of those after it was asked for by an earlier run.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._page = secrets.randbelow(900_000_000)

    @property
    def first(self) -> str:
        """Where it begins."""
        return f"{self._path}{self._page}"

    def __call__(self, _serial: int) -> Variant:
        """The next one."""
        self._page += 1
        return Variant(path=self.first, expect=numbered(self._page))
