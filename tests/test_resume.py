"""A run that was broken off at any moment goes on with the rest of the same plan."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sgibench.engine.windows import trials_in
from sgibench.results import store

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
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if runs := store.list_runs(tmp_path / "results"):
            return runs[0]
        time.sleep(0.02)
    raise AssertionError("the run did not begin within a minute")


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_a_random_moment_no_trial_is_lost_and_none_is_there_twice(tmp_path: Path, seed: int) -> None:
    running = start(tmp_path)
    folder = started_run(tmp_path)
    plan = store.read_run(folder).info.plan
    time.sleep(random.Random(seed).uniform(0.0, 4.0))
    running.kill()
    running.communicate()
    kept = (folder / store.TRIALS_FILE).read_bytes()
    resumed = subprocess.run(
        command(tmp_path, "--quiet", "--json", "--resume", folder.name),
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert Path(json.loads(resumed.stdout)["run"]) == folder
    run = store.read_run(folder)
    assert run.info.plan == plan
    assert run.info.finished_at is not None
    lines = (folder / store.TRIALS_FILE).read_bytes()
    assert lines.startswith(kept[: kept.rfind(b"\n") + 1])
    executed = [(trial.block, trial.cell) for trial in run.trials]
    assert len(executed) == len(set(executed)) == trials_in(plan)
    assert run.repeated == ()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("finished")
    running = start(tmp_path)
    running.communicate(timeout=120)
    return tmp_path


def test_a_run_that_came_to_its_end_has_nothing_to_resume(finished: Path) -> None:
    done = subprocess.run(
        command(finished, "--resume", "latest"), capture_output=True, check=False, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "nothing to resume" in done.stderr


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
        done = subprocess.run(
            command(tmp_path, "--quiet", "--resume", str(folder)),
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert (folder / store.TRIALS_FILE).read_bytes() == (original / store.TRIALS_FILE).read_bytes()


def test_a_search_for_capacity_goes_on_from_the_steps_on_disk(tmp_path: Path) -> None:
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports"), "--quiet", "--json"]
    begin = [sys.executable, "-m", "sgibench.cli", "capacity", *folders]
    what = "--slo p99<20ms --precision 40% --server waitress --scenario json --blocks 1 --connections 8 --seed 3"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    searching = subprocess.Popen(
        [*begin, *what.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    folder = started_run(tmp_path)
    deadline = time.monotonic() + 120
    while len(store.read_run(folder).steps) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    searching.kill()
    searching.communicate()
    kept = (folder / store.TRIALS_FILE).read_bytes()
    plan = store.read_run(folder).info.plan

    wrong = subprocess.run(
        command(tmp_path, "--resume", folder.name), capture_output=True, check=False, text=True, timeout=60
    )
    assert wrong.returncode == 2
    assert f"sgibench capacity --resume {folder.name}" in wrong.stderr

    resumed = subprocess.run(
        [*begin, "--resume", "latest"], capture_output=True, check=False, text=True, timeout=240, env=environment
    )
    assert resumed.returncode == 0, resumed.stderr
    run = store.read_run(folder)
    assert run.info.plan == plan
    assert run.info.finished_at is not None
    assert (folder / store.TRIALS_FILE).read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    (found,) = run.info.capacity
    assert found.server == "waitress"
    assert found.trials == len(run.steps)
    assert [step.step for step in run.steps] == list(range(1, len(run.steps) + 1))
