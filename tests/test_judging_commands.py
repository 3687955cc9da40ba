"""`audit`, `compare`, `capacity` and `--until settled`: commands that judge, and can say no."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sgibench import bench, report
from sgibench.audit import audit_run
from sgibench.engine.progress import Silent
from sgibench.errors import UsageError
from sgibench.histogram import Histogram
from sgibench.model import Failure, HistogramData, PilotRate, Run, Trial
from sgibench.results import store
from tests.in_process import inside
from tests.results_maker import CATALOGUE, QUICK, Making, latency_of, make_run, write_run

DATA = Path(__file__).parent / "data"
FAULTY = Path(__file__).parent / "faulty"


# --- audit ---------------------------------------------------------------------------------------------------------


def test_published_rows_get_exactly_the_doubts_that_arithmetic_finds(tmp_path: Path) -> None:
    path = next(DATA.rglob("published_rows.csv"))
    done = inside(tmp_path, "audit", str(path), "--json")
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
    told = json.loads(inside(tmp_path, "audit", "latest", "--json").stdout)
    assert len(told) == len(run.trials)
    assert all({"id", "doubts"} <= row.keys() for row in told)


def test_runs_made_for_tests_are_refuted_nowhere() -> None:
    """What is shown of them rests on figures that can all be true."""
    for making in (
        Making(servers=CATALOGUE, rates=(200.0,), curve=(0.5,), connections=(1, 64)),
        Making(settings=((1, 8), (3, 8)), apps=("plain", "flask"), slice_s=None),
    ):
        refuted = [row for row in audit_run(make_run(making)).rows if row.refuted]
        assert not refuted, refuted[0]


def test_a_file_in_no_known_format_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("it felt fast\n")
    done = inside(tmp_path, "audit", "notes.txt")
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
    done = inside(two_runs, "compare", "20260101", "20260102", "--fail-on", "slower:5%")
    assert done.returncode == 1
    assert "slower: waitress/" in done.stderr
    assert "uvicorn-httptools" not in done.stderr


def test_the_same_runs_pass_when_the_loss_is_tolerated_or_not_asked_about(two_runs: Path) -> None:
    assert inside(two_runs, "compare", "20260101", "20260102", "--fail-on", "slower:60%").returncode == 0
    assert inside(two_runs, "compare", "20260101", "20260102").returncode == 0


def test_what_differs_between_the_runs_is_said_first(two_runs: Path) -> None:
    done = inside(two_runs, "compare", "20260101", "20260102")
    assert "waitress" in done.stdout.splitlines()[0]
    assert "9.9.9" in done.stdout


def test_a_comparison_has_a_line_for_each_server_under_what_was_asked(two_runs: Path) -> None:
    lines = [line.split() for line in inside(two_runs, "compare", "20260101", "20260102").stdout.splitlines()]
    heads = [line[0] for line in lines if len(line) == 1 and "/" in line[0]]
    assert any(head.startswith("json/closed-") for head in heads)
    servers = {one.id for one in QUICK}
    found = {(line[0], line[-1]) for line in lines if line and line[0] in servers}
    assert {server for server, _verdict in found} == servers
    assert ("waitress", "slower") in found
    assert {verdict for _server, verdict in found} <= {"faster", "slower", "tie", "unknown"}


def test_a_pull_request_shows_names_as_they_are(tmp_path: Path) -> None:
    odd = (replace(QUICK[0], id="`a*_x_*|[b]<i>&amp;"), *QUICK[1:])
    for day in (1, 2):
        write_run(make_run(Making(seed=day, run=f"2026010{day}-000000-aaaa", servers=odd)), tmp_path / "results")
    shown = inside(tmp_path, "compare", "20260101", "20260102", "--format", "markdown").stdout
    assert "### CPU per request: second run" in shown
    assert r"\`a\*\_x\_\*\|\[b\]&lt;i>&amp;amp;/wsgi_plain/json/closed-64/w1t8 |" in shown


def test_servers_are_named_with_their_app_where_one_has_several(tmp_path: Path) -> None:
    for day in (5, 6):
        run = make_run(Making(run=f"2026010{day}-000000-dddd", seed=day))
        flask = [
            replace(one, app="wsgi_flask", cell=one.cell.replace("/wsgi_plain/", "/wsgi_flask/"))
            for one in run.trials
            if "/wsgi_plain/" in one.cell
        ]
        write_run(replace(run, trials=(*run.trials, *flask)), tmp_path / "results")
    lines = inside(tmp_path, "compare", "20260105", "20260106").stdout.splitlines()
    rows = [line for line in lines if line.split()[:1] == ["waitress"]]
    assert any("wsgi_plain" in row for row in rows)
    assert any("wsgi_flask" in row for row in rows)


def test_a_comparison_says_what_it_took_out_and_what_it_could_not_have_seen(two_runs: Path) -> None:
    words = "CPU per request: the unchanged servers moved by "
    told = {
        form: inside(two_runs, "compare", "20260101", "20260102", "--format", form, "--fail-on", "slower:60%")
        for form in ("table", "markdown", "junit")
    }
    assert words in told["table"].stdout
    assert words in told["junit"].stdout
    assert f"\n{words[0].upper()}{words[1:]}" in told["markdown"].stdout
    assert all("could not have shown" not in done.stderr for done in told.values())
    done = inside(two_runs, "compare", "20260101", "20260102", "--fail-on", "slower:1%", "--metric", "p50_us")
    found = re.search(r"--fail-on: (\d+) of (\d+) comparisons could not have shown a loss of 2.0 %", done.stderr)
    assert found, done.stderr
    assert 0 < int(found[1]) <= int(found[2])


def test_machines_test_reports_and_pull_requests_get_their_formats(two_runs: Path) -> None:
    def out(form: str) -> str:
        done = inside(two_runs, "compare", "20260101", "20260102", "--fail-on", "slower", "--format", form)
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


def test_a_figure_that_neither_run_has_is_said_to_be_and_has_no_empty_table(tmp_path: Path) -> None:
    for day in (1, 2):
        run = make_run(Making(seed=day, run=f"2026010{day}-000000-aaaa"))
        write_run(replace(run, trials=tuple(map(_with_few_answers, run.trials))), tmp_path / "results")
    said = "p99: nothing to compare, as neither run has it ("

    def out(form: str) -> str:
        return inside(tmp_path, "compare", "20260101", "20260102", "--format", form).stdout

    (p99,) = [part for part in out("markdown").split("### ") if part.startswith("P99")]
    assert said in p99
    assert "| cell |" not in p99
    suites = ET.fromstring(out("junit"))  # noqa: S314 - written by ourselves a moment ago
    (suite,) = [suite for suite in suites if suite.get("name") == "p99"]
    assert suite.get("tests") == suite.get("skipped") != "0"
    assert all("neither run has it: too few answers: 30" in (one.get("message") or "") for one in suite.iter("skipped"))
    assert said in out("table")
    assert set(json.loads(out("json"))[3]["absent"].values()) == {"too few answers: 30"}
    assert said in (tmp_path / out("html").strip().rpartition(" ")[2]).read_text(encoding="utf-8")
    alone = inside(tmp_path, "compare", "20260101", "20260102", "--metric", "p99_us")
    assert (alone.returncode, said in alone.stderr) == (2, True)


def _with_few_answers(trial: Trial) -> Trial:
    """p50 has enough of them, p99 has not."""

    def few(data: HistogramData | None) -> HistogramData | None:
        return None if data is None else HistogramData(gaps=data.gaps[:1], counts=(30,))

    return replace(
        trial,
        histogram_us=few(trial.histogram_us),
        intended_histogram_us=few(trial.intended_histogram_us),
        latency_us=None,
    )


def test_runs_of_different_machines_are_refused_without_being_told_to(two_runs: Path, tmp_path: Path) -> None:
    elsewhere = make_run(Making(run="20260103-000000-cccc"))
    moved = replace(elsewhere.info, machine=replace(elsewhere.info.machine, hostname_hash="x", cpu_model="Other"))
    path = write_run(replace(elsewhere, info=moved), tmp_path)
    done = inside(two_runs, "compare", "20260101", str(path))
    assert done.returncode == 2
    assert "--across-machines" in done.stderr
    assert inside(two_runs, "compare", "20260101", str(path), "--across-machines").returncode == 0


def test_a_run_is_not_compared_with_itself_nor_with_its_copy(two_runs: Path, tmp_path: Path) -> None:
    """Everything was unknown, and a check of it could never fail."""
    copy = shutil.copytree(two_runs / "results" / "20260101-000000-aaaa", tmp_path / "copy")
    for second in ("20260101", str(copy)):
        done = inside(two_runs, "compare", "20260101", second, "--fail-on", "slower")
        assert (done.returncode, done.stdout) == (2, "")
        assert "both are the same run, 20260101-000000-aaaa (" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    lines = (copy / "trials.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (copy / "trials.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    changed = inside(two_runs, "compare", "20260101", str(copy))
    assert (changed.returncode, "same run" in changed.stderr) == (0, False)


CELL = "granian-wsgi/wsgi_plain/json/closed-64/w1t8"


def overcounted(run: Run) -> Run:
    """Let a cell claim a tenth more right answers than it has latencies of."""
    return replace(
        run,
        trials=tuple(
            replace(trial, requests=round(trial.requests * 1.1)) if trial.cell == CELL and trial.requests else trial
            for trial in run.trials
        ),
    )


def test_what_the_audit_refutes_in_either_run_has_no_verdict_and_fails_the_check(tmp_path: Path) -> None:
    """A comparison took figures that can't all be true without a word."""
    spoilt = {"20260201": BASE, "20260202": AGAIN}
    clean = write_run(BASE, tmp_path / "clean"), write_run(AGAIN, tmp_path / "clean")
    for name, run in spoilt.items():
        folder = tmp_path / name
        for each in (BASE, AGAIN):
            write_run(overcounted(run) if each is run else each, folder / "results")
        side = "first" if run is BASE else "second"
        told = f"{CELL}: {side} run: WrongCount: in 6 of 6 blocks"
        table, markdown, junit, machines, html = (
            inside(folder, "compare", "20260201", "20260202", "--fail-on", "slower:99%", "--format", form)
            for form in ("table", "markdown", "junit", "json", "html")
        )
        for done in (table, markdown, junit, machines, html):
            assert done.returncode == 1, done.stderr
            assert f"refuted: {told}" in done.stderr
            assert done.stderr.count("refuted:") == 1
        assert f"refuted: {told}" in table.stdout
        rows = [line.split() for line in table.stdout.splitlines() if line.strip().endswith("refuted")]
        assert {row[0] for row in rows} == {"granian-wsgi"}
        assert f"- refuted: {told}" in markdown.stdout
        assert re.search(rf"\| {CELL} \|.*\| refuted \|", markdown.stdout)
        failures = [case for case in ET.fromstring(junit.stdout).iter("testcase") if case.find("failure") is not None]  # noqa: S314
        assert {case.get("name") for case in failures} == {CELL}
        for one in json.loads(machines.stdout):
            verdicts = {change["cell"]: change["comparison"]["verdict"] for change in one["changes"]}
            assert {cell for cell, verdict in verdicts.items() if verdict == "refuted"} == {CELL} & verdicts.keys()
            assert {each["cell"] for each in one["refuted"]} == {CELL} & verdicts.keys()
        page = (folder / html.stdout.strip().rpartition(" ")[2]).read_text()
        assert "The audit refutes figures of 1 cell<" in page
        assert f'<span class="mono">{CELL}</span>, {side} run: WrongCount: in 6 of 6 blocks' in page
        assert '<span class="verdict refuted">refuted</span>' in page
    done = inside(tmp_path, "compare", *map(str, clean), "--fail-on", "slower:99%")
    assert (done.returncode, "refuted" in done.stdout + done.stderr) == (0, False)


