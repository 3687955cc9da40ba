"""Bjoern: one thread and the event loop libev, all in C; the app runs inside the loop."""

from sgibench.model import Expected, Launch, Need, Server, Variant

DEFAULT_BACKLOG = 1024


def command(launch: Launch) -> list[str]:
    """Start through the launcher, because bjoern has no command and no process manager of its own."""
    argv = [*launch.prefork("serve_bjoern.py"), f"--backlog={launch.backlog_or(DEFAULT_BACKLOG)}"]
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
    homepage="https://github.com/jonashaag/bjoern",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="bjoern",
            interface="wsgi",
            concurrency="processes",
            packages=("bjoern==3.2.2",),
            needs=(Need(name="ev.h", how="apt-get install gcc python3-dev libev-dev", header=True),),
            unix=True,
            summary="A loop in C that calls the app: one request at a time, many connections.",
        ),
    ),
    notes=(
        "Two pipelined requests in one segment abort the process: never load it with pipelining.",
        "A request that waits holds up all others of its process.",
    ),
)
