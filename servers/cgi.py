"""CGI, the interface of 1993: fcgiwrap starts a process for each request, and wsgiref's CGIHandler runs the app in it."""

from sgibench.model import Expected, Launch, Need, Server, Variant

SCRIPT = """\
#!/usr/bin/env python3
import importlib
import os
from wsgiref.handlers import CGIHandler

module, _, attribute = os.environ["SGIBENCH_TARGET"].partition(":")
CGIHandler().run(getattr(importlib.import_module(module), attribute))
"""


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
    notes=("What an app keeps in memory is gone after each request, and its database is opened anew.",),
)
