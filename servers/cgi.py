"""CGI, the interface of 1993: for each request fcgiwrap starts a process, in which wsgiref runs the app."""

from sgibench.model import Expected, Launch, Need, Server, Variant

SCRIPT = """\
#!/usr/bin/env python3
import importlib
import os
import struct
import time
from wsgiref.handlers import CGIHandler

module, _, attribute = os.environ["SGIBENCH_TARGET"].partition(":")
CGIHandler().run(getattr(importlib.import_module(module), attribute))
spent = os.open(os.environ["SGIBENCH_DATA"] + "/spent", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(spent, struct.pack("=qq", time.monotonic_ns(), time.process_time_ns()))
"""
"""It notes at its end what CPU it used: who started it does not look, and the kernel forgets."""


def command(launch: Launch) -> list[str]:
    """Start fcgiwrap through a launcher that says which app there is; as many at once as others have threads."""
    return [
        launch.python,
        "-P",
        str(launch.launchers / "cgi_run.py"),
        f"--socket={launch.socket}",
        f"--workers={launch.workers}",
        f"--threads={launch.threads if launch.equal else 1}",
        launch.target,
    ]


def expect(_launch: Launch) -> Expected:
    """Some wrappers; the processes that serve requests are there no longer than that."""
    return Expected(threads=(1, 1))


SERVER = Server(
    homepage="https://docs.python.org/3/library/wsgiref.html#wsgiref.handlers.CGIHandler",
    command=command,
    expect=expect,
    verified="2026-11-26, CPython 3.11.7, fcgiwrap 1.1.0, Debian 12",
    variants=(
        Variant(
            id="cgi",
            interface="wsgi",
            concurrency="processes",
            packages=(),
            needs=(Need(name="fcgiwrap", how="apt-get install fcgiwrap"),),
            files={"app.cgi": SCRIPT},
            script="app.cgi",
            unix=True,
            behind="fastcgi",
            front="nginx-cgi",
            threads=True,
            optional="it starts Python and imports the app for each request",
            summary="A new Python process for each request, by fcgiwrap and wsgiref's CGIHandler.",
        ),
    ),
    notes=(
        "Its processes note their own CPU time; what the interpreter needs after that to end is not counted.",
        "What an app keeps in memory is gone after each request, and its database is opened anew.",
    ),
)
