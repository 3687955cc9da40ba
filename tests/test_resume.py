"""A run that was broken off at any moment goes on with the rest of the same plan."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sgibench.bench.going_on import going_on
from sgibench.engine.windows import trials_in
from sgibench.model import Plan
from sgibench.model.own import OwnInfo
from sgibench.results import store
from tests.in_process import inside

FAULTY = Path(__file__).parent / "faulty"
BLOCKS = 4


def command(tmp_path: Path, *arguments: str) -> list[str]:
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    return [sys.executable, "-m", "sgibench.cli", "run", *folders, *arguments]


def start(tmp_path: Path) -> subprocess.Popen[str]:
    what = (
        f"--quiet --json --server faulty-none --scenario json --blocks {BLOCKS} --window 0.3s --connections 4 --seed 5"
    )
    arguments = [*what.split(), "--rate", "none", "--catalogue", str(FAULTY)]
    return subprocess.Popen(
        command(tmp_path, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )


def started_run(tmp_path: Path) -> Path:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if runs := store.list_runs(tmp_path / "results"):
            return runs[0]
        time.sleep(0.02)
    raise AssertionError("the run did not begin within three minutes")


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A run that was killed at a random moment and then went on."""

    place: Path
    folder: Path
    plan: Plan
    """As it was before."""
    kept: bytes
    """What was on disk when it was killed."""
    done: subprocess.CompletedProcess[str]
    """The command that went on with it."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    tmp_path = tmp_path_factory.mktemp("finished")
    running = start(tmp_path)
    folder = started_run(tmp_path)
    plan = store.read_run(folder).info.plan
    time.sleep(random.Random(1).uniform(0.0, 4.0))
    running.kill()
    running.communicate()
    kept = (folder / store.TRIALS_FILE).read_bytes()
    words = command(tmp_path, "--quiet", "--json", "--resume", folder.name, "--catalogue", str(FAULTY))
    done = subprocess.run(words, capture_output=True, check=False, text=True, timeout=500)
    return Killed(place=tmp_path, folder=folder, plan=plan, kept=kept, done=done)


def test_killed_at_a_random_moment_no_trial_is_lost_and_none_is_there_twice(killed: Killed) -> None:
    """At three more moments, and in other ways: `test_kills`."""
    assert killed.done.returncode == 0, killed.done.stderr
    assert Path(json.loads(killed.done.stdout)["run"]) == killed.folder
    run = store.read_run(killed.folder)
    assert run.info.plan == killed.plan
    assert run.info.finished_at is not None
    lines = (killed.folder / store.TRIALS_FILE).read_bytes()
    assert lines.startswith(killed.kept[: killed.kept.rfind(b"\n") + 1])
    executed = [(trial.block, trial.cell) for trial in run.trials]
    assert len(executed) == len(set(executed)) == trials_in(killed.plan)
    assert run.repeated == ()


@pytest.fixture
def finished(killed: Killed) -> Path:
    """Where a run stands that came to its end."""
    return killed.place


def test_a_run_that_came_to_its_end_has_nothing_to_resume(finished: Path) -> None:
    done = resumed(finished, "--resume", "latest")
    assert done.returncode == 2
    assert "nothing to resume" in done.stderr


def resumed(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return inside(tmp_path, *command(tmp_path, *arguments)[3:])


def broken_off_copy(finished: Path, tmp_path: Path, **changes: object) -> Path:
    """A copy of a finished run that looks broken off, with other words in its run.json."""
    original = store.list_runs(finished / "results")[0]
    folder = tmp_path / "results" / original.name
    shutil.copytree(original, folder)
    info = json.loads((folder / store.INFO_FILE).read_text())
    (folder / store.INFO_FILE).write_text(json.dumps({**info, "finished_at": None, **changes}))
    return folder


def test_a_results_folder_never_says_which_code_is_run(finished: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile" / "servers"
    hostile.mkdir(parents=True)
    (hostile / "evil.py").write_text(f"open({str(tmp_path / 'was-here')!r}, 'w').close()\n")
    folder = broken_off_copy(finished, tmp_path, catalogues=[str(hostile.parent)])
    done = resumed(tmp_path, "--resume", folder.name)
    assert done.returncode == 2
    assert f"--catalogue {hostile.parent}" in done.stderr
    assert not (tmp_path / "was-here").exists()


def test_a_plan_that_names_what_does_not_exist_is_refused_in_one_line(finished: Path, tmp_path: Path) -> None:
    folder = broken_off_copy(finished, tmp_path)
    path = folder / store.INFO_FILE
    path.write_text(path.read_text().replace('"server": "faulty-none"', '"server": "faulty-n*"'))
    done = resumed(tmp_path, "--resume", folder.name, "--catalogue", str(FAULTY))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "no server is called 'faulty-n*'" in done.stderr


def test_a_run_is_never_written_by_two(finished: Path, tmp_path: Path) -> None:
    folder = broken_off_copy(finished, tmp_path)
    words = command(tmp_path, "--resume", "latest", "--catalogue", str(FAULTY))
    with store.RunWriter.reopen(folder):
        done = subprocess.run(words, capture_output=True, check=False, text=True, timeout=180)
    assert done.returncode == 2
    assert "is being measured by another process" in done.stderr


@pytest.mark.parametrize(
    "ignored", ["--blocks 3", "--server waitress", "--connections 64", "--no-control", "--seed 1", "--load-workers 1"]
)
def test_options_that_a_resumed_run_would_ignore_are_refused(tmp_path: Path, ignored: str) -> None:
    done = resumed(tmp_path, "--resume", "latest", *ignored.split())
    assert done.returncode == 2
    assert ignored.split(maxsplit=1)[0] in done.stderr


def test_a_run_of_another_machine_or_other_packages_is_not_mixed_with_this_one(finished: Path, tmp_path: Path) -> None:
    original = store.list_runs(finished / "results")[0]
    for change, words in (("machine", "begun on another machine"), ("environments", "has other packages now")):
        folder = tmp_path / "results" / f"{original.name}-{change}"
        shutil.copytree(original, folder)
        info = json.loads((folder / store.INFO_FILE).read_text())
        info["finished_at"] = None
        if change == "machine":
            info["machine"]["hostname_hash"] = "elsewhere"
        else:
            info["environments"]["faulty-none"]["packages"] = ["waitress==1.0"]
        (folder / store.INFO_FILE).write_text(json.dumps(info))
        done = resumed(tmp_path, "--quiet", "--resume", str(folder), "--catalogue", str(FAULTY))
        assert done.returncode == 2
        assert words in done.stderr
        assert (folder / store.TRIALS_FILE).read_bytes() == (original / store.TRIALS_FILE).read_bytes()


@pytest.mark.timeout(900)
def test_a_search_for_capacity_goes_on_from_the_steps_on_disk(tmp_path: Path) -> None:
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports"), "--quiet", "--json"]
    begin = [sys.executable, "-m", "sgibench.cli", "capacity", *folders]
    what = "--slo p50<20ms --precision 90% --server waitress --scenario json --blocks 1 --connections 8 --seed 3"
    what += " --retries 0"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    searching = subprocess.Popen(
        [*begin, *what.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    folder = started_run(tmp_path)
    deadline = time.monotonic() + 240
    while len(store.read_run(folder).steps) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    searching.kill()
    searching.communicate()
    kept = (folder / store.TRIALS_FILE).read_bytes()
    plan = store.read_run(folder).info.plan

    wrong = resumed(tmp_path, "--resume", folder.name)
    assert wrong.returncode == 2
    assert f"sgibench capacity --resume {folder.name}" in wrong.stderr

    done = subprocess.run(
        [*begin, "--resume", "latest"], capture_output=True, check=False, text=True, timeout=500, env=environment
    )
    assert done.returncode == 0, done.stderr
    run = store.read_run(folder)
    assert run.info.plan == plan
    assert run.info.finished_at is not None
    assert (folder / store.TRIALS_FILE).read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    (found,) = run.info.capacity
    assert found.server == "waitress"
    assert found.trials == sum(step.retries == 0 for step in run.steps)  # asked again where the machine was disturbed
    assert [step.step for step in run.steps] == list(range(1, len(run.steps) + 1))


def test_a_stopped_run_names_all_that_it_must_be_told_again(finished: Path) -> None:
    info = store.read_run(store.list_runs(finished / "results")[0]).info
    assert going_on("run", info, None) == f"sgibench run --resume {info.run} --catalogue {FAULTY}"
    own = OwnInfo(
        apps={"own": "my shop/app.py:app"}, kinds={}, environment="./.venv", python="3.11.7", requests=("1 GET /",)
    )
    told = going_on("capacity", replace(info, own=own, catalogues=()), None)
    words = f"sgibench capacity --resume {info.run} --app 'my shop/app.py:app'"
    assert told == f"{words}, with the requests and variables that it began with"
