"""FastPySGI: libuv and llhttp, in C; the app runs inside the loop."""

from sgibench.model import Expected, Launch, Server, Variant

DEFAULT_BACKLOG = 2048
HEAD_FAULT = "to a HEAD it answers that the content's length is 0, whatever the app says"


def command(launch: Launch) -> list[str]:
    """Start through a launcher, because its command has no option for workers, backlog and TCP_NODELAY."""
    argv = [
        launch.python,
        "-P",
        str(launch.launchers / "fastpysgi_run.py"),
        f"--host={launch.host}",
        f"--port={launch.port}",
        f"--workers={launch.workers}",
    ]
    return [*argv, *([f"--backlog={launch.backlog}", "--nodelay"] if launch.equal else []), launch.target]


def expect(launch: Launch) -> Expected:
    """One process, or a parent with its children."""
    return Expected(
        backlog=launch.backlog_or(DEFAULT_BACKLOG),
        nodelay=launch.equal,
        processes=launch.processes,
        threads=(1, 1),
    )


SERVER = Server(
    homepage="https://github.com/remittor/fastpysgi",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="fastpysgi-wsgi",
            interface="wsgi",
            concurrency="processes",
            packages=("fastpysgi==0.6",),
            lacks={"*: HEAD /*: expected Content-Length: *, but 0 came": HEAD_FAULT},
            summary="A loop in C that calls the app: one request at a time, many connections.",
        ),
    ),
    notes=(
        "Each worker has a listening socket of its own (SO_REUSEPORT): the kernel spreads the connections.",
        "A request that waits holds up all others of its process; a request body of more than 10 MB is refused.",
        "Its ASGI mode is left out: version 0.6 burns a CPU while idle, and crashes under a streamed answer.",
    ),
)
