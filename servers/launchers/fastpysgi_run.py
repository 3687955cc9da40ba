"""FastPySGI with the settings that its own command has no options for; it forks its workers itself."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from types import FrameType
from typing import Any

import fastpysgi


def main() -> None:
    """Set it up and run it until a signal ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--backlog", type=int)
    parser.add_argument("--nodelay", action="store_true")
    parser.add_argument("target")
    options = parser.parse_args()
    if options.backlog is not None:
        fastpysgi.server.backlog = options.backlog
    if options.nodelay:
        fastpysgi.server.tcp_nodelay = 1
    if options.workers > 1:
        pass_stop_on()
    module, _, attribute = options.target.partition(":")
    app: Any = getattr(importlib.import_module(module), attribute)
    fastpysgi.run(app, options.host, options.port, workers=options.workers)


def pass_stop_on() -> None:
    """It passes on Ctrl-C only: pass SIGTERM on too, from the process that started the workers."""
    parent = os.getpid()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if os.getpid() == parent:
            for worker in fastpysgi.server.worker_list:
                os.kill(worker, signal.SIGKILL)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)


if __name__ == "__main__":
    main()
