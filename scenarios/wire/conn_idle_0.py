"""Small JSON on 32 busy connections with no idle one beside them: what conn_idle_1000 is to be compared with."""

from __future__ import annotations

from sgibench.load.user import BenchUser, Terms, get


class Idle0(BenchUser):
    """Small JSON on 32 busy connections with no idle one beside them: what conn_idle_1000 is to be compared with."""

    terms = Terms(
        family="beside idle connections", connections=32, connection="keep-alive", protocols=("http", "https")
    )
    requests = (get("/json", expect=b'{"message":"Hello, World!"}'),)
