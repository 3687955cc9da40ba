"""TLS: each connection takes up the session of the one before, with one small request on it (--protocol https)."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Terms, get


class Resumed(BenchUser):
    """TLS: each connection takes up the session of the one before, with one small request on it (--protocol https)."""

    terms = Terms(family="one request", unit="handshake", connection="close", protocols=("https",), at_rate=False)
    connection = "close"
    times_opening = True
    resumes = True
    requests = (get("/plaintext", expect=b"Hello, World!"),)
