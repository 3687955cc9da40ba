"""The whole road on real servers: what is asked for is measured, and a server that fails takes only itself along."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from sgibench import audit, bench, report
from sgibench.engine.progress import Silent
from sgibench.histogram import Histogram
from sgibench.model import Run, Trial
from sgibench.results import store
from sgibench.stats.rates import rate_kept

FAULTY = Path(__file__).parent / "faulty"


def run_of(tmp_path: Path, *servers: str, scenario: str = "json", **changes: object) -> Run:
    quick = {"blocks": 1, "window_s": 0.5, "connections": (8,), "seed": 1, "control": False, "rate_per_s": 0.0}
    settings: dict[str, object] = {**quick, "catalogues": (FAULTY,), **changes}
    request = bench.Request(
        results=tmp_path / "results",
        argv=("sgibench", "run"),
        servers=servers,
        scenarios=(scenario,),
        **settings,  # type: ignore[arg-type]  # checked by the dataclass's own users
    )
    return store.read_run(bench.run(request, Silent()).folder)


def trial_of(run: Run, server: str) -> Trial:
    return next(trial for trial in run.trials if trial.server == server)


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two real servers of each interface and the well-behaved one, in slices."""
    servers = ["uvicorn-httptools", "granian-asgi", "waitress", "gunicorn-gthread", "gunicorn-sync", "faulty-none"]
    return run_of(tmp_path_factory.mktemp("side"), *servers, control=True, rate_per_s=None)


def test_a_trial_holds_everything_that_a_number_needs(side_by_side: Run) -> None:
    for trial in side_by_side.trials:
        assert trial.status == "ok", trial.failure
        assert trial.requests
        assert trial.window_s
        if not rate_kept(trial):  # other work may keep a server from its rate; then it has no latency
            assert trial.latency_us is None
            continue
        assert trial.rps == pytest.approx(trial.requests / trial.window_s)
        assert trial.cpu_s
        assert trial.cpu_us_per_request == pytest.approx(trial.cpu_s / trial.requests * 1e6)
        assert trial.latency_us
        assert trial.latency_us.p50
        assert trial.memory
        assert trial.memory.processes >= 1
        assert trial.argv
        assert trial.startup_s
        assert trial.errors == {}


def has_yardstick(run: Run) -> bool:
    machine = run.info.machine
    return machine.system == "Linux" and machine.sharing is None and len(machine.server_cpus) == 1


def test_slices_add_up_to_what_the_trial_says(side_by_side: Run) -> None:
    closed = [trial for trial in side_by_side.trials if trial.load.kind == "closed"]
    assert closed
    for trial in closed:
        assert trial.window is not None
        if trial.window.visits == "unbroken":  # where other work makes some answers slow, slices are not sound
            assert trial.slices == ()
            continue
        assert sum(one.requests for one in trial.slices) == trial.requests
        if has_yardstick(side_by_side):
            assert all(0 < (one.yard_us or 0) < 1000 for one in trial.slices)
        assert sum(one.window_s for one in trial.slices) == pytest.approx(trial.window_s)
        assert sum(one.cpu_s or 0 for one in trial.slices) == pytest.approx(trial.cpu_s)


def test_the_latency_histogram_holds_every_counted_request(side_by_side: Run) -> None:
    for trial in side_by_side.trials:
        assert trial.histogram_us
        assert sum(trial.histogram_us.counts) == trial.requests


def test_the_run_names_machine_versions_and_plan(side_by_side: Run) -> None:
    info = side_by_side.info
    assert info.finished_at
    assert "waitress==3.0.2" in info.environments["waitress"].packages
    assert info.machine.cores >= 1
    assert len(info.plan.blocks) == 1
    if info.machine.server_cpus:
        assert not set(info.machine.server_cpus) & set(info.machine.load_cpus)


def test_all_servers_of_a_group_get_the_same_open_rate_and_serve_it(side_by_side: Run) -> None:
    open_trials = [trial for trial in side_by_side.trials if trial.load.kind == "open"]
    assert len(open_trials) == len([trial for trial in side_by_side.trials if trial.load.kind == "closed"])
    for policy in ("keep-alive", "close"):
        rates = {trial.load.rate_per_s for trial in open_trials if trial.load.connection == policy}
        found = [pilot.rate_per_s for pilot in side_by_side.info.pilot if pilot.connection == policy]
        assert rates == set(found)
    for trial in open_trials:
        assert trial.intended_histogram_us
        assert sum(trial.intended_histogram_us.counts) == trial.requests


def test_one_cell_of_each_stage_runs_twice_as_the_control(side_by_side: Run) -> None:
    doubled = {trial.cell.replace("~control", "") for trial in side_by_side.trials if trial.control}
    assert doubled <= {trial.cell for trial in side_by_side.trials if not trial.control}
    assert len(doubled) == 4  # two connection policies, two loads


