"""Work on a database: what it costs is counted apart, rows add up, and faults of it fail a trial and not the run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sgibench import bench, catalogue, report
from sgibench.bench.services import parse_database
from sgibench.cli import main
from sgibench.engine.orders import Measured
from sgibench.engine.services import Used, Witness, difference, expected_rows, sqlite_rows, use
from sgibench.errors import ServerError, UsageError
from sgibench.model import Block, Cell, Plan, Rows, Run, Scenario, Stage, Trial
from sgibench.report import terminal
from sgibench.report.panels import view_of
from sgibench.report.services import notes_of
from sgibench.results import store
from sgibench.serve.services import House
from sgibench.serve.services.finding import on_system
from tests.requirements_for_tests import lacking
from tests.test_services import eventually

FOUND = catalogue.load()
POOL = 4
"""Connections of each process, where servers have 8 threads."""

TWICE = '''
"""Writes one new item in five twice."""

import itertools

import contract
from wsgi_plain import app as inner

INTERFACE = "wsgi"
SERVICES = {"postgresql": ("psycopg[binary,pool]==3.3.9",), "redis": ()}
COUNT = itertools.count(1)


def app(environ, start_response):
    if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("POST", "/items") and not next(COUNT) % 5:
        contract.items().add("twin", 0)
    return inner(environ, start_response)
'''
RACY = '''
"""Raises a quantity without a lock: what another request wrote meanwhile is lost."""

import time

import contract
from wsgi_plain import app as inner

INTERFACE = "wsgi"
SERVICES = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}


def app(environ, start_response):
    if not environ["PATH_INFO"].startswith("/raise/"):
        return inner(environ, start_response)
    number, name, quantity = contract.items().get(int(environ["PATH_INFO"][7:]))
    time.sleep(0.002)
    contract.items().change(number, None, quantity + 1)
    body = contract.dump({"id": number, "name": name, "quantity": quantity + 1})
    start_response("200 OK", [("Content-Type", contract.JSON), ("Content-Length", str(len(body)))])
    return [body]
'''
LEAKY = '''
"""Opens a connection for each item that is read, and never closes it."""

import os

import psycopg
from wsgi_plain import app as inner

INTERFACE = "wsgi"
SERVICES = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}
KEPT = []


def app(environ, start_response):
    if environ["PATH_INFO"].startswith("/items/"):
        KEPT.append(psycopg.connect(os.environ["SGIBENCH_POSTGRESQL"]))
    return inner(environ, start_response)
'''
ELSEWHERE = '''
"""Keeps its items in a file of its own."""

import functools
import os
from pathlib import Path

import contract
from database.sqlite import SqliteItems
from wsgi_plain import app

INTERFACE = "wsgi"
SERVICES = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}
contract.items = functools.cache(lambda: SqliteItems(Path(os.environ["SGIBENCH_DATA"]) / "elsewhere"))
'''
FORGETFUL = '''
"""Answers one change in twenty as if it had been made; of twenty that raise, one is lost, and one made twice."""

import itertools

import contract
from wsgi_plain import app

INTERFACE = "wsgi"
COUNT, RAISED = itertools.count(1), itertools.count(10)
REAL = contract.items


class Forgetful:
    def __init__(self, real):
        self.real = real

    def __getattr__(self, name):
        return getattr(self.real, name)

    def change(self, item_id, name, quantity):
        row = self.real.get(item_id)
        if row is None or next(COUNT) % 20:
            return self.real.change(item_id, name, quantity)
        return row[0], name or row[1], row[2] if quantity is None else quantity

    def raise_by_one(self, item_id):
        turn, row = next(RAISED) % 20, self.real.get(item_id)
        if row is not None and turn == 0:
            return row[0], row[1], row[2] + 1
        for _ in range(2 if turn == 1 else 1):
            raised = self.real.raise_by_one(item_id)
        return raised


contract.items = lambda: Forgetful(REAL())
'''
MURDEROUS = '''
"""Kills its database at the first item that is read."""

import os
import signal
import sqlite3
from pathlib import Path

import psycopg
from wsgi_plain import app as inner

INTERFACE = "wsgi"
SERVICES = {"postgresql": ("psycopg[binary,pool]==3.3.9",)}


def app(environ, start_response):
    if environ["PATH_INFO"].startswith("/items"):
        with psycopg.connect(os.environ["SGIBENCH_POSTGRESQL"]) as link:
            backend = Path(f"/proc/{link.info.backend_pid}/stat").read_text()
            os.kill(int(backend.rpartition(")")[2].split()[1]), signal.SIGKILL)
    return inner(environ, start_response)
'''


def need_postgresql() -> None:
    need("postgresql")


def need(name: str) -> None:
    service = FOUND.service(name).service
    if on_system(service) is None:
        lacking(name, service.how)


class Quiet:
    """Listens, and says nothing."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def planned(self, plan: Plan, done: int) -> None: ...

    def stage_started(self, block: Block, stage: Stage) -> None: ...

    def repeating(self, stage: Stage) -> None: ...

    def step(self, cell: Cell, phase: str, done: float) -> None: ...

    def trials_ended(self, trials: Sequence[Trial]) -> None: ...


