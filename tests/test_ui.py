"""The web UI over real HTTP: it serves what was chosen, measures it, lets it go, and obeys nobody else's page."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sgibench.load.webui.guard import is_own, own_names
from sgibench.results import store
from tests.test_database_work import need_postgresql
from tests.ui_process import Ui, all_gone, free_port, ui_process


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    with ui_process(tmp_path_factory.mktemp("ui"), "--connections", "8", "--scenario", "plaintext") as running:
        yield running


@pytest.fixture(autouse=True)
def _stopped(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a load running for the next one."""
    yield
    if "ui" in request.fixturenames:
        running: Ui = request.getfixturevalue("ui")
        if running.state["phase"] != "idle":
            running.stop()


# --- the form ------------------------------------------------------------------------------------------------------


def test_no_server_runs_before_start_is_pressed(ui: Ui) -> None:
    assert len(ui.descendants()) == 2  # the load process and its guard
    assert ui.state["phase"] == "idle"


def test_the_form_offers_our_choices_in_their_order(ui: Ui) -> None:
    options = ui.fields()["extra_options"]
    assert list(options) == [
        "server",
        "front",
        "app",
        "database",
        "scenario",
        "load",
        "rate",
        "workers",
        "threads",
        "configuration",
    ]
    assert {"gunicorn-gthread", "granian-asgi", "uvicorn-httptools"} <= set(options["server"]["choices"])
    assert {"plain", "wsgi_plain", "asgi_plain"} <= set(options["app"]["choices"])
    assert {"json", "wait", "crud"} <= set(options["scenario"]["choices"])
    assert options["load"]["choices"] == ["closed", "open"]


def test_the_form_opens_with_what_the_command_line_said(ui: Ui) -> None:
    fields = ui.fields()
    assert fields["num_users"] == 8
    assert fields["extra_options"]["scenario"]["default_value"] == "plaintext"
    assert fields["extra_options"]["server"]["default_value"] == "uvicorn-httptools"


def test_our_tabs_stand_beside_locusts(ui: Ui) -> None:
    assert [tab["title"] for tab in ui.fields()["extended_tabs"]] == ["Server", "Generator", "Doubts", "Tests"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"server": "gunicron"}, "there is no 'gunicron'"),
        ({"server": "gunicorn-gthread", "app": "asgi_plain"}, "gunicorn-gthread serves WSGI apps"),
        ({"workers": "0"}, "workers: expected a whole number from 1"),
        ({"threads": "many"}, "threads: expected a whole number from 1"),
        ({"database": "oracle"}, "database: there is no 'oracle'"),
        ({"server": "waitress", "app": "wsgi_whitenoise", "database": "postgresql"}, "can't use postgresql"),
        ({"server": "waitress", "app": "wsgi_flask+redis", "scenario": "jobs"}, "which sgibench run starts"),
        ({"load": "open", "rate": "-3"}, "rate: expected requests per second above 0"),
        (
            {"server": "waitress", "configuration": "default", "user_count": "200"},
            "waitress: it serves 100 connections side by side",
        ),
        ({"user_count": "0"}, "number of users: expected a number above 0"),
        ({"user_count": "60000"}, "60,000 connections"),
        ({"user_count": "1.5"}, "number of users: expected a whole number"),
        ({"spawn_rate": "nan"}, "ramp up: expected a number above 0"),
        ({"run_time": "soon"}, "run time: expected 20, 20s, 3m"),
    ],
)
def test_what_can_not_be_started_is_said_in_the_form(ui: Ui, form: dict[str, str], words: str) -> None:
    answer = ui.start(**form)
    assert not answer["success"]
    assert words in answer["message"]
    assert ui.state["phase"] == "idle"


# --- from Start to Stop --------------------------------------------------------------------------------------------


