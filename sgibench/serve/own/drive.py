"""Calls an app without a server, inside its own environment: what it answers, and what CPU each request costs.

A plain script for Python 3.9 or newer that imports nothing but the standard library and the app. It reads its order
from a file and writes one JSON object beside it: what each request was answered and what it costs, or, told to stay
(`beside`), the port at which the load process tells it when to call what, so that its work is measured in turn with
that of the servers. The cost of calling an app that does nothing is measured by the same code and taken off. What the
app prints goes to its log. It is loaded into servers, too (`within.py`): one of WSGI gets no asyncio by that.
"""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import os
import resource
import socket
import struct
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

HOST = "127.0.0.1"
PORT = 8000
ANSWER_S = 30.0
REST_S = 0.2
LEAST_CALLS = 3
CALL, NOTHING, TELL, TOLD = struct.Struct("!H"), 0xFFFF, 0xFFFE, struct.Struct("!dd")
"""What is said on the line to the load process (`sgibench/load/unserved.py`)."""
KEPT_BYTES = 2**20
"""So much of a body is handed on as it is."""


def main() -> None:
    """Carry out the order in the file that the first argument names."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    answer = Path(sys.argv[2])  # an app may change the words of the command line, and the folder
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    module = types.ModuleType(order["name"])
    module.__file__ = order["name"] + ".py"
    sys.modules[order["name"]] = module
    exec(compile(order["source"], module.__file__, "exec"), module.__dict__)  # noqa: S102 - this is its work
    callers, rest = CALLERS[order["interface"]]
    idle, *calls = callers(module.__dict__["app"], order)
    if order["beside"]:
        attend(idle, calls, order["seconds"], answer)
        return
    told: dict[str, Any] = {
        "idle": cost_of(noting(idle, {}), order["seconds"]),
        "requests": [measured(call, order["seconds"]) for call in telling(answer.with_suffix(".at"), calls)],
    }
    told["idle_cpus"] = min(cpus_of(rest) for _ in range(2))
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    tell(answer, {**told, "peak_bytes": peak * (1 if sys.platform == "darwin" else 1024)})


def telling(at: Path, calls: list[Any]) -> Iterator[Any]:
    """Give them one after the other, and say in a file which is on: one that hangs can be named."""
    for number, call in enumerate(calls):
        at.write_text(str(number), encoding="ascii")
        yield call


def tell(answer: Path, told: dict[str, Any]) -> None:
    """Write the answer, whole."""
    beside = answer.with_suffix(".new")
    beside.write_text(json.dumps(told), encoding="utf-8")
    beside.replace(answer)


# --- WSGI -----------------------------------------------------------------------------------------------------------


def callers_wsgi(app: Any, order: dict[str, Any]) -> list[Callable[[], dict[str, Any]]]:
    """Give what calls an app as a WSGI server does: one that does nothing, and this one with each request."""

    def caller(called: Any, request: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        body = base64.b64decode(request["body"])
        kept = environ_of(request, body)
        return lambda: call_wsgi(called, dict(kept), body)

    return [caller(nothing_wsgi, order["requests"][0]), *(caller(app, request) for request in order["requests"])]


def nothing_wsgi(_environ: Any, start_response: Any) -> Any:
    """Answer nothing."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return [b""]


