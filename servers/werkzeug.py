"""Werkzeug's development server, which Flask runs with `flask run`: a new thread for each connection."""

from sgibench.model import Expected, Launch, Server, Variant

DEFAULT_BACKLOG = 128


def command(launch: Launch) -> list[str]:
    """Start through the launcher, which gives it a socket and, if asked for, sister processes."""
    argv = [*launch.prefork("serve_werkzeug.py"), f"--backlog={launch.backlog_or(DEFAULT_BACKLOG)}"]
    return [*argv, *(["--nodelay"] if launch.equal else []), launch.target]


def expect(launch: Launch) -> Expected:
    """One process, or a parent with its children; at rest each has its first thread alone."""
    return Expected(
        backlog=launch.backlog_or(DEFAULT_BACKLOG),
        nodelay=launch.equal,
        processes=launch.processes,
    )


SERVER = Server(
    homepage="https://werkzeug.palletsprojects.com",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="werkzeug",
            interface="wsgi",
            concurrency="threads",
            packages=("werkzeug==3.1.9",),
            keep_alive=False,
            summary="The development server of Flask: a thread for each connection, closed after its answer.",
        ),
    ),
    notes=(
        "Its documentation says not to use it in production; it is here as the server that development happens on.",
        "It starts a thread for every request, however many: the threads setting changes nothing.",
        "It has one process; more workers come from launchers/prefork.py, which forks over one socket.",
    ),
)
