"""WebSocket: a message of 100 bytes comes back as text."""

from __future__ import annotations

from sgibench.load.websocket import Terms, WebSocketUser, echo


class Echo(WebSocketUser):
    """WebSocket: a message of 100 bytes comes back as text."""

    terms = Terms(unit="message", protocols=("http",), family="echo 100 bytes")
    requests = (echo("0123456789" * 10, name="text"),)
