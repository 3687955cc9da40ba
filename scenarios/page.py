"""An HTML page rendered from a template and data: the classic web site."""

from __future__ import annotations

from sgibench.load.pages import page_of, whole_page
from sgibench.load.user import Answer, BenchUser, get


def page_with_length(answer: Answer) -> str | None:
    """Whether it is a whole page, and its length stands before it."""
    said, length = answer.header("content-length"), len(answer.body)
    return whole_page(answer) or (
        None if said == str(length) else f"expected Content-Length {length}, but it is {said}"
    )


class Page(BenchUser):
    """An HTML page rendered from a template and data: the classic web site."""

    requests = (get("/page", expect=page_with_length, example=page_of(rows=200)),)
