"""Serve an app in one process, or in several that share one listening socket, for servers with no manager of their own.

The parent binds and listens, forks, and passes a stop on; each child serves. With one worker nothing is forked. How a
server is run on a socket stands in a file of its own, given by `--serve`: a function `serve(listener, load, options)`,
where `load()` imports the app. It runs inside the server's environment: standard library and that server only.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol


@dataclass(frozen=True)  # not kw_only: an app's own environment may have Python 3.9
class Options:
    """What a serve function may want to know; None means the server's own default."""

    target: str
    threads: int | None
    keep_alive_s: int | None
    backlog: int
    settings: dict[str, str] = field(default_factory=dict)


class Serve(Protocol):
    """Serve until a signal ends the process."""

    def __call__(self, listener: socket.socket, load: Callable[[], Any], options: Options) -> None:
        """`load` imports the app, so that a server may prepare the interpreter before."""


def main() -> None:
    """Read the options, listen once, serve in this process or in forked ones."""
    given = read_arguments()
    options = Options(
        target=given.target,
        threads=given.threads,
        keep_alive_s=given.keep_alive,
        backlog=given.backlog,
        settings=dict(word.split("=", 1) for word in given.set),
    )
    serve = load_serve(Path(given.serve))
    if given.uds:
        listener = listen_locally(given.uds, given.backlog)
    else:
        listener = listen(given.host, given.port, given.backlog, nodelay=given.nodelay)
    if given.workers == 1:
        run(serve, listener, options)
    else:
        supervise([fork(serve, listener, options) for _ in range(given.workers)])


def read_arguments() -> argparse.Namespace:
    """The command line as the declarations write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", required=True, help="file with the function serve(listener, load, options)")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--uds", help="a Unix socket, instead of host and port")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--backlog", type=int, required=True)
    parser.add_argument("--nodelay", action="store_true", help="set TCP_NODELAY, which accepted sockets inherit")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep-alive", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="for the serve function")
    parser.add_argument("target")
    return parser.parse_args()


def load_serve(path: Path) -> Serve:
    """Load the serve function by path, so that no folder joins the app's import path."""
    spec = importlib.util.spec_from_file_location(f"_launcher_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Serve = module.serve
    return function


def listen(host: str, port: int, backlog: int, *, nodelay: bool) -> socket.socket:
    """The one listening socket."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if nodelay:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind((host, port))
    listener.listen(backlog)
    return listener


def listen_locally(path: str, backlog: int) -> socket.socket:
    """The one listening socket, as a Unix socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(backlog)
    return listener


def run(serve: Serve, listener: socket.socket, options: Options) -> None:
    """Serve in this process."""

    def load() -> Any:
        module, _, attribute = options.target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    serve(listener, load, options)


def fork(serve: Serve, listener: socket.socket, options: Options) -> int:
    """Start one child that serves; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        run(serve, listener, options)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
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
