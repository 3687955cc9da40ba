"""The app's own CPU beside that under real servers, measured in turn: what holds of it holds on a busy machine, too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sgibench.model import Run
from sgibench.report.own import own_shares
from sgibench.report.panels import view_of
from sgibench.results import store

APP = """
import subprocess, sys, time

CHILD = "import time\\nuntil = time.process_time() + 0.04\\nwhile time.process_time() < until: pass"

def compute():
    until = time.thread_time() + 0.01
    while time.thread_time() < until:
        sum(range(1000))

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/heavy":
        compute()
    elif path == "/child":
        subprocess.run([sys.executable, "-c", CHILD], check=True)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
ASKED = ("GET /heavy", "GET /child", "GET /light")
SERVER = "waitress"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Measure an app whose requests cost 10 ms, a process of 40 ms, and next to nothing."""
    folder = tmp_path_factory.mktemp("heavy")
    (folder / "heavy.py").write_text(APP, encoding="utf-8")
    (folder / "requirements.txt").touch()
    words = ["run", "--app", "heavy:app", "--blocks", "2", "--window", "1", "--connections", "4"]
    words += [word for one in ASKED for word in ("--request", one)]
    words += [
        "--rate",
        "none",
        "--no-control",
        "--json",
        "--server",
        SERVER,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "sgibench.cli", *words], cwd=folder, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    return store.read_run(folder / json.loads(done.stdout)["run"])


STOPS = """
import os, signal, sys, time

BORN = time.monotonic()

def app(environ, start_response):
    if "beside-" in sys.argv[-1] and time.monotonic() > BORN + 3:
        os.kill(os.getpid(), signal.SIGSTOP)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
"""Stops itself where it is called without a server, once it is measured there."""


@pytest.mark.timeout(200)
def test_an_app_that_stops_itself_beside_its_servers_holds_up_nothing(tmp_path: Path) -> None:
    """A minute and a half was waited for its next answer, while the whole run stood still."""
    (tmp_path / "stops.py").write_text(STOPS, encoding="utf-8")
    (tmp_path / "requirements.txt").touch()
    words = (
        "run --app stops:app --blocks 1 --window 4 --connections 4 --rate none --no-control --json --server waitress"
    )
    done = subprocess.run(
        [sys.executable, "-m", "sgibench.cli", *words.split()],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (told,) = (line for line in done.stderr.splitlines() if "(SIGSTOP)" in line)
    assert told.startswith("stops:app: called without a server its process was stopped (SIGSTOP) and did not go on, so")
    run = store.read_run(tmp_path / json.loads(done.stdout)["run"])
    assert [trial.status for trial in run.trials] == ["ok"]
    assert run.info.spent_s["one request at a time"] < 30


@pytest.mark.timeout(400)
def test_the_shares_of_an_app_measured_inside_its_server(measured: Run) -> None:
    """One test, so that the run is made once: requests that are 99 % of the CPU are not taken for the server's."""
    assert all(one.inside for trial in measured.trials for one in trial.singly)
    (share,) = own_shares(view_of(measured))
    assert "of the CPU of your request" in share.text
    heavy, child, light = share.requests
    assert child.under[0].cpu_us.value > 2 * heavy.under[0].cpu_us.value > 10 * light.under[0].cpu_us.value
    assert child.cpu_us.value > 40_000
    assert heavy.cpu_us.value > 9_900
    for cost in (heavy, child):
        (under,) = cost.under
        assert under.share.low is not None
        assert under.share.low <= 0.05, under
        assert under.share.value < 0.3, under
    assert light.under[0].share.value > 0.3
    for trial in measured.trials:
        assert trial.window is not None
        assert trial.window.uncounted["one request at a time"] >= sum(one.requests for one in trial.singly)
