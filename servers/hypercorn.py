"""Hypercorn: one event loop in each process, HTTP by h11 and h2."""

from sgibench.model import Expected, Launch, Protocol, Server, Variant

CONFIG = """\
keep_alive_max_requests = 1000000000
"""
"""By default it closes each connection after 1,000 requests; only a file can change that."""


def command(launch: Launch) -> list[str]:
    """Name the loop; `asgi:` or `wsgi:` in the target says which interface the app speaks."""
    argv = [
        launch.executable("hypercorn"),
        f"--worker-class={launch.options['loop']}",
        f"--workers={launch.workers}",
        f"--bind={launch.bind}",
        "--graceful-timeout=3",
        "--log-level=WARNING",
    ]
    if launch.tls:
        argv += [f"--certfile={launch.certificate}", f"--keyfile={launch.key}"]
    if launch.equal:
        argv += [
            f"--config={launch.scratch / 'hypercorn.toml'}",
            f"--backlog={launch.backlog}",
            f"--keep-alive={launch.keep_alive_s}",
        ]
    return [*argv, f"{launch.options['interface']}:{launch.target}"]


def expect(launch: Launch) -> Expected:
    """A parent, multiprocessing's resource tracker, and the workers, even when there is only one.

    For WSGI Python's default pool, 32 threads at most, grows with the requests that wait.
    """
    return Expected(
        backlog=launch.backlog if launch.equal else 100,
        nodelay=True,
        processes=launch.workers + 2,
        threads=(1, 33) if launch.options["interface"] == "wsgi" else (1, 1),
    )


HYPERCORN = "hypercorn==0.18.0"
H11 = "h11==0.16.0"
SPEAKS: tuple[Protocol, ...] = ("http", "https", "h2c", "h2")
"""HTTP/2 needs no option: the client begins with it, or agrees on it over TLS."""

SERVER = Server(
    homepage="https://hypercorn.readthedocs.io",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="hypercorn-asyncio",
            interface="asgi",
            concurrency="event loop",
            packages=(HYPERCORN, H11),
            options={"loop": "asyncio", "interface": "asgi"},
            manager=True,
            speaks=SPEAKS,
            files={"hypercorn.toml": CONFIG},
            unix=True,
            summary="asyncio and the h11 parser: pure Python.",
        ),
        Variant(
            id="hypercorn-uvloop",
            interface="asgi",
            concurrency="event loop",
            packages=(HYPERCORN, H11, "uvloop==0.23.0"),
            options={"loop": "uvloop", "interface": "asgi"},
            manager=True,
            speaks=SPEAKS,
            files={"hypercorn.toml": CONFIG},
            unix=True,
            summary="uvloop and the h11 parser.",
        ),
        Variant(
            id="hypercorn-trio",
            interface="asgi",
            concurrency="event loop",
            packages=(HYPERCORN, H11, "trio==0.35.0"),
            options={"loop": "trio", "interface": "asgi"},
            manager=True,
            speaks=SPEAKS,
            files={"hypercorn.toml": CONFIG},
            apps=("asgi_anyio",),
            unix=True,
            summary="trio and the h11 parser: pure Python, structured concurrency.",
            notes=("It runs no app that calls asyncio: asgi_anyio is the plain app without such calls.",),
        ),
        Variant(
            id="hypercorn-wsgi",
            interface="wsgi",
            concurrency="threads",
            packages=(HYPERCORN, H11),
            options={"loop": "asyncio", "interface": "wsgi"},
            manager=True,
            speaks=SPEAKS,
            files={"hypercorn.toml": CONFIG},
            unix=True,
            summary="asyncio reads and writes; the app runs in asyncio's own pool of threads.",
            notes=(
                "Its pool can't be set: Python's default, as many threads as CPUs and four more, 32 at most.",
                "A request body of more than 16 MiB is refused.",
            ),
        ),
    ),
    notes=("It closes a connection after 1,000 requests unless its configuration file raises that, as in `equal`.",),
)
