"""The border of server and app: whose CPU it is, told by threads' clocks; and how trials at the border are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sgibench import bench, catalogue, inside
from sgibench.bench.border import NEGATIVE, behind, cost_of, stages_of
from sgibench.engine.orders import Measured
from sgibench.engine.trials import Draft
from sgibench.model import App, Cell, Crossings, Failure, Load, Settings
from sgibench.report.layers import layers_of
from sgibench.report.panels import view_of
from sgibench.results import store
from tests.test_database_work import Quiet

APPS = catalogue.home() / "apps"
ASKED = """
import asyncio, json, sys, threading, time

def burn(ms):
    until = time.thread_time() + ms / 1000
    while time.thread_time() < until:
        pass

class Answer:
    def __iter__(self):
        burn(3)
        yield b"ok"
    def close(self):
        burn(2)

def wsgi(environ, start_response):
    burn(4)
    if environ.get("thread"):
        thread = threading.Thread(target=burn, args=(20,))
        thread.start()
        thread.join()
    start_response("200 OK", [("Content-Length", "2")] if environ.get("length") else [])
    if environ.get("fails"):
        raise LookupError("as asked")
    return Answer() if environ.get("lazy") else [b"ok"]

tasks = set()

class Old:
    def __await__(self):
        burn(2)
        yield from asyncio.sleep(0).__await__()
        burn(2)

async def later(ms, receive=None):
    await asyncio.sleep(0.2 if receive is None else 0)
    if receive:
        await receive()
    burn(ms)

async def asgi(scope, receive, send):
    burn(4)
    await asyncio.sleep(0.05)
    if scope.get("thread"):
        await asyncio.to_thread(burn, 20)
    if scope.get("task"):
        await asyncio.ensure_future(Old())
        await asyncio.create_task(later(10, receive))
        tasks.add(asyncio.create_task(later(5)))  # goes on when the request has ended
    await receive()
    await send({})
    if scope.get("fails"):
        raise LookupError("as asked")
    burn(3)
"""
ASKING = """
import asyncio, sys
sys.path.append(sys.argv[1])
import border
from asked import burn

case = sys.argv[2]
environ = {word: True for word in sys.argv[3:]}
if case == "wsgi":
    app = border.around("wsgi", "asked:wsgi", every=1)
    try:
        answer = app(environ, lambda *_words: burn(50))
        list(answer)
        close = getattr(answer, "close", None)
        close() if close else None
    except LookupError:
        print("failed")
else:
    app = border.around("asgi", "asked:asgi", every=1)

    async def receive():
        burn(30)

    async def send(_message):
        await asyncio.create_task(asyncio.sleep(0.01))
        burn(20)

    async def serve():
        asking = asyncio.create_task(app({"type": "http", **environ}, receive, send))
        await asyncio.sleep(0)
        burn(40)  # another request, while this one waits
        await asking
        await asyncio.sleep(0.4)

    try:
        asyncio.run(serve())
    except LookupError:
        print("failed")
"""


def within_ms(folder: Path, *words: str) -> tuple[float, float, str]:
    """Serve one request from an app behind its border; what was used behind it, by whom, and what was printed."""
    (folder / "asked.py").write_text(ASKED, encoding="utf-8")
    (folder / "asking.py").write_text(ASKING, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(folder / "asking.py"), str(APPS), *words],
        env={**os.environ, "SGIBENCH_DATA": str(folder), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    spent_ns = sum((*inside.counts(folder, inside.WITHIN_NS), *inside.counts(folder, inside.THREADS_NS)))
    assert sum(inside.counts(folder, inside.WITHIN_CALLS)) == 1
    (own_ns,) = inside.counts(folder, inside.WITHIN_OWN)
    return spent_ns / 1e6, own_ns / 1e6, done.stdout


@pytest.mark.parametrize(
    ("words", "expected_ms"),
    [
        (("wsgi",), 4),
        (("wsgi", "lazy"), 4 + 3 + 2),
        (("wsgi", "lazy", "length"), 4 + 3 + 2),
        (("wsgi", "thread"), 4 + 20),
        (("wsgi", "fails"), 4),
        (("asgi",), 4 + 3),
        (("asgi", "thread"), 4 + 3 + 20),
        (("asgi", "task"), 4 + 3 + 10 + 5 + 2 + 2),
        (("asgi", "fails"), 4),
    ],
)
def test_cpu_is_the_apps_when_its_code_uses_it_and_the_servers_when_the_server_does(
    words: tuple[str, ...], expected_ms: float, tmp_path: Path
) -> None:
    """Neither start_response nor send, receive, or another request counts; threads and tasks that the app starts do."""
    found_ms, own_ms, said = within_ms(tmp_path, *words)
    assert expected_ms <= found_ms < expected_ms * 1.2 + 1
    assert 0 < own_ms < found_ms / 2  # a few clock readings, which are microseconds
    assert ("failed" in said) == ("fails" in words)


SEVERAL = """
import asyncio, sys, threading
sys.path.append(sys.argv[1])
import border
from asked import burn

