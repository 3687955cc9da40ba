"""Results on disk: nothing measured is lost, whatever happens to the files."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sgibench import secrets
from sgibench.errors import ResultsError, UsageError
from sgibench.model import Failure, HistogramData, Run, RunInfo, Stopped, Trial, with_stops
from sgibench.results import store
from sgibench.results.codec import encode
from tests.results_maker import Making, make_run, write_run
from tests.test_hostile_machine import small_files


@pytest.fixture(scope="module")
def made() -> Run:
    return make_run()


@pytest.fixture
def stored(tmp_path: Path, made: Run) -> Path:
    folder = tmp_path / "results" / "20260101-000000-aaaa"
    with store.RunWriter(folder, made.info) as writer:
        writer.write_info(made.info)
        for trial in made.trials:
            writer.append(trial)
    return folder


def test_what_was_written_is_read_back_to_the_last_digit(stored: Path, made: Run) -> None:
    run = store.read_run(stored)
    assert run.trials == made.trials
    assert run.info == made.info
    assert run.notices == ()


def test_each_trial_is_on_disk_before_the_next_one_starts(tmp_path: Path, made: Run) -> None:
    with store.RunWriter(tmp_path / "run", made.info) as writer:
        writer.write_info(made.info)
        for number, trial in enumerate(made.trials[:3], start=1):
            writer.append(trial)
            assert len(store.read_run(tmp_path / "run").trials) == number


def test_a_half_written_last_line_is_left_out_with_a_notice(stored: Path, made: Run) -> None:
    path = stored / store.TRIALS_FILE
    path.write_bytes(path.read_bytes()[:-40])
    run = store.read_run(stored)
    assert run.trials == made.trials[:-1]
    assert "half-written" in run.notices[0]


def test_writing_goes_on_after_a_half_written_line(stored: Path, made: Run) -> None:
    path = stored / store.TRIALS_FILE
    path.write_bytes(path.read_bytes()[:-40])
    with store.RunWriter(stored, made.info) as writer:
        writer.append(made.trials[-1])
    assert store.read_run(stored).trials == made.trials


def test_a_broken_line_in_the_middle_is_named_by_its_number(stored: Path) -> None:
    path = stored / store.TRIALS_FILE
    lines = path.read_bytes().split(b"\n")
    lines[2] = b'{"cell": 3}'
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(ResultsError, match=r"trials.jsonl line 3: "):
        store.read_run(stored)


def test_a_newer_schema_is_refused_in_one_clear_line(stored: Path) -> None:
    path = stored / store.INFO_FILE
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "schema": 99}))
    with pytest.raises(ResultsError, match="schema 99, this sgibench reads up to 1") as caught:
        store.read_run(stored)
    assert "\n" not in str(caught.value)


def test_a_field_that_is_not_known_yet_is_passed_over(stored: Path, made: Run) -> None:
    path = stored / store.TRIALS_FILE
    raw = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**one, "of_tomorrow": 1}) + "\n" for one in raw))
    assert store.read_run(stored).trials == made.trials


@pytest.mark.parametrize("text", ["", "{}", "[]", "not json", '{"schema": 1}'])
def test_a_run_file_that_is_none_gives_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / store.INFO_FILE).write_text(text)
    with pytest.raises(ResultsError) as caught:
        store.read_run(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_stops_with_one_line_and_keeps_what_was_measured(stored: Path, made: Run) -> None:
    """To the end of the block, where what it did not take would come up again; half a line spoils none behind it."""
    before = store.read_run(stored).trials
    size = (stored / store.TRIALS_FILE).stat().st_size
    with store.RunWriter.reopen(stored) as (writer, _):
        with small_files(size + 100), pytest.raises(ResultsError, match="can't write results to "):
            writer.append(made.trials[0])
        assert (stored / store.TRIALS_FILE).stat().st_size == size
        writer.append(made.trials[0])
    assert len(store.read_run(stored).trials) == len(before)
    with (
        small_files(size + 100),
        pytest.raises(ResultsError, match="can't write results to "),
        store.RunWriter.reopen(stored) as (writer, _),
    ):
        writer.append(made.trials[1])


@pytest.mark.parametrize("reopened", [False, True])
@pytest.mark.parametrize("next_is", ["a trial", "the end"])
def test_a_run_whose_folder_is_removed_meanwhile_is_written_anew_and_ends(
    tmp_path: Path, made: Run, next_is: str, *, reopened: bool
) -> None:
    """All of `results/`, too; what comes behind the line that says so is written as ever."""
    folder = tmp_path / "results" / "run"
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(store.RunWriter(folder, made.info))
        writer.write_info(made.info)
        writer.append(made.trials[0])
        if reopened:
            stack.close()
            writer, _ = stack.enter_context(store.RunWriter.reopen(folder))
        shutil.rmtree(folder.parent)
        with pytest.raises(ResultsError, match=r"was removed or renamed .* is written there anew; go on with --resume"):
            writer.append(made.trials[1]) if next_is == "a trial" else writer.write_info(made.info)
        kept = 2 if next_is == "a trial" else 1
        assert store.read_run(folder).trials == made.trials[:kept]
        writer.append(made.trials[kept])
    assert store.read_run(folder).trials == made.trials[: kept + 1]
    assert store.read_run(folder).info == made.info


def test_a_run_whose_file_is_another_one_meanwhile_ends_and_leaves_that_alone(stored: Path, made: Run) -> None:
    with store.RunWriter.reopen(stored) as (writer, _):
        (stored / store.TRIALS_FILE).unlink()
        (stored / store.TRIALS_FILE).write_text("mine\n")
        with pytest.raises(ResultsError, match="is another file than the one that was begun"):
            writer.append(made.trials[0])
    assert (stored / store.TRIALS_FILE).read_text() == "mine\n"


def test_a_run_that_is_removed_and_cannot_be_made_anew_is_not_said_to_be_kept(tmp_path: Path, made: Run) -> None:
    folder = tmp_path / "results" / "run"
    with store.RunWriter(folder, made.info) as writer:
        writer.write_info(made.info)
        shutil.rmtree(folder.parent)
        folder.parent.write_text("in the way")
        with pytest.raises(ResultsError, match="nothing of it is kept"):
            writer.append(made.trials[0])


def test_a_folder_that_cannot_be_written_gives_one_line(tmp_path: Path, made: Run) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResultsError, match="can't write results"), store.RunWriter(tmp_path / "file" / "x", made.info):
        pass


def test_a_run_that_never_had_a_plan_leaves_nothing_behind(tmp_path: Path, made: Run) -> None:
    with store.RunWriter(tmp_path / "results" / "run", made.info):
        assert (tmp_path / "results" / "run").is_dir()
    assert not (tmp_path / "results" / "run").exists()


def test_runs_are_found_by_the_start_of_their_name_and_by_latest(tmp_path: Path, made: Run) -> None:
    names = ["20260101-000000-aaaa", "20260102-000000-bbbb"]
    for name in names:
        with store.RunWriter(tmp_path / name, made.info) as writer:
            writer.write_info(made.info)
    assert store.find_run(tmp_path, None).name == names[1]
    assert store.find_run(tmp_path, "latest").name == names[1]
    assert store.find_run(tmp_path, "20260101").name == names[0]
    assert store.find_run(tmp_path, str(tmp_path / names[0])).name == names[0]
    with pytest.raises(UsageError, match="2 match"):
        store.find_run(tmp_path, "2026")
    with store.RunWriter(tmp_path / "20260101", made.info) as writer:
        writer.write_info(made.info)
    assert store.find_run(tmp_path, "20260101").name == "20260101", "a whole name is no start of another"


def test_the_fields_of_the_schema_are_all_stored(stored: Path) -> None:
    line = json.loads((stored / store.TRIALS_FILE).read_text().splitlines()[0])
    assert set(line) == set(Trial.__dataclass_fields__) | {"connections"}
    info = json.loads((stored / store.INFO_FILE).read_text())
    assert set(info) == set(RunInfo.__dataclass_fields__)


def test_how_a_server_stopped_is_added_to_what_was_measured_on_it(tmp_path: Path, made: Run) -> None:
    first, second, third = made.trials[:3]
    failure = Failure(reason="ignored-sigterm", detail="still ran 10 s after SIGTERM and was killed")
    with store.RunWriter(tmp_path / "run", made.info) as writer:
        writer.write_info(made.info)
        for trial in (first, second, third):
            writer.append(trial)
        writer.append(Stopped(stopped=(first.cell,), block=first.block, retries=0, stop_s=0.25))
        writer.append(Stopped(stopped=(second.cell,), block=second.block, retries=0, failure=failure))
        writer.append(Stopped(stopped=(third.cell,), block=third.block + 1, retries=0, failure=failure))
    stopped, killed, other = store.read_run(tmp_path / "run").trials
    assert (stopped.status, stopped.stop_s, stopped.rps) == ("ok", 0.25, first.rps)
    assert (killed.status, killed.failure) == ("failed", failure)
    assert other == third


def test_a_trial_that_turns_out_failed_has_no_number_left(made: Run) -> None:
    stop = Stopped(stopped=(made.trials[0].cell,), block=0, retries=0, failure=Failure(reason="killed", detail="later"))
    failed = with_stops(made.trials[:1], [stop])[0]
    numbers = ("window_s", "requests", "rps", "cpu_s", "cpu_us_per_request", "latency_us", "histogram_us", "generator")
    assert [getattr(made.trials[0], name) is None for name in numbers] == [False] * len(numbers)
    assert [getattr(failed, name) for name in numbers] == [None] * len(numbers)
    assert (failed.slices, failed.series) == ((), ())
    assert failed.cell == made.trials[0].cell


def test_a_run_has_one_writer_and_its_lock_dies_with_it(tmp_path: Path, made: Run) -> None:
    with store.RunWriter(tmp_path / "run", made.info) as writer:
        writer.write_info(made.info)
        for opening in (store.RunWriter(tmp_path / "run", made.info), store.RunWriter.reopen(tmp_path / "run")):
            with pytest.raises(UsageError, match="run is being measured by another process"), opening:
                pass
    with store.RunWriter.reopen(tmp_path / "run") as (again, run):
        again.append(made.trials[0])
        assert run.info == made.info
    assert len(store.read_run(tmp_path / "run").trials) == 1


def test_a_variable_that_holds_a_word_of_ours_breaks_no_run_and_no_secret_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--env ROLE=server`, `--env SCHEME=http`: what is written is read back, and its trials find their cells."""
    run = make_run(Making(rates=(100.0,), blocks=1))
    data = json.dumps([encode(run.info), encode(run.trials[0])])
    ours = set(re.findall(r"[A-Za-z][A-Za-z_-]{3,}", data))
    assert {"server", "http", "closed", "waitress", "load"} <= ours
    monkeypatch.setattr(secrets, "_kept", {})
    secrets.keep({f"VARIABLE_{number}": word for number, word in enumerate(sorted(ours))} | {"KEY": "hunter2!"})
    told = replace(
        run.trials[0],
        argv=("serve", "--key=hunter2!"),
        by_request={"GET /?k=hunter2!": HistogramData(gaps=(1,), counts=(1,))},
    )
    folder = write_run(replace(run, trials=(told, *run.trials[1:])), tmp_path)
    found = store.read_run(folder)
    assert found.info.plan == run.info.plan
    assert [(one.cell, one.status, one.load) for one in found.trials] == [
        (one.cell, one.status, one.load) for one in run.trials
    ]
    assert "hunter2" not in (folder / store.INFO_FILE).read_text() + (folder / store.TRIALS_FILE).read_text()


def test_passwords_of_addresses_are_kept_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_kept", {})
    secrets.keep({"URL": "postgresql://me@host/db?sslmode=disable&password=p%40ssword"})
    assert secrets.hidden("password=p@ssword") == "password=[URL]"


@pytest.mark.parametrize("name", [store.TRIALS_FILE, f"{store.INFO_FILE}.new"])
def test_nothing_is_written_through_a_link_that_a_folder_holds(tmp_path: Path, name: str) -> None:
    """A results folder may be a stranger's: its links must not lead the writer to the user's own files."""
    folder = write_run(make_run(Making(scenarios=("json",), blocks=1, finished=False)), tmp_path)
    precious = tmp_path / "precious"
    precious.write_text("half a line")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(precious)
    with contextlib.suppress(ResultsError), store.RunWriter.reopen(folder) as (writer, run):
        writer.write_info(run.info)
        writer.append(run.trials[0])
    assert precious.read_text() == "half a line"
