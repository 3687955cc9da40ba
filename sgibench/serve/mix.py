"""Calls an app of the catalogue without a server, inside its own environment: what a scenario's mix costs it.

Asked as a server is: from another process on another CPU, as many at once as the server has at work, in the scenario's
mix, on the loop that the server uses, each request in a thread of a pool or in a task of its own. Between two requests
the process sleeps and is woken, and the kernel carries bytes: so the app finds caches, threads and loop as it does
under a server. All but the app itself is done for an app that does nothing as well, and taken off.

A plain script for Python 3.11 or newer; beside the standard library it has only `own/drive.py`, whose way of calling an
app it shares, and `asker.py`, which it starts. It reads its order from a file and writes one JSON object beside it.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import importlib.util
import json
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HEAD_BYTES = 150
"""About the head of a small request, and of an answer."""
ROOM = 1 << 16
MOST_BYTES = 1 << 20
"""No message is longer; of bodies beyond it the rest is not carried."""
LEAST_ROUNDS, LEAST_EACH = 10, 15
"""So many rounds of the deck on all lines together, and so many calls on each: what is under way at the edges of the
time is little beside them."""
LONGEST = 8
"""So many times as long as was asked for, a mix may take until it has had them."""
STOP_S = 5.0

Told = dict[str, Any]
Call = Callable[[], Told]


def main() -> None:
    """Carry out the order in the file that the first argument names."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if entry != str(here)]
    drive = driver(here / "own" / "drive.py")
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    module, _, attribute = order["target"].partition(":")
    app = importlib.import_module(module)
    for name in attribute.split("."):
        app = getattr(app, name)
    kind: type[Lines] = {"asgi": AsgiLines, "wsgi": WsgiLines}[order["interface"]]
    told = measured(kind(drive, app, order), order, Path(sys.argv[1]))
    answer = Path(sys.argv[2])
    beside = answer.with_suffix(".new")
    beside.write_text(json.dumps(told), encoding="utf-8")
    beside.replace(answer)