def test_the_generator_was_calibrated_before_anything_was_counted(side_by_side: Run) -> None:
    assert [one.scenario for one in side_by_side.info.calibration] == ["json"]
    assert side_by_side.info.calibration[0].rps_per_core > 0


def test_a_closed_load_obeys_littles_law(side_by_side: Run) -> None:
    # Connections = rate x mean latency: what is counted and what is timed are the same requests. The median of several
    # servers, as a stop at the edge of a short window is counted in one of the two only.
    kept = [one for one in side_by_side.trials if one.load.kind == "closed" and one.load.connection == "keep-alive"]
    found = [one.rps * one.latency_us.mean / 1e6 for one in kept if one.rps and one.latency_us and one.latency_us.mean]
    assert len(found) == len(kept) > 4
    assert statistics.median(found) == pytest.approx(8, rel=0.15)


def test_waiting_is_limited_by_threads_and_not_by_an_event_loop(tmp_path: Path) -> None:
    run = run_of(
        tmp_path, "waitress", "uvicorn-httptools", scenario="wait", connections=(16,), threads=(2,), window_s=1.0
    )
    threads, loop = trial_of(run, "waitress"), trial_of(run, "uvicorn-httptools")
    assert threads.rps
    assert loop.rps
    assert threads.rps <= 2 / 0.05 * 1.02  # two threads, 50 ms each
    assert loop.rps > 4 * threads.rps
    assert loop.latency_us
    assert loop.latency_us.p50
    assert loop.latency_us.p50 >= 50_000


def test_waiting_servers_start_together_after_the_first_block_and_are_asked_at_once_at_a_fixed_rate(
    tmp_path: Path,
) -> None:
    run = run_of(
        tmp_path, "waitress", "uvicorn-httptools", "granian-wsgi", scenario="wait", blocks=2, window_s=0.9,
        rate_per_s=40.0, control=True,
    )  # fmt: skip
    assert all(trial.status == "ok" for trial in run.trials), [trial.failure for trial in run.trials]
    assert len({(trial.block, trial.cell) for trial in run.trials}) == len(run.trials) == 2 * 2 * 4
    for trial in run.trials:
        assert (trial.startup_s is not None) == (trial.block == 0)  # later it is no time of its own
        assert trial.window is not None
        if trial.load.kind == "closed":
            assert trial.window.visits == "unbroken"
            assert "an answer takes at least 50.0 ms" in trial.window.why
            assert "warm-up" in trial.window.uncounted
        elif rate_kept(trial):
            assert trial.window.visits == "together"
            assert trial.memory_looks
            assert trial.latency_us
            assert trial.latency_us.p50
            assert trial.latency_us.p50 >= 50_000
    spent, info = run.info.spent_s, run.info
    assert {"environments", "calibrating", "starting", "warm-up", "counted", "draining", "stopping"} <= set(spent)
    assert info.measuring_share
    assert 0 < info.measuring_share < 1
    # Windows of servers that are asked at once pass at the same time.
    together_s = sum(trial.window_s or 0.0 for trial in run.trials if trial.load.kind == "open")
    closed_s = sum(trial.window_s or 0.0 for trial in run.trials if trial.load.kind == "closed")
    assert spent["counted"] < closed_s + 0.6 * together_s


