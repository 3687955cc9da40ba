"""One page that everybody wants and that takes 50 ms to make: how many requests reach the app."""

from __future__ import annotations

from sgibench.load.pages import page_of, whole_page
from sgibench.load.user import BenchUser, Watched, get


class HotPage(BenchUser):
    """One page that everybody wants and that takes 50 ms to make: how many requests reach the app."""

    requests = (get("/noted/50", expect=whole_page, example=page_of(rows=100)),)
    # nginx keeps what it may keep for a second for up to two: so there are three expiries at least.
    watched = Watched(noted=True, wants_s=7.0)
