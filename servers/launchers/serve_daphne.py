"""Daphne on a given socket, through the option of its own command that takes one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any


def serve(listener: socket.socket, _load: Callable[[], Any], options: Any) -> None:
    """Serve; it imports the app itself.

    Daphne is imported here, after the fork, because it makes Twisted's reactor, which must not be shared.
    """
    from daphne.cli import CommandLineInterface  # noqa: PLC0415 - see above

    listener.settimeout(0)
    CommandLineInterface().run([f"--fd={listener.fileno()}", "--verbosity=0", options.target])