def environ_of(request: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Write what a server would hand over."""
    path, _, query = request["path"].partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": HOST,
        "SERVER_PORT": str(PORT),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": HOST,
        "REMOTE_PORT": "40000",
        "HTTP_HOST": f"{HOST}:{PORT}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    given: dict[str, str] = {}
    for name, value in request["headers"]:
        key = name.upper().replace("-", "_")
        key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else "HTTP_" + key
        between = "; " if key == "HTTP_COOKIE" else ","
        given[key] = f"{given[key]}{between}{value}" if key in given else value
    return {**environ, **given}


def call_wsgi(app: Any, environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Call the app once and take its whole answer."""
    environ["wsgi.input"] = io.BytesIO(body)
    told: dict[str, Any] = {}
    pieces: list[bytes] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info is not None and pieces:
            raise exc_info[1].with_traceback(exc_info[2])
        told["status"] = int(status[:3])
        told["headers"] = headers
        return pieces.append

    answer = app(environ, start_response)
    try:
        pieces.extend(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
    told["body"] = b"".join(pieces)
    return told


# --- ASGI -----------------------------------------------------------------------------------------------------------


def callers_asgi(app: Any, order: dict[str, Any]) -> list[Callable[[], dict[str, Any]]]:
    """Give what calls an app as an ASGI server does, on one loop, after its start-up; as for WSGI."""
    import asyncio  # noqa: PLC0415 - see the module

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    state: dict[str, Any] = {}
    started = loop.run_until_complete(start_up(app, state)) if order["lifespan"] else None

    def caller(called: Any, request: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        body = base64.b64decode(request["body"])
        kept = scope_of(request)

        def call(_keeps_up: Any = started) -> dict[str, Any]:
            scope = dict(kept)
            if order["lifespan"]:
                scope["state"] = dict(state)
            return loop.run_until_complete(call_asgi(called, scope, body))

        return call

    return [caller(nothing_asgi, order["requests"][0]), *(caller(app, request) for request in order["requests"])]


async def nothing_asgi(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer nothing."""
    head = [(b"content-type", b"text/plain"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b""})


async def start_up(app: Any, state: dict[str, Any]) -> Any:
    """Let the app start up; the task that keeps it up."""
    import asyncio  # noqa: PLC0415 - see the module

    done = asyncio.Event()
    asked: list[bool] = []

    async def receive() -> dict[str, Any]:
        if asked:
            await asyncio.Event().wait()
        asked.append(True)
        return {"type": "lifespan.startup"}

    async def send(message: dict[str, Any]) -> None:
        del message
        done.set()

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    task = asyncio.ensure_future(app(scope, receive, send))
    await asyncio.wait_for(done.wait(), ANSWER_S)
    return task


def scope_of(request: dict[str, Any]) -> dict[str, Any]:
    """Write what a server would hand over."""
    path, _, query = request["path"].partition("?")
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request["headers"]]
    given = {name for name, _ in headers}
    size = len(base64.b64decode(request["body"]))
    if b"host" not in given:
        headers.insert(0, (b"host", f"{HOST}:{PORT}".encode()))
    if size and b"content-length" not in given:
        headers.append((b"content-length", str(size).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request["method"],
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": headers,
        "client": (HOST, 40000),
        "server": (HOST, PORT),
    }


async def call_asgi(app: Any, scope: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Call the app once and take its whole answer."""
    told: dict[str, Any] = {}
    pieces: list[bytes] = []
    asked: list[bool] = []

    async def receive() -> dict[str, Any]:
        if asked:
            import asyncio  # noqa: PLC0415 - see the module

            await asyncio.Event().wait()
        asked.append(True)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told["status"] = message["status"]
            told["headers"] = message.get("headers", ())
        elif message["type"] == "http.response.body":
            pieces.append(message.get("body", b""))

    await app(scope, receive, send)
    told["body"] = b"".join(pieces)
    return told


# --- measuring ------------------------------------------------------------------------------------------------------


def measured(call: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Ask once and keep the answer, then measure; an exception is an answer of its own kind."""
    answers: list[dict[str, Any]] = []
    met: dict[Any, int] = {}
    call = noting(call, met)
    began = printed()
    try:
        while len(answers) < LEAST_CALLS:
            answers.append(shown(call()))
        if answers[-1]["status"] is None:
            return {"error": "the app ended without an answer", "answers": []}
        cost = cost_of(call, seconds)
    except Exception as error:  # noqa: BLE001 - what an app raises is what the user must hear
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        at = "" if where is None else f" ({where.tb_frame.f_code.co_filename} line {where.tb_lineno})"
        return {"error": f"{type(error).__name__}: {error}{at}", "answers": answers}
    calls = cost["warm_calls"] + cost["calls"] + LEAST_CALLS
    statuses = list(met.items())
    return {"answers": answers, "statuses": statuses, "printed_bytes": (printed() - began) / calls, **cost}


def noting(call: Callable[[], dict[str, Any]], met: dict[Any, int]) -> Callable[[], dict[str, Any]]:
    """Note in `met` which call was the first that was answered with each status; the first call is 1."""
    numbers = itertools.count(1)

    def noted() -> dict[str, Any]:
        told = call()
        met.setdefault(told.get("status"), next(numbers))
        return told

    return noted


def shown(told: dict[str, Any]) -> dict[str, Any]:
    """Make an answer fit for JSON."""
    body = told["body"]
    headers = [[text(name), text(value)] for name, value in told.get("headers") or ()]
    kept = base64.b64encode(body[:KEPT_BYTES]).decode()
    return {"status": told.get("status"), "headers": headers, "bytes": len(body), "body": kept}


def text(value: Any) -> str:
    """Read a header's name or value."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def printed() -> int:
    """How much was printed so far: how long the log is, whatever the app made of the streams that lead to it."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    try:
        return max(os.fstat(number).st_size for number in (1, 2))
    except OSError:
        return 0


def cost_of(call: Callable[[], Any], seconds: float) -> dict[str, Any]:
    """Call until the time is over, a third of it to warm up; CPU, time and waiting of the whole process, per call."""
    warm = called(call, seconds / 3, least=0)["calls"]
    spent = called(call, seconds, least=LEAST_CALLS)
    each = {name: spent[f"{name}_s"] / spent["calls"] * 1e6 for name in ("cpu", "wall", "wait")}
    return {"calls": spent["calls"], "warm_calls": warm, **{f"{name}_us": value for name, value in each.items()}}


def called(call: Callable[[], Any], seconds: float, *, least: int) -> dict[str, Any]:
    """Call until the time is over, at least so often; CPU, time and waiting of all calls together."""
    calls = 0
    queued_s, cpu_s, began_s = in_queue_s(), spent_s(), time.perf_counter()
    until = began_s + seconds
    while calls < least or time.perf_counter() < until:
        call()
        calls += 1
    took_s, cpu_s = time.perf_counter() - began_s, spent_s() - cpu_s
    waited_s = max(0.0, took_s - cpu_s - (in_queue_s() - queued_s))
    return {"calls": calls, "cpu_s": cpu_s, "wall_s": took_s, "wait_s": waited_s}


def cpus_of(rest: Callable[[float], Any]) -> float:
    """CPUs that this process uses while nothing is asked of the app: its threads, or what it left on the loop."""
    began_s, cpu_s = time.perf_counter(), spent_s()
    rest(REST_S)
    return (spent_s() - cpu_s) / (time.perf_counter() - began_s)


def rest_asgi(seconds: float) -> None:
    """Let the loop run, with nothing to do for us."""
    import asyncio  # noqa: PLC0415 - see the module

    asyncio.get_event_loop().run_until_complete(asyncio.sleep(seconds))


CALLERS: dict[str, Any] = {"asgi": (callers_asgi, rest_asgi), "wsgi": (callers_wsgi, time.sleep)}


def spent_s() -> float:
    """CPU seconds of this process and of those that it started and has waited for: they work for the request."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def attend(idle: Callable[[], Any], calls: list[Callable[[], Any]], seconds: float, answer: Path) -> None:
    """Warm up, say at which port this process listens, and call what each message there names until it is ended."""
    for call in (idle, *calls):
        called(call, seconds, least=1)
    in_calls_s = 0.0
    with socket.create_server((HOST, 0)) as listener:
        tell(answer, {"port": listener.getsockname()[1]})
        while True:
            line, _ = listener.accept()
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with line:
                while message := line.recv(CALL.size):
                    (number,) = CALL.unpack(message)
                    if number == TELL:
                        line.sendall(TOLD.pack(in_calls_s, in_queue_s()))
                        continue
                    began_s = time.perf_counter()
                    (idle if number == NOTHING else calls[number])()
                    in_calls_s += time.perf_counter() - began_s
                    line.sendall(b".")


def in_queue_s() -> float:
    """Seconds for which this process's threads wanted a CPU that others had (Linux); no waiting of the app's own."""
    total_ns = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        try:
            total_ns += int(task.read_text(encoding="ascii").split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return total_ns / 1e9


if __name__ == "__main__":
    main()
