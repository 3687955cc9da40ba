"""The load process behind JSON lines: one order a line on stdin, one answer a line on stdout, nothing else there.

The engine decides; this process never ends on Ctrl-C, and never outlives the engine: the end of stdin, or the death
of the parent, ends it at once. While an order runs, `abort` and `drop` are read and obeyed between two callbacks.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gevent.event import Event
from gevent.hub import get_hub

from sgibench.errors import CeilingError, DeclarationError, LoadError, SgibenchError
from sgibench.load.calibrate import calibrate
from sgibench.load.crew import Crew
from sgibench.load.loading import describe
from sgibench.load.measure import Measurement
from sgibench.load.orders import read_measure
from sgibench.load.parent import follow_parent, settle_down
from sgibench.load.rehearsed import Rehearsed
from sgibench.load.strangers import Strangers
from sgibench.load.webui.line import EngineLine
from sgibench.load.webui.opening import open_ui, read_ui

CHUNK = 65536


class Driver:
    """Reads orders, carries them out one after the other, writes answers."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._partial = b""
        self._waiting: list[dict[str, Any]] = []
        self._arrived = Event()
        self._running: Measurement | Crew | None = None
        self._crew: Crew | None = None
        self._engine = EngineLine(self.say)
        self._strangers, self._rehearsed = Strangers(), Rehearsed()
        self._handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "describe": self._describe,
            "measure": self._measure,
            "calibrate": self._calibrate,
            "ui": lambda order: open_ui(read_ui(order), self._engine),
        }

    def say(self, message: dict[str, Any]) -> None:
        """Write one line, whole."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        while line:
            line = line[os.write(self._sink, line) :]

    # --- reading ---------------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Read orders for ever, beside whatever runs; the end of stdin ends the process."""
        watcher = get_hub().loop.io(self._source, 1)
        watcher.start(self._on_input)

    def _on_input(self) -> None:
        data = os.read(self._source, CHUNK)
        if not data:
            os._exit(0)
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in filter(bytes.strip, lines):
            self._take(line)

    def _take(self, line: bytes) -> None:
        """Obey `abort` and `drop` now, answer `ping`, hand over what the engine tells the web UI, queue the rest."""
        try:
            order = json.loads(line)
        except ValueError:
            order = None
        if isinstance(order, dict) and isinstance(order.get("tell"), str):
            self._engine.hear(order)
            return
        if not isinstance(order, dict) or not isinstance(order.get("do"), str):
            self._fail("?", LoadError(f"expected an order, an object with `do`, but got {line[:200]!r}"))
            return
        if order["do"] == "ping":
            self.say({"event": "alive"})
        elif order["do"] == "abort":
            if self._running is not None:
                self._running.abort()
        elif order["do"] == "drop":
            if self._running is not None:
                self._running.drop(str(order.get("target")), str(order.get("reason", "")))
        else:
            self._waiting.append(order)
            self._arrived.set()

    # --- obeying ---------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Carry out orders until `stop`."""
        while True:
            while not self._waiting:
                self._arrived.clear()
                self._arrived.wait()
            order = self._waiting.pop(0)
            if order["do"] == "stop":
                self.say({"did": "stop"})
                return
            self._obey(order)

    def _obey(self, order: dict[str, Any]) -> None:
        handler = self._handlers.get(order["do"], self._unknown)
        try:
            self.say(handler(order))
        except Exception as error:  # noqa: BLE001 - the engine must hear of bugs too
            self._fail(order["do"], error)

    def _fail(self, order: str, error: Exception) -> None:
        """Tell the engine that an order failed; bugs bring their traceback."""
        known = isinstance(error, SgibenchError)
        answer = {
            "did": "error",
            "order": order,
            "kind": type(error).__name__ if known else "LoadError",
            "message": str(error) if known else f"{type(error).__name__}: {error}",
        }
        if not known:
            answer["traceback"] = "".join(traceback.format_exception(error))
        self.say(answer)

    def _unknown(self, order: dict[str, Any]) -> dict[str, Any]:
        raise LoadError(f"unknown order {order['do']!r}; known: {', '.join([*self._handlers, 'stop'])}")

    def _describe(self, order: dict[str, Any]) -> dict[str, Any]:
        paths = [Path(path) for path in order.get("scenarios", [])]
        return {"did": "describe", "scenarios": [describe(path) for path in paths]}

    def _measure(self, order: dict[str, Any]) -> dict[str, Any]:
        read = read_measure(order)
        try:
            if read.load_workers > 1:
                self._running = crew = self._crew_of(read.load_workers)
                return crew.measure(order, read, self.say)
            self._running = measurement = Measurement(
                read, self.say, strangers=self._strangers, rehearsed=self._rehearsed
            )
            return measurement.run()
        except DeclarationError:
            raise
        except OSError as error:
            raise LoadError(f"measure: {error}") from error
        finally:
            self._running = None

    def _crew_of(self, size: int) -> Crew:
        """Give a crew of that many workers, the one of the last order if it will do."""
        if self._crew is not None and (self._crew.size != size or self._crew.broken):
            self._crew.close()
            self._crew = None
        if self._crew is None:
            self._crew = Crew(size)
        return self._crew

    def _calibrate(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            return calibrate(Path(order["scenario"]), float(order.get("window_s", 2.0)))
        except CeilingError:
            raise
        except (LoadError, OSError) as error:
            raise CeilingError(str(error)) from error


def main() -> None:
    """Run the load process."""
    sink = os.dup(1)
    os.dup2(2, 1)  # whatever prints, prints to stderr
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("locust.runners").setLevel(logging.ERROR)  # it warns of spawn rates above 100 per second
    follow_parent()
    settle_down()
    driver = Driver(0, sink)
    driver.listen()
    driver.serve()
