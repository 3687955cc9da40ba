"""A small JSON document for fast clients, while 32 slow ones read 4 MB, and 32 send 256 kB, a little at a time."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Slow, get


class SlowClients(BenchUser):
    """A small JSON document for fast clients, while 32 slow ones read 4 MB, and 32 send 256 kB, a little at a time."""

    requests = (get("/json", expect=b'{"message":"Hello, World!"}'),)
    slow = Slow(readers=32, writers=32)
