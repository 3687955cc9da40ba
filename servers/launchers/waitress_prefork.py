"""Start waitress in one process, or in several that share one listening socket.

Waitress has no process manager: here the parent binds and listens, forks, and passes signals on; each child serves.
Runs inside the server's own environment, so only waitress and the standard library may be imported.
"""

import argparse
import contextlib
import importlib
import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import Any

import waitress


def main() -> None:
    """Read the options, listen once, serve in this process or in forked ones."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    for name in ("port", "workers", "threads", "backlog", "channel-timeout"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("target")
    options = parser.parse_args()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((options.host, options.port))
    listener.listen(options.backlog)
    if options.workers == 1:
        serve(options, listener)
    else:
        supervise([fork(options, listener) for _ in range(options.workers)])


def serve(options: argparse.Namespace, listener: socket.socket) -> None:
    """Import the app and serve it until a signal ends the process."""
    signal.signal(signal.SIGTERM, leave)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    module, _, attribute = options.target.partition(":")
    app: Any = getattr(importlib.import_module(module), attribute)
    waitress.serve(
        app,
        sockets=[listener],
        threads=options.threads,
        backlog=options.backlog,
        connection_limit=2000,
        channel_timeout=options.channel_timeout,
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=True,
        _quiet=True,
    )


def leave(_signal: int, _frame: FrameType | None) -> None:
    """End this process as waitress ends on Ctrl-C."""
    raise SystemExit(0)


def fork(options: argparse.Namespace, listener: socket.socket) -> int:
    """Start one child that serves; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        serve(options, listener)
    finally:
        os._exit(1)


def supervise(children: list[int]) -> None:
    """Pass a stop on to the children; end when the first of them ends, as a lost worker must be noticed."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        for child in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    os.wait()
    stop(signal.SIGTERM, None)


if __name__ == "__main__":
    main()
