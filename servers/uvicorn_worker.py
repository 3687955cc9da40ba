"""Gunicorn as the manager of uvicorn workers: the arrangement that many deployments still use."""

from sgibench.model import Expected, Launch, Server, Variant

CONFIG = "gunicorn.conf.py"
FILES = {CONFIG: "# Empty: otherwise gunicorn reads the file of this name in a project that it serves.\n"}


def command(launch: Launch) -> list[str]:
    """Gunicorn's options, and uvicorn's worker class; its log level quiets uvicorn's access log."""
    argv = [
        launch.executable("gunicorn"),
        f"--bind={launch.bind}",
        "--worker-class=uvicorn_worker.UvicornWorker",
        f"--workers={launch.workers}",
        "--graceful-timeout=3",
        "--log-level=warning",
        f"--config={launch.scratch / CONFIG}",
    ]
    if launch.since("gunicorn", 25, 1):
        argv.append("--no-control-socket")
    if launch.equal:
        argv += [f"--backlog={launch.backlog}", f"--keep-alive={launch.keep_alive_s}"]
    return [*argv, launch.target]


def expect(launch: Launch) -> Expected:
    """A master and its workers."""
    return Expected(
        backlog=launch.backlog if launch.equal else 2048,
        nodelay=True,
        processes=launch.workers + 1,
        threads=(1, 1),
    )


SERVER = Server(
    homepage="https://github.com/Kludex/uvicorn-worker",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="gunicorn-uvicorn",
            interface="asgi",
            concurrency="event loop",
            packages=(
                "gunicorn==27.0.1",
                "uvicorn-worker==0.4.0",
                "uvicorn==0.54.0",
                "uvloop==0.23.0",
                "httptools==0.9.0",
                "wsproto==1.3.2",
            ),
            manager=True,
            unix=True,
            files=FILES,
            summary="Gunicorn forks and watches; uvicorn on uvloop with httptools serves.",
        ),
    ),
    notes=("The worker takes loop and parser from what is installed: this environment holds uvloop and httptools.",),
)
