"""An HTTP server of the standard library that answers /json and /pid, and has the fault named on its command line."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time

JSON = b'{"message":"Hello, World!"}'
ENOUGH = 1000
"""Requests after which a fault that comes later shows."""
answered = 0
hoard: list[bytes] = []
began = [0.0]
"""When the last request came."""


def main() -> None:
    """Misbehave at once, or serve and misbehave later."""
    fault, port = sys.argv[1], int(sys.argv[2])
    if fault == "exits-at-start":
        sys.exit("no licence found")
    if fault == "stops-at-start":
        os.kill(os.getpid(), signal.SIGSTOP)
    if fault == "ignores-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = 0
    if fault == "loses-worker":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid
    if fault == "hides-child":
        hide_child()
    if fault == "pushes":
        os.nice(5)
    asyncio.run(serve(fault, port, child))


def hide_child() -> None:
    """Fork twice and start a session, as a daemon does."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()


async def serve(fault: str, port: int, child: int) -> None:
    """Answer until the end."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return writer.close()
            if fault == "never-ready":
                await asyncio.sleep(3600)
            writer.write(answer(fault, head.split(b" ", 2)[1], child))

    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    if fault == "escapes":
        os.fork()
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    server = await asyncio.start_server(connection, sock=listener, backlog=1024)
    await server.serve_forever()


def leak() -> None:
    """Keep 50 MB for each second since the last request, and nothing for a pause between two."""
    now = time.monotonic()
    if hoard:
        hoard.append(b"x" * round(50e6 * min(now - began[0], 0.1)))
    else:
        hoard.append(b"x")
    began[0] = now


def answer(fault: str, path: bytes, child: int) -> bytes:
    """Write one response; faults that come later show here."""
    global answered  # noqa: PLW0603 - one process, one loop, one counter
    answered += path == b"/json"
    if fault == "leaks" and path == b"/json":
        leak()
    if answered == ENOUGH and fault == "crashes":
        os._exit(3)
    if answered == ENOUGH and fault == "loses-worker":
        os.kill(child, signal.SIGKILL)
    if (answered == ENOUGH and fault == "stops") or (answered == 1 and fault == "stops-when-asked"):
        os.kill(os.getpid(), signal.SIGSTOP)
    if answered >= ENOUGH and fault == "hangs":
        time.sleep(3600)
    if answered >= ENOUGH and fault == "floods-log":
        sys.stderr.write("something happened\n" * 2000)
    wrong = fault == "wrong-answer" or (fault == "wrong-later" and answered >= ENOUGH)
    body = str(os.getpid()).encode() if path == b"/pid" else JSON.swapcase() if wrong else JSON
    kind = b"application/json" if path == b"/json" else b"text/plain"
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind, len(body), body)


if __name__ == "__main__":
    main()
