"""Uvicorn: one event loop in each process."""

from sgibench.model import Expected, Launch, Server, Variant

UVICORN = "uvicorn==0.54.0"
UVLOOP = "uvloop==0.23.0"
WSPROTO = "wsproto==1.3.2"


def command(launch: Launch) -> list[str]:
    """Name loop and parser; a health check that a busy worker would miss is given time."""
    argv = [
        *program(launch),
        *launch.listening,
        f"--workers={launch.workers}",
        f"--loop={launch.options['loop']}",
        f"--http={launch.options['http']}",
        "--ws=wsproto",
        "--timeout-graceful-shutdown=3",
        "--no-access-log",
        "--log-level=warning",
    ]
    if launch.tls:
        argv += [f"--ssl-certfile={launch.certificate}", f"--ssl-keyfile={launch.key}"]
    if launch.multiplexed:
        argv.append("--http2")
    if launch.equal:
        argv += [
            f"--lifespan={'on' if launch.lifespan else 'off'}",
            f"--backlog={launch.backlog}",
            f"--timeout-keep-alive={launch.keep_alive_s}",
            "--no-proxy-headers",
        ]
        if launch.workers > 1 and launch.since("uvicorn", 0, 37):
            argv.append("--timeout-worker-healthcheck=60")
    return [*argv, launch.target]


def program(launch: Launch) -> list[str]:
    """Its own command; where that would leave Nagle's algorithm on, the same command behind a launcher."""
    if launch.equal and stalls(launch):
        return [launch.python, "-P", str(launch.launchers / "uvicorn_nodelay.py")]
    return [launch.executable("uvicorn")]


def stalls(launch: Launch) -> bool:
    """Whether asyncio can't tell that the socket the workers inherit speaks TCP, and so doesn't set TCP_NODELAY."""
    return launch.workers > 1 and launch.options["loop"] == "asyncio" and launch.socket is None


def expect(launch: Launch) -> Expected:
    """One worker serves in the first process; several have a parent and multiprocessing's resource tracker.

    uvloop's four threads come from looking the host's name up, one more answers the parent's health checks.
    """
    return Expected(
        backlog=launch.backlog if launch.equal else 2048,
        nodelay=launch.equal or not stalls(launch),
        processes=1 if launch.workers == 1 else launch.workers + 2,
        threads=(1, 6) if launch.options["loop"] == "uvloop" else (1, 2),
    )


SERVER = Server(
    homepage="https://uvicorn.dev",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="uvicorn-httptools",
            interface="asgi",
            concurrency="event loop",
            packages=(UVICORN, UVLOOP, "httptools==0.9.0", WSPROTO),
            options={"loop": "uvloop", "http": "httptools"},
            speaks=("http", "https"),
            unix=True,
            summary="uvloop and the httptools parser, both in C.",
        ),
        Variant(
            id="uvicorn-h11",
            interface="asgi",
            concurrency="event loop",
            packages=(UVICORN, "h11==0.16.0", WSPROTO),
            options={"loop": "asyncio", "http": "h11"},
            speaks=("http", "https"),
            unix=True,
            summary="asyncio and the h11 parser: pure Python.",
            notes=(
                "With more than one worker it sends without TCP_NODELAY, so a kept-alive answer takes 40 ms.",
                "Its workers can't tell that the socket they inherit is TCP; in `equal` a launcher sets the option.",
            ),
        ),
        Variant(
            id="uvicorn-zttp",
            interface="asgi",
            concurrency="event loop",
            packages=(UVICORN, UVLOOP, "zttp==0.0.35", WSPROTO),
            options={"loop": "uvloop", "http": "zttp"},
            speaks=("http", "https", "h2c", "h2"),
            unix=True,
            summary="uvloop and the zttp parser, in Zig; uvicorn calls it experimental.",
        ),
    ),
    notes=(
        "With one worker it serves in its own process; with more, a parent starts them.",
        "After a clean stop with one worker its exit status is that of the signal.",
    ),
)
