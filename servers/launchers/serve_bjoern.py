"""Bjoern on a given socket."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import bjoern


def serve(listener: socket.socket, load: Callable[[], Any], _options: Any) -> None:
    """Serve from its C loop, which wants a socket that doesn't block."""
    listener.settimeout(0)
    bjoern.server_run(listener, load())
