"""Apps of the catalogue called without a server: what they cost is counted, and a wrong answer has no cost."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from sgibench import catalogue
from sgibench.bench.alone import jobs_of
from sgibench.bench.workshop import environment_of
from sgibench.engine.services import use
from sgibench.errors import ServerError
from sgibench.model import App, Cell, EnvironmentInfo, Exchange, Interface, Load, Scenario, Settings
from sgibench.serve.alone import Alone, Manner, Place, call_alone, can_be_called, deck_of, manner_of
from sgibench.serve.envs import Environment
from sgibench.serve.services import House
from tests.load_process import SCENARIOS
from tests.test_database_work import need_postgresql

HERE = Environment(
    folder=Path(sys.prefix), info=EnvironmentInfo(key="here", python="3.11", requirements=(), packages=())
)
SITE = (
    Exchange(
        name="/json", method="GET", path="/json", headers=(), body=b"", status=200,
        expected_body=b'{"message":"Hello, World!"}', weight=4,
    ),
    Exchange(
        name="/items", method="POST", path="/items", headers=(("Content-Type", "application/json"),),
        body=b'{"name":"order","quantity":1}', status=201, expected_body=None, gives=("id",),
    ),
    Exchange(
        name="/items/{id}", method="PUT", path="/items/{id}", headers=(("Content-Type", "application/json"),),
        body=b'{"name":"changed","quantity":2}', status=200,
        expected_body=b'{"id":{id},"name":"changed","quantity":2}', weight=2,
    ),
    Exchange(
        name="/wait/5", method="GET", path="/wait/5", headers=(), body=b"", status=200, expected_body=b"waited 5 ms",
    ),
)  # fmt: skip


def scenario(*exchanges: Exchange) -> Scenario:
    return Scenario(
        id="own", summary="", path=SCENARIOS / "site.py", exchanges=exchanges, floor_s=0.0, interfaces=("wsgi", "asgi")
    )


def app_of(folder: Path, source: str, interface: Interface = "wsgi") -> App:
    """Write an app of one's own."""
    (folder / "apps").mkdir(exist_ok=True)
    (folder / "apps" / "mine.py").write_text(dedent(source))
    return App(id="mine", interface=interface, target="mine:app", folder=folder / "apps", packages=(), summary="")


def call(app: App, folder: Path, *exchanges: Exchange, manner: Manner | None = None, seconds: float = 0.1) -> Alone:
    place = Place(scratch=folder / "scratch")
    asked = scenario(*(exchanges or SITE))
    return call_alone(app, HERE, asked, place, manner=manner or Manner(at_once=4), seconds=seconds)


@pytest.mark.parametrize("app", ["wsgi_plain", "asgi_plain"])
def test_the_plain_apps_answer_a_session_and_cost_something(app: str, tmp_path: Path) -> None:
    found = call(catalogue.load().app(app), tmp_path)
    assert found.cpu_us > 1
    assert found.calls >= 3 * 7


BURNING = """
    import time

    def app(environ, start_response):
        until = time.thread_time() + 0.004
        while {place} and time.thread_time() < until:
            pass
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]
"""


def ok(path: str, weight: int = 1) -> Exchange:
    return Exchange(
        name=path, method="GET", path=path, headers=(), body=b"", status=200, expected_body=b"ok", weight=weight
    )


def test_cpu_is_counted_by_the_mix_and_what_calling_costs_is_taken_off(tmp_path: Path) -> None:
    """4 ms of CPU in one request of four are one millisecond a request, whatever else the machine does meanwhile."""
    burning = app_of(tmp_path, BURNING.format(place='environ["PATH_INFO"] == "/burn"'))
    assert 850 < call(burning, tmp_path, ok("/burn"), ok("/else", 3)).cpu_us < 1500
    idle = app_of(tmp_path, BURNING.format(place="False"))
    assert call(idle, tmp_path, ok("/burn"), ok("/else", 3)).cpu_us < 100


