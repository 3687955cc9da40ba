"""One of several servers behind a balancer is killed and comes back: what is lost, and for how long."""

from __future__ import annotations

from sgibench.load.user import Answer, BenchUser, Incident, Watched, get, post


def whole_page(answer: Answer) -> str | None:
    """Whether it is a page from its first to its last line."""
    whole = answer.body.startswith(b"<!doctype html>") and answer.body.endswith(b"</html>\n")
    return None if whole else f"expected a whole page, but {answer.body[:40]!r} came"


PAGE = b"<!doctype html>\n" + b"<p>row</p>\n" * 100 + b"</html>\n"


class Failover(BenchUser):
    """One of several servers behind a balancer is killed and comes back: what is lost, and for how long."""

    requests = (
        get("/noted/5", weight=3, expect=whole_page, example=PAGE),
        post("/noted/5", weight=1, body=b"order", expect=whole_page, example=PAGE),
    )
    floor_s = 0.005
    watched = Watched(
        incidents=(Incident(at=0.3, do="kill"), Incident(at=0.6, do="start")), servers=2, noted=True, wants_s=5.0
    )
