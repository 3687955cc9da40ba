"""The commands that measure take an app of the user's own: capacity, ui, check with several workers, --resume."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sgibench.results import store
from tests.in_process import inside
from tests.ui_process import ui_process

SHOP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])  # no length: some servers close the connection
    return [b"hello ", b"world"]

def create_app(debug=False):
    async def serve(scope, receive, send):
        assert scope["type"] == "http"
        head = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"hi"})
    return serve
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "gunicorn.conf.py").write_text("raise SystemExit('settings that other servers have not')\n")
    return tmp_path


def sgibench(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sgibench.cli", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False, text=True, timeout=280)


@pytest.mark.parametrize(
    ("app", "servers"),
    [
        ("shop:app", ("waitress", "gunicorn-gthread", "wsgiref")),
        # Its start-up protocol is refused, and its workers are spawned, forked, and held by a master.
        ("shop:create_app(debug=True)", ("uvicorn-h11", "hypercorn-asyncio", "granian-asgi", "daphne")),
    ],
)
def test_servers_with_two_workers_answer_for_it(app: str, servers: tuple[str, ...], project: Path) -> None:
    done = sgibench(project, "check", "--app", app, "--workers", "2", "--json", *servers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {(each["server"], each["status"]) for each in json.loads(done.stdout)} == {(name, "ok") for name in servers}


def test_it_is_served_as_installed_and_as_advised(project: Path) -> None:
    words = "run --blocks 1 --window 0.2s --connections 4 --rate none --no-control --json --server uvicorn-httptools"
    words += " --server gunicorn-asgi --configuration default --configuration recommended"
    done = sgibench(project, *words.split(), "--app", "shop:create_app()")
    assert done.returncode == 0, done.stderr
    assert "--awake" not in done.stderr, "nobody asked for it"
    groups = json.loads(done.stdout)["summary"]["groups"]
    assert {group["configuration"] for group in groups} == {"default", "recommended"}
    assert {row["status"] for group in groups for row in group["rows"]} == {"ok"}


def test_its_capacity_is_searched_for(project: Path) -> None:
    words = (
        "capacity --app shop:app --slo p50<500ms --server waitress --blocks 1 --precision 90% --connections 4 --json"
    )
    done = sgibench(project, *words.split(), "--awake")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("--awake: ")]
    assert len(told) == 1
    assert "with an app of your own CPUs may sleep while they wait for requests" in told[0]
    (row,) = json.loads(done.stdout)["capacity"]
    assert (row["app"], row["scenario"]) == ("shop:app", "requests")


def test_the_web_ui_offers_it_and_serves_it(project: Path) -> None:
    with ui_process(project, "--app", "shop:app", "--project", str(project), "--connections", "4") as ui:
        options = ui.fields()["extra_options"]
        assert options["app"]["default_value"] == "shop:app"
        assert options["scenario"]["default_value"] == "requests"
        first = {name: option["default_value"] for name, option in options.items()}
        ui.start(**first)
        ui.measured()
        assert ui.requests > 0
        ui.stop()
        refused = ui.start(**{**first, "app": "plain"})["message"]
        assert "requests are those of shop:app, and wsgi_plain has other pages" in refused
        wrong = ui.start(**{**first, "scenario": "json"})["message"]
        assert f"{first['server']} with shop:app wrong-answer: GET /json" in wrong
        ui.start(**{**first, "app": "plain", "scenario": "json"})
        ui.measured()
        assert "wsgi_plain" in json.dumps(ui.state["about"])
        ui.stop()
        assert [ui.cell(test, "app") for test in (0, 1)] == ["shop:app", "wsgi_plain"]
        assert all(row["failure"] is None for row in ui.state["tests"])
        saved = ui.ask("POST", "/sgibench/save", {}).json
        run = store.read_run(ui.folder / saved["folder"])
        assert [(trial.app, trial.scenario) for trial in run.trials] == [
            ("shop:app", "requests"),
            ("wsgi_plain", "json"),
        ]
        assert len(run.info.environments) == 2


def test_a_run_goes_on_when_it_is_named_again_and_runs_nothing_otherwise(project: Path) -> None:
    words = "run --server waitress --blocks 2 --window 0.2s --connections 2 --rate none --no-control --json --quiet"
    done = sgibench(project, *words.split(), "--app", "shop:app")
    assert done.returncode == 0, done.stderr
    folder = project / json.loads(done.stdout)["run"]
    info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps({**info, "finished_at": None}), encoding="utf-8")
    first, *_ = (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "trials.jsonl").write_text(first, encoding="utf-8")
    unnamed = sgibench(project, "run", "--resume", "latest")
    assert unnamed.returncode == 2
    assert "name it again, with --app shop:app" in unnamed.stderr
    for option, told in (
        (("--prepare", "touch prepared"), "--prepare as it was then (none), got 'touch prepared'"),
        (("--env", "A=b"), "--env as it was then (none), got 'A'"),
        (("--copy",), "--copy as it was then (no), got yes"),
    ):
        otherwise = inside(project, "run", "--resume", "latest", "--app", "shop:app", *option)
        assert (otherwise.returncode, told in otherwise.stderr) == (2, True), otherwise.stderr
    assert not (project / "prepared").exists()
    done = sgibench(project, "run", "--resume", "latest", "--app", "shop:app", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert info["finished_at"]
    assert [cost["block"] for cost in info["own"]["costs"]] == [-1], "of the first look"
