"""Waitress on a given socket, with its limits raised where the options say so."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

import waitress


def serve(listener: socket.socket, load: Callable[[], Any], options: Any) -> None:
    """Serve; its warning about every queued task is silenced, as it would be one line for each request."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    settings: dict[str, Any] = {"threads": options.threads, "channel_timeout": options.keep_alive_s}
    if "connection_limit" in options.settings:
        settings |= {"connection_limit": int(options.settings["connection_limit"]), "asyncore_use_poll": True}
    waitress.serve(
        load(),
        sockets=[listener],
        clear_untrusted_proxy_headers=True,
        _quiet=True,
        **{name: value for name, value in settings.items() if value is not None},
    )