def request(tmp_path: Path, apps: Sequence[str], scenarios: Sequence[str], blocks: int = 1) -> bench.Request:
    return bench.Request(
        results=tmp_path / "results",
        argv=("sgibench",),
        servers=("waitress",),
        apps=tuple(apps),
        scenarios=tuple(scenarios),
        catalogues=(tmp_path,),
        blocks=blocks,
        window_s=0.5,
        connections=(16,),
        rate_per_s=0.0,
        pool=POOL,
        control=False,
        layers=False,
        retries=0,
        seed=1,
    )


def measured(asked: bench.Request, listener: Quiet) -> Run:
    return store.read_run(bench.run(asked, listener).folder)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with apps that are not right."""
    need_postgresql()
    need("redis")
    tmp_path = tmp_path_factory.mktemp("work")
    (tmp_path / "apps").mkdir()
    wrong = {
        "wsgi_twice": TWICE,
        "wsgi_racy": RACY,
        "wsgi_leaky": LEAKY,
        "wsgi_elsewhere": ELSEWHERE,
        "wsgi_forgetful": FORGETFUL,
    }
    for name, text in wrong.items():
        (tmp_path / "apps" / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def run(planted: Path) -> Run:
    """One run of an app that is right and of five that are not, on PostgreSQL; some of these without it, too."""
    apps = [f"{name}+postgresql" for name in ("wsgi_plain", "wsgi_twice", "wsgi_racy", "wsgi_leaky", "wsgi_elsewhere")]
    apps += ["wsgi_twice", "wsgi_twice+redis", "wsgi_elsewhere", "wsgi_forgetful"]
    return measured(request(planted, apps, ["crud", "db_read"]), Quiet())


@pytest.fixture(scope="module")
def contended(planted: Path) -> Run:
    """One run in which all requests want the same two items, of two apps that are right and of two that lose some."""
    apps = [f"{name}+postgresql" for name in ("wsgi_plain", "wsgi_django_pool", "wsgi_racy")]
    return measured(request(planted, [*apps, "wsgi_forgetful"], ["db_contend"]), Quiet())


def trial_of(run: Run, app: str, scenario: str, on: str = "+postgresql") -> Trial:
    (found,) = (one for one in run.trials if (one.app, one.scenario) == (f"{app}{on}", scenario))
    return found


@pytest.mark.parametrize("scenario", ["crud", "db_contend", "db_read"])
def test_the_cost_of_the_database_stands_beside_the_servers(run: Run, contended: Run, scenario: str) -> None:
    run = contended if scenario == "db_contend" else run
    trial = trial_of(run, "wsgi_plain", scenario)
    assert trial.status == "ok", trial.failure
    (used,) = trial.services
    assert (used.service, used.private, used.pool, trial.pool) == ("postgresql", True, POOL, POOL)
    assert used.cpu_s is not None
    assert used.cpu_us_per_request == pytest.approx(used.cpu_s / (trial.requests or 0) * 1e6)
    assert used.cpu_s > 0
    assert trial.cpu_s is not None
    assert used.memory is not None
    assert (used.memory.pss_bytes or 0) > 0
    assert used.connections_most == POOL
    assert used.connections_opened == POOL
    assert run.info.services["postgresql"].private
    assert run.info.services["postgresql"].cpus == run.info.service_cpus


@pytest.mark.parametrize("on", ["+postgresql", "", "+redis"])
def test_a_write_that_is_made_twice_fails_the_trial_wherever_items_are_kept(run: Run, on: str) -> None:
    trial = trial_of(run, "wsgi_twice", "crud", on)
    assert trial.status == "failed"
    assert trial.failure is not None
    assert trial.failure.reason == "rows-differ"
    assert "too many" in trial.failure.detail
    assert trial.requests is None
    assert trial_of(run, "wsgi_twice", "db_read", on).status == "ok"


@pytest.mark.parametrize("app", ["wsgi_plain", "wsgi_django_pool"])
def test_threads_that_wait_for_a_connection_are_counted_and_said_to_exceed_the_pool(contended: Run, app: str) -> None:
    """Where all fight over two items, all eight threads want one of the four connections."""
    trial = trial_of(contended, app, "db_contend")
    assert trial.failure is None
    assert trial.asking is not None
    assert POOL < max(trial.asking) <= 8
    (panel,) = (one for one in view_of(contended).panels if one.main.key.scenario == "db_contend")
    said = [words for words in notes_of(panel) if app in words]
    assert said
    assert all(f"wanted one of {POOL} connections: its threads exceed the pool" in words for words in said)


def test_a_service_that_apps_keep_no_pool_for_has_none(run: Run) -> None:
    trial = trial_of(run, "wsgi_twice", "db_read", "+redis")
    assert trial.pool is None
    assert [(one.service, one.pool) for one in trial.services] == [("redis", None)]


def test_an_update_that_is_lost_fails_the_trial(run: Run, contended: Run) -> None:
    trial = trial_of(contended, "wsgi_racy", "db_contend")
    assert trial.failure is not None
    assert trial.failure.reason == "wrong-answer"
    assert "came again: one of the two writes was lost" in trial.failure.detail
    assert trial_of(run, "wsgi_racy", "crud").status == "ok"


def test_an_update_that_is_lost_is_seen_though_another_makes_up_for_it(contended: Run) -> None:
    """As many pieces are in the table as the answers stand for."""
    trial = trial_of(contended, "wsgi_forgetful", "db_contend", "")
    assert trial.failure is not None
    assert trial.failure.reason == "wrong-answer"
    assert "came again: one of the two writes was lost" in trial.failure.detail


@pytest.mark.parametrize("on", ["", "+postgresql"])
def test_an_app_that_keeps_its_items_elsewhere_fails_though_the_rows_add_up(run: Run, on: str) -> None:
    """What is made is deleted again, so the table that is counted is as it was before the load."""
    trial = trial_of(run, "wsgi_elsewhere", "crud", on)
    assert trial.failure is not None
    assert trial.failure.reason == "rows-differ"
    assert "elsewhere" in trial.failure.detail


def test_a_change_that_is_answered_and_not_made_fails_the_trial(run: Run) -> None:
    trial = trial_of(run, "wsgi_forgetful", "crud", "")
    assert trial.failure is not None
    assert trial.failure.reason == "wrong-answer"
    assert "/items/{id}" in trial.failure.detail


def test_running_out_of_connections_is_a_failed_trial_with_that_reason(run: Run) -> None:
    trial = trial_of(run, "wsgi_leaky", "db_read")
    assert trial.status == "failed"
    assert trial.failure is not None
    assert trial.failure.reason == "out-of-connections"
    assert "too many connections" in trial.failure.detail


def test_the_report_the_terminal_and_json_show_what_the_database_cost(run: Run, tmp_path: Path) -> None:
    page = report.write(run, tmp_path).read_text(encoding="utf-8")
    assert "CPU of PostgreSQL" in page
    assert "connections opened" in page
    console = Console(width=100, record=True, file=io.StringIO())
    terminal.ranking(run, console)
    told = console.export_text()
    assert "its CPU/request" in told
    assert f"{POOL} / {POOL}" in told
    assert "Service: postgresql: PostgreSQL" in told
    groups = report.summary(run)["groups"]
    (row,) = (
        row for group in groups for row in group["rows"] if row["cell"] == trial_of(run, "wsgi_plain", "crud").cell
    )
    (used,) = row["services"]
    assert used["connections"] == {"opened": POOL, "at_once": POOL, "pool": POOL}
    assert used["cpu_us_per_request"]["value"] > 0


@pytest.mark.parametrize(
    ("asking", "most", "said"),
    [
        ((4,), 4, None),
        (None, 4, None),
        ((12,), 4, "12 requests at once wanted one of 4 connections: its threads exceed the pool"),
        ((12,), 12, "it held 12 connections, where a pool of 4 was given to all"),
        ((4,), -900, "it opened 900 connections, where a pool of 4 was given to all: it does not keep them"),
    ],
)
def test_a_server_whose_threads_exceed_the_pool_says_so(
    run: Run, asking: tuple[int, ...] | None, most: int, said: str | None
) -> None:
    """`most` below 0: so many were opened one after the other."""
    trial = trial_of(run, "wsgi_plain", "db_read")
    (used,) = trial.services
    load = replace(trial.load, connections=16)
    seen = replace(used, connections_most=max(most, 1), connections_opened=max(-most, POOL))
    changed = replace(trial, load=load, inside=(16,), asking=asking, services=(seen,))
    (panel,) = view_of(replace(run, trials=(changed,))).panels
    assert notes_of(panel) == ([] if said is None else [f"{panel.rows[0].label}: {said}"])


class Faulty(Quiet):
    """Does something to PostgreSQL in the middle of some blocks' windows."""

    def __init__(self, signals: dict[int, signal.Signals]) -> None:
        super().__init__()
        self.left = dict(signals)
        self.block = 0

    def stage_started(self, block: Block, stage: Stage) -> None:
        del stage
        self.block = block.index

    def step(self, cell: Cell, phase: str, done: float) -> None:
        del cell, done
        if phase == "measure" and self.block in self.left:
            os.kill(root_of_postgresql(), self.left.pop(self.block))


