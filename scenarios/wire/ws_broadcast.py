"""WebSocket: one connection sends 100 bytes of text, all of them hear it (--connections 8,64,512)."""

from __future__ import annotations

from sgibench.load.websocket import WebSocketUser


class Broadcast(WebSocketUser):
    """WebSocket: one connection sends 100 bytes of text, all of them hear it (--connections 8,64,512)."""

    path = "/ws/broadcast"
    broadcast_bytes = 100
    broadcast_text = True
