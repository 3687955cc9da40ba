"""WebSocket: the document of ws_echo_deflate, not compressed."""

from __future__ import annotations

from sgibench.load.websocket import Terms, WebSocketUser, echo


class EchoPlain(WebSocketUser):
    """WebSocket: the document of ws_echo_deflate, not compressed."""

    terms = Terms(unit="message", protocols=("http",), family="echo 1 KiB")
    requests = (echo(",".join(f'{{"id":{n},"name":"Item {n}","quantity":7}}' for n in range(26))[:1024], name="1 KiB"),)