def root_of_postgresql() -> int:
    """The first process of the PostgreSQL that this test's run has started."""
    mine = [one for one in psutil.Process().children(recursive=True) if one.name() == "postgres"]
    (root,) = (one.pid for one in mine if (parent := one.parent()) is not None and parent.name() != "postgres")
    return root


def test_a_database_that_is_killed_or_stopped_fails_that_trial_and_the_run_goes_on(tmp_path: Path) -> None:
    need_postgresql()
    (tmp_path / "apps").mkdir()
    listener = Faulty({0: signal.SIGKILL, 1: signal.SIGSTOP})
    asked = request(tmp_path, ["wsgi_plain+postgresql"], ["db_read"], blocks=3)
    found = measured(asked, listener)
    assert not listener.left
    failures = {trial.block: trial.failure for trial in found.trials}
    for block, sign in ((0, "SIGKILL"), (1, "SIGSTOP")):
        failure = failures[block]
        assert failure is not None
        assert failure.reason == "service"
        assert f"postgresql was {'killed' if sign == 'SIGKILL' else 'stopped'}" in failure.detail
        assert sign in failure.detail
    assert failures[2] is None
    assert found.info.finished_at is not None


# --- what is there, and what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "capacity --slo p99<50ms"])
def test_without_postgresql_its_scenarios_are_left_out_by_name_with_the_package(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sgibench.bench.services.missing", lambda service: f"it needs x: {service.how}")
    words = f"{command} --server waitress --scenario crud --database postgresql --quiet --results"
    monkeypatch.setattr(
        "sys.argv",
        ["sgibench", *words.split(), str(tmp_path / "results"), "--reports", str(tmp_path / "reports")],
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "wsgi_plain+postgresql: postgresql: it needs x: apt-get install postgresql" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["mysql", "http://host/name", "postgresql://host:port/name", "\x1b", "postgresql://h\nx/"]
)
def test_a_database_that_is_none_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--database: expected sqlite, postgresql .* or an address"):
        parse_database(text)


@pytest.mark.parametrize("command", ["run --quiet", "capacity --slo p99<50ms --quiet", "ui"])
def test_a_database_that_does_not_answer_is_told_before_anything_is_measured(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = "postgresql://me:hush-hush@127.0.0.1:9/x"
    words = f"{command} --server waitress --scenario crud --database {database} --results"
    folders = [str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    monkeypatch.setattr("sys.argv", ["sgibench", *words.split(), *folders])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "--database" in said
    assert "refused" in said
    assert "hush-hush" not in said
    assert len(said.strip().splitlines()) == 1


def test_in_a_database_that_exists_nothing_outside_a_schema_of_its_own_is_touched() -> None:
    need_postgresql()
    with House(FOUND.services) as theirs:
        given_share = theirs.share("postgresql", "theirs")
        with House(FOUND.services, existing={"postgresql": given_share.address}) as ours:
            share = ours.share("postgresql", "ours")
            assert ours.root("postgresql") is None
            assert ours.memory("postgresql") is None
            assert not ours.infos()["postgresql"].private
            assert ours.rows(share) == Rows(count=100, pieces=4950)
            import psycopg  # noqa: PLC0415 - only where there is one

            with psycopg.connect(share.address, autocommit=True) as link:
                link.execute("DELETE FROM items")
                assert ours.look(share).connections == 1
            assert ours.rows(share) == Rows(count=0, pieces=0)
            assert theirs.rows(given_share) == Rows(count=100, pieces=4950)
        with psycopg.connect(given_share.address) as link:
            left = link.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'sgibench%'").fetchone()
        assert left == (0,)
    with pytest.raises(ServerError):
        theirs.rows(given_share)


def test_an_existing_database_without_room_says_so_in_its_own_words() -> None:
    need_postgresql()
    import psycopg  # noqa: PLC0415 - only where there is one

    with House(FOUND.services) as theirs:
        given_share = theirs.share("postgresql", "theirs")
        with (
            House(FOUND.services, existing={"postgresql": given_share.address}) as ours,
            contextlib.ExitStack() as links,
        ):
            share = ours.share("postgresql", "ours")
            assert ours.look(share).refused is None
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    links.enter_context(psycopg.connect(share.address))
            assert "too many connections" in (ours.look(share).refused or "")
            links.close()
            assert "too many connections" in (ours.look(share).refused or ""), "what happened is not forgotten"


def test_a_database_that_loses_a_process_and_goes_on_is_what_is_wrong_with_whom_it_served_then(tmp_path: Path) -> None:
    """It breaks off all connections then; that some apps open new ones at once does not make such a trial a result."""
    need_postgresql()
    import psycopg  # noqa: PLC0415 - only where there is one

    app = FOUND.app("wsgi_plain+postgresql")
    with House(FOUND.services) as house:
        used = use(house, app, "one", tmp_path, 8)
        assert used.out_of_use() is None
        with psycopg.connect(used.shares[0].address) as link:
            root, backend = house.root("postgresql"), link.info.backend_pid
            os.kill(backend, signal.SIGKILL)
            assert eventually(lambda: (found := used.out_of_use()) is not None and "lost" in found.detail)
        failure = used.out_of_use()
        assert failure is not None
        assert failure.reason == "service"
        assert f"server process (PID {backend}) was terminated by signal 9" in failure.detail
        assert eventually(lambda: house.look(used.shares[0]).connections is not None), "it answers again by itself"
        assert use(house, app, "two", tmp_path, 8).out_of_use() is None, "it is no fault of those who come later"
        assert house.root("postgresql") == root


def test_a_service_that_dies_while_apps_are_checked_is_what_is_said_to_be_wrong(tmp_path: Path) -> None:
    need_postgresql()
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "wsgi_murderous.py").write_text(MURDEROUS, encoding="utf-8")
    words = ["check", "waitress", "--app", "wsgi_murderous+postgresql", "--catalogue", str(tmp_path), "--json"]
    done = subprocess.run([sys.executable, "-m", "sgibench.cli", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["problems"] == ["service: postgresql was killed (SIGKILL)"]


# --- the law of rows --------------------------------------------------------------------------------------------------

SCENARIO = Scenario(
    id="s",
    summary="",
    path=Path("s.py"),
    exchanges=(),
    floor_s=0.0,
    interfaces=("wsgi",),
    rows={"POST /items": 1, "DELETE /items/{id}": -1},
    pieces={"POST /raise/{id}": 1},
)
COUNTS = st.integers(0, 10_000)


@given(
    posted=COUNTS,
    deleted=COUNTS,
    raised=COUNTS,
    open_ends=st.lists(st.sampled_from(["write", "raise", "none"])),
    off=st.integers(-5, 5),
)
def test_rows_are_right_exactly_when_the_answers_explain_them(
    posted: int, deleted: int, raised: int, open_ends: list[str], off: int
) -> None:
    """Requests without an answer were carried out or not; a database that is off by more than that is found out."""
    seen = Measured(
        id="x",
        answers={"POST /items": posted, "DELETE /items/{id}": deleted, "POST /raise/{id}": raised, "GET /": 7},
        errors={"timeout": len(open_ends)} if open_ends else {},
    )
    before = Rows(count=100, pieces=50)
    due = expected_rows(SCENARIO, before, seen)
    really = Rows(
        count=before.count + posted - deleted + open_ends.count("write"),
        pieces=before.pieces + raised + open_ends.count("raise"),
    )
    assert difference(due, really) is None
    wrong = difference(due, Rows(count=before.count + posted - deleted + off, pieces=really.pieces))
    assert (wrong is None) == (abs(off) <= len(open_ends))
    if not open_ends and off:
        assert wrong is not None
        assert f"{abs(off):,} {'too many' if off > 0 else 'missing'}" in wrong


def test_items_are_counted_wherever_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "no. 1 #? %41"
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "items.sqlite3")) as link:
        link.execute("CREATE TABLE items (quantity INTEGER)")
        link.execute("INSERT INTO items VALUES (3), (4)")
        link.commit()
    assert sqlite_rows(folder / "items.sqlite3") == Rows(count=2, pieces=7)


def test_items_that_can_not_be_counted_fail_the_trial_and_are_not_believed(tmp_path: Path) -> None:
    database = tmp_path / "items.sqlite3"
    witness = Witness(SCENARIO, {"cell": Used(sqlite=database)})
    assert witness.judge("cell", Measured(id="x")) is None, "there are no items"
    failure = witness.judge("cell", Measured(id="x", answers={"POST /items": 3, "DELETE /items/{id}": 3}))
    assert failure is not None
    assert "elsewhere" in failure.detail
    database.write_bytes(b"no database at all, but longer than its header" * 50)
    failure = Witness(SCENARIO, {"cell": Used(sqlite=database)}).judge("cell", Measured(id="x"))
    assert failure is not None
    assert failure.reason == "rows-differ"
    assert failure.detail.startswith("the items could not be counted before the load")


def test_check_asks_apps_on_postgresql_where_a_glob_names_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_postgresql()
    monkeypatch.setattr("sys.argv", ["sgibench", "check", "waitress", "--app", "wsgi_plai?", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    found = {one["app"]: one["status"] for one in json.loads(capsys.readouterr().out)}
    assert found == {"wsgi_plain": "ok", "wsgi_plain+postgresql": "ok"}
    assert ended.value.code == 0
