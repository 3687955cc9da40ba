"""Granian: HTTP in Rust; Python code runs in threads (WSGI) or on an event loop (ASGI)."""

from sgibench.model import Launch, Server, Variant


def command(launch: Launch) -> list[str]:
    """Name the interface, the runtime and its threads; the default for WSGI threads is half the backpressure."""
    argv = [
        launch.executable("granian"),
        f"--interface={launch.options['interface']}",
        f"--host={launch.host}",
        f"--port={launch.port}",
        f"--workers={launch.workers}",
        f"--runtime-mode={launch.options['runtime_mode']}",
        "--runtime-threads=1",
        f"--loop={launch.options['loop']}",
        "--http=1",
        f"--backlog={launch.backlog}",
        f"--backpressure={launch.backlog}",
        f"--http1-header-read-timeout={min(launch.keep_alive_s, 60) * 1000}",
        "--workers-kill-timeout=3",
        "--log-level=warning",
        "--no-access-log",
    ]
    if launch.options["interface"] == "wsgi":
        argv.append(f"--blocking-threads={launch.threads}")
        argv.append("--no-ws")
    return [*argv, launch.target]


GRANIAN = "granian==2.8.7"

SERVER = Server(
    homepage="https://github.com/emmett-framework/granian",
    command=command,
    variants=(
        Variant(
            id="granian-wsgi",
            interface="wsgi",
            concurrency="threads",
            packages=(GRANIAN,),
            options={"interface": "wsgi", "runtime_mode": "mt", "loop": "asyncio"},
            threads=True,
            manager=True,
            summary="Rust reads and writes; the app runs in a pool of threads.",
        ),
        Variant(
            id="granian-asgi",
            interface="asgi",
            concurrency="event loop",
            packages=(GRANIAN, "uvloop==0.23.0"),
            options={"interface": "asgi", "runtime_mode": "mt", "loop": "uvloop"},
            manager=True,
            summary="Rust reads and writes; the app runs on uvloop.",
        ),
    ),
    notes=(
        "Each worker has a listening socket of its own (SO_REUSEPORT): the kernel spreads the connections.",
        "It keeps an idle connection for 60 s at most; the others of a group are set to 75 s.",
    ),
)
