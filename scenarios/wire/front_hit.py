"""A page that a front's cache holds (nginx-cache+SERVER): what it costs to have it from there."""

from __future__ import annotations

from sgibench.load.pages import page_of, whole_page
from sgibench.load.user import BenchUser, Terms, Watched, get


class FrontHit(BenchUser):
    """A page that a front's cache holds (nginx-cache+SERVER): what it costs to have it from there."""

    terms = Terms(family="a page that a front may keep")
    requests = (get("/noted/0", expect=whole_page, example=page_of(rows=100)),)
    watched = Watched(noted=True)
