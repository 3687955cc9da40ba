"""Every variant starts, with one worker and with two, in its configurations, and is what its declaration says it is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sgibench import catalogue
from sgibench.errors import EnvsError
from sgibench.model import App, Configuration, Effective, Launch, ServerEntry, Settings
from sgibench.serve import effective, envs, needs, process
from sgibench.verify import Problem, excuse
from sgibench.verify.client import Client, Question
from tests.requirements_for_tests import lacking

CATALOGUE = catalogue.load()
SERVERS = [server for server in CATALOGUE.servers if server.variant.optional is None]


def launch_of(running: process.ServerProcess) -> Launch:
    """How it was launched."""
    assert running.launch is not None
    return running.launch


def settled(running: process.ServerProcess) -> Effective:
    """What it turned out to be; workers and threads that are still being started are waited for."""
    expected = running.spec.entry.expected(launch_of(running))
    deadline = time.monotonic() + 60
    while True:
        found = effective.read(process.HOST, running.port, running.pids())
        if not effective.differences(found, expected) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


@contextlib.contextmanager
def started(
    server: ServerEntry, folder: Path, *, workers: int = 1, threads: int = 4, configuration: Configuration = "equal"
) -> Iterator[process.ServerProcess]:
    if missing := needs.missing(server.variant.needs):
        lacking(f"what {server.id} needs", missing)
    app = app_of(server)
    try:
        environment = envs.ensure((*server.variant.packages, *app.packages))
    except EnvsError as error:
        lacking(f"an environment for {server.id} ({error})", "check the network")
    spec = process.ServerSpec(
        entry=server,
        app=app,
        settings=Settings(workers=workers, threads=threads, configuration=configuration),
        bin=environment.bin,
        cpus=(),
        scratch=folder / "scratch",
    )
    with process.ServerProcess(spec) as running:
        running.wait_ready()
        yield running


def app_of(server: ServerEntry) -> App:
    fitting = [app for app in CATALOGUE.apps if server.runs(app)]
    return next((app for app in fitting if app.id.endswith("_plain")), fitting[0])


def asked(server: process.ServerProcess, times: int) -> list[float]:
    """How many milliseconds each of so many requests on one connection took."""
    took_ms = []
    with Client(process.HOST, server.port) as client:
        for _ in range(times):
            began_s = time.perf_counter()
            client.ask(Question(method="GET", path="/plaintext"))
            took_ms.append((time.perf_counter() - began_s) * 1000)
    return took_ms


AGREEMENTS = [
    pytest.param(server, workers, configuration, id=f"{server.id}-{configuration}-{workers}")
    for server in SERVERS
    for workers, configuration in ((2, "equal"), (1, "default"), (1, "recommended"))
    if configuration != "recommended" or server.variant.recommended is not None
]


@pytest.mark.parametrize(("server", "workers", "configuration"), AGREEMENTS)
def test_a_server_is_what_its_declaration_says(
    server: ServerEntry, workers: int, configuration: Configuration, tmp_path: Path
) -> None:
    with started(server, tmp_path, workers=workers, configuration=configuration) as running:
        found = settled(running)
        assert effective.differences(found, server.expected(launch_of(running))) == [], running.log_tail()
        running.stop()


def test_without_tcp_nodelay_gevent_stalls_and_with_it_not(tmp_path: Path) -> None:
    took_ms = {}
    for server_id in ("gevent-pywsgi-stock", "gevent-pywsgi"):
        with started(CATALOGUE.server(server_id), tmp_path / server_id) as running:
            took_ms[server_id] = min(asked(running, 8)[1:])
    # The stall is the kernel's delayed acknowledgement, 40 ms on Linux; it is a wait and not a speed.
    assert took_ms["gevent-pywsgi-stock"] >= 35
    assert took_ms["gevent-pywsgi"] < 35


def test_several_workers_of_uvicorn_on_asyncio_stall_as_installed_and_not_when_made_equal(tmp_path: Path) -> None:
    found = {}
    for configuration in ("default", "equal"):
        server = CATALOGUE.server("uvicorn-h11")
        with started(server, tmp_path / configuration, workers=2, configuration=configuration) as running:
            found[configuration] = settled(running).nodelay
    assert found == {"default": False, "equal": True}


def test_more_connections_than_threads_starve_on_uwsgi_over_http11(tmp_path: Path) -> None:
    server = CATALOGUE.server("uwsgi-http11")
    with started(server, tmp_path, threads=2) as running, contextlib.ExitStack() as stack:
        limit = server.expected(launch_of(running)).connections
        assert limit == 2
        held = [stack.enter_context(Client(process.HOST, running.port)) for _ in range(limit)]
        assert [client.ask(Question(method="GET", path="/plaintext")).status for client in held] == [200, 200]
        assert process.ask_pid(running.port, timeout_s=0.5) == "GET /pid: timed out"


def test_a_declared_fault_becomes_one_note_and_any_other_stays_wrong() -> None:
    lacks = {"*: HEAD /*: expected Content-Length: *": "it answers HEAD with length 0"}
    problems = [
        Problem(check="plaintext", severity="wrong", detail="HEAD /plaintext: expected Content-Length: 13, but 0 came"),
        Problem(check="json", severity="wrong", detail="HEAD /json: expected Content-Length: 27, but 0 came"),
        Problem(check="json", severity="wrong", detail="GET /json: expected Content-Length: 27, but 0 came"),
        Problem(check="stream", severity="note", detail="all came together"),
    ]
    told = excuse(problems, lacks)
    assert [(problem.check, problem.severity) for problem in told] == [
        ("plaintext", "note"),
        ("json", "wrong"),
        ("stream", "note"),
    ]
    assert "it answers HEAD with length 0" in told[0].detail
