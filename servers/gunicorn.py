"""Gunicorn: a master that forks workers; the worker class decides how a worker serves."""

from sgibench.model import Launch, Server, Variant

GUNICORN = "gunicorn==27.0.1"


def command(launch: Launch) -> list[str]:
    """Name every choice; the shared control socket is off because parallel instances would fight for it."""
    argv = [
        launch.executable("gunicorn"),
        f"--bind={launch.host}:{launch.port}",
        f"--worker-class={launch.options['worker_class']}",
        f"--workers={launch.workers}",
        f"--backlog={launch.backlog}",
        f"--keep-alive={launch.keep_alive_s}",
        "--graceful-timeout=3",
        "--log-level=warning",
        "--no-control-socket",
        f"--http-parser={launch.options.get('parser', 'python')}",
    ]
    if launch.options["worker_class"] == "gthread":
        argv.append(f"--threads={launch.threads}")
    if "loop" in launch.options:
        argv.append(f"--asgi-loop={launch.options['loop']}")
    return [*argv, launch.target]


SERVER = Server(
    homepage="https://gunicorn.org",
    command=command,
    variants=(
        Variant(
            id="gunicorn-sync",
            interface="wsgi",
            concurrency="processes",
            packages=(GUNICORN,),
            options={"worker_class": "sync"},
            keep_alive=False,
            manager=True,
            summary="One request at a time in each process; closes every connection.",
        ),
        Variant(
            id="gunicorn-gthread",
            interface="wsgi",
            concurrency="threads",
            packages=(GUNICORN,),
            options={"worker_class": "gthread"},
            threads=True,
            manager=True,
            summary="A pool of threads behind one polling thread in each process; Python parser.",
        ),
        Variant(
            id="gunicorn-gevent",
            interface="wsgi",
            concurrency="greenlets",
            packages=(GUNICORN, "gevent==26.9.0", "packaging==26.3"),
            options={"worker_class": "gevent"},
            manager=True,
            summary="A greenlet for each connection; the standard library is patched to yield; Python parser.",
        ),
        Variant(
            id="gunicorn-asgi",
            interface="asgi",
            concurrency="event loop",
            packages=(GUNICORN, "uvloop==0.23.0"),
            options={"worker_class": "asgi", "loop": "uvloop"},
            manager=True,
            summary="Gunicorn's own ASGI worker on uvloop; Python parser.",
        ),
    ),
    notes=(
        "gunicorn-sync closes each connection after its answer, so it is compared only with connection-per-request.",
        "gunicorn-gevent needs the package packaging, which gunicorn's extra for gevent would bring.",
        "gunicorn-asgi listens with a backlog of 100 whatever --backlog says: it creates its loop server without one.",
    ),
)
