"""A new connection for each small request, without TLS: what tls_full and tls_resumed are to be compared with."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Terms, get


class New(BenchUser):
    """A new connection for each small request, without TLS: what tls_full and tls_resumed are to be compared with."""

    terms = Terms(family="one request", unit="connection", connection="close", protocols=("http", "h2c"), at_rate=False)
    connection = "close"
    times_opening = True
    requests = (get("/plaintext", expect=b"Hello, World!"),)
