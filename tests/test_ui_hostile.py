"""The web UI when things go wrong: a failure has no figure anywhere, Stop stops what is starting, odd forms."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sgibench.bench import ui_run
from sgibench.bench.ui_run import UiRun
from sgibench.model import Failure
from sgibench.results import store
from tests.results_maker import Making, make_run
from tests.test_hostile_options import VALUES
from tests.ui_process import Ui, all_gone, ui_process

BAD = """
from sgibench.model import Expected, Server, Variant
SERVER = Server(
    homepage="",
    command=lambda launch: [8000] if launch.options["bad"] == "command" else 1 / 0,
    expect=lambda launch: {"expect": None, "command": Expected()}.get(launch.options["bad"], 3),
    variants=tuple(
        Variant(id=f"bad-{bad}", interface="asgi", concurrency="event loop", packages=("waitress==3.0.2",),
                options={"bad": bad}, summary="")
        for bad in ("command", "expect", "both")
    ),
)
"""


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("ui")
    (folder / "mine" / "servers").mkdir(parents=True)
    (folder / "mine" / "servers" / "bad.py").write_text(BAD)
    with ui_process(folder, "--connections", "4", "--scenario", "json", "--catalogue", "mine") as running:
        yield running


def begin(ui: Ui, server: str) -> None:
    answer = ui.start(server=server)
    assert answer["success"], answer["message"]


def test_a_server_that_ignores_sigterm_leaves_no_figure_in_any_face_or_file(ui: Ui) -> None:
    begin(ui, "faulty-ignores-sigterm")
    ui.measured()
    assert ui.requests > 0
    ui.stop()
    state = ui.state
    row = dict(zip(state["columns"], state["tests"][-1]["cells"], strict=True))
    assert "ignored-sigterm" in state["tests"][-1]["failure"]
    assert {row[name] for name in ("requests/s", "CPU per request", "p50", "p99", "memory", "measured")} == {"–"}
    assert state["tests"][-1]["bars"] == {"requests/s": None, "CPU per request": None}
    assert [state[tab] for tab in ("charts", "server", "processes", "generator", "doubts", "now")] == [[]] * 6
    assert "ignored-sigterm" in state["failed"]
    assert ui.requests == 0  # Locust's own tables
    assert ui.ask("GET", "/stats/requests").json["stats"][-1]["num_requests"] == 0
    saved = ui.ask("POST", "/sgibench/save", {}).json
    trial = store.read_run(ui.folder / saved["folder"]).trials[-1]
    assert trial.status == "failed"
    stored = (ui.folder / saved["folder"] / store.TRIALS_FILE).read_text().splitlines()[-1]
    for name in ("rps", "requests", "cpu_s", "latency_us", "histogram_us", "memory", "generator", "startup_s"):
        assert f'"{name}":null' in stored
    page = ui.ask("GET", "/sgibench/report").text
    assert "ignored-sigterm" in page


def test_the_next_test_has_figures_again(ui: Ui) -> None:
    begin(ui, "faulty-none")
    assert ui.measured()["charts"]
    ui.stop()
    assert ui.state["tests"][-1]["failure"] is None
    assert ui.requests > 0


def test_a_report_that_was_deleted_is_not_found(ui: Ui) -> None:
    if not ui.state["saved"]:
        test_the_next_test_has_figures_again(ui)
        assert ui.ask("POST", "/sgibench/save", {}).status == 200
    (ui.folder / ui.state["saved"]["report"]).unlink()
    reply = ui.ask("GET", "/sgibench/report")
    assert reply.status == 404
    assert "sgibench report makes it again" in reply.text


def test_stop_while_a_server_is_starting_stops_it_and_another_can_follow(ui: Ui) -> None:
    """`faulty-never-ready` listens and never answers: without Stop it would be waited for for half a minute."""
    answers: list[Any] = []
    starting = threading.Thread(target=lambda: answers.append(ui.start(server="faulty-never-ready")))
    starting.start()
    ui.until(lambda state: state["phase"] == "starting" and "starting faulty" in state["sentence"])
    before = ui.descendants()
    ui.stop()
    starting.join(timeout=60)
    assert answers
    assert not answers[0]["success"]
    assert "Stopped while starting" in answers[0]["message"]
    assert "not ready within" not in answers[0]["message"]
    gone = [process for process in before if process not in ui.descendants()]
    assert gone
    assert all_gone(gone)
    begin(ui, "faulty-none")
    ui.stop()


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("bad-command", "bad.py: command(launch): expected text at place 0"),
        ("bad-expect", "bad.py: expect(launch): expected Expected"),
        ("bad-both", "bad.py: "),
    ],
)
def test_a_bad_declaration_is_told_in_the_form_and_no_test_is_lost(ui: Ui, server: str, words: str) -> None:
    tests = len(ui.state["tests"])
    answer = ui.start(server=server)
    assert not answer["success"]
    assert words in answer["message"]
    assert len(ui.state["tests"]) == tests
    assert ui.state["phase"] == "idle"


FIELDS = ("server", "front", "app", "scenario", "load", "rate", "workers", "threads", "configuration")


def test_any_value_of_any_field_of_the_form_is_an_answer_in_words(ui: Ui) -> None:
    """A seeded choice of odd values; what could be started is stopped again."""
    chance = random.Random(13)
    values = [value for value in VALUES if value != "\udcff"]  # which no form can send
    names = (*FIELDS, "user_count", "spawn_rate", "run_time", "host")
    tried = [(name, value) for name in names for value in values]
    tried = chance.sample(tried, 150)
    tried += [
        ("run_time", "9" * 20),
        ("user_count", "²"),
        ("workers", "9" * 5000),
        ("threads", "²"),
        ("run_time", "²s"),
    ]
    for field, value in tried:
        reply = ui.ask("POST", "/swarm", {"user_count": 2, "spawn_rate": 10, "server": "no-such-server", field: value})
        assert reply.status == 200, (field, value, reply.text)
        answer = reply.json
        assert answer["success"] is False
        assert answer["message"]
        assert "bug" not in answer["message"]
        assert len(answer["message"]) < 1000
    for field, value in (("run_time", "9" * 20), ("run_time", "1e300"), ("spawn_rate", "9" * 400), ("rate", "1e-320")):
        form = {"server": "faulty-none", "load": "open", "rate": "100", field: value}
        assert not ui.start(**form)["success"], (field, value)
    assert ui.state["phase"] == "idle"


def test_odd_requests_for_pages_are_never_an_error_of_the_ui(ui: Ui) -> None:
    for method, path in (
        *(("GET", "/sgibench/..%2f..%2fetc%2fpasswd"), ("GET", "/sgibench/" + "x" * 5000), ("POST", "/swarm")),
        *(("GET", "/stop"), ("GET", "/sgibench/report?x=" + "9" * 5000), ("POST", "/sgibench/state")),
    ):
        assert ui.ask(method, path, {}).status < 500, path


def test_the_session_is_alive_after_all_this(ui: Ui) -> None:
    assert ui.process.poll() is None
    assert ui.state["phase"] == "idle"


def test_a_test_that_was_saved_before_its_server_failed_loses_its_numbers_on_disk_as_well(tmp_path: Path) -> None:
    made = make_run(Making(scenarios=("json",), blocks=1))
    groups = [group for stage in made.info.plan.blocks[0].stages for group in stage.groups]
    cells = {cell.id: cell for group in groups for cell in group.cells}
    session = UiRun(tmp_path / "results", tmp_path / "reports", ("sgibench", "ui"), ())
    for trial in made.trials[:2]:
        session.add(ui_run.Tested(cell=cells[trial.cell], trial=trial, doubts=()))
    folder = Path(session.save({}, [], [])["folder"])
    assert [trial.status for trial in store.read_run(folder).trials] == ["ok", "ok"]
    session.fail_since(1, Failure(reason="ignored-sigterm", detail="it was killed"))
    session.save({}, [], [])
    run = store.read_run(folder)
    assert [trial.status for trial in run.trials] == ["ok", "failed"]
    assert run.trials[1].rps is None
    assert run.repeated == ()