def crashed(run: Run, server: str, blocks: set[int]) -> Run:
    """Let a server crash in some blocks."""
    failure = Failure(reason="crashed", detail="exit status 3")
    return replace(
        run,
        trials=tuple(
            replace(trial, status="failed", failure=failure)
            if trial.server == server and not trial.control and trial.block in blocks
            else trial
            for trial in run.trials
        ),
    )


def without(run: Run, server: str) -> Run:
    return replace(run, trials=tuple(trial for trial in run.trials if trial.server != server))


def with_p99(run: Run, server: str, factor: float) -> Run:
    """Multiply a server's p99 at the fixed rate: each of the slowest answers, wherever it is told."""

    def slowest(stored: HistogramData | None) -> Histogram:
        assert stored is not None
        middles_us, counts = Histogram.from_data(stored).buckets()
        values_us = np.repeat(middles_us, counts)
        values_us[-len(values_us) // 50 :] *= factor
        made = Histogram()
        made.record((values_us * 1000).astype(np.int64))
        return made

    def longer(trial: Trial) -> Trial:
        if trial.server != server or trial.load.kind != "open":
            return trial
        service, due = slowest(trial.histogram_us), slowest(trial.intended_histogram_us)
        return replace(
            trial,
            histogram_us=service.to_data(),
            intended_histogram_us=due.to_data(),
            latency_us=latency_of(due),
        )

    return replace(run, trials=tuple(longer(trial) for trial in run.trials))


BASE = make_run(Making(run="20260201-000000-0000", seed=1, blocks=6, scenarios=("json",), rates=(300.0,), samples=1100))
AGAIN = make_run(
    Making(run="20260202-000000-0000", seed=2, blocks=6, scenarios=("json",), rates=(300.0,), samples=1100)
)


def checked(folder: Path, second: Run, *options: str) -> subprocess.CompletedProcess[str]:
    """Compare the base with a second run, failing on what is slower by 5 %."""
    write_run(BASE, folder / "results")
    write_run(second, folder / "results")
    return inside(folder, "compare", BASE.info.run, second.info.run, "--fail-on", "slower:5%", *options)


CLOSED = "waitress/wsgi_plain/json/closed-64/w1t8: second run:"


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (crashed(AGAIN, "waitress", set(range(6))), f"failed: {CLOSED} failed in 6 of 6 blocks: crashed: exit status"),
        (crashed(AGAIN, "waitress", {0, 2, 3, 5}), f"thinned: {CLOSED} failed in 4 of 6 blocks: crashed: exit status"),
        (without(AGAIN, "waitress"), f"missing: {CLOSED} not measured"),
        (with_p99(AGAIN, "waitress", 50.0), "slower: waitress/wsgi_plain/json/open-300/w1t8: p99 "),
    ],
    ids=["crashed in all blocks", "crashed in some", "not measured", "a p99 fifty times as long"],
)
def test_a_server_that_broke_vanished_or_answers_late_fails_the_check_and_the_test_report(
    second: Run, told: str, tmp_path: Path
) -> None:
    done = checked(tmp_path, second, "--format", "junit")
    assert done.returncode == 1
    assert told in done.stderr
    assert "only in" not in done.stdout + done.stderr
    suites = ET.fromstring(done.stdout)  # noqa: S314 - written by ourselves a moment ago
    failed = {case.get("name", ""): case.find("failure") for case in suites.iter("testcase")}
    names = {name for name, failure in failed.items() if failure is not None}
    assert names
    assert all(name.startswith("waitress/") for name in names)
    kind = told.partition(":")[0]
    assert any(kind in (failure.get("message") or "") for failure in failed.values() if failure is not None)
    counted = sum(int(suite.get("failures") or 0) for suite in suites)
    assert counted == sum(case.find("failure") is not None for case in suites.iter("testcase"))


