"""An HTML page rendered from a template and data: the classic web site."""

from __future__ import annotations

from sgibench.load.user import Answer, BenchUser, get


def whole_page(answer: Answer) -> str | None:
    """Whether it is a page from its first to its last line."""
    if not answer.body.startswith(b"<!doctype html>"):
        return f"expected the page to begin with <!doctype html>, but it begins with {answer.body[:40]!r}"
    if not answer.body.endswith(b"</html>\n"):
        return f"expected the page to end with </html>, but it ends with {answer.body[-40:]!r}"
    if answer.header("content-length") != str(len(answer.body)):
        return f"expected Content-Length {len(answer.body)}, but it is {answer.header('content-length')}"
    return None


class Page(BenchUser):
    """An HTML page rendered from a template and data: the classic web site."""

    requests = (get("/page", expect=whole_page, example=b"<!doctype html>\n" + b"<p>row</p>\n" * 200 + b"</html>\n"),)
