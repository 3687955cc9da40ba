"""mod_wsgi: Apache reads and writes; the app runs in daemon processes of it, each with a pool of threads."""

from sgibench.model import Expected, Launch, Need, Server, Variant

DEFAULT_BACKLOG = 500
DEFAULT_THREADS = 5
MOST_CLIENTS = 256
"""Connections of Apache's own processes; by its default only half as many more as the app has threads."""
ROOMY_BODY_BYTES = 2**30
"""Its own limit of a request's body is 10 MiB."""


def command(launch: Launch) -> list[str]:
    """Run mod_wsgi-express through a launcher that names an unprivileged user where root starts it."""
    module, _, attribute = launch.target.partition(":")
    argv = [
        launch.python,
        "-P",
        str(launch.launchers / "mod_wsgi_run.py"),
        launch.executable("mod_wsgi-express"),
        "start-server",
        f"--host={launch.host}",
        f"--port={launch.port}",
        f"--processes={launch.workers}",
        f"--server-root={launch.scratch / 'apache'}",
        "--log-to-terminal",
        "--log-level=warn",
        "--application-type=module",
        f"--callable-object={attribute}",
    ]
    if launch.equal:
        argv += [
            f"--threads={launch.threads}",
            f"--server-backlog={launch.backlog}",
            f"--keep-alive-timeout={launch.keep_alive_s}",
            f"--max-clients={MOST_CLIENTS}",
            f"--limit-request-body={ROOMY_BODY_BYTES}",
            "--disable-reloading",
        ]
    return [*argv, module]


def expect(launch: Launch) -> Expected:
    """What Apache starts beside the daemon processes depends on the load."""
    clients = MOST_CLIENTS if launch.equal else int(1.5 * DEFAULT_THREADS * launch.workers)
    return Expected(connections=clients, backlog=launch.backlog_or(DEFAULT_BACKLOG), nodelay=True)


SERVER = Server(
    homepage="https://modwsgi.readthedocs.io",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.2, Debian 12",
    variants=(
        Variant(
            id="mod_wsgi-express",
            interface="wsgi",
            concurrency="threads",
            packages=("mod_wsgi-standalone==6.1.1",),
            threads=True,
            manager=True,
            needs=(
                Need(name="make", how="apt-get install make perl"),
                Need(name="perl", how="apt-get install make perl"),
                Need(name="Python.h", how="apt-get install gcc python3-dev", header=True),
            ),
            optional="its environment takes up to ten minutes to make: all of Apache is compiled",
            summary="Apache with the event model before daemon processes, each with a pool of threads.",
        ),
    ),
    notes=(
        "Started by root it runs as the user nobody, who must be able to read environment, app and scratch folder.",
        "Apache's own threads, and a hop over a Unix socket for each request, come on top of the app's.",
    ),
)