def test_missing_cells_pass_when_they_may_and_broken_ones_never_do(tmp_path: Path) -> None:
    assert checked(tmp_path / "a", without(AGAIN, "waitress"), "--allow-missing").returncode == 0
    assert checked(tmp_path / "b", crashed(AGAIN, "waitress", {1}), "--allow-missing").returncode == 1
    assert checked(tmp_path / "c", AGAIN).returncode == 0


def test_a_second_run_whose_file_lost_its_end_fails_the_check_although_it_was_finished(tmp_path: Path) -> None:
    making = Making(blocks=4, scenarios=("json",))
    write_run(make_run(making), tmp_path / "results")
    cut = make_run(replace(making, run="20270101-000000-cccc", seed=2))
    write_run(replace(cut, trials=tuple(trial for trial in cut.trials if trial.block < 2)), tmp_path / "results")
    done = inside(tmp_path, "compare", "20261122", "20270101", "--fail-on", "slower:99%", "--allow-missing")
    assert done.returncode == 1
    assert (
        "thinned: waitress/wsgi_plain/json/closed-64/w1t8: second run: 2 of 4 planned blocks: the others are"
        in done.stderr
    )
    assert "Thinned: 2 of 4 planned blocks" in inside(tmp_path, "audit", "20270101").stdout
    stopped = replace(cut.info, stopped="settled after 2 of 4 blocks", run="20270102-000000-dddd")
    trials = tuple(trial for trial in cut.trials if trial.block < 2)
    write_run(replace(cut, info=stopped, trials=trials), tmp_path / "results")
    assert inside(tmp_path, "compare", "20261122", "20270102", "--fail-on", "slower:99%").returncode == 0
    nothing = inside(tmp_path, "compare", "20261122", "nosuch", "--fail-on", "slower")
    assert nothing.returncode == 2, "1 is for a comparison that says no"


