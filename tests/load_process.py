"""The load process as the engine runs it, for tests: orders in, answers out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.scripted_server import ScriptedServer

SCENARIOS = Path(__file__).parent.parent / "scenarios"


class LoadProcess:
    """One `python -m sgibench.load`, or with `script` what it does after these lines of Python."""

    def __init__(self, stderr: IO[bytes] | None = None, script: str = "") -> None:
        patched = f"from sgibench.load.driver import main\n{script}\nmain()"
        begun = ["-c", patched] if script else ["-m", "sgibench.load"]
        self.process = subprocess.Popen(
            [sys.executable, *begun],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            bufsize=1,
            env={**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1"},
        )
        self.events: list[dict[str, Any]] = []

    def say(self, **order: Any) -> None:
        """Send an order without waiting."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")

    def read(self) -> dict[str, Any]:
        """Read the next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the load process ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def answer(self) -> dict[str, Any]:
        """Read the final answer of an order."""
        while "did" not in (answer := self.read()):
            self.events.append(answer)
        return answer

    def until_measuring(self, done: float = 0.0) -> None:
        """Wait until a window has begun, or until such a share of it is over."""
        while (said := self.read()).get("phase") != "measure" or said["done"] < done:
            pass

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send an order and wait for its answer."""
        self.say(**order)
        return self.answer()

    def close(self) -> None:
        """End it as the engine's death would."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


@contextmanager
def load_process(stderr: IO[bytes] | None = None, script: str = "") -> Iterator[LoadProcess]:
    """Run a load process for as long as the block lasts; `stderr` takes what it says there."""
    process = LoadProcess(stderr, script)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()
        for pipe in (process.process.stdin, process.process.stdout):
            if pipe is not None:
                pipe.close()


def target(server: ScriptedServer, name: str = "server", pids: tuple[int, ...] = ()) -> dict[str, Any]:
    """A target of a measure order."""
    return {"id": name, "host": server.host, "port": server.port, "pids": list(pids)}


def measuring(scenario: Path, *targets: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A measure order: short, closed, sliced; `load` is merged into the closed load of 8 connections."""
    load = {"kind": "closed", "connections": 8, "connection": "keep-alive", "rate_per_s": None, "arrivals": "uniform"}
    order: dict[str, Any] = {
        "do": "measure",
        "scenario": str(scenario),
        "targets": list(targets),
        "slice_s": 0.05,
        "settle_s": 0.02,
        "window_s": 0.3,
        "warmup_s": 1.0,
        "timeout_s": 5.0,
        "seed": 7,
        "identify": True,
    }
    return {**order, **changes, "load": load | changes.get("load", {})}


def accounted(result: dict[str, Any]) -> int:
    """All requests that a result says were sent, in its window or in none."""
    return int(result["window"]["sent"] + sum(result["window"]["uncounted"].values()))
