"""WebSocket: 10 sockets echo 100 bytes as fast as they can beside 1,000 that are open and say nothing."""

from __future__ import annotations

from sgibench.load.websocket import Terms, WebSocketUser, echo, idle_sockets


class Idle(WebSocketUser):
    """WebSocket: 10 sockets echo 100 bytes as fast as they can beside 1,000 that are open and say nothing."""

    terms = Terms(unit="message", protocols=("http",), connections=10)
    beside = idle_sockets(1000)
    requests = (echo("0123456789" * 10, name="text"),)
