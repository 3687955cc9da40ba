"""Messages over WebSocket come back: short ones as text, and a kibibyte of bytes."""

from __future__ import annotations

from sgibench.load.websocket import WebSocketUser, echo


class WebSocket(WebSocketUser):
    """Messages over WebSocket come back: short ones as text, and a kibibyte of bytes."""

    requests = (echo("Hello, World!", weight=3, name="text"), echo(bytes(range(256)) * 4, name="bytes"))
