"""Thirteen bytes of text: what a server itself costs, with next to no app behind it."""

from __future__ import annotations

from sgibench.load.user import BenchUser, get


class Plaintext(BenchUser):
    """Thirteen bytes of text: what a server itself costs, with next to no app behind it."""

    requests = (get("/plaintext", expect=b"Hello, World!"),)
