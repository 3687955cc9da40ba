"""WebSocket: a message of 100 bytes comes back as binary."""

from __future__ import annotations

from sgibench.load.websocket import WebSocketUser, echo


class EchoBinary(WebSocketUser):
    """WebSocket: a message of 100 bytes comes back as binary."""

    requests = (echo(bytes(range(100)), name="binary"),)
