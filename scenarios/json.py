"""A small JSON document, serialised for every request: the smallest useful API."""

from __future__ import annotations

from sgibench.load.user import BenchUser, get


class Json(BenchUser):
    """A small JSON document, serialised for every request: the smallest useful API."""

    requests = (get("/json", expect=b'{"message":"Hello, World!"}'),)
