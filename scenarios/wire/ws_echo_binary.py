"""WebSocket: a message of 100 bytes comes back as binary."""

from __future__ import annotations

from sgibench.load.websocket import Terms, WebSocketUser, echo


class EchoBinary(WebSocketUser):
    """WebSocket: a message of 100 bytes comes back as binary."""

    terms = Terms(unit="message", protocols=("http",), family="echo 100 bytes")
    requests = (echo(bytes(range(100)), name="binary"),)
