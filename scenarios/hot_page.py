"""One page that everybody wants and that takes 50 ms to make: how many requests reach the app."""

from __future__ import annotations

from sgibench.load.user import Answer, BenchUser, Watched, get


def whole_page(answer: Answer) -> str | None:
    """Whether it is a page from its first to its last line."""
    whole = answer.body.startswith(b"<!doctype html>") and answer.body.endswith(b"</html>\n")
    return None if whole else f"expected a whole page, but {answer.body[:40]!r} came"


class HotPage(BenchUser):
    """One page that everybody wants and that takes 50 ms to make: how many requests reach the app."""

    requests = (
        get("/noted/50", expect=whole_page, example=b"<!doctype html>\n" + b"<p>row</p>\n" * 100 + b"</html>\n"),
    )
    # nginx keeps what it may keep for a second for up to two: so there are three expiries at least.
    watched = Watched(noted=True, wants_s=7.0)
