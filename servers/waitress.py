"""Waitress: one process, one thread that polls, a pool of threads that run the app; pure Python."""

from sgibench.model import Expected, Launch, Server, Variant

CONNECTION_LIMIT = 2000
DEFAULT_CONNECTION_LIMIT = 100
DEFAULT_THREADS = 4
DEFAULT_BACKLOG = 1024


def command(launch: Launch) -> list[str]:
    """Start through the launcher, because waitress has no process manager of its own."""
    argv = launch.prefork("serve_waitress.py")
    if launch.equal:
        argv += [
            f"--backlog={launch.backlog}",
            "--nodelay",
            f"--threads={launch.threads}",
            f"--keep-alive={launch.keep_alive_s}",
            f"--set=connection_limit={connection_limit(launch)}",
        ]
    else:
        argv += [f"--backlog={DEFAULT_BACKLOG}"]
    return [*argv, launch.target]


def expect(launch: Launch) -> Expected:
    """One process, or a parent with its children; the pool is started at once."""
    threads = launch.threads if launch.equal else DEFAULT_THREADS
    return Expected(
        connections=connection_limit(launch) * launch.workers,
        backlog=launch.backlog if launch.equal else DEFAULT_BACKLOG,
        nodelay=True,
        processes=1 if launch.workers == 1 else launch.workers + 1,
        threads=(1 + threads, 1 + threads),
    )


def connection_limit(launch: Launch) -> int:
    """So many connections each process has open at once, idle ones included: it accepts no more before one closes."""
    return max(CONNECTION_LIMIT, launch.connections) if launch.equal else DEFAULT_CONNECTION_LIMIT


SERVER = Server(
    homepage="https://docs.pylonsproject.org/projects/waitress",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="waitress",
            interface="wsgi",
            concurrency="threads",
            packages=("waitress==3.0.2",),
            threads=True,
            unix=True,
            summary="Pure Python, a pool of threads, no compiled part.",
        ),
    ),
    notes=(
        "It has one process; more workers come from launchers/prefork.py, which forks over one socket.",
        "Its limit of 100 connections is raised to 2,000 in `equal`, and further where a scenario holds more.",
        "Its warning about queued tasks is silenced.",
        "It closes the connection after an answer without Content-Length, so `stream` can't be asked of it.",
    ),
)
