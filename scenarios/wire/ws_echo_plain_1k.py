"""WebSocket: the document of ws_echo_deflate, not compressed."""

from __future__ import annotations

from sgibench.load.websocket import WebSocketUser, echo


class EchoPlain(WebSocketUser):
    """WebSocket: the document of ws_echo_deflate, not compressed."""

    requests = (echo(",".join(f'{{"id":{n},"name":"Item {n}","quantity":7}}' for n in range(26))[:1024], name="1 KiB"),)
