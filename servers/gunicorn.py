"""Gunicorn: a master that forks workers; the worker class decides how a worker serves."""

from sgibench.model import Advice, Expected, Launch, Protocol, Server, Variant

GUNICORN = "gunicorn==27.0.1"
UVLOOP = "uvloop==0.23.0"
H1C = "gunicorn-h1c==0.6.9"
H2 = "h2==4.4.1"
"""What it speaks HTTP/2 with; it has no part in HTTP/1.1."""
SPEAKS: tuple[Protocol, ...] = ("http", "https", "h2c", "h2")
WORKER_CONNECTIONS = 1000
"""Its default for gthread and gevent; raised only where a scenario holds more connections open."""
LIMITED = frozenset({"gthread", "gevent"})
"""Worker classes that accept no connection beyond that number before one closes."""
ADVISED_KEEP_ALIVE_S = 5
CONFIG = "gunicorn.conf.py"
FILES = {CONFIG: "# Empty: otherwise gunicorn reads the file of this name in a project that it serves.\n"}
ASGI_BACKLOG = 100
"""asyncio's and uvloop's own default: the asgi worker hands no backlog on."""


def command(launch: Launch) -> list[str]:
    """Name every choice; the shared control socket is off because parallel instances would fight for it.

    Versions that have no choice of parser have the Python one: asked for another, they end and say so.
    """
    argv = [
        launch.executable("gunicorn"),
        f"--bind={launch.bind}",
        f"--worker-class={launch.options['worker_class']}",
        f"--workers={launch.workers}",
        "--graceful-timeout=3",
        "--log-level=warning",
        f"--config={launch.scratch / CONFIG}",
    ]
    if launch.since("gunicorn", 25, 1):
        argv.append("--no-control-socket")
    if launch.since("gunicorn", 25, 2) or launch.options["parser"] != "python":
        argv.append(f"--http-parser={launch.options['parser']}")
    if "loop" in launch.options:
        argv.append(f"--asgi-loop={launch.options['loop']}")
    if launch.tls:
        argv += [f"--certfile={launch.certificate}", f"--keyfile={launch.key}"]
    if launch.multiplexed:
        argv.append("--http-protocols=h2,h1")
    if launch.protocol == "h2c":
        # Readiness is asked over HTTP/1.1, which "prior-knowledge" alone refuses.
        argv.append("--http2-cleartext=both")
    return [*argv, *configured(launch), launch.target]


def configured(launch: Launch) -> list[str]:
    """What the configuration adds."""
    if launch.configuration == "default":
        return []
    argv = [f"--threads={launch.threads}"] if launch.options["worker_class"] == "gthread" else []
    if launch.configuration == "recommended":
        return argv if launch.options["worker_class"] == "sync" else [*argv, f"--keep-alive={ADVISED_KEEP_ALIVE_S}"]
    if launch.options["worker_class"] in LIMITED and worker_connections(launch) > WORKER_CONNECTIONS:
        argv.append(f"--worker-connections={worker_connections(launch)}")
    return [*argv, f"--backlog={launch.backlog}", f"--keep-alive={launch.keep_alive_s}"]


def worker_connections(launch: Launch) -> int:
    """How many connections each worker has at once; threads keep one fewer alive for each of them."""
    threads = launch.threads if launch.options["worker_class"] == "gthread" else 0
    wanted = launch.connections + threads if launch.equal and launch.connections else 0
    return max(WORKER_CONNECTIONS, wanted)


def expect(launch: Launch) -> Expected:
    """A master and its workers; a pool starts a thread when a request finds none free."""
    worker_class = launch.options["worker_class"]
    threads = 1 if launch.configuration == "default" else launch.threads
    most = worker_connections(launch)
    backlog = ASGI_BACKLOG if worker_class == "asgi" else launch.backlog if launch.equal else 2048
    return Expected(
        connections=most * launch.workers if worker_class in LIMITED else None,
        kept_alive=(most - threads) * launch.workers if worker_class == "gthread" else None,
        backlog=backlog,
        nodelay=True,
        processes=launch.workers + 1,
        threads=(1, 1 + threads) if worker_class == "gthread" else (1, 1),
    )