def test_waiting_is_no_cpu(tmp_path: Path) -> None:
    sleeping = """
        import asyncio

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                return
            await asyncio.sleep(0.02)
            head = [(b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": b"ok"})
    """
    assert call(app_of(tmp_path, sleeping, "asgi"), tmp_path, ok("/")).cpu_us < 5000


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def app(environ, start_response):\n    raise LookupError('no such shelf')", "no such shelf"),
        ("app = None", "can't be called without a server"),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        (
            """
            calls = 0
            def app(environ, start_response):
                global calls
                calls += 1
                start_response("200 OK" if calls < 9 else "429 Too Many", [])
                return [b"ok"]
            """,
            "GET /: expected status 200, but 429 came",
        ),
        (
            "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'no']",
            "GET /: expected b'ok', but b'no' came",
        ),
    ],
)
def test_an_app_that_answers_wrong_or_not_at_all_has_no_cost(source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="mine") as caught:
        call(app_of(tmp_path, source), tmp_path, ok("/"))
    assert said in caught.value.detail


def test_what_an_answer_should_give_and_does_not_is_wrong(tmp_path: Path) -> None:
    source = "def app(environ, start_response):\n    start_response('201 Made', [])\n    return [b'{}']"
    with pytest.raises(ServerError, match="expected id to be a number or a word"):
        call(app_of(tmp_path, source), tmp_path, SITE[1])


def test_a_deck_holds_each_as_often_as_it_weighs_evenly_spread() -> None:
    deck = deck_of([5, 1, 2])
    assert [deck.count(place) for place in range(3)] == [5, 1, 2]
    assert deck != sorted(deck)


def test_apps_are_called_once_each_and_only_where_layers_can_be_told() -> None:
    apps = {app.id: app for app in catalogue.load().apps}
    site, tasks = (
        scenario(*SITE),
        Scenario(
            id="crud", summary="", path=SCENARIOS / "crud.py", exchanges=(), floor_s=0.0, interfaces=("wsgi", "asgi")
        ),
    )

    def cells(*pairs: tuple[str, str], of: str = "own") -> list[Cell]:
        load, settings = Load(kind="closed", connections=8), Settings(workers=1, threads=8)
        return [Cell(server=server, app=app, scenario=of, load=load, settings=settings) for server, app in pairs]

    def manner(cell: Cell) -> Manner:
        return Manner(at_once=1 if cell.server == "gunicorn-sync" else 8)

    def jobs(*found: Cell) -> list[tuple[str, tuple[str, ...]]]:
        every = [*apps.values(), apps["wsgi_plain"].on("postgresql"), apps["wsgi_flask"].on("postgresql")]
        return [(job.app.id, job.servers) for job in jobs_of(found, every, (site, tasks), manner)]

    def chosen(*found: Cell) -> list[str]:
        return [app for app, _ in jobs(*found)]

    both = cells(("waitress", "wsgi_plain"), ("waitress", "wsgi_flask"))
    assert chosen(*both, *cells(("gunicorn-sync", "wsgi_plain"))) == ["wsgi_plain", "wsgi_flask"]
    assert chosen(*cells(("waitress", "wsgi_plain"), ("granian-wsgi", "wsgi_plain"))) == []
    assert chosen(*cells(("waitress", "wsgi_flask"), ("waitress", "wsgi_bottle"))) == []
    assert chosen(*cells(("waitress", "wsgi_plain"), ("waitress", "wsgi_flask"), of="crud")) == []
    assert not can_be_called(apps["rsgi_plain"], site)
    more = cells(
        *((server, app) for server in ("granian-wsgi", "gunicorn-sync") for app in ("wsgi_plain", "wsgi_flask"))
    )
    assert jobs(*both, *more) == [
        *((app, ("waitress", "granian-wsgi")) for app in ("wsgi_plain", "wsgi_flask")),
        *((app, ("gunicorn-sync",)) for app in ("wsgi_plain", "wsgi_flask")),
    ]
    stored = cells(("waitress", "wsgi_plain+postgresql"), ("waitress", "wsgi_flask+postgresql"))
    assert chosen(*stored) == ["wsgi_plain+postgresql", "wsgi_flask+postgresql"]
    assert chosen(both[0], stored[1]) == []  # the plain app on another database tells nothing