def test_start_measures_stop_ends_the_server_and_another_one_can_follow(ui: Ui) -> None:
    before = len(ui.state["tests"])
    assert ui.start(server="uvicorn-httptools", scenario="json")["success"]
    state = ui.measured()
    first = ui.server_pids()
    requests = ui.requests
    ui.until(lambda _: ui.requests > requests)
    assert {chart["title"] for chart in state["charts"]} >= {"Server CPU per request", "Memory of all its processes"}
    assert dict(state["generator"])["Connections established"] == "8 of 8"
    ui.stop()
    assert all_gone([psutil.Process(pid) for pid in first if psutil.pid_exists(pid)])

    assert ui.start(server="waitress", scenario="json")["success"]
    ui.measured()
    assert not first & ui.server_pids()
    ui.stop()
    assert [ui.cell(before + place, "server") for place in (0, 1)] == ["uvicorn-httptools", "waitress"]
    assert all(row["failure"] is None for row in ui.state["tests"][before:])


def test_tests_are_saved_as_a_run_with_a_report(ui: Ui) -> None:
    if not ui.state["unsaved"]:
        assert ui.start(server="waitress", scenario="json")["success"]
        ui.measured()
        ui.stop()
    saved = ui.ask("POST", "/sgibench/save", {}).json
    run = store.read_run(ui.folder / saved["folder"])
    assert run.info.profile == "ui"
    assert run.info.finished_at
    assert len(run.trials) == len(ui.state["tests"])
    assert "waitress" in {trial.server for trial in run.trials}
    for trial in run.trials:
        assert trial.status == "ok", trial.failure
        assert trial.cpu_us_per_request
        assert trial.memory
        assert trial.effective
        assert trial.generator
        assert trial.generator.jain
        assert sum(trial.series) <= (trial.requests or 0)
        assert any(package.startswith("waitress==") for package in run.info.environments["waitress"].packages)
    report = ui.ask("GET", "/sgibench/report")
    assert report.status == 200
    assert "waitress" in report.text
    assert (ui.folder / saved["report"]).read_text(encoding="utf-8") == report.text
    assert ui.state["unsaved"] == 0
    assert ui.ask("POST", "/sgibench/save", {}).status == 409


def test_changing_the_users_while_it_runs_makes_two_tests(ui: Ui) -> None:
    before = len(ui.state["tests"])
    assert ui.start(server="uvicorn-httptools")["success"]
    ui.measured()
    pids = ui.server_pids()
    assert not ui.start(server="waitress")["success"]
    crowd = ui.start(user_count=60000)
    assert not crowd["success"]
    assert "60,000 connections" in crowd["message"]
    assert ui.start(user_count=4)["success"]
    ui.until(lambda state: state["phase"] == "warm-up")
    ui.measured()
    assert ui.server_pids() == pids
    ui.stop()
    assert [ui.cell(before + place, "load") for place in (0, 1)] == ["closed-8", "closed-4"]


def test_an_open_load_keeps_its_rate(ui: Ui) -> None:
    assert ui.start(load="open", rate=200)["success"]
    ui.measured()
    ui.stop()
    trial = ui.state["tests"][-1]
    assert trial["failure"] is None
    assert trial["bars"]["requests/s"] == pytest.approx(200, rel=0.1)


def test_the_run_time_ends_a_test_like_stop(ui: Ui) -> None:
    before = len(ui.state["tests"])
    assert ui.start(run_time="5s", load="closed")["success"]
    pids = {process.pid for process in ui.descendants()}
    ui.until(lambda state: len(state["tests"]) > before and state["phase"] == "idle")
    assert len({process.pid for process in ui.descendants()}) < len(pids)


def test_a_test_stopped_before_anything_counted_says_so(ui: Ui) -> None:
    before = len(ui.state["tests"])
    assert ui.start()["success"]
    ui.stop()
    state = ui.state
    assert "nothing was counted" in state["error"]
    assert len(state["tests"]) == before


@pytest.mark.parametrize(
    ("fault", "words"),
    [("exits-at-start", "ended with status 1"), ("wrong-answer", "expected")],
)
def test_a_server_that_can_not_be_measured_is_explained_in_the_form(ui: Ui, fault: str, words: str) -> None:
    answer = ui.start(server=f"faulty-{fault}", scenario="json")
    assert not answer["success"]
    assert f"faulty-{fault}" in answer["message"]
    assert words in answer["message"]
    assert not ui.server_pids() or all_gone([psutil.Process(pid) for pid in ui.server_pids() if psutil.pid_exists(pid)])