KEEP_ALIVE_ADVICE = Advice(
    says="A keep-alive of 1 to 5 seconds where clients connect directly; here 5.",
    source="https://docs.gunicorn.org/en/stable/settings.html#keepalive",
)
THREADS_ADVICE = Advice(
    says="Threads of 2 to 4 times the cores, here the `threads` setting; a keep-alive of 1 to 5 seconds, here 5.",
    source="https://docs.gunicorn.org/en/stable/settings.html#threads",
)
ASGI_NOTE = "It listens with a backlog of 100 whatever --backlog says: the worker gives its loop's server none."

SERVER = Server(
    homepage="https://gunicorn.org",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="gunicorn-sync",
            interface="wsgi",
            concurrency="processes",
            packages=(GUNICORN,),
            options={"worker_class": "sync", "parser": "python"},
            speaks=("http", "https"),
            keep_alive=False,
            manager=True,
            unix=True,
            files=FILES,
            summary="One request at a time in each process; closes every connection.",
            notes=(
                "It closes each connection after its answer, so it is compared only with connection-per-request.",
                "Its documentation wants a buffering proxy before it; here it is asked directly.",
            ),
        ),
        Variant(
            id="gunicorn-gthread",
            interface="wsgi",
            concurrency="threads",
            packages=(GUNICORN, H2),
            options={"worker_class": "gthread", "parser": "python"},
            threads=True,
            manager=True,
            speaks=SPEAKS,
            unix=True,
            files=FILES,
            summary="A pool of threads behind one polling thread in each process; Python parser.",
            recommended=THREADS_ADVICE,
        ),
        Variant(
            id="gunicorn-gthread-h1c",
            interface="wsgi",
            concurrency="threads",
            packages=(GUNICORN, H2, H1C),
            options={"worker_class": "gthread", "parser": "fast"},
            threads=True,
            manager=True,
            speaks=SPEAKS,
            unix=True,
            files=FILES,
            summary="The same with the parser gunicorn_h1c, in C.",
            recommended=THREADS_ADVICE,
            notes=(
                "The extra gunicorn[fast] asks for a gunicorn_h1c that is not published, so the parser is named here.",
            ),
        ),
        Variant(
            id="gunicorn-gevent",
            interface="wsgi",
            concurrency="greenlets",
            packages=(GUNICORN, H2, "gevent==26.9.0", "packaging==26.3"),
            options={"worker_class": "gevent", "parser": "python"},
            manager=True,
            speaks=SPEAKS,
            unix=True,
            files=FILES,
            summary="A greenlet for each connection; the standard library is patched to yield; Python parser.",
            recommended=KEEP_ALIVE_ADVICE,
            notes=("It needs the package packaging, which gunicorn's extra for gevent would bring.",),
        ),
        Variant(
            id="gunicorn-asgi",
            interface="asgi",
            concurrency="event loop",
            packages=(GUNICORN, H2, UVLOOP),
            options={"worker_class": "asgi", "loop": "uvloop", "parser": "python"},
            manager=True,
            speaks=SPEAKS,
            unix=True,
            files=FILES,
            summary="Gunicorn's own ASGI worker on uvloop; Python parser.",
            recommended=KEEP_ALIVE_ADVICE,
            notes=(ASGI_NOTE,),
        ),
        Variant(
            id="gunicorn-asgi-h1c",
            interface="asgi",
            concurrency="event loop",
            packages=(GUNICORN, H2, UVLOOP, H1C),
            options={"worker_class": "asgi", "loop": "uvloop", "parser": "fast"},
            manager=True,
            speaks=SPEAKS,
            unix=True,
            files=FILES,
            summary="Gunicorn's own ASGI worker on uvloop with the parser gunicorn_h1c, in C.",
            recommended=KEEP_ALIVE_ADVICE,
            notes=(ASGI_NOTE,),
        ),
        Variant(
            id="gunicorn-asgi-asyncio",
            interface="asgi",
            concurrency="event loop",
            packages=(GUNICORN, H2),
            options={"worker_class": "asgi", "loop": "asyncio", "parser": "python"},
            manager=True,
            speaks=SPEAKS,
            unix=True,
            files=FILES,
            summary="Gunicorn's own ASGI worker on asyncio; Python parser: nothing compiled.",
            recommended=KEEP_ALIVE_ADVICE,
            notes=(ASGI_NOTE,),
        ),
    ),
)
