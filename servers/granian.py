"""Granian: HTTP in Rust; Python code runs in threads (WSGI) or on an event loop (ASGI, RSGI)."""

from sgibench.model import Advice, Expected, Launch, Protocol, Server, Variant

DEFAULT_BACKLOG = 1024


def command(launch: Launch) -> list[str]:
    """Name the interface and the loop, in `equal` also the runtime and its threads."""
    argv = [
        launch.executable("granian"),
        f"--interface={launch.options['interface']}",
        *launch.listening,
        f"--workers={launch.workers}",
        f"--loop={launch.options['loop']}",
        "--workers-kill-timeout=3",
        "--log-level=warning",
        "--no-access-log",
    ]
    if launch.tls:
        argv += [f"--ssl-certificate={launch.certificate}", f"--ssl-keyfile={launch.key}"]
    return [*argv, *configured(launch), launch.target]


def configured(launch: Launch) -> list[str]:
    """What the configuration adds; WSGI's default is half the backpressure in threads, several hundred."""
    if launch.configuration == "default":
        return []
    wsgi = launch.options["interface"] == "wsgi"
    if launch.configuration == "recommended":
        return ["--runtime-mode=st"] + ([f"--backpressure={DEFAULT_BACKLOG}"] if wsgi else [])
    argv = [
        "--runtime-mode=mt",
        "--runtime-threads=1",
        # Readiness is asked over HTTP/1.1, so HTTP/2 alone (--http=2) won't do.
        f"--http={'auto' if launch.multiplexed else '1'}",
        f"--backlog={launch.backlog}",
        f"--backpressure={backpressure(launch)}",
        f"--http1-header-read-timeout={min(launch.keep_alive_s, 60) * 1000}",
    ]
    return [*argv, f"--blocking-threads={launch.threads}", "--no-ws"] if wsgi else argv


def expect(launch: Launch) -> Expected:
    """A master and its workers; besides Python's threads there are those of the Rust runtime."""
    return Expected(
        connections=backpressure(launch) * launch.workers,
        backlog=launch.backlog_or(DEFAULT_BACKLOG),
        nodelay=True,
        processes=launch.workers + 1,
        threads=threads_of(launch),
    )


def backpressure(launch: Launch) -> int:
    """So many connections each worker has open at once, idle ones included: it accepts no more before one closes.

    By default the backlog's number, shared out to the workers.
    """
    return max(launch.backlog, launch.connections) if launch.equal else DEFAULT_BACKLOG // launch.workers


def threads_of(launch: Launch) -> tuple[int, int]:
    """Four that are always there, the runtime's among them; WSGI's pool grows with the requests that wait."""
    if launch.options["interface"] != "wsgi":
        return (3, 6)
    return (3, 5 + (launch.threads if launch.equal else DEFAULT_BACKLOG // 2))


GRANIAN = "granian==2.8.7"
UVLOOP = "uvloop==0.23.0"
SPEAKS: tuple[Protocol, ...] = ("http", "https", "h2c", "h2")
BACKPRESSURE_ADVICE = Advice(
    says=(
        "The mode st with a small number of processes; leave the pool of threads alone, and keep the backpressure "
        "above the number of connections that are kept alive, here 1024."
    ),
    source="https://github.com/emmett-framework/granian#workers-and-threads",
)
MODE_ADVICE = Advice(
    says="The mode st with a small number of processes; the defaults suit most asynchronous apps.",
    source="https://github.com/emmett-framework/granian#runtime-mode",
)

SERVER = Server(
    homepage="https://github.com/emmett-framework/granian",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="granian-wsgi",
            interface="wsgi",
            concurrency="threads",
            packages=(GRANIAN,),
            options={"interface": "wsgi", "loop": "asyncio"},
            threads=True,
            manager=True,
            speaks=SPEAKS,
            unix=True,
            summary="Rust reads and writes; the app runs in a pool of threads.",
            recommended=BACKPRESSURE_ADVICE,
        ),
        Variant(
            id="granian-asgi",
            interface="asgi",
            concurrency="event loop",
            packages=(GRANIAN, UVLOOP),
            options={"interface": "asgi", "loop": "uvloop"},
            manager=True,
            speaks=SPEAKS,
            unix=True,
            summary="Rust reads and writes; the app runs on uvloop.",
            recommended=MODE_ADVICE,
        ),
        Variant(
            id="granian-rsgi",
            interface="rsgi",
            concurrency="event loop",
            packages=(GRANIAN, UVLOOP),
            options={"interface": "rsgi", "loop": "uvloop"},
            manager=True,
            speaks=SPEAKS,
            unix=True,
            summary="Not the same interface: Granian's own, an event loop without ASGI's messages; on uvloop.",
            recommended=MODE_ADVICE,
            notes=("RSGI is Granian's own interface: beside WSGI or ASGI servers, interfaces are compared too.",),
        ),
    ),
    notes=(
        "Each worker has a listening socket of its own (SO_REUSEPORT): the kernel spreads the connections.",
        "It keeps an idle connection for 60 s at most; the others of a group are set to 75 s.",
        "A worker has at most --backpressure connections, idle ones too: raised where a scenario holds more.",
    ),
)
