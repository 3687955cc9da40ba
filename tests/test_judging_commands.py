"""`audit`, `compare`, `capacity` and `--until settled`: commands that judge, and can say no."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from sgibench import bench, report
from sgibench.engine.progress import Silent
from sgibench.model import Run
from sgibench.results import store
from tests.results_maker import QUICK, Making, make_run, write_run

DATA = Path(__file__).parent / "data"
FAULTY = Path(__file__).parent / "faulty"


def sgibench(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sgibench.cli", *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=cwd,
        timeout=180,
    )


# --- audit ---------------------------------------------------------------------------------------------------------


def test_published_rows_get_exactly_the_doubts_that_arithmetic_finds(tmp_path: Path) -> None:
    path = next(DATA.rglob("published_rows.csv"))
    done = sgibench(tmp_path, "audit", str(path), "--json")
    assert done.returncode == 1  # some rows are refuted
    found = {row["id"]: {doubt["kind"] for doubt in row["doubts"]} for row in json.loads(done.stdout)}
    with path.open(newline="") as file:
        expected = {row["id"]: set(row["expected_doubts"].replace(";", " ").split()) for row in csv.DictReader(file)}
    assert len(expected) == 161
    for name, kinds in expected.items():
        assert kinds <= found[name], name
        assert found[name] if kinds else not found[name], name


def test_a_run_is_audited_by_its_name(tmp_path: Path) -> None:
    run = make_run(Making())
    write_run(run, tmp_path / "results")
    told = json.loads(sgibench(tmp_path, "audit", "latest", "--json").stdout)
    assert len(told) == len(run.trials)
    assert all({"id", "doubts"} <= row.keys() for row in told)


def test_a_file_in_no_known_format_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("it felt fast\n")
    done = sgibench(tmp_path, "audit", "notes.txt")
    assert done.returncode == 2
    assert "notes.txt" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# --- compare -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs in a folder: in the second, waitress needs 30 % more CPU and comes in another version."""
    folder = tmp_path_factory.mktemp("two")
    slower = tuple(replace(one, cpu_us=one.cpu_us * 1.3) if one.id == "waitress" else one for one in QUICK)
    write_run(make_run(Making(run="20260101-000000-aaaa", seed=1, blocks=10)), folder / "results")
    second = make_run(Making(run="20260102-000000-bbbb", seed=2, blocks=10, servers=slower))
    write_run(other_version(second), folder / "results")
    return folder


def other_version(run: Run) -> Run:
    environments = dict(run.info.environments)
    environments["waitress"] = replace(environments["waitress"], packages=("waitress==9.9.9",))
    return replace(run, info=replace(run.info, environments=environments))


def test_a_server_that_got_slower_fails_the_check_and_is_named(two_runs: Path) -> None:
    done = sgibench(two_runs, "compare", "20260101", "20260102", "--fail-on", "slower:5%")
    assert done.returncode == 1
    assert "slower: waitress/" in done.stderr
    assert "uvicorn-httptools" not in done.stderr


def test_the_same_runs_pass_when_the_loss_is_tolerated_or_not_asked_about(two_runs: Path) -> None:
    assert sgibench(two_runs, "compare", "20260101", "20260102", "--fail-on", "slower:60%").returncode == 0
    assert sgibench(two_runs, "compare", "20260101", "20260102").returncode == 0


def test_what_differs_between_the_runs_is_said_first(two_runs: Path) -> None:
    done = sgibench(two_runs, "compare", "20260101", "20260102")
    assert "waitress" in done.stdout.splitlines()[0]
    assert "9.9.9" in done.stdout


def test_machines_test_reports_and_pull_requests_get_their_formats(two_runs: Path) -> None:
    def out(form: str) -> str:
        done = sgibench(two_runs, "compare", "20260101", "20260102", "--fail-on", "slower", "--format", form)
        assert done.returncode == 1, done.stderr
        return done.stdout

    told = json.loads(out("json"))
    verdicts = {change["cell"]: change["comparison"]["verdict"] for change in told[0]["changes"]}
    assert any(cell.startswith("waitress/") and verdict == "slower" for cell, verdict in verdicts.items())
    suites = ET.fromstring(out("junit"))  # noqa: S314 - written by ourselves a moment ago
    failed = {case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None}
    assert failed
    assert all(name and name.startswith("waitress/") for name in failed)
    assert "| waitress/" in out("markdown")
    assert Path(two_runs / out("html").strip().rpartition(" ")[2]).is_file()


