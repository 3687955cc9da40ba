"""WebSocket: a document of 1 KiB comes back as text, compressed both ways (permessage-deflate)."""

from __future__ import annotations

from sgibench.load.websocket import Terms, WebSocketUser, echo


class EchoDeflate(WebSocketUser):
    """WebSocket: a document of 1 KiB comes back as text, compressed both ways (permessage-deflate)."""

    terms = Terms(unit="message", protocols=("http",), family="echo 1 KiB")
    deflate = True
    requests = (echo(",".join(f'{{"id":{n},"name":"Item {n}","quantity":7}}' for n in range(26))[:1024], name="1 KiB"),)