FAULTS = (
    ("exits-at-start", "exited", "status 1"),
    ("wrong-answer", "wrong-answer", "/json"),
    ("wrong-later", "wrong-answer", "body"),
    ("crashes", "crashed", "status 3"),
    ("loses-worker", "crashed", "1 of its processes ended"),
    ("floods-log", "log-flood", "logged more than"),
    ("ignores-sigterm", "ignored-sigterm", "killed"),
)


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Servers that fail, each in a way of its own, side by side with one that does not."""
    servers = (f"faulty-{fault}" for fault, *_ in FAULTS)
    return run_of(tmp_path_factory.mktemp("failing"), *servers, "faulty-none")


@pytest.mark.parametrize(("fault", "reason", "words"), FAULTS)
def test_a_server_that_fails_takes_only_its_own_trial_along(failing: Run, fault: str, reason: str, words: str) -> None:
    failed, good = trial_of(failing, f"faulty-{fault}"), trial_of(failing, "faulty-none")
    assert failed.status == "failed"
    assert failed.failure
    assert failed.failure.reason == reason
    assert words in failed.failure.detail
    assert (failed.rps, failed.requests, failed.latency_us) == (None, None, None)
    assert good.status == "ok", good.failure


def test_the_end_of_the_log_comes_with_the_failure(failing: Run) -> None:
    failure = trial_of(failing, "faulty-exits-at-start").failure
    assert failure
    assert "no licence found" in failure.log_tail


def test_a_server_that_hangs_under_load_fails_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgibench.bench.request.ANSWER_TIMEOUT_S", 1.0)
    run = run_of(tmp_path, "faulty-hangs", "faulty-none")
    failure = trial_of(run, "faulty-hangs").failure
    assert failure
    assert failure.reason == "hung"
    assert trial_of(run, "faulty-none").status == "ok"


def test_a_server_that_stops_itself_is_named_and_not_waited_for(tmp_path: Path) -> None:
    """It was waited for: for 30 s at its start, for a time-out under a load, and for 10 s until it was killed."""
    run = run_of(tmp_path, "faulty-stops", "faulty-stops-at-start", "faulty-stops-when-asked", "faulty-none")
    for server, words in (
        ("faulty-stops", "it was stopped (SIGSTOP) under load"),
        ("faulty-stops-at-start", "it was stopped (SIGSTOP) before it answered"),
        ("faulty-stops-when-asked", "it was stopped (SIGSTOP) when it was asked"),
    ):
        failure = trial_of(run, server).failure
        assert failure, server
        assert (failure.reason, words in failure.detail) == ("stopped", True), failure
    assert trial_of(run, "faulty-none").status == "ok"
    spent = run.info.spent_s
    assert spent["starting"] < 20
    assert spent["stopping"] < 8
    assert sum(spent.get(phase, 0.0) for phase in ("warm-up", "counted", "draining", "loading")) < 10


def test_a_run_that_is_stopped_with_all_its_processes_goes_on_with_them(tmp_path: Path) -> None:
    """Whoever goes on first finds the others stopped, which have done nothing wrong."""
    command = start_command(tmp_path, "--json", "--blocks", "4")
    wait_for_trials(tmp_path, 2)
    family = [psutil.Process(command.pid), *psutil.Process(command.pid).children(recursive=True)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # it was a short one
            one.suspend()
    time.sleep(4)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.resume()
        time.sleep(0.3 if one is family[0] else 0)
    out, err = command.communicate(timeout=180)
    assert command.returncode == 0, err
    trials = store.read_run(Path(json.loads(out)["run"])).trials
    assert not [trial.failure for trial in trials if trial.failure and trial.failure.reason == "stopped"]
    assert trials[-1].status == "ok", trials[-1].failure


def test_what_failed_under_one_load_is_not_told_of_the_next_as_if_it_had_been_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgibench.bench.request.ANSWER_TIMEOUT_S", 1.0)
    run = run_of(tmp_path, "faulty-hangs", "faulty-none", rate_per_s=50.0)
    closed, opened = (trial.failure for trial in run.trials if trial.server == "faulty-hangs")
    assert closed
    assert opened
    assert opened == replace(closed, detail=f"not asked at this load, after it failed at another: {closed.detail}")
    assert all(trial.status == "ok" for trial in run.trials if trial.server == "faulty-none")


def test_a_server_that_leaks_or_leaves_its_place_is_doubted_and_the_others_are_not(tmp_path: Path) -> None:
    """Unbroken windows with time for many looks: a busy machine shows a stair of few steps, and looks seldom."""
    strange = ("faulty-leaks", "faulty-escapes", "faulty-pushes")
    run = run_of(tmp_path, *strange, "faulty-none", window_s=4.0, slice_s=None)
    found = audit.audit_run(run)
    kinds = {
        trial.server: {each.kind for each in row.doubts}
        for trial, row in zip(run.trials, found.trials, strict=True)
        if trial.failure is None
    }
    assert kinds.keys() == {*strange, "faulty-none"}
    assert "Growing" in kinds["faulty-leaks"]
    assert {"OutsideCpus"} <= kinds["faulty-escapes"] & kinds["faulty-pushes"]
    assert not kinds["faulty-none"] & {"Growing", "OutsideCpus"}


def test_a_server_that_never_answers_fails_as_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgibench.serve.process.server.READY_TIMEOUT_S", 2.0)
    failure = trial_of(run_of(tmp_path, "faulty-never-ready"), "faulty-never-ready").failure
    assert failure
    assert failure.reason == "not-ready"


def test_a_process_that_hides_from_its_server_is_found_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = run_of(tmp_path, "faulty-hides-child")
    trial = trial_of(run, "faulty-hides-child")
    assert trial.status == "ok", trial.failure
    assert trial.memory
    assert trial.memory.processes == 2
    assert not leftovers(tmp_path)


def leftovers(folder: Path) -> list[list[str]]:
    """Command lines of the processes that work in `folder`, or were started with it as their `TMPDIR`."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = process.info["cmdline"] or []
        environment = process.info["environ"] or {}
        ours = str(folder) in " ".join(words) or environment.get("TMPDIR") == str(folder)
        if ours and process.pid != os.getpid():
            found.append(words)
    return found