def test_a_check_of_single_blocks_is_refused_because_it_could_never_fail(tmp_path: Path) -> None:
    runs = [make_run(Making(run=f"2026010{day}-000000-aaaa", blocks=1, scenarios=("json",))) for day in (1, 2)]
    names = [write_run(run, tmp_path / "results").name for run in runs]
    done = inside(tmp_path, "compare", *names, "--fail-on", "slower:5%")
    assert done.returncode == 2
    assert "no cell has two blocks in both runs" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert inside(tmp_path, "compare", *names).returncode == 0


def test_other_rates_are_no_match_and_the_way_out_is_said(tmp_path: Path) -> None:
    other = make_run(Making(run="20260203-000000-0000", seed=2, blocks=6, scenarios=("json",), rates=(310.0,)))
    done = checked(tmp_path, other)
    assert done.returncode == 1
    assert "--rate-of" in done.stderr


def test_an_audit_of_what_crashed_or_is_missing_says_no_with_the_reason(tmp_path: Path) -> None:
    every = AGAIN
    for one in QUICK:
        every = crashed(every, one.id, set(range(6)))
    every = replace(every, trials=tuple(trial for trial in every.trials if not trial.control))
    write_run(every, tmp_path / "results")
    done = inside(tmp_path, "audit", "latest")
    assert done.returncode == 1
    assert "Failed: crashed: exit status 3" in done.stdout
    assert f"{len(every.trials) + 2} failed, missing or thinned" in done.stdout
    thin = crashed(without(BASE, "granian-asgi"), "waitress", {1})
    write_run(thin, tmp_path / "thin")
    told = json.loads(inside(tmp_path, "audit", "latest", "--results", "thin", "--json").stdout)
    kinds = {row["id"]: {doubt["kind"] for doubt in row["doubts"]} for row in told if row["failed"]}
    assert "Failed" in kinds["waitress/wsgi_plain/json/closed-64/w1t8#1"]
    assert "Thinned" in kinds["waitress/wsgi_plain/json/closed-64/w1t8#2"]
    assert kinds["granian-asgi/asgi_plain/json/closed-64/w1t8"] == {"Missing"}