def driver(path: Path) -> Any:
    """Load the script that knows how to call an app."""
    spec = importlib.util.spec_from_file_location("_sgibench_drive", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Lines:
    """The lines to the asker, and what the app is asked on each."""

    nothing: Any
    """An app that does nothing."""

    def __init__(self, drive: Any, app: Any, order: Told) -> None:
        self.drive = drive
        self.app = app
        self.called = app
        """Who is called now."""
        self.asked: list[list[Told]] = []
        """Line -> its requests; who needs what an earlier answer gave has its own."""
        self.replies: list[bytes] = []
        self.sizes: list[int] = []
        """Of the messages that ask."""
        self.statuses: list[set[Any]] = [set() for _ in order["requests"]]
        self.failed: str | None = None

    def once(self, request: Told) -> Told:
        """Ask one request now."""
        raise NotImplementedError

    @property
    def calls(self) -> int:
        """How many were answered so far, of whomever."""
        raise NotImplementedError

    def open(self, listener: socket.socket) -> None:
        """Take a line for each of `asked` and serve it from here on."""
        raise NotImplementedError

    def go_on(self, seconds: float) -> None:
        """Let the lines be served for so long."""
        raise NotImplementedError

    def close(self) -> None:
        """Hang up."""
        raise NotImplementedError

    def learn(self, order: Told) -> list[Told]:
        """Ask each request once, for each line what it needs of its own; gives the first line's answers."""
        asked, answers = met_once(self.drive, order["requests"], self.once)
        self.asked.append(asked)
        for _ in range(order["at_once"] - 1):
            values: Told = {}
            mine = []
            for request, known in zip(order["requests"], asked, strict=True):
                filled = with_values(request, values)
                mine.append(known if filled == known else filled)
                if request["gives"]:
                    values.update(given(self.once(filled), request["gives"]))
            self.asked.append(mine)
        self.replies = [bytes(min(MOST_BYTES, HEAD_BYTES + answer["bytes"])) for answer in answers]
        bodies = [len(base64.b64decode(request["body"])) for request in order["requests"]]
        self.sizes = [min(MOST_BYTES, HEAD_BYTES + size) for size in bodies]
        return answers

    def spent(self, called: Any, seconds: float, least: int) -> tuple[float, int]:
        """Let somebody be called for so long, warmed up before; CPU seconds and calls."""
        self.called = called
        self.until(seconds / 3, least)
        began_s, calls = self.drive.spent_s(), self.calls
        self.until(seconds, least)
        return self.drive.spent_s() - began_s, self.calls - calls

    def until(self, seconds: float, least: int) -> None:
        """Serve for so long, or longer where there were fewer calls than `least` by then."""
        before, until_s = self.calls, time.monotonic() + LONGEST * seconds
        while True:
            self.go_on(seconds)
            if self.failed is not None:
                raise RuntimeError(self.failed)
            if self.calls - before >= least or time.monotonic() > until_s:
                return


def measured(lines: Lines, order: Told, path: Path) -> Told:
    """Give the answers, and what one request of the mix costs on average: of the app, less of one that does nothing."""
    answers = lines.learn(order)
    seconds, least = order["seconds"], max(LEAST_ROUNDS * len(order["deck"]), LEAST_EACH * order["at_once"])
    with asking(lines, order, path.with_name("asker.json")):
        cpu_s, calls = lines.spent(lines.app, seconds, least)
        idle_s, idles = lines.spent(lines.nothing, seconds / 3, least)
    return {
        "answers": answers,
        "statuses": [list(each) for each in lines.statuses],
        "cpu_us": (cpu_s / calls - idle_s / idles) * 1e6 if calls and idles else None,
        "calls": calls,
    }


@contextmanager
def asking(lines: Lines, order: Told, path: Path) -> Iterator[None]:
    """Have another process ask, on another CPU."""
    with socket.create_server(("127.0.0.1", 0), backlog=order["at_once"]) as listener:
        wanted = {
            "port": listener.getsockname()[1],
            "cpus": order["asker_cpus"],
            "at_once": order["at_once"],
            "deck": order["deck"],
            "sizes": lines.sizes,
            "answers": [len(reply) for reply in lines.replies],
        }
        path.write_text(json.dumps(wanted), encoding="utf-8")
        asker = subprocess.Popen([sys.executable, str(Path(__file__).with_name("asker.py")), str(path)])
        try:
            listener.settimeout(60)
            lines.open(listener)
            yield
        finally:
            lines.close()
            asker.kill()
            asker.wait(STOP_S)


class WsgiLines(Lines):
    """A thread for each line, as a server's pool has them."""

    def __init__(self, drive: Any, app: Any, order: Told) -> None:
        super().__init__(drive, app, order)
        self.nothing = drive.nothing_wsgi
        self._counts: list[list[int]] = []
        self._ends: list[socket.socket] = []

    def once(self, request: Told) -> Told:
        """Ask one request now."""
        body = base64.b64decode(request["body"])
        told: Told = self.drive.call_wsgi(self.app, self.drive.environ_of(request, body), body)
        return told

    @property
    def calls(self) -> int:
        """How many were answered so far."""
        return sum(count[0] for count in self._counts)

    def open(self, listener: socket.socket) -> None:
        """Give each line a thread."""
        for asked in self.asked:
            end, _ = listener.accept()
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends.append(end)
            self._counts.append([0])
            threading.Thread(target=self._serve, args=(end, asked, self._counts[-1]), daemon=True).start()

    def go_on(self, seconds: float) -> None:
        """Leave it to the threads."""
        time.sleep(seconds)

    def close(self) -> None:
        """Hang up; threads that wait for a message end."""
        for end in self._ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _serve(self, line: socket.socket, asked: list[Told], count: list[int]) -> None:
        bodies = [base64.b64decode(request["body"]) for request in asked]
        kept = [self.drive.environ_of(request, body) for request, body in zip(asked, bodies, strict=True)]
        call, sizes, replies, statuses = self.drive.call_wsgi, self.sizes, self.replies, self.statuses
        try:
            while message := line.recv(ROOM):
                number = int.from_bytes(message[:2])
                missing = sizes[number] - len(message)
                while missing > 0:
                    missing -= len(line.recv(ROOM)) or missing
                told = call(self.called, dict(kept[number]), bodies[number])
                if self.called is self.app:
                    statuses[number].add(told.get("status"))
                line.sendall(replies[number])
                count[0] += 1
        except OSError:
            return  # it was hung up
        except Exception:  # noqa: BLE001 - whatever the app raises is told
            self.failed = traceback.format_exc()


class AsgiLines(Lines):
    """All lines on one loop, a task for each request."""

    def __init__(self, drive: Any, app: Any, order: Told) -> None:
        super().__init__(drive, app, order)
        self.nothing = drive.nothing_asgi
        self.answered = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = new_loop(order["loop"])
        asyncio.set_event_loop(self.loop)
        self.state: Told = {}
        self._started = self.loop.run_until_complete(drive.start_up(app, self.state))
        self._transports: list[asyncio.Transport] = []

    def once(self, request: Told) -> Told:
        """Ask one request now."""
        scope = {**self.drive.scope_of(request), "state": dict(self.state)}
        body = base64.b64decode(request["body"])
        told: Told = self.loop.run_until_complete(self.drive.call_asgi(self.app, scope, body))
        return told

    @property
    def calls(self) -> int:
        """How many were answered so far."""
        return self.answered

    def open(self, listener: socket.socket) -> None:
        """Give each line to the loop."""
        for asked in self.asked:
            end, _ = listener.accept()
            made = self.loop.connect_accepted_socket(lambda asked=asked: AsgiLine(self, asked), end)  # type: ignore[misc]
            transport, _protocol = self.loop.run_until_complete(made)
            self._transports.append(transport)

    def go_on(self, seconds: float) -> None:
        """Run the loop."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def close(self) -> None:
        """Hang up, and let the app's tasks end."""
        for transport in self._transports:
            transport.abort()
        left = [self._started, *self.tasks]
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


class AsgiLine(asyncio.Protocol):
    """One line on the loop."""

    def __init__(self, lines: AsgiLines, asked: list[Told]) -> None:
        drive = lines.drive
        self._lines = lines
        self._bodies = [base64.b64decode(request["body"]) for request in asked]
        self._kept = [drive.scope_of(request) for request in asked]
        self._call = drive.call_asgi
        self._number, self._missing = 0, 0

    def connection_made(self, transport: Any) -> None:
        """Keep what answers go to."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Begin a task when a message is whole."""
        if not self._missing:
            self._number = int.from_bytes(data[:2])
            self._missing = self._lines.sizes[self._number]
        self._missing -= len(data)
        if self._missing <= 0:
            self._missing = 0
            task = self._lines.loop.create_task(self._answer(self._number))
            self._lines.tasks.add(task)
            task.add_done_callback(self._lines.tasks.discard)

    async def _answer(self, number: int) -> None:
        lines = self._lines
        called = lines.called
        try:
            scope = {**self._kept[number], "state": dict(lines.state)}
            told = await self._call(called, scope, self._bodies[number])
        except Exception:  # noqa: BLE001 - whatever the app raises is told
            lines.failed = traceback.format_exc()
            return
        if called is lines.app:
            lines.statuses[number].add(told.get("status"))
        self._transport.write(lines.replies[number])
        lines.answered += 1


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Make the loop that the server would have."""
    if kind == "uvloop":
        uvloop: Any = importlib.import_module("uvloop")
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


def met_once(drive: Any, requests: list[Told], once: Callable[[Told], Told]) -> tuple[list[Told], list[Told]]:
    """Ask each request once, its blanks filled with what earlier answers gave; the requests so filled, and the answers.

    Where an answer lacks what it should give, the blanks stay, and whoever judges the answers will see it.
    """
    asked, answers = [], []
    values: Told = {}
    for request in requests:
        asked.append(with_values(request, values))
        told = once(asked[-1])
        answers.append(drive.shown(told))
        values.update(given(told, request["gives"]))
    return asked, answers


def given(told: Told, fields: list[str]) -> dict[str, str]:
    """Read what an answer gives; nothing where it lacks that."""
    try:
        document = json.loads(told["body"]) if fields else {}
        return {field: str(document[field]) for field in fields}
    except (ValueError, TypeError, KeyError):
        return {}


def with_values(request: Told, values: Told) -> Told:
    """Fill the blanks `{field}`."""
    body = base64.b64decode(request["body"])
    path, headers = request["path"], request["headers"]
    for field, value in values.items():
        blank = "{" + field + "}"
        path = path.replace(blank, value)
        body = body.replace(blank.encode(), value.encode())
        headers = [[name, text.replace(blank, value)] for name, text in headers]
    return {**request, "path": path, "headers": headers, "body": base64.b64encode(body).decode()}


if __name__ == "__main__":
    main()
