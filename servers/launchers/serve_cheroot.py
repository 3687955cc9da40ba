"""Cheroot on a given socket: handed over as systemd's socket activation does, since it takes no socket otherwise."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from cheroot import wsgi

FIRST_PASSED = 3
"""sd_listen_fds(3): passed descriptors start here, and LISTEN_PID says that there are some."""


def serve(listener: socket.socket, load: Callable[[], Any], options: Any) -> None:
    """Serve with a pool of fixed size, or with the default pool."""
    settings: dict[str, Any] = {"request_queue_size": options.backlog}
    if options.threads is not None:
        settings |= {"numthreads": options.threads, "max": options.threads}
    if options.keep_alive_s is not None:
        settings["timeout"] = options.keep_alive_s
    server = wsgi.Server(listener.getsockname(), load(), **settings)
    if "kept_alive" in options.settings:
        server.keep_alive_conn_limit = int(options.settings["kept_alive"])
    os.dup2(listener.fileno(), FIRST_PASSED)
    os.environ["LISTEN_PID"] = str(os.getpid())
    server.start()
