"""Waitress: one process, one thread that polls, a pool of threads that run the app; pure Python."""

from sgibench.model import Launch, Server, Variant


def command(launch: Launch) -> list[str]:
    """Start through the launcher, because waitress has no process manager of its own."""
    return [
        launch.python,
        "-P",
        str(launch.launchers / "waitress_prefork.py"),
        f"--host={launch.host}",
        f"--port={launch.port}",
        f"--workers={launch.workers}",
        f"--threads={launch.threads}",
        f"--backlog={launch.backlog}",
        f"--channel-timeout={launch.keep_alive_s}",
        launch.target,
    ]


SERVER = Server(
    homepage="https://docs.pylonsproject.org/projects/waitress",
    command=command,
    variants=(
        Variant(
            id="waitress",
            interface="wsgi",
            concurrency="threads",
            packages=("waitress==3.0.2",),
            threads=True,
            summary="Pure Python, a pool of threads, no compiled part.",
        ),
    ),
    notes=(
        "It has one process; more workers come from launchers/waitress_prefork.py, which forks over one socket.",
        "Its limit of 100 connections is raised to 2,000, and its warning about queued tasks is silenced.",
    ),
)