def test_runs_of_different_machines_are_refused_without_being_told_to(two_runs: Path, tmp_path: Path) -> None:
    elsewhere = make_run(Making(run="20260103-000000-cccc"))
    moved = replace(elsewhere.info, machine=replace(elsewhere.info.machine, hostname_hash="x", cpu_model="Other"))
    path = write_run(replace(elsewhere, info=moved), tmp_path)
    done = sgibench(two_runs, "compare", "20260101", str(path))
    assert done.returncode == 2
    assert "--across-machines" in done.stderr
    assert sgibench(two_runs, "compare", "20260101", str(path), "--across-machines").returncode == 0


# --- capacity and stopping -----------------------------------------------------------------------------------------


def request(tmp_path: Path, *servers: str, **changes: object) -> bench.Request:
    settings: dict[str, object] = {"blocks": 1, "window_s": 0.3, "connections": (8,), "seed": 3, **changes}
    return bench.Request(
        results=tmp_path / "results",
        argv=("sgibench",),
        servers=servers,
        catalogues=(FAULTY,),
        **settings,  # type: ignore[arg-type]  # checked by the dataclass's own users
    )


def test_the_capacity_of_waiting_threads_is_what_their_number_allows(tmp_path: Path) -> None:
    # Four threads that wait 50 ms each serve at most 80 requests per second; a short step may queue a few more.
    asked = request(tmp_path, "waitress", scenarios=("wait",), threads=(4,), connections=(32,))
    outcome = bench.search_capacity(asked, bench.parse_slo("p90<200ms"), Silent(), 1.3)
    run = store.read_run(outcome.folder)
    found = run.info.capacity[0]
    assert found.rate_per_s is not None
    assert 30 <= found.rate_per_s <= 80 * 1.05
    assert found.failed_at_per_s is not None
    assert found.rate_per_s < found.failed_at_per_s <= found.rate_per_s * 1.3
    assert found.trials == len(run.steps)
    assert run.trials == ()


def test_a_server_that_crashes_has_no_capacity_but_a_reason(tmp_path: Path) -> None:
    asked = request(tmp_path, "faulty-crashes", "faulty-none", scenarios=("json",))
    run = store.read_run(bench.search_capacity(asked, bench.parse_slo("p99<100ms"), Silent(), 2.0).folder)
    found = {one.server: one for one in run.info.capacity}
    failure = found["faulty-crashes"].failure
    assert failure is not None
    assert failure.reason == "crashed"
    assert found["faulty-crashes"].rate_per_s is None
    assert found["faulty-none"].rate_per_s


@pytest.mark.parametrize("text", ["p99", "p99<", "99<50ms", "p99<fast", "p99>50ms", "p00<1s"])
def test_a_limit_that_is_none_gets_one_line(tmp_path: Path, text: str) -> None:
    done = sgibench(tmp_path, "capacity", "--slo", text)
    assert done.returncode == 2
    assert "expected a limit such as 'p99<50ms'" in done.stderr


def test_a_run_until_settled_ends_once_every_comparison_has_a_verdict(tmp_path: Path) -> None:
    # One process that waits 50 ms at a time against one that does not wait: settled as soon as three blocks are in.
    asked = request(
        tmp_path,
        "waitress",
        "faulty-none",
        scenarios=("json",),
        apps=("wsgi_plain", "asgi_plain"),
        blocks=12,
        rate_per_s=0.0,
        until_settled=True,
        baseline="waitress",
    )
    run = store.read_run(bench.run(asked, Silent()).folder)
    blocks = {trial.block for trial in run.trials}
    assert run.info.until is not None
    assert run.info.until.looks == tuple(range(3, 13))
    assert 3 <= len(blocks) < 12
    assert run.info.stopped == f"settled after {len(blocks)} of 12 blocks"
    page = report.write(run, tmp_path).read_text(encoding="utf-8")
    assert "Against waitress" in page
    assert re.search(r"needs (more|less) CPU than waitress", page)
    assert f"After {len(blocks)} of at most 12 blocks" in page
    assert run.info.finished_at
