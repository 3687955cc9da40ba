"""Apps of one interface on servers of the other: what an adapter costs."""

from sgibench.model import Expected, Launch, Server, Variant

ADAPTERS = {
    "a2wsgi": "a2wsgi_wsgi_on_asgi:app",
    "asgiref": "asgiref_wsgi_on_asgi:app",
    "a2wsgi-asgi": "a2wsgi_asgi_on_wsgi:app",
}
"""What the server serves: a module in launchers/ that reads from its environment which app to adapt."""
DEFAULT_THREADS = 10
"""a2wsgi's."""
WORKER_CONNECTIONS = 1000
"""Gunicorn's default; raised only where a scenario holds more connections open."""


def command(launch: Launch) -> list[str]:
    """The server's own command line with the adapter as its app; env tells the adapter about the real one."""
    told = ["/usr/bin/env", f"SGIBENCH_TARGET={launch.target}"]
    if launch.equal and launch.options["adapter"] == "a2wsgi":
        told.append(f"SGIBENCH_THREADS={launch.threads}")
    on = {"uvicorn": uvicorn, "gunicorn": gunicorn}[launch.options["server"]]
    return [*told, *on(launch), ADAPTERS[launch.options["adapter"]]]


def uvicorn(launch: Launch) -> list[str]:
    """Uvicorn on uvloop with httptools, as in uvicorn-httptools; the adapters don't speak the lifespan protocol."""
    argv = [
        launch.executable("uvicorn"),
        f"--app-dir={launch.launchers}",
        *launch.listening,
        f"--workers={launch.workers}",
        "--loop=uvloop",
        "--http=httptools",
        "--ws=none",
        "--lifespan=off",
        "--timeout-graceful-shutdown=3",
        "--no-access-log",
        "--log-level=warning",
    ]
    if launch.options["adapter"] == "asgiref":
        argv.append("--reset-contextvars")
    if launch.equal:
        argv += [
            f"--backlog={launch.backlog}",
            f"--timeout-keep-alive={launch.keep_alive_s}",
            "--no-proxy-headers",
        ]
        if launch.workers > 1:
            argv.append("--timeout-worker-healthcheck=60")
    return argv


def gunicorn(launch: Launch) -> list[str]:
    """Gunicorn with threads and the Python parser, as in gunicorn-gthread."""
    argv = [
        launch.executable("gunicorn"),
        f"--pythonpath={launch.launchers}",
        f"--bind={launch.bind}",
        "--worker-class=gthread",
        f"--workers={launch.workers}",
        "--graceful-timeout=3",
        "--log-level=warning",
        "--no-control-socket",
        "--http-parser=python",
    ]
    if launch.equal:
        argv += [f"--threads={launch.threads}", f"--backlog={launch.backlog}", f"--keep-alive={launch.keep_alive_s}"]
        if worker_connections(launch) > WORKER_CONNECTIONS:
            argv.append(f"--worker-connections={worker_connections(launch)}")
    return argv


def expect(launch: Launch) -> Expected:
    """As the server without the adapter, plus the adapter's threads."""
    on_uvicorn = launch.options["server"] == "uvicorn"
    several = launch.workers > 1
    pool = 1 if launch.options["adapter"] == "asgiref" else launch.threads if launch.equal else DEFAULT_THREADS
    return Expected(
        connections=None if on_uvicorn else worker_connections(launch) * launch.workers,
        backlog=launch.backlog if launch.equal else 2048,
        nodelay=True,
        processes=(launch.workers + 2 if several else 1) if on_uvicorn else launch.workers + 1,
        threads=(1, 6 + pool),
    )


def worker_connections(launch: Launch) -> int:
    """How many connections a worker of gunicorn's has at once; threads keep one fewer alive for each of them."""
    return max(WORKER_CONNECTIONS, launch.connections + launch.threads if launch.connections and launch.equal else 0)


UVICORN = ("uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")
A2WSGI = "a2wsgi==1.10.10"

SERVER = Server(
    homepage="https://github.com/abersheeran/a2wsgi",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="uvicorn-a2wsgi",
            interface="wsgi",
            concurrency="threads",
            packages=(*UVICORN, A2WSGI),
            options={"server": "uvicorn", "adapter": "a2wsgi"},
            threads=True,
            unix=True,
            summary="A WSGI app on uvicorn (uvloop, httptools) through a2wsgi, in a pool of threads.",
        ),
        Variant(
            id="uvicorn-asgiref",
            interface="wsgi",
            concurrency="processes",
            packages=(*UVICORN, "asgiref==3.13.0"),
            options={"server": "uvicorn", "adapter": "asgiref"},
            unix=True,
            summary="A WSGI app on uvicorn (uvloop, httptools) through asgiref, in one thread.",
            notes=(
                "asgiref runs the app in one thread of each process, whatever the threads setting says.",
                "Without --reset-contextvars every second request of a kept-alive connection is answered with 500.",
            ),
        ),
        Variant(
            id="gunicorn-gthread-a2wsgi",
            interface="asgi",
            concurrency="threads",
            packages=("gunicorn==27.0.1", A2WSGI),
            options={"server": "gunicorn", "adapter": "a2wsgi-asgi"},
            threads=True,
            manager=True,
            lacks={
                "chunked: *": "a2wsgi hands the app an empty body when the request has no Content-Length",
                "websocket: *": "WSGI has no WebSocket",
                "broadcast: *": "WSGI has no WebSocket",
            },
            unix=True,
            summary="An ASGI app on gunicorn's threads through a2wsgi: each thread waits for one event loop.",
        ),
    ),
)
