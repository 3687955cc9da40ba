"""Servers behind real fronts: they hold the contract, are counted whole and apart, and a lost part is named."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from sgibench import bench, report
from sgibench.bench.choosing import choose_servers
from sgibench.catalogue import load
from sgibench.cli.check import check
from sgibench.engine.progress import Silent
from sgibench.model import Cell, Run, Trial
from sgibench.results import store
from sgibench.serve import needs
from tests.requirements_for_tests import lacking, need_program

FOUND = load()


@pytest.fixture(autouse=True, scope="module")
def fronts_are_here() -> None:
    need_program("nginx", "apt-get install nginx-light")
    need_program("haproxy", "apt-get install haproxy")


class Acting(Silent):
    """Does something once when a server begins to be measured."""

    def __init__(self, act: Callable[[], None], server: str) -> None:
        super().__init__()
        self._act: Callable[[], None] | None = act
        self._server = server

    def step(self, cell: Cell, phase: str, done: float) -> None:
        super().step(cell, phase, done)
        if phase == "measure" and cell.server == self._server and self._act is not None:
            act, self._act = self._act, None
            act()


def run_of(tmp_path: Path, *servers: str, listener: Silent | None = None, **changes: object) -> Run:
    quick = {"blocks": 1, "window_s": 0.5, "connections": (8,), "seed": 1, "control": False, "rate_per_s": 0.0}
    asked: dict[str, object] = {"scenarios": ("json",), **quick, **changes}
    request = bench.Request(
        results=tmp_path / "results",
        argv=("sgibench", "run"),
        servers=servers,
        **asked,  # type: ignore[arg-type]  # checked by the dataclass's own users
    )
    return store.read_run(bench.run(request, listener or Silent()).folder)


def trial_of(run: Run, server: str) -> Trial:
    return next(trial for trial in run.trials if trial.server == server)


def ours(*words: str) -> list[psutil.Process]:
    """Processes that this one started, at whatever remove, whose command line has all of these words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if all(word in line for word in words):
            found.append(process)
    return found


CHECKED = ("nginx+gunicorn-sync", "nginx-unix+waitress", "nginx+uvicorn-httptools", "haproxy+gunicorn-gthread",
           "haproxy-unix+hypercorn-uvloop", "uwsgi-nginx", "haproxy+uwsgi-http11")  # fmt: skip


@pytest.mark.parametrize("name", CHECKED)
def test_a_server_behind_a_front_holds_the_contract(name: str) -> None:
    (entry,) = choose_servers(FOUND, [name])[0]
    if missing := needs.missing(entry.variant.needs):
        lacking(f"what {name} needs", missing)
    done = CliRunner().invoke(check, [name, "--workers", "2"])
    assert done.exit_code == 0, done.output
    assert "ok" in done.output


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A server by itself, and behind each front."""
    servers = ("gunicorn-gthread", "nginx+gunicorn-gthread", "haproxy-unix+gunicorn-gthread")
    return run_of(tmp_path_factory.mktemp("fronts"), *servers, window_s=1.0)


def test_the_fronts_share_is_a_part_of_what_the_whole_deployment_used(beside: Run) -> None:
    alone = trial_of(beside, "gunicorn-gthread")
    assert alone.status == "ok", alone.failure
    assert alone.front is None
    for name, program in (("nginx+gunicorn-gthread", "nginx"), ("haproxy-unix+gunicorn-gthread", "haproxy")):
        trial = trial_of(beside, name)
        assert trial.status == "ok", trial.failure
        front = trial.front
        assert front is not None
        assert (front.program, front.behind, front.backends) == (program, "gunicorn-gthread", 1)
        assert front.version
        assert front.argv
        assert front.argv[0].endswith(program)
        assert front.cpu_s is not None
        assert trial.cpu_s is not None
        assert 0 < front.cpu_s < trial.cpu_s
        assert front.memory is not None
        assert trial.memory is not None
        assert front.memory.processes < trial.memory.processes
        assert (front.memory.uss_bytes or 0) < (trial.memory.uss_bytes or 0)
        assert trial.not_as_declared == ()


def test_which_worker_answered_is_not_guessed_behind_a_front(beside: Run) -> None:
    assert trial_of(beside, "nginx+gunicorn-gthread").requests_by_pid is None
    assert trial_of(beside, "gunicorn-gthread").requests_by_pid


def test_the_report_shows_a_deployment_as_what_it_is(beside: Run, tmp_path: Path) -> None:
    page = report.write(beside, tmp_path).read_text(encoding="utf-8")
    assert "HTTP over loopback TCP" in page
    assert "HTTP over a Unix socket" in page
    assert "CPU per request: the front, and the servers behind it" in page
    rows = {row["server"]: row for group in report.summary(beside)["groups"] for row in group["rows"]}
    assert rows["gunicorn-gthread"]["front"] is None
    front = rows["nginx+gunicorn-gthread"]["front"]
    assert front["chain"].startswith("client → nginx ")
    assert front["chain"].endswith(" → gunicorn-gthread")
    assert 0 < front["cpu_share"]["value"] < 1


KILLED = [
    pytest.param(("nginx: master",), "its front nginx ended with status -9", id="the-front"),
    pytest.param(("nginx: worker",), "1 of the processes of its front nginx ended", id="a-worker-of-the-front"),
    pytest.param(("serve_waitress",), "waitress behind nginx ended with status -9", id="the-server"),
]


@pytest.mark.parametrize(("words", "told"), KILLED)
def test_a_part_that_is_killed_in_mid_trial_fails_it_by_name_and_no_other(
    words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    def kill() -> None:
        victims = ours(*words)
        os.kill(victims[-1].pid, signal.SIGKILL)

    run = run_of(tmp_path, "nginx+waitress", "uvicorn-h11", listener=Acting(kill, "nginx+waitress"), window_s=2.0)
    failed = trial_of(run, "nginx+waitress")
    assert failed.status == "failed"
    assert failed.failure is not None
    assert failed.failure.reason == "crashed"
    assert told in failed.failure.detail
    assert failed.rps is None
    assert failed.front is not None
    assert failed.front.cpu_s is None
    assert trial_of(run, "uvicorn-h11").status == "ok"
    assert ours("nginx") == []


def test_a_front_that_does_not_start_fails_its_deployment_with_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "fronts").mkdir()
    (tmp_path / "fronts" / "mine.py").write_text(
        "from sgibench.model import Front, FrontVariant, Need\n"
        "FRONT = Front(need=Need(name='nginx', how='apt-get install nginx-light'), homepage='',\n"
        "    files=lambda launch: {'nginx.conf': 'nonsense;'}, variants=(FrontVariant(id='broken', summary='.'),),\n"
        "    command=lambda launch: [launch.program, '-e', 'stderr', '-c', f'{launch.scratch}/nginx.conf'])\n"
    )
    run = run_of(tmp_path, "broken+waitress", "waitress", catalogues=(tmp_path,))
    failure = trial_of(run, "broken+waitress").failure
    assert failure is not None
    assert failure.reason == "exited"
    assert "its front mine ended with status 1" in failure.detail
    assert "unknown directive" in failure.log_tail
    assert trial_of(run, "waitress").status == "ok"
