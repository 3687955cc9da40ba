"""Uvicorn's own command, with TCP_NODELAY on the socket that several workers share.

The workers inherit a socket whose protocol number is 0, so asyncio can't tell that it is TCP and doesn't set the option
on accepted connections. Linux lets them inherit it from the listening socket; nothing else is changed.
"""

from __future__ import annotations

import socket

import uvicorn
from uvicorn.config import Config

original = Config.bind_socket


def bind_socket(self: Config) -> socket.socket:
    """Bind as uvicorn does, then set the option."""
    listener: socket.socket = original(self)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


if __name__ == "__main__":
    Config.bind_socket = bind_socket
    uvicorn.main()