def test_each_app_begins_with_data_of_its_own(tmp_path: Path) -> None:
    source = """
        import os
        from pathlib import Path

        def app(environ, start_response):
            begun = Path(os.environ["SGIBENCH_DATA"]) / "folder" / str(os.getpid())
            others = [one for one in begun.parent.glob("*") if one != begun]
            begun.mkdir(parents=True, exist_ok=True)
            start_response("200 OK" if not others else "409 Used", [])
            return [b"ok"]
    """
    app = app_of(tmp_path, source)
    assert call(app, tmp_path, ok("/")).calls > 0
    assert call(app, tmp_path, ok("/")).calls > 0


CROWDED = {
    "wsgi": """
        import threading, time

        here, most, lock = 0, 0, threading.Lock()

        def app(environ, start_response):
            global here, most
            with lock:
                here += 1
                most = max(most, here)
            time.sleep(0.002)
            with lock:
                here -= 1
            start_response("200 OK" if most < 5 else "409 Crowded", [])
            return [b"ok"]
    """,
    "asgi": """
        import asyncio

        here = most = 0

        async def app(scope, receive, send):
            global here, most
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                return
            here += 1
            most = max(most, here)
            await asyncio.sleep(0.002)
            here -= 1
            status = 200 if most < 5 and type(asyncio.get_running_loop()).__module__ == "LOOP" else 409
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
    """,
}


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_an_app_is_asked_as_many_at_once_as_its_server_would(interface: Interface, tmp_path: Path) -> None:
    """One more than four would be told by the app; that four came by the fifth line, which it also tells."""
    app = app_of(tmp_path, CROWDED[interface].replace("LOOP", "asyncio.unix_events"), interface)
    assert call(app, tmp_path, ok("/"), manner=Manner(at_once=4)).calls > 0
    with pytest.raises(ServerError, match="expected status 200, but 409 came"):
        call(app, tmp_path, ok("/"), manner=Manner(at_once=8))


def test_an_asgi_app_is_called_on_the_loop_that_its_server_has() -> None:
    found = catalogue.load()
    load, settings = Load(kind="closed", connections=32), Settings(workers=1, threads=8)
    manners = {}
    for server, packages in (("uvicorn-httptools", ("uvloop==0.23.0",)), ("uvicorn-h11", ()), ("waitress", ())):
        environment = replace(HERE, info=replace(HERE.info, packages=packages))
        cell = Cell(server=server, app="any", scenario="own", load=load, settings=settings)
        manners[server] = manner_of(found.server(server), cell, environment)
    assert manners["uvicorn-httptools"] == Manner(at_once=32, loop="uvloop")
    assert manners["uvicorn-h11"] == Manner(at_once=32, loop="asyncio")
    assert manners["waitress"].at_once == 8


def test_each_line_changes_an_item_of_its_own(tmp_path: Path) -> None:
    """Two lines that changed the same item would fight over it, which the clients of a server do not."""
    source = """
        import threading

        made, met, lock = 0, {}, threading.Lock()

        def app(environ, start_response):
            global made
            with lock:
                if environ["REQUEST_METHOD"] == "POST":
                    made += 1
                    start_response("201 Created", [])
                    return [b'{"id":%d}' % made]
                others = met.setdefault(environ["PATH_INFO"], set())
                if threading.current_thread() is not threading.main_thread():
                    others.add(threading.get_ident())
            start_response("200 OK" if len(others) < 2 else "409 Conflict", [])
            return [b"ok"]
    """
    giver = replace(SITE[1], expected_body=None)
    taker = replace(SITE[2], expected_body=b"ok")
    assert call(app_of(tmp_path, source), tmp_path, giver, taker, manner=Manner(at_once=4)).calls > 0


def test_an_app_on_postgresql_is_called_with_a_database_of_its_own_whose_cpu_is_not_the_apps(tmp_path: Path) -> None:
    need_postgresql()
    found = catalogue.load()
    app = found.app("wsgi_plain+postgresql")
    environment = environment_of(found.server("waitress"), app)
    with House(found.services) as house:
        used = use(house, app, "alone", tmp_path / "unused", 8)
        place = Place(scratch=tmp_path)
        alone = call_alone(
            app, environment, scenario(*SITE), place, manner=Manner(at_once=4), variables=used.variables, seconds=0.2
        )
        rows = used.rows()
        assert rows is not None
        assert rows.count > 100 + 4  # what was seeded, what each line was given, and what was asked
        assert alone.cpu_us > 1
