"""Daphne: the first ASGI server, on Twisted."""

from sgibench.model import Expected, Launch, Server, Variant

DEFAULT_BACKLOG = 50


def command(launch: Launch) -> list[str]:
    """Start through the launcher, which hands the socket over with Daphne's own option for that."""
    argv = [*launch.prefork("serve_daphne.py"), f"--backlog={launch.backlog_or(DEFAULT_BACKLOG)}"]
    return [*argv, *(["--nodelay"] if launch.equal else []), launch.target]


def expect(launch: Launch) -> Expected:
    """One process, or a parent with its children."""
    return Expected(
        backlog=launch.backlog_or(DEFAULT_BACKLOG),
        nodelay=True,
        processes=launch.processes,
        threads=(1, 1),
    )


SERVER = Server(
    homepage="https://github.com/django/daphne",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="daphne",
            interface="asgi",
            concurrency="event loop",
            packages=("daphne==4.2.3",),
            summary="Twisted's reactor over asyncio; what Django's channels came with.",
        ),
    ),
    notes=(
        "It has one process; more workers come from launchers/prefork.py, which forks over one socket.",
        "It keeps an idle connection for 60 s, which no option changes; the others of a group are set to 75 s.",
        "It doesn't speak ASGI's lifespan protocol, and drops requests in flight when it is stopped.",
        "It never sends an empty WebSocket message, so an app that echoes one leaves its client waiting.",
    ),
)
