"""uWSGI: everything in C; processes and threads, in each of which one connection is served at a time."""

from sgibench.model import Advice, Expected, Launch, Need, Server, Variant

DEFAULT_BACKLOG = 100
ROOMY_HEADERS_BYTES = 32768
"""Its own limit for a whole head is 4 KiB, and it resets a connection that sends more."""


def command(launch: Launch) -> list[str]:
    """What it needs to serve one app and end when it is told to; without a line for each request."""
    argv = [
        launch.executable("uwsgi"),
        f"--{launch.options['socket']}={launch.bind.removeprefix('unix:')}",
        "--master",
        f"--processes={launch.workers}",
        "--single-interpreter",
        "--need-app",
        "--die-on-term",
        "--disable-logging",
        *(["--add-header=Connection: close"] if launch.options["socket"] == "http-socket" else []),
        f"--module={launch.target}",
    ]
    return [*argv, *configured(launch)]


def configured(launch: Launch) -> list[str]:
    """What the configuration adds."""
    if launch.configuration == "default":
        return []
    lock = ["--thunder-lock"] if launch.workers > 1 else []
    argv = [f"--threads={launch.threads}", "--enable-threads", *lock]
    if launch.configuration == "recommended":
        return argv
    return [
        *argv,
        *(["--tcp-nodelay"] if launch.socket is None else []),
        f"--listen={launch.backlog}",
        f"--buffer-size={ROOMY_HEADERS_BYTES}",
        f"--socket-timeout={launch.keep_alive_s}",
    ]


def expect(launch: Launch) -> Expected:
    """A master and its workers."""
    threads = 1 if launch.configuration == "default" else launch.threads
    return Expected(
        connections=launch.workers * threads if launch.options["socket"] == "http11-socket" else None,
        backlog=launch.backlog_or(DEFAULT_BACKLOG),
        nodelay=launch.equal,
        processes=launch.workers + 1,
        threads=(threads, threads + 1),
    )


UWSGI = "uwsgi==2.0.31"
COMPILER = Need(name="Python.h", how="apt-get install gcc python3-dev", header=True)
ADVICE = Advice(
    says="A master, die-on-term, enable-threads, and thunder-lock where there are several processes with threads.",
    source="https://uwsgi-docs.readthedocs.io: WSGIquickstart, ThingsToKnow, articles/SerializingAccept",
)
UNFRAMED = "an answer without Content-Length comes unframed, on a connection that stays open"
SILENT = "nothing is answered when the app fails before it has begun to"
UNFRAMED_FAULTS = {"stream: *": UNFRAMED, "bodies: GET /pieces/*": UNFRAMED, "error: GET /error: *": SILENT}
HANGS_UP = "it answers 411 and hangs up before it has read a body of chunks, so that a proxy may lose the answer"
LOST_BEHIND = {"chunked: *REFUSED_STREAM": HANGS_UP}
PINNED_NOTE = "A connection that is kept alive holds a thread: more connections than workers × threads starve."

SERVER = Server(
    homepage="https://uwsgi-docs.readthedocs.io",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="uwsgi-http11",
            interface="wsgi",
            concurrency="threads",
            packages=(UWSGI,),
            needs=(COMPILER,),
            options={"socket": "http11-socket"},
            unix=True,
            threads=True,
            manager=True,
            summary="HTTP/1.1 spoken by the workers themselves, one kept-alive connection for each thread.",
            recommended=ADVICE,
            lacks=UNFRAMED_FAULTS,
            lacks_behind=LOST_BEHIND,
            notes=(PINNED_NOTE,),
        ),
        Variant(
            id="uwsgi-http",
            interface="wsgi",
            concurrency="threads",
            packages=(UWSGI,),
            needs=(COMPILER,),
            options={"socket": "http-socket"},
            unix=True,
            keep_alive=False,
            threads=True,
            manager=True,
            summary="HTTP spoken by the workers themselves; every connection is closed after its answer.",
            recommended=ADVICE,
            lacks={"error: GET /error: *": SILENT},
            notes=("It closes connections without saying so; the header that says it is added by an option.",),
        ),
        Variant(
            id="uwsgi-nginx",
            interface="wsgi",
            concurrency="threads",
            packages=(UWSGI,),
            options={"socket": "socket"},
            needs=(COMPILER,),
            lacks={"error: GET /error: *": "uWSGI answers nothing when the app fails, so nginx answers 502"},
            unix=True,
            behind="uwsgi",
            front="nginx-uwsgi",
            threads=True,
            manager=True,
            summary="Over uWSGI's own protocol and a Unix socket: how it is usually run.",
            recommended=ADVICE,
        ),
        Variant(
            id="uwsgi-fastcgi",
            interface="wsgi",
            concurrency="threads",
            packages=(UWSGI,),
            options={"socket": "fastcgi-socket"},
            needs=(COMPILER,),
            lacks={"error: GET /error: *": "uWSGI answers nothing when the app fails, so nginx answers 502"},
            unix=True,
            behind="fastcgi",
            front="nginx-fastcgi",
            threads=True,
            manager=True,
            optional="it is uwsgi-nginx over the older protocol",
            summary="Over FastCGI and a Unix socket: what uWSGI's own protocol is compared with.",
            recommended=ADVICE,
        ),
        Variant(
            id="pyuwsgi-http11",
            interface="wsgi",
            concurrency="threads",
            packages=("pyuwsgi==2.0.30.post1",),
            options={"socket": "http11-socket"},
            unix=True,
            threads=True,
            manager=True,
            optional="it is uwsgi-http11 one version behind, for machines that can't compile uWSGI",
            summary="uWSGI as a ready-made wheel, for where it can't be compiled.",
            recommended=ADVICE,
            lacks=UNFRAMED_FAULTS,
            lacks_behind=LOST_BEHIND,
            notes=(PINNED_NOTE,),
        ),
    ),
    notes=(),
)
