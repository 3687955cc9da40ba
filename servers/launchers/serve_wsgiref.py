"""wsgiref, the standard library's own server, on a given socket: one request at a time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class Quiet(WSGIRequestHandler):
    """No line for each request."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gives it
        """Write nothing."""


def serve(listener: socket.socket, load: Callable[[], Any], _options: Any) -> None:
    """Serve."""
    server = WSGIServer(listener.getsockname(), Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = listener.getsockname()
    server.setup_environ()
    server.set_app(load())
    server.serve_forever()
