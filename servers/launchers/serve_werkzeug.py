"""Werkzeug's development server on a given socket, a new thread for each connection."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

from werkzeug.serving import make_server


def serve(listener: socket.socket, load: Callable[[], Any], _options: Any) -> None:
    """Serve without its line for each request."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = listener.getsockname()
    make_server(host, port, load(), threaded=True, fd=listener.fileno()).serve_forever()
