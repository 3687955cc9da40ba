"""One of several servers behind a balancer is killed and comes back: what is lost, and for how long."""

from __future__ import annotations

from sgibench.load.pages import page_of, whole_page
from sgibench.load.user import BenchUser, Incident, Watched, get, post

PAGE = page_of(rows=100)


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
