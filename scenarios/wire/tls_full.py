"""TLS: a full handshake for each connection, with one small request on it (--protocol https or h2)."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Terms, get


class Full(BenchUser):
    """TLS: a full handshake for each connection, with one small request on it (--protocol https or h2)."""

    terms = Terms(family="one request", unit="handshake", connection="close", protocols=("https", "h2"), at_rate=False)
    connection = "close"
    times_opening = True
    resumes = False
    requests = (get("/plaintext", expect=b"Hello, World!"),)
