"""Where servers listen: loopback only, each on a port that nobody else has."""

from __future__ import annotations

import socket
from collections import deque

HOST = "127.0.0.1"

_LATELY: deque[int] = deque(maxlen=256)
"""Ports that were given out lately: the servers that got them may not listen yet, and two that share one by
SO_REUSEPORT would both seem to answer."""


def free_port() -> int:
    """Ask the system for a port that nobody uses, and that was not given to another server just now."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in _LATELY:
            _LATELY.append(port)
            return port