def test_a_server_that_dies_under_load_fails_its_test_and_nothing_else(ui: Ui) -> None:
    before = len(ui.state["tests"])
    assert ui.start(server="faulty-crashes", scenario="json")["success"]
    state = ui.until(lambda state: state["phase"] == "idle")
    assert "crashed: it ended with status 3" in state["error"]
    for row in state["tests"][before:]:  # it may die before anything counted
        assert "crashed" in row["failure"]
    assert ui.start(server="uvicorn-httptools", scenario="json")["success"]
    assert ui.measured()["error"] is None


def test_a_server_that_is_stopped_by_a_signal_fails_its_test_by_that_name(ui: Ui) -> None:
    """It accepts connections still, so that its log and its clients say nothing."""
    before = len(ui.state["tests"])
    assert ui.start(server="uvicorn-httptools", scenario="json")["success"]
    ui.measured(1)
    for pid in ui.server_pids():
        os.kill(pid, signal.SIGSTOP)
    state = ui.until(lambda state: state["phase"] == "idle")
    assert "uvicorn-httptools stopped: it was stopped (SIGSTOP) under load" in state["error"]
    for row in state["tests"][before:]:
        assert "stopped" in row["failure"]
    assert ui.start(server="waitress", scenario="json")["success"]
    assert ui.measured()["error"] is None


# --- who may use it ------------------------------------------------------------------------------------------------

