"""Jobs: counted where they are handed in and done, done by a worker beside the server, shown with their cost."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from sgibench import bench, catalogue
from sgibench.engine.following import NOTED_EARLY, WRONG_RESULT
from sgibench.engine.jobs import DONE_TWICE, JOBS_FAILED, JOBS_LOST, NO_JOB_DONE, judge_jobs
from sgibench.engine.progress import Silent
from sgibench.errors import DeclarationError
from sgibench.histogram import Histogram
from sgibench.model import Jobs, Run, Trial
from sgibench.report import page, terminal
from sgibench.report.jobs import figures_of
from sgibench.report.summary import summary
from sgibench.results import store
from sgibench.results.codec import decode, encode
from sgibench.serve import jobs
from tests.results_maker import Contestant, Making, make_run

FOLDER = catalogue.load().contract.parent


def run_in_apps(program: str, data: Path) -> str:
    environment = {"PYTHONPATH": str(FOLDER), "SGIBENCH_DATA": str(data), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


def test_jobs_of_threads_and_processes_are_counted_once_each_with_the_time_they_took(tmp_path: Path) -> None:
    program = (
        "import os, time, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)  # of a fork after threads, since Python 3.12\n"
        "from jobs import do, jobs, pool, FINISHED\n"
        "handed = [jobs().hand_in(10) for _ in range(30)]\n"
        "list(pool().map(do, handed[:20]))\n"
        "pool().shutdown()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    [do(job) for job in handed[20:25]]; jobs().hand_in(5); os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "FINISHED.note(time.monotonic_ns() - 3_000_000_000)\n"
    )
    before = jobs.look(tmp_path)
    assert (before.handed, before.done, before.waiting) == (0, 0, 0)
    run_in_apps(program, tmp_path)
    after = jobs.look(tmp_path)
    assert (after.handed, after.done, after.failed, len(after.lengths)) == (31, 26, 0, 2)
    took = jobs.took_us(tmp_path, before, after)
    assert len(took) == 26
    assert 3_000_000 <= took.max() < 60_000_000
    assert sorted(took)[-2] < 60_000_000
    assert list(jobs.took_us(tmp_path, after, after)) == []
    run_in_apps("import time; from jobs import FINISHED; FINISHED.note(time.monotonic_ns())", tmp_path)
    assert len(jobs.took_us(tmp_path, after, jobs.look(tmp_path))) == 1


def test_many_processes_may_hand_in_their_first_job_at_once(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "for _ in range(5): os.fork()\n"
        "from jobs import do, jobs\n"
        "for _ in range(5): do(jobs().hand_in(1))\n"
        "try:\n"
        "    while True: os.wait()\n"
        "except ChildProcessError: pass\n"
    )
    run_in_apps(program, tmp_path)
    program = "from jobs import jobs; print(jobs().hand_in(1).number)"
    assert run_in_apps(program, tmp_path) == "161\n"
    assert jobs.look(tmp_path).done == 160


def test_half_a_record_and_strange_files_are_no_jobs(tmp_path: Path) -> None:
    folder = tmp_path / "jobs-done"
    (folder / "7").mkdir(parents=True)
    (folder / "x").write_bytes(bytes(16))
    (folder / "8").write_bytes((5).to_bytes(8, sys.byteorder) + b"\1\2\3")
    noted = jobs.look(tmp_path)
    assert (noted.done, noted.lengths) == (1, {"8": 1})
    nothing = jobs.Noted(handed=0, failed=0, lengths={})
    assert list(jobs.took_us(tmp_path, nothing, noted)) == [5]


STEADY = Jobs(span_s=1.0, handed=100, done=90, failed=0, waiting_start=10, waiting_end=20)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"done": 0}, NO_JOB_DONE),
        ({"done": 0, "handed": 0}, None),
        ({"failed": 1}, JOBS_FAILED),
        ({"done": 111}, DONE_TWICE),
        ({"done": 110}, None),
        ({"unaccounted": 0}, None),
        ({"unaccounted": 2}, None),
        ({"unaccounted": 3}, JOBS_LOST),
        ({"unaccounted": -2}, None),
        ({"unaccounted": -3}, DONE_TWICE),
    ],
)
def test_jobs_that_were_lost_failed_or_done_twice_fail_the_trial(changes: dict[str, int], reason: str | None) -> None:
    failure = judge_jobs(replace(STEADY, **changes), "the log", open_ends=2)  # type: ignore[arg-type]  # whole numbers all
    assert (failure.reason if failure else None) == reason


@pytest.mark.parametrize(
    ("workers", "complaint"),
    [
        ('{"redis": ("celery", "worker")}', "WORKERS to map services to command lines"),
        ('{"redis": "celery \'worker"}', "No closing quotation"),
        ('{"redis": "/bin/celery worker"}', "a program of the app's packages"),
        ('{"redis": ""}', "a program of the app's packages"),
        ("[]", "WORKERS to map services"),
    ],
)
def test_a_worker_that_is_declared_wrongly_is_refused_in_one_line(tmp_path: Path, workers: str, complaint: str) -> None:
    (tmp_path / "apps").mkdir()
    own = tmp_path / "apps" / "wsgi_mine.py"
    own.write_text(f'"""Mine."""\nINTERFACE = "wsgi"\nWORKERS = {workers}\n', encoding="utf-8")
    with pytest.raises(DeclarationError, match=complaint) as refused:
        catalogue.load([tmp_path])
    assert "\n" not in str(refused.value)


# --- whether an app's word on its jobs can be taken -------------------------------------------------------------------

APP = '''
"""Hands its jobs to threads, in a way of its own."""

import itertools

import contract
import jobs
from wsgi_plain import app

INTERFACE = "wsgi"
COUNT = itertools.count(1)


def set_result(job, result):
    with jobs.jobs()._table() as table:
        table.execute("UPDATE jobs SET result = ? WHERE id = ?", (result, job.number))


def take(argument, query, body):
    contract.wants_inline(query)
    job = jobs.jobs().hand_in(contract.read_job(body))
    run(job)
    return contract.accepted(job.number)


contract.FIXED["/jobs"]["POST"] = take


def run(job):
'''
WAYS = {
    "wsgi_right": ("    jobs.pool().submit(jobs.do, job).result()", None),
    "wsgi_early": (
        "    jobs.FINISHED.note(job.handed_ns)\n    jobs.pool().submit(lambda: set_result(job, jobs.work(job.rounds)))",
        NOTED_EARLY,
    ),
    "wsgi_invents": ("    set_result(job, '0123456789abcdef')\n    jobs.FINISHED.note(job.handed_ns)", WRONG_RESULT),
    "wsgi_drops": ("    if next(COUNT) % 20:\n        jobs.do(job)", JOBS_LOST),
    "wsgi_repeats": ("    for _ in range(1 if next(COUNT) % 20 else 2):\n        jobs.do(job)", DONE_TWICE),
}


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trial]:
    folder = tmp_path_factory.mktemp("ways")
    (folder / "apps").mkdir()
    for name, (body, _) in WAYS.items():
        (folder / "apps" / f"{name}.py").write_text(f"{APP.lstrip()}{body}\n", encoding="utf-8")
    asked = bench.Request(
        results=folder / "results",
        argv=("sgibench", "run"),
        servers=("waitress",),
        apps=tuple(WAYS),
        scenarios=("jobs",),
        catalogues=(folder,),
        blocks=1,
        window_s=0.5,
        connections=(2,),
        rate_per_s=0.0,
        control=False,
        layers=False,
        retries=0,
        seed=1,
    )
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr("sgibench.engine.jobs.STILL_S", 1.0)
        run = store.read_run(bench.run(asked, Silent()).folder)
    return {trial.app: trial for trial in run.trials}


@pytest.mark.parametrize("app", WAYS)
def test_what_an_app_notes_of_its_jobs_is_held_against_their_results(ways: dict[str, Trial], app: str) -> None:
    failure = ways[app].failure
    assert (failure.reason if failure else None) == WAYS[app][1], failure
    if failure is None:
        found = ways[app].jobs
        assert found is not None
        assert found.unaccounted == 0


# --- what the report says -------------------------------------------------------------------------------------------


def took(milliseconds: float, count: int = 2000) -> Histogram:
    histogram = Histogram()
    histogram.record(np.full(count, round(milliseconds * 1e6), dtype=np.int64))
    return histogram


def with_jobs(trial: Trial) -> Trial:
    handed_on = trial.server == "queued"
    found = Jobs(
        span_s=2.0,
        handed=2000,
        done=400 if handed_on else 2000,
        failed=0,
        waiting_start=100 if handed_on else 0,
        waiting_end=1700 if handed_on else 0,
        took_histogram_us=took(700 if handed_on else 5).to_data(),
        server_cpu_s=1.0,
        worker_cpu_s=0.8 if handed_on else None,
        worker=("celery", "worker") if handed_on else (),
    )
    return replace(trial, jobs=found)


@pytest.fixture
def run() -> Run:
    servers = [
        Contestant(id=name, interface="wsgi", concurrency="threads", cpu_us=500, pss_mib=20, threads=True)
        for name in ("inline", "queued")
    ]
    made = make_run(Making(servers=servers, scenarios=("jobs",), blocks=2))
    return replace(made, trials=tuple(with_jobs(trial) if trial.status == "ok" else trial for trial in made.trials))


def test_a_job_costs_what_server_and_worker_spend_on_it_and_a_queue_that_grows_is_said_so(run: Run) -> None:
    found = {trial.server: figures_of([trial]) for trial in run.trials}
    inline, queued = found["inline"], found["queued"]
    assert inline is not None
    assert queued is not None
    assert (inline.server_cpu_us, inline.worker_cpu_us, inline.queue) == (500.0, None, "keeps up")
    assert (queued.server_cpu_us, queued.worker_cpu_us, queued.cpu_us) == (500.0, 2000.0, 2500.0)
    assert queued.queue == "grows by 800/s without end; 200/s are done"
    assert figures_of(make_run(Making(blocks=1)).trials) is None


def test_the_page_shows_what_jobs_cost_and_when_they_are_done(run: Run) -> None:
    html = page.render(run)
    table = html.partition("CPU per job")[2]
    assert "grows by 800/s without end; 200/s are done" in table
    assert "700 ms" in table
    assert "CPU per job" not in page.render(make_run(Making(blocks=1)))
    console = Console(width=120, record=True, file=io.StringIO())
    terminal.ranking(run, console)
    assert "grows by 800/s" in console.export_text()


def test_the_summary_holds_what_became_of_jobs(run: Run) -> None:
    rows = {row["server"]: row["jobs"] for row in summary(run)["groups"][0]["rows"]}
    assert (rows["queued"]["handed_per_s"], rows["queued"]["done_per_s"], rows["queued"]["growth_per_s"]) == (
        1000,
        200,
        800,
    )
    assert rows["inline"]["cpu_us"] == {"server": 500.0, "worker": None, "services": None}
    assert rows["inline"]["until_done"]["p99_us"] == pytest.approx(5000, rel=0.01)
    assert summary(make_run(Making(blocks=1)))["groups"][0]["rows"][0]["jobs"] is None


def test_jobs_come_back_from_disk_as_they_went(run: Run) -> None:
    for trial in run.trials:
        assert decode(Trial, encode(trial)) == trial
