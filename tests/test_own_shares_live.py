"""The app's own CPU beside that under real servers, measured in turn: what holds of it holds on a busy machine, too."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sgibench.load.cpu import TreeClock
from sgibench.model import Run
from sgibench.report.own import OwnShare, own_shares
from sgibench.report.panels import view_of
from sgibench.results import store

APP = """
import subprocess, sys, time

CHILD = "import time\\nuntil = time.process_time() + 0.05\\nwhile time.process_time() < until: pass"

def compute():
    until = time.thread_time() + 0.015
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
SERVERS = ("waitress", "gunicorn-gthread")
LOOP = "import time\nuntil = time.time() + 240\nwhile time.time() < until: pass"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Measure an app whose requests cost 15 ms, a process of 50 ms, and next to nothing, beside two busy loops."""
    folder = tmp_path_factory.mktemp("heavy")
    (folder / "heavy.py").write_text(APP, encoding="utf-8")
    (folder / "requirements.txt").touch()
    words = ["run", "--app", "heavy:app", "--blocks", "3", "--window", "0.5", "--connections", "8"]
    words += [word for one in ASKED for word in ("--request", one)] + ["--rate", "none", "--no-control", "--json"]
    words += [word for one in SERVERS for word in ("--server", one)]
    busy = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(2)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sgibench.cli", *words], cwd=folder, capture_output=True, check=False, text=True
        )
    finally:
        for one in busy:
            one.kill()
            one.wait()
    assert done.returncode == 0, done.stderr
    return store.read_run(folder / json.loads(done.stdout)["run"])


@pytest.fixture(scope="module")
def share(measured: Run) -> OwnShare:
    (found,) = own_shares(view_of(measured))
    return found


@pytest.mark.timeout(400)
@pytest.mark.parametrize("request_", ["GET /heavy", "GET /child"])
def test_an_app_that_is_99_percent_of_the_cpu_is_not_taken_for_the_server(request_: str, share: OwnShare) -> None:
    (cost,) = (one for one in share.requests if one.request == request_)
    assert {one.label for one in cost.under} == set(SERVERS)
    assert cost.cpu_us.value > (50_000 if request_ == "GET /child" else 14_900)
    for under in cost.under:
        assert under.share.low is not None
        assert under.share.low <= 0.05, under
        assert under.share.most < 0.6, under


@pytest.mark.timeout(400)
def test_no_verdict_contradicts_the_sentence(measured: Run, share: OwnShare) -> None:
    assert "changing it can win" in share.text
    (panel,) = (panel for panel in view_of(measured).panels if panel.saturated)
    first, second = (row.entry for row in panel.rows)
    assert first.cpu_us is not None
    assert second.cpu_us is not None
    if panel.main.cost.apart(first.cell, second.cell):
        values = sorted((first.cpu_us.value, second.cpu_us.value))
        assert 1 - values[0] / values[1] <= share.win


@pytest.mark.timeout(400)
def test_each_request_has_its_own_cpu_under_each_server(measured: Run, share: OwnShare) -> None:
    costs = {one.request: {each.label: each.cpu_us.value for each in one.under} for one in share.requests}
    for server in SERVERS:
        assert costs["GET /child"][server] > 2 * costs["GET /heavy"][server] > 10 * costs["GET /light"][server]
    for trial in measured.trials:
        assert trial.window is not None
        assert trial.window.uncounted["one request at a time"] >= sum(one.requests for one in trial.singly)
    (light,) = (one for one in share.requests if one.request == "GET /light")
    assert all(one.share.value > 0.3 for one in light.under)


# --- the clock -------------------------------------------------------------------------------------------------------


@pytest.fixture
def parent() -> Iterator[Any]:
    """A process that starts, for each line, one that burns as many CPU seconds, and says when it has ended."""
    script = (
        "import subprocess, sys\n"
        "for line in sys.stdin:\n"
        "    burn = 'import time\\nwhile time.process_time() < ' + line.strip() + ': pass'\n"
        "    subprocess.run([sys.executable, '-c', burn])\n"
        "    print('done', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True, bufsize=1)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_began_and_ended_in_a_stretch_counts_with_all_that_it_did(parent: Any) -> None:
    clock = TreeClock([parent.pid])
    clock.look()
    clock.start()
    parent.stdin.write("0.3\n")
    parent.stdout.readline()
    spent = clock.stop()
    assert spent is not None
    assert 0.28e9 < spent < 0.45e9


def test_a_process_that_ended_in_a_stretch_counts_with_what_it_did_in_it(parent: Any) -> None:
    clock = TreeClock([parent.pid])
    parent.stdin.write("0.6\n")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        clock.look()
        clock.start()
        before = sum(each or 0 for each in clock._start)
        if len(clock._pids) == 2 and before > 0.3e9:
            break
        time.sleep(0.01)
    else:
        pytest.fail("the child was never seen")
    parent.stdout.readline()
    spent = clock.stop()
    assert spent is not None
    assert 0 < spent < 0.45e9
