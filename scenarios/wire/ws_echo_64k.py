"""WebSocket: a message of 64 KiB comes back as binary."""

from __future__ import annotations

from sgibench.load.websocket import WebSocketUser, echo


class Echo64K(WebSocketUser):
    """WebSocket: a message of 64 KiB comes back as binary."""

    requests = (echo(bytes(range(256)) * 256, name="64 KiB"),)
