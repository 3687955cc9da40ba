"""Pyvoy: the proxy Envoy with a Python interpreter inside; threads, no worker processes."""

from sgibench.model import Expected, Launch, Protocol, Server, Variant


def command(launch: Launch) -> list[str]:
    """Name interface and loop; threads are what it has instead of workers."""
    argv = [
        launch.executable("pyvoy"),
        f"--address={launch.host}",
        f"--port={launch.port}",
        f"--interface={launch.options['interface']}",
    ]
    if launch.tls:
        argv += [f"--tls-cert={launch.certificate}", f"--tls-key={launch.key}", "--tls-disable-http3"]
    if launch.options["interface"] == "asgi":
        argv += [f"--loop={launch.options['loop']}", "--websockets"]
    elif launch.equal:
        argv += [f"--worker-threads={launch.threads}"]
    return [*argv, launch.target]


def expect(_launch: Launch) -> Expected:
    """A Python parent and Envoy; its backlog is fixed."""
    return Expected(backlog=4096, nodelay=True, processes=2)


PYVOY = "pyvoy==1.3.0"
SPEAKS: tuple[Protocol, ...] = ("http", "https", "h2c", "h2")
"""Envoy takes HTTP/2 in clear text from clients that begin with it, and over TLS by ALPN."""

SERVER = Server(
    homepage="https://github.com/curioswitch/pyvoy",
    command=command,
    expect=expect,
    verified="2026-11-22, CPython 3.11.7, Debian 12",
    variants=(
        Variant(
            id="pyvoy-asgi",
            interface="asgi",
            concurrency="event loop",
            packages=(PYVOY, "uvloop==0.23.0"),
            options={"interface": "asgi", "loop": "uvloop"},
            workers=False,
            speaks=SPEAKS,
            lacks_behind={
                "websocket: *but 404 came": "the upgrade to a WebSocket is answered with 404 when a proxy asks"
            },
            summary="Envoy reads and writes; the app runs on uvloop in a thread of Envoy's process.",
        ),
        Variant(
            id="pyvoy-wsgi",
            interface="wsgi",
            concurrency="threads",
            packages=(PYVOY,),
            options={"interface": "wsgi"},
            threads=True,
            workers=False,
            speaks=SPEAKS,
            lacks={"chunked: *": "the app can't see that a request without Content-Length has a body"},
            summary="Envoy reads and writes; the app runs in a pool of threads of Envoy's process.",
        ),
    ),
    notes=(
        "It has one process whatever the workers setting says.",
        "It listens with a backlog of 4096, which no option changes, on a socket for each of Envoy's threads.",
        "Envoy's own threads, as many as there are CPUs, read and write beside the interpreter.",
    ),
)