def test_a_planned_server_without_a_trial_is_named_beside_the_numbers(tmp_path: Path) -> None:
    write_run(without(BASE, "waitress"), tmp_path / "results")
    told = "waitress: no trial of it is stored, though it was planned"
    printed = inside(tmp_path, "report", "latest").stdout
    assert told in " ".join(printed.split())
    page = next((tmp_path / "reports").glob("2026*.html")).read_text()
    assert f"<b>Missing</b>: {told}" in page
    assert "no doubts" not in page
    (run,) = json.loads(inside(tmp_path, "report", "latest", "--json").stdout)["runs"]
    assert [(one["kind"], one["detail"]) for one in run["summary"]["doubts"]] == [("Missing", told)]
    write_run(BASE, tmp_path / "whole")
    assert "Missing" not in inside(tmp_path, "report", "latest", "--results", "whole").stdout


def test_two_lines_that_tell_unlike_things_of_one_trial_refute_it_and_copies_and_repeats_do_not(
    tmp_path: Path,
) -> None:
    """The last line counted, without a word."""
    run = make_run(Making(scenarios=("json",), blocks=2))
    one = run.trials[0]
    assert one.rps is not None
    other = replace(one, rps=one.rps * 1.5)
    lines = {
        "twice": (other, *run.trials),
        "copied": (one, *run.trials),
        "again": (*run.trials, replace(other, retries=1)),
    }
    for name, trials in lines.items():
        write_run(replace(run, trials=trials), tmp_path / name)
        audited = inside(tmp_path, "audit", "latest", "--results", name)
        told = [line for line in audited.stdout.splitlines() if "lines of its file tell of this one execution" in line]
        assert len(told) == (name == "twice"), name
        inside(tmp_path, "report", "latest", "--results", name)
        page = next((tmp_path / "reports").glob("2*.html")).read_text()
        assert ("lines of its file tell of this one execution" in page) == (name == "twice"), name


def test_an_audit_says_in_one_line_what_it_left_out_of_a_file(tmp_path: Path) -> None:
    """A last line that was garbage was dropped silently."""
    path = write_run(make_run(Making(scenarios=("json",))), tmp_path / "results") / store.TRIALS_FILE
    whole = path.read_bytes()
    for end, told in (
        (b"garbage\n", "can't be read and was left out"),
        (b'{"cell":', "half-written, as a run that was"),
    ):
        path.write_bytes(whole + end)
        done = inside(tmp_path, "audit", "latest", "--json")
        (line,) = done.stderr.splitlines()
        assert line.startswith("Notice: ")
        assert told in line
        assert json.loads(done.stdout)