def work(path):
    burn(5 if path.startswith("/items") else 1)
    thread = threading.Thread(target=burn, args=(2,))
    thread.start()
    thread.join()

def wsgi_app(environ, start_response):
    work(environ["PATH_INFO"])
    start_response("200 OK", [])
    return [b""]

async def later():
    burn(3)

async def asgi_app(scope, receive, send):
    work(scope["path"])
    await asyncio.create_task(later())
    await send({})

async def send(_message):
    burn(1)

def serve():
    if kind == "wsgi":
        app({"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda *_words: None)
    else:
        asyncio.run(app({"type": "http", "method": "GET", "path": path}, None, send))

sys.modules["several"] = sys.modules["__main__"]
kind, every = sys.argv[2], 8
app = border.around(kind, f"several:{kind}_app", every=every)
for number in range(80):
    path = "/" if number % 2 else f"/items/{number}"
    of_the_server = threading.Thread(target=serve)
    of_the_server.start()
    of_the_server.join()
"""


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_one_request_in_several_of_each_kind_stands_for_all_and_so_do_the_threads_of_all(
    kind: str, tmp_path: Path
) -> None:
    """Every second request would be of one kind alone if they were not told apart; a server's threads are its own."""
    (tmp_path / "asked.py").write_text(ASKED, encoding="utf-8")
    (tmp_path / "asking.py").write_text(SEVERAL, encoding="utf-8")
    subprocess.run(
        [sys.executable, str(tmp_path / "asking.py"), str(APPS), kind],
        env={**os.environ, "SGIBENCH_DATA": str(tmp_path), "PYTHONPATH": str(tmp_path)},
        check=True,
        timeout=60,
    )
    once, twice = (sum(inside.counts(tmp_path, name)) for name in (inside.WITHIN_CALLS, inside.TWICE_CALLS))
    assert (once, twice) == ((10, 0) if kind == "wsgi" else (6, 4))
    each_ms = (1 + 5) / 2 + (3 if kind == "asgi" else 0)
    for name, calls in ((inside.WITHIN_NS, once), (inside.TWICE_NS, twice)):
        (spent_ns,) = inside.counts(tmp_path, name) or (0,)
        assert each_ms * calls <= spent_ns / 1e6 <= (each_ms * 1.2 + 1) * calls
    (of_threads_ns,) = inside.counts(tmp_path, inside.THREADS_NS)
    assert 2 <= of_threads_ns / 1e6 / 80 < 2 * 1.2 + 1


LOAD, SETTINGS = Load(kind="closed", connections=8), Settings(workers=1, threads=4)


def cell(server: str, app: str, threads: int = 4) -> Cell:
    return Cell(server=server, app=app, scenario="json", load=LOAD, settings=Settings(workers=1, threads=threads))


def test_a_trial_at_the_border_that_failed_has_no_figures() -> None:
    found = catalogue.load()
    seen = Measured(id="x", requests=100, cpu_s=0.02, within=Crossings(calls=100, once_s=0.015, tried_s=0.001))
    draft = Draft(
        cell=cell("waitress", "wsgi_plain"),
        entry=found.server("waitress"),
        order=0,
        started_at="",
        floor_s=0.0,
        measured=seen,
    )
    twin = Draft(**{**vars(draft), "measured": Measured(id="y", requests=200, cpu_s=0.03)})
    cost = cost_of(draft, twin, 2, None)
    assert (cost.cpu_us, cost.block) == (200.0, 2)
    assert cost.within_us == pytest.approx(150.0)
    assert cost.outside_us == pytest.approx(50.0)
    taken = Crossings(calls=10, once_s=0.001, tried_s=0.0001, twice=5, twice_s=0.0006, threads_s=0.005)
    some = cost_of(Draft(**{**vars(draft), "measured": replace(seen, within=taken)}), twin, 2, None)
    assert some.within_us == pytest.approx(150.0)
    assert some.own_us == pytest.approx(20.0)
    assert some.share == 0.2
    assert some.app_us == pytest.approx(130.0)
    assert some.outside_us == pytest.approx(200.0 - 130.0 - 20.0 / 5)  # what the border costs is spread over all
    long = replace(seen, within=replace(taken, twice_s=0.003))
    assert cost_of(Draft(**{**vars(draft), "measured": long}), twin, 2, None).own_us == pytest.approx(40.0)
    short = replace(seen, within=replace(taken, twice_s=0.0003))
    assert cost_of(Draft(**{**vars(draft), "measured": short}), twin, 2, None).own_us == pytest.approx(10.0)
    assert cost.app_us == pytest.approx(140.0)
    assert cost.whole_us == pytest.approx(150.0)
    assert cost_of(draft, None, 2, None).whole_us is None
    assert cost_of(draft, Draft(**{**vars(twin), "failure": Failure(reason="x", detail="y")}), 2, None).whole_us is None
    for failed in (
        cost_of(draft, twin, 2, "it was killed"),
        cost_of(Draft(**{**vars(draft), "failure": Failure(reason="x", detail="wrong")}), twin, 2, None),
        cost_of(Draft(**{**vars(draft), "measured": None}), twin, 2, None),
        cost_of(
            Draft(**{**vars(draft), "measured": replace(seen, within=Crossings(calls=2, once_s=0.001, tried_s=0.0))}),
            twin,
            2,
            None,
        ),
        cost_of(Draft(**{**vars(draft), "measured": Measured(id="x", requests=100, cpu_s=0.02)}), twin, 2, None),
    ):
        assert failed.failure
        assert failed.cpu_us is failed.within_us is failed.outside_us is failed.app_us is failed.whole_us is None


def test_servers_of_one_size_stand_in_one_stage_each_beside_its_twin() -> None:
    one, other, behind_it = (cell("waitress", app) for app in ("wsgi_plain", "wsgi_flask", "wsgi_plain@border"))
    (stage, larger) = stages_of([one, other, one, cell("waitress", "wsgi_plain", 16), behind_it])
    assert [group.cells for group in stage.groups] == [(one, behind_it), (other,)]
    assert larger.groups[0].settings.threads == 16


def test_an_app_of_the_users_own_and_an_interface_without_a_border_stay_as_they_are(tmp_path: Path) -> None:
    found = catalogue.load()
    plain: App = found.app("wsgi_plain")
    moved = behind(plain, tmp_path)
    assert (moved.id, moved.packages, moved.interface) == (plain.id, plain.packages, plain.interface)
    assert repr(plain.target) in (moved.folder / "bordered.py").read_text(encoding="utf-8")
    assert behind(found.app("rsgi_plain"), tmp_path) == found.app("rsgi_plain")


def test_a_run_of_a_framework_beside_the_plain_app_is_taken_apart_at_its_borders(tmp_path: Path) -> None:
    asked = bench.Request(
        results=tmp_path / "results",
        argv=("sgibench",),
        servers=("waitress", "uvicorn-httptools"),
        apps=("wsgi_plain", "wsgi_bottle", "asgi_plain", "asgi_starlette"),
        scenarios=("json",),
        blocks=1,
        window_s=1.0,
        connections=(8,),
        rate_per_s=0.0,
        control=False,
        retries=0,
        seed=1,
    )
    run = store.read_run(bench.run(asked, Quiet()).folder)
    assert {(cost.server, cost.app) for cost in run.info.borders} == {(one.server, one.app) for one in run.trials}
    for cost in run.info.borders:
        assert cost.failure is None
        assert cost.cpu_us is not None
        assert cost.within_us is not None
        assert 0 < cost.within_us < cost.cpu_us * (1 + NEGATIVE)  # few are taken: what passed may be a slow moment's
        assert cost.own_us is not None
        assert 0 < cost.own_us < cost.within_us
    assert all(json.dumps(trial.argv).find("bordered") < 0 for trial in run.trials)
    (panel,) = view_of(run).panels
    table = layers_of(run, panel)
    assert table is not None
    for one in table.rows:
        (cost,) = (it for it in run.info.borders if (it.server, it.app) == (one.row.entry.server, one.row.entry.app))
        assert cost.outside_us is not None
        assert cost.app_us is not None
        assert cost.whole_us is not None
        assert one.layers.total.value == pytest.approx(cost.whole_us)
        assert one.layers.server.value == pytest.approx(cost.outside_us)
        assert one.layers.work.value + one.layers.framework.value == pytest.approx(cost.app_us)
        assert one.layers.rest.value == pytest.approx(cost.whole_us - cost.outside_us - cost.app_us)
        assert cost.share < 0.5
        assert one.alone is not None
