"""The request of conn_new on connections that are kept alive."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Terms, get


class Kept(BenchUser):
    """The request of conn_new on connections that are kept alive."""

    terms = Terms(family="one request", connection="keep-alive", protocols=("http", "https", "h2c", "h2"))
    requests = (get("/plaintext", expect=b"Hello, World!"),)
