"""Small JSON on 32 busy connections beside 5,000 that are kept alive and idle."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Beside, Terms, get

JSON = get("/json", expect=b'{"message":"Hello, World!"}')


class Idle5000(BenchUser):
    """Small JSON on 32 busy connections beside 5,000 that are kept alive and idle."""

    terms = Terms(
        family="beside idle connections", connections=32, connection="keep-alive", protocols=("http", "https")
    )
    beside = Beside(count=5000, asks=JSON)
    requests = (JSON,)
