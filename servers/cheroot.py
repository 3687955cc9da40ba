"""Cheroot, the server of CherryPy: one process, a pool of threads; pure Python."""

from sgibench.model import Expected, Launch, Server, Variant

DEFAULT_BACKLOG = 5
DEFAULT_THREADS = 10
DEFAULT_KEPT_ALIVE = 10


def command(launch: Launch) -> list[str]:
    """Start through the launcher, because cheroot has no process manager of its own."""
    argv = [*launch.prefork("serve_cheroot.py"), "--nodelay"]
    if launch.equal:
        argv += [f"--backlog={launch.backlog}", f"--threads={launch.threads}", f"--keep-alive={launch.keep_alive_s}"]
    else:
        argv += [f"--backlog={DEFAULT_BACKLOG}"]
    if "kept_alive" in launch.options:
        argv += [f"--set=kept_alive={launch.options['kept_alive']}"]
    return [*argv, launch.target]


def expect(launch: Launch) -> Expected:
    """One process, or a parent with its children; the pool, the first thread, since version 11 one that polls."""
    threads = launch.threads if launch.equal else DEFAULT_THREADS
    return Expected(
        kept_alive=None if "kept_alive" in launch.options else DEFAULT_KEPT_ALIVE * launch.workers,
        backlog=launch.backlog_or(DEFAULT_BACKLOG),
        nodelay=True,
        processes=launch.processes,
        threads=(1 + threads, 2 + threads),
    )


CHEROOT = "cheroot==11.1.2"

SERVER = Server(
    homepage="https://cheroot.cherrypy.dev",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="cheroot",
            interface="wsgi",
            concurrency="threads",
            packages=(CHEROOT,),
            threads=True,
            summary="A pool of threads; keeps ten connections alive, as its command does, and closes the others.",
            notes=("It keeps 10 connections alive in each process; its command has no option for more.",),
        ),
        Variant(
            id="cheroot-tuned",
            interface="wsgi",
            concurrency="threads",
            packages=(CHEROOT,),
            options={"kept_alive": "1000000"},
            threads=True,
            summary="The same with that limit raised in code, so that all connections are kept alive.",
        ),
    ),
    notes=(
        "It has one process; more workers come from launchers/prefork.py, which forks over one socket.",
        "Its own backlog is 5, and its pool has 10 threads.",
    ),
)
