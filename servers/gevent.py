"""gevent's own WSGI server: a greenlet for each connection, the standard library patched to yield."""

from sgibench.model import Expected, Launch, Server, Variant

DEFAULT_BACKLOG = 128


def command(launch: Launch) -> list[str]:
    """Start through the launcher, because gevent.pywsgi has no command of its own."""
    argv = [*launch.prefork("serve_gevent.py"), f"--backlog={launch.backlog_or(DEFAULT_BACKLOG)}"]
    return [*argv, *(["--nodelay"] if nodelay(launch) else []), launch.target]


def nodelay(launch: Launch) -> bool:
    """Whether the listening socket is given the option that gevent never sets."""
    return launch.equal and launch.options["nodelay"] == "equal"


def expect(launch: Launch) -> Expected:
    """One process, or a parent with its children; gevent starts a thread for what can't be patched."""
    return Expected(
        backlog=launch.backlog_or(DEFAULT_BACKLOG),
        nodelay=nodelay(launch),
        processes=launch.processes,
        threads=(1, 2),
    )


GEVENT = "gevent==26.9.0"

SERVER = Server(
    homepage="https://www.gevent.org",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="gevent-pywsgi",
            interface="wsgi",
            concurrency="greenlets",
            packages=(GEVENT,),
            options={"nodelay": "equal"},
            unix=True,
            summary="A greenlet for each connection; TCP_NODELAY is set on its socket.",
        ),
        Variant(
            id="gevent-pywsgi-stock",
            interface="wsgi",
            concurrency="greenlets",
            packages=(GEVENT,),
            options={"nodelay": "never"},
            unix=True,
            summary="The same as it comes: without TCP_NODELAY each kept-alive answer waits some 40 ms.",
            notes=(
                "It sends head and body apart and never sets TCP_NODELAY.",
                "Nagle's algorithm then holds the body back until the client's delayed acknowledgement comes.",
            ),
        ),
    ),
    notes=("It has one process; more workers come from launchers/prefork.py, which forks over one socket.",),
)