def test_the_advice_about_what_is_missing_is_one_that_can_be_followed(tmp_path: Path) -> None:
    lost = without(BASE, "waitress")
    cut = replace(BASE, trials=tuple(trial for trial in BASE.trials if trial.block < 3))
    for number, run in enumerate((lost, cut)):
        for finished, way in ((run.info.finished_at, "Measure it anew"), (None, "--resume")):
            told = replace(run, info=replace(run.info, finished_at=finished))
            write_run(told, tmp_path / f"{number}{finished is None}")
            said = inside(tmp_path, "audit", "latest", "--results", f"{number}{finished is None}").stdout
            assert way in said
            assert ("--resume" in said) == (finished is None)


@pytest.mark.parametrize(
    ("name", "figure"),
    [("rps", "1e308"), ("cpu_us_per_request", "NaN"), ("rps", "-5.0"), ("cpu_us_per_request", "1e-320")],
)
def test_absurd_figures_in_a_file_are_a_line_or_a_doubt(name: str, figure: str, tmp_path: Path) -> None:
    folder = write_run(BASE, tmp_path / "results")
    lines = (folder / "trials.jsonl").read_text().splitlines()
    first = re.sub(rf'"{name}":[^,]+', f'"{name}":{figure}', lines[0], count=1)
    assert first != lines[0]
    (folder / "trials.jsonl").write_text("\n".join([first, *lines[1:]]) + "\n")
    write_run(AGAIN, tmp_path / "again")
    other = str(tmp_path / "again" / AGAIN.info.run)
    for command in (["audit", "latest"], ["compare", "latest", other], ["report", "latest", "--json"]):
        done = inside(tmp_path, *command)
        assert done.returncode in {0, 1, 2}, done.stderr
        assert done.returncode != 2 or len(done.stderr.strip().splitlines()) == 1


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
    asked = request(tmp_path, "waitress", scenarios=("wait",), threads=(4,), connections=(32,), retries=0)
    outcome = bench.search_capacity(asked, bench.parse_slo("p90<200ms"), Silent(), 1.3)
    run = store.read_run(outcome.folder)
    found = run.info.capacity[0]
    assert found.rate_per_s is not None
    assert 30 <= found.rate_per_s <= 80 * 1.05
    assert found.failed_at_per_s is not None
    assert found.rate_per_s < found.failed_at_per_s <= found.rate_per_s * 1.3
    assert found.trials == sum(step.retries == 0 for step in run.steps)  # asked again where the machine was disturbed
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
    assert run.info.retries == 2  # what fails on a disturbed machine is tried again so often, as docs/method.md says


@pytest.mark.parametrize("text", ["p99", "p99<", "99<50ms", "p99<fast", "p99>50ms", "p00<1s"])
def test_a_limit_that_is_none_gets_one_line(tmp_path: Path, text: str) -> None:
    done = inside(tmp_path, "capacity", "--slo", text)
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


def test_a_run_takes_the_rates_of_another_so_that_their_latencies_match(tmp_path: Path) -> None:
    rate = PilotRate(
        scenario="json", connection="keep-alive", workers=1, threads=8, slowest="other", slowest_rps=246.0,
        rate_per_s=123.0,
    )  # fmt: skip
    asked = request(tmp_path, "faulty-none", scenarios=("json",), rates=(rate,))
    run = store.read_run(bench.run(asked, Silent()).folder)
    assert run.info.pilot == (rate,)
    assert {trial.load.id for trial in run.trials} == {"closed-8", "open-123"}
    with pytest.raises(UsageError, match=r"--rate-of: that run has no rate for json \(keep-alive\) with 1 worker"):
        bench.run(request(tmp_path, "faulty-none", scenarios=("json",), rates=(replace(rate, threads=4),)), Silent())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--rate", "100", "--rate-of", "latest"], "pass one of them"),
        (["--until", "settled:speed"], "expected cpu, rps, p50, p99, p999, got 'speed'"),
        (["--until", "soon"], "expected settled or settled:cpu,p99, got 'soon'"),
        (["--delta", "0%"], "expected a share"),
        (["--delta", "90%"], "expected a share from 0.1% to 50%, got '90%'"),
        (["--rank-by", "speed"], "expected cpu, rps, p50, p99, p999, got 'speed'"),
    ],
)
def test_options_that_mean_nothing_get_one_line(options: list[str], told: str, tmp_path: Path) -> None:
    done = inside(tmp_path, "run", *options)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
