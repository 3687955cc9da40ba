"""WebSocket: one connection sends 64 KiB, all of them hear it."""

from __future__ import annotations

from sgibench.load.websocket import WebSocketUser


class Broadcast64K(WebSocketUser):
    """WebSocket: one connection sends 64 KiB, all of them hear it."""

    path = "/ws/broadcast"
    broadcast_bytes = 65536
