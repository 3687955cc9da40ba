"""WebSocket: one connection sends 1 KiB of text, all of them hear it, compressed (permessage-deflate)."""

from __future__ import annotations

from sgibench.load.websocket import WebSocketUser


class BroadcastDeflate(WebSocketUser):
    """WebSocket: one connection sends 1 KiB of text, all of them hear it, compressed (permessage-deflate)."""

    path = "/ws/broadcast"
    deflate = True
    broadcast_bytes = 1024
    broadcast_text = True
