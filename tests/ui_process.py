"""`sgibench ui` as a user has it, for tests: a process, an address, and what a browser would ask there."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil

FAULTY = Path(__file__).parent / "faulty"
PATIENCE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer of the web UI."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)


class Ui:
    """A running `sgibench ui`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, said: str) -> None:
        self.process = process
        self.folder = folder
        """Where it was started: `results` and `reports` are in here."""
        self.said = said
        """What it printed when it was ready."""
        found = re.search(r"http://\S+", said)
        assert found, said
        self.url = found[0]
        self.host = urlsplit(self.url).netloc

    def ask(self, method: str, path: str, form: Mapping[str, object] | None = None, **headers: str) -> Reply:
        """Ask, with no header that was not given but Host; underscores in names stand for dashes."""
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE_S)
        sent = {"Host": self.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        body = None
        if form is not None:
            body = urlencode({name: str(value) for name, value in form.items()})
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body or "")))
            connection.endheaders((body or "").encode())
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        return Reply(status=response.status, headers={k.lower(): v for k, v in response.getheaders()}, text=text)

    def start(self, **form: object) -> Any:
        """Press Start; what is not given is as in a form with eight users."""
        return self.ask("POST", "/swarm", {"user_count": 8, "spawn_rate": 1000, **form}, Origin=self.url[:-1]).json

    def stop(self) -> None:
        """Press Stop, and wait until the server is gone."""
        assert self.ask("POST", "/stop", {}).status == 200
        self.until(lambda state: state["phase"] == "idle")

    @property
    def state(self) -> Any:
        """What our bar and tabs show."""
        return self.ask("GET", "/sgibench/state").json

    def until(self, holds: Callable[[Any], bool]) -> Any:
        """Wait until the state is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds(state := self.state):
            assert time.monotonic() < deadline, state
            time.sleep(0.1)
        return state

    def measured(self, seconds: int = 2) -> Any:
        """Wait until so many seconds were counted and the engine has judged them."""
        return self.until(
            lambda state: state["phase"] == "measuring" and bool(state["processes"]) and points(state) >= seconds
        )

    @property
    def requests(self) -> int:
        """Requests that Locust counts."""
        return int(self.ask("GET", "/stats/requests").json["stats"][-1]["num_requests"])

    def fields(self) -> dict[str, Any]:
        """What Locust's page is made from."""
        page = self.ask("GET", "/").text
        found = re.search(r"window\.templateArgs = (\{.*\})", page)
        assert found
        fields: dict[str, Any] = json.loads(found[1])
        return fields

    def cell(self, test: int, column: str) -> str:
        """One cell of the table of tests."""
        state = self.state
        cell: str = state["tests"][test]["cells"][state["columns"].index(column)]
        return cell

    def server_pids(self) -> set[int]:
        """Processes of the server that is served now, as the page names them."""
        return {int(row[0]) for row in self.state["processes"]}

    def descendants(self) -> list[psutil.Process]:
        """All processes that it started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it with a signal; gives what it said at last."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=90)[0]


def points(state: Any) -> int:
    """Seconds that the page's first chart shows."""
    return len(state["charts"][0]["points"]) if state["charts"] else 0


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:
        return True


def all_gone(processes: list[psutil.Process], within_s: float = 60.0) -> bool:
    """Whether all of them have ended by then."""
    deadline = time.monotonic() + within_s
    while not all(map(gone, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def free_port() -> int:
    """Ask the system for a port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def ui_process(folder: Path, *arguments: str, port: int | None = None) -> Iterator[Ui]:
    """Run `sgibench ui` in a folder for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "sgibench.cli", "ui", "--port", str(port or free_port())]
    process = subprocess.Popen(
        [*command, "--catalogue", str(FAULTY), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        yield Ui(process, folder, process.stdout.readline())
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=90)
