"""WebSocket: a message of 100 bytes comes back as text."""

from __future__ import annotations

from sgibench.load.websocket import WebSocketUser, echo


class Echo(WebSocketUser):
    """WebSocket: a message of 100 bytes comes back as text."""

    requests = (echo("0123456789" * 10, name="text"),)
