"""A slow query beside fast ones: one request in ten keeps the database busy for 20 ms, nine read one item."""

from __future__ import annotations

from sgibench.load.user import BenchUser, get


class DbSlow(BenchUser):
    """A slow query beside fast ones: one request in ten keeps the database busy for 20 ms, nine read one item."""

    requests = (
        get("/items/4", name="/items/{id}", weight=9, expect=b'{"id":4,"name":"Item 4","quantity":28}'),
        get("/query/20", weight=1, expect=b"queried 20 ms", least_s=0.02),
    )