def start_command(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sgibench.cli", "run", "--server", "faulty-none", "--server", "waitress"]
    return subprocess.Popen(
        [
            *command,
            *["--catalogue", str(FAULTY), "--scenario", "json", "--blocks", "50", "--window", "0.3s"],
            *[
                "--connections",
                "4",
                "--rate",
                "none",
                "--no-control",
                "--results",
                str(tmp_path / "results"),
                "--reports",
                str(tmp_path / "reports"),
            ],
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )


def wait_for_trials(tmp_path: Path, wanted: int) -> Path:
    """Wait until a running command has stored so many trials; returns its folder."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        for folder in store.list_runs(tmp_path / "results"):
            trials = folder / store.TRIALS_FILE
            if trials.exists() and whole_trials(trials) >= wanted:
                return folder
        time.sleep(0.05)
    raise AssertionError(f"{wanted} trials did not come in three minutes")


def whole_trials(path: Path) -> int:
    """How many trials are on disk in whole lines; lines about how their servers stopped are none."""
    return sum(line.endswith(b"\n") and b'"cell"' in line for line in path.read_bytes().splitlines(keepends=True))


def wait_until_gone(folder: Path) -> list[list[str]]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and leftovers(folder):
        time.sleep(0.1)
    return leftovers(folder)


def test_an_engine_killed_in_mid_trial_leaves_no_process_and_keeps_every_finished_trial(tmp_path: Path) -> None:
    command = start_command(tmp_path, "--quiet")
    folder = wait_for_trials(tmp_path, 4)
    time.sleep(0.3)
    before = whole_trials(folder / store.TRIALS_FILE)
    command.kill()
    command.communicate()
    assert wait_until_gone(tmp_path) == []
    run = store.read_run(folder)
    assert len(run.trials) >= before >= 4
    assert all(trial.status == "ok" for trial in run.trials)
    assert run.info.finished_at is None


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [(signal.SIGINT, 130, "stopped; what"), (signal.SIGTERM, 143, "stopped by SIGTERM; what")],
)
def test_a_run_that_is_stopped_keeps_what_it_has_and_still_writes_a_report(
    tmp_path: Path, number: int, status: int, words: str
) -> None:
    command = start_command(tmp_path, "--json")
    wait_for_trials(tmp_path, 2)
    command.send_signal(number)
    out, err = command.communicate(timeout=180)
    assert command.returncode == status, err
    assert words in err
    told = json.loads(out)
    assert Path(told["report"]).is_file()
    assert len(store.read_run(Path(told["run"])).trials) >= 2
    assert wait_until_gone(tmp_path) == []
    left = dict(re.findall(r"^\[(\d+)/100, (.+?) left\]", err, re.MULTILINE))
    assert left["1"] == left["2"], "both servers' trials of a load have ended together"


def test_a_stream_is_stored_with_its_first_chunk_and_gaps_and_the_report_shows_them(tmp_path: Path) -> None:
    run = run_of(tmp_path, "uvicorn-httptools", "gunicorn-gthread", scenario="stream")
    for trial in run.trials:
        first, gaps = trial.first_chunk_histogram_us, trial.gap_histogram_us
        assert first is not None
        assert gaps is not None
        assert sum(first.counts) == trial.requests
        assert sum(gaps.counts) == 9 * sum(first.counts)
        gap_us = Histogram.from_data(gaps).percentile_us(0.5)
        assert gap_us is not None
        assert gap_us >= 4_000  # the app pauses for 5 ms between chunks
    page = report.write(run, tmp_path).read_text(encoding="utf-8")
    assert "Streams: time to the first chunk" in page
    assert "gap between chunks p50" in page


def test_each_load_process_says_how_it_fared_and_none_is_hidden_in_the_sum(tmp_path: Path) -> None:
    run = run_of(tmp_path, "uvicorn-httptools", load_workers=2)
    generator = run.trials[0].generator
    assert generator is not None
    assert len(generator.workers) == 2
    assert sum(worker.requests for worker in generator.workers) == run.trials[0].requests
    assert generator.utilisation == max(worker.utilisation or 0.0 for worker in generator.workers)
    assert generator.connect_us_p50 is not None


def test_a_server_that_keeps_a_thread_for_each_silent_connection_answers_an_open_load(tmp_path: Path) -> None:
    """Gunicorn's gthread does, for five seconds; so every connection has to be heard of before the rate begins."""
    run = run_of(tmp_path, "gunicorn-gthread", scenario="wait", connections=(64,), rate_per_s=20.0)
    (trial,) = (trial for trial in run.trials if trial.load.kind == "open")
    assert trial.status == "ok", trial.failure
    assert trial.errors == {}
