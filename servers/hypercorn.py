"""Hypercorn: one event loop in each process, HTTP by h11 and h2."""

from sgibench.model import Launch, Server, Variant

CONFIG = """\
keep_alive_max_requests = 1000000000
"""
"""By default it closes each connection after 1,000 requests; only a file can change that."""


def command(launch: Launch) -> list[str]:
    """Name the loop; `asgi:` in the target says which interface the app speaks."""
    return [
        launch.executable("hypercorn"),
        f"--config={launch.scratch / 'hypercorn.toml'}",
        f"--worker-class={launch.options['loop']}",
        f"--workers={launch.workers}",
        f"--bind={launch.host}:{launch.port}",
        f"--backlog={launch.backlog}",
        f"--keep-alive={launch.keep_alive_s}",
        "--graceful-timeout=3",
        "--log-level=WARNING",
        f"asgi:{launch.target}",
    ]


HYPERCORN = "hypercorn==0.18.0"
H11 = "h11==0.16.0"

SERVER = Server(
    homepage="https://hypercorn.readthedocs.io",
    command=command,
    variants=(
        Variant(
            id="hypercorn-asyncio",
            interface="asgi",
            concurrency="event loop",
            packages=(HYPERCORN, H11),
            options={"loop": "asyncio"},
            manager=True,
            files={"hypercorn.toml": CONFIG},
            summary="asyncio and the h11 parser: pure Python.",
        ),
        Variant(
            id="hypercorn-uvloop",
            interface="asgi",
            concurrency="event loop",
            packages=(HYPERCORN, H11, "uvloop==0.23.0"),
            options={"loop": "uvloop"},
            manager=True,
            files={"hypercorn.toml": CONFIG},
            summary="uvloop and the h11 parser.",
        ),
    ),
    notes=("It closes a connection after 1,000 requests unless its configuration file raises that, as here.",),
)
