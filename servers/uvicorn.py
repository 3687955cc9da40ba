"""Uvicorn: one event loop in each process."""

from sgibench.model import Launch, Server, Variant

UVICORN = "uvicorn==0.54.0"


def command(launch: Launch) -> list[str]:
    """Name loop and parser; a health check that a busy worker would miss is given time."""
    argv = [
        launch.executable("uvicorn"),
        f"--host={launch.host}",
        f"--port={launch.port}",
        f"--workers={launch.workers}",
        f"--loop={launch.options['loop']}",
        f"--http={launch.options['http']}",
        f"--ws={launch.options['ws']}",
        "--lifespan=on",
        f"--backlog={launch.backlog}",
        f"--timeout-keep-alive={launch.keep_alive_s}",
        "--timeout-graceful-shutdown=3",
        "--no-access-log",
        "--no-proxy-headers",
        "--log-level=warning",
    ]
    if launch.workers > 1:
        argv.append("--timeout-worker-healthcheck=60")
    return [*argv, launch.target]


SERVER = Server(
    homepage="https://uvicorn.dev",
    command=command,
    variants=(
        Variant(
            id="uvicorn-httptools",
            interface="asgi",
            concurrency="event loop",
            packages=(UVICORN, "uvloop==0.23.0", "httptools==0.9.0", "wsproto==1.3.2"),
            options={"loop": "uvloop", "http": "httptools", "ws": "wsproto"},
            summary="uvloop and the httptools parser, both in C.",
        ),
        Variant(
            id="uvicorn-h11",
            interface="asgi",
            concurrency="event loop",
            packages=(UVICORN, "h11==0.16.0", "wsproto==1.3.2"),
            options={"loop": "asyncio", "http": "h11", "ws": "wsproto"},
            summary="asyncio and the h11 parser: pure Python.",
        ),
    ),
    notes=(
        "With one worker it serves in its own process; with more, a parent starts them.",
        "With more than one worker, uvicorn-h11 sends without TCP_NODELAY, so a kept-alive answer takes 40 ms.",
        "After a clean stop with one worker its exit status is that of the signal.",
    ),
)