FOREIGN = [
    {"Origin": "https://example.org"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
    {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=[" ".join(each.values()) for each in FOREIGN])
def test_a_page_of_another_origin_can_not_start_a_load(ui: Ui, headers: dict[str, str]) -> None:
    form = {"user_count": 8, "spawn_rate": 8}
    reply = ui.ask("POST", "/swarm", form, **headers)
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers
    assert ui.state["phase"] == "idle"
    assert len(ui.descendants()) == 2


@pytest.mark.parametrize("host", ["example.org", "example.org:8089", "127.0.0.1:1", "", "127.0.0.1"])
def test_another_host_name_is_refused(ui: Ui, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/stats/requests"), ("POST", "/swarm"), ("GET", "/sgibench/state")):
        assert ui.ask(method, path, Host=host).status == 403


def test_answers_are_for_our_own_pages_only(ui: Ui) -> None:
    for path in ("/", "/stats/requests", "/sgibench/state", "/sgibench/page.js"):
        reply = ui.ask("GET", path, Origin=ui.url[:-1])
        assert reply.status == 200
        assert not any(name.startswith("access-control-") for name in reply.headers)
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]


def test_a_link_from_elsewhere_opens_the_page_but_starts_nothing() -> None:
    names = own_names("127.0.0.1", 8089)
    link = {
        "REQUEST_METHOD": "GET",
        "HTTP_HOST": "localhost:8089",
        "HTTP_SEC_FETCH_SITE": "cross-site",
        "HTTP_SEC_FETCH_MODE": "navigate",
        "HTTP_SEC_FETCH_DEST": "document",
    }
    assert is_own(link, names)
    assert not is_own({**link, "REQUEST_METHOD": "POST"}, names)
    assert not is_own({**link, "HTTP_SEC_FETCH_DEST": "iframe"}, names)


def test_the_host_field_leads_nowhere(ui: Ui) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0)
        assert ui.start(host=f"http://127.0.0.1:{trap.getsockname()[1]}")["success"]
        ui.until(lambda state: state["phase"] == "measuring")
        ui.stop()
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_locusts_way_to_change_user_classes_is_closed(ui: Ui) -> None:
    assert ui.ask("POST", "/user", {"user_class_name": "Json", "host": "http://example.org"}).status == 404


def test_it_listens_on_this_machine_only(ui: Ui) -> None:
    listening = [one for process in ui.descendants() for one in process.net_connections() if one.status == "LISTEN"]
    assert listening
    assert {one.laddr.ip for one in listening} == {"127.0.0.1"}


# --- the command ---------------------------------------------------------------------------------------------------


def test_a_taken_port_is_left_alone_and_another_one_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with ui_process(tmp_path, port=port) as running:
            assert f"port {port} is taken" in running.said
            assert not running.host.endswith(f":{port}")
            assert running.ask("GET", "/").status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    with ui_process(tmp_path) as running:
        assert running.start()["success"]
        running.until(lambda state: state["phase"] in {"warm-up", "measuring"})
        started = running.descendants()
        assert len(started) >= 3  # the load process, a guard, the server
        said = running.end(number)
        assert all_gone(started)
        if number is not signal.SIGKILL:
            usual = number is signal.SIGINT  # it has no other end
            assert said.strip() == ("stopped" if usual else "stopped by SIGTERM")
            assert running.process.returncode == (0 if usual else 143)


def test_a_target_of_ones_own_is_loaded_only_when_the_command_line_names_it(tmp_path: Path) -> None:
    port = free_port()
    served = _hello_server(port)
    try:
        with ui_process(tmp_path, "--target", f"http://127.0.0.1:{port}", "--scenario", "plaintext") as running:
            fields = running.fields()
            assert list(fields["extra_options"]) == ["scenario", "load", "rate"]
            assert running.start(user_count=2)["success"]
            running.until(lambda state: state["phase"] == "measuring" and bool(state["now"]))
            running.stop()
            assert running.cell(0, "server") == f"http://127.0.0.1:{port}"
            assert running.cell(0, "CPU per request") == "–"
            assert running.state["unsaved"] == 0
            assert running.ask("POST", "/sgibench/save", {}).status == 409
    finally:
        served.close()


class _hello_server:  # noqa: N801 - used as a function
    """A server of the user's own: greets everybody, on one thread for each connection."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._greet, args=(connection,), daemon=True).start()

    def _greet(self, connection: socket.socket) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"
        with connection:
            try:
                while connection.recv(65536):
                    connection.sendall(answer)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


def test_a_load_process_that_is_killed_is_named_and_the_tests_are_kept(tmp_path: Path) -> None:
    with ui_process(tmp_path) as running:
        assert running.start(scenario="plaintext")["success"]
        running.measured()
        running.stop()
        everything = running.descendants()
        (load,) = (each for each in everything if each.cmdline()[-2:] == ["-m", "sgibench.load"])
        load.kill()
        running.process.wait(90)
        assert running.process.returncode == 1
        assert all_gone(everything)
    (kept,) = store.list_runs(tmp_path / "results")
    assert [trial.status for trial in store.read_run(kept).trials] == ["ok"]


# --- services: last, because the form remembers what was chosen ------------------------------------------------------


def test_an_app_on_a_service_is_measured_with_it_and_both_are_buried(ui: Ui) -> None:
    """Under Stop the database is gone; its CPU and its connections stand apart, and writes were counted."""
    need_postgresql()
    before = len(ui.descendants())
    assert ui.start(server="waitress", app="wsgi_plain", database="postgresql", scenario="crud")["success"]
    state = ui.measured()
    databases = [one for one in ui.descendants() if one.name() == "postgres"]
    assert databases
    (told,) = (words for name, words in state["server"] if name.startswith("PostgreSQL"))
    assert "a private instance; CPU per request" in told
    assert "8 / 8 / 8" in told
    ui.stop()
    assert all_gone(databases)
    assert len(ui.descendants()) == before
    assert ui.cell(-1, "app") == "wsgi_plain+postgresql"
    assert ui.state["tests"][-1]["failure"] is None
    ui.ask("POST", "/sgibench/save", {})
    (folder,) = store.list_runs(ui.folder / "results")
    trial = store.read_run(folder).trials[-1]
    assert trial.services[0].cpu_us_per_request
    assert store.read_run(folder).info.services["postgresql"].private


def test_a_database_that_is_killed_fails_the_test_with_that_reason(ui: Ui) -> None:
    need_postgresql()
    assert ui.start(server="waitress", app="wsgi_plain", database="postgresql", scenario="db_read")["success"]
    ui.measured(1)
    databases = [one for one in ui.descendants() if one.name() == "postgres"]
    next(one for one in databases if (parent := one.parent()) and parent.name() != "postgres").kill()
    state = ui.until(lambda state: state["phase"] == "idle")
    assert "service: postgresql was killed (SIGKILL)" in state["tests"][-1]["failure"]
    assert all_gone(databases)
