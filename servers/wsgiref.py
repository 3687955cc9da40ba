"""wsgiref: the standard library's own server, one request at a time, HTTP/1.0."""

from sgibench.model import Expected, Launch, Server, Variant

DEFAULT_BACKLOG = 5


def command(launch: Launch) -> list[str]:
    """Start through the launcher, which gives it a socket and, if asked for, sister processes."""
    argv = [*launch.prefork("serve_wsgiref.py"), f"--backlog={launch.backlog_or(DEFAULT_BACKLOG)}"]
    return [*argv, *(["--nodelay"] if launch.equal else []), launch.target]


def expect(launch: Launch) -> Expected:
    """One process, or a parent with its children; one thread each."""
    return Expected(
        backlog=launch.backlog_or(DEFAULT_BACKLOG),
        nodelay=launch.equal,
        processes=launch.processes,
        threads=(1, 1),
    )


SERVER = Server(
    homepage="https://docs.python.org/3/library/wsgiref.html",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="wsgiref",
            interface="wsgi",
            concurrency="processes",
            packages=(),
            keep_alive=False,
            summary="The standard library's own server, one request at a time: the floor.",
        ),
    ),
    notes=(
        "It is written to be read, not to be used: it shows what the least possible server reaches.",
        "It has one process; more workers come from launchers/prefork.py, which forks over one socket.",
    ),
)
