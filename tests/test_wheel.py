"""The wheel carries the catalogue and works far from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).parent.parent


def uv_run(*arguments: str) -> None:
    command = [uv.find_uv_bin(), "--no-python-downloads", "--quiet", *arguments]
    subprocess.run(command, check=True, env={k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"})


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it into an empty environment with the locked versions; returns its executables."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    wheel = next(folder.glob("sgibench-*.whl"))
    uv_run("venv", "--no-project", "--python", sys.executable, str(folder / "env"))
    python = str(folder / "env" / "bin" / "python")
    constraints = folder / "constraints.txt"
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.rstrip(" \\") for line in lock if "==" in line and not line.startswith((" ", "#"))]
    constraints.write_text("\n".join(pins) + "\n")
    uv_run("pip", "install", "--python", python, "--constraint", str(constraints), str(wheel))
    return folder / "env" / "bin"


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [installed / "sgibench", *arguments], cwd=cwd, capture_output=True, check=False, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_installed_catalogue_is_the_checkouts(installed: Path, tmp_path: Path) -> None:
    there = json.loads(run(installed, tmp_path, "list", "--json").stdout)
    here = json.loads(
        subprocess.run(
            [sys.executable, "-m", "sgibench.cli", "list", "--json"], check=True, capture_output=True, text=True
        ).stdout
    )
    for room in ("servers", "fronts", "apps", "scenarios"):
        assert [one["id"] for one in there[room]] == [one["id"] for one in here[room]]
    assert all(str(ROOT) not in server["path"] for server in there["servers"])


def test_an_installed_sgibench_measures_from_another_folder(installed: Path, tmp_path: Path) -> None:
    what = "--server waitress --server uvicorn-httptools --scenario json"
    how = "--blocks 1 --window 0.3s --rate none --no-control --json --quiet"
    told = json.loads(run(installed, tmp_path, "run", *what.split(), *how.split()).stdout)
    lines = (tmp_path / told["run"] / "trials.jsonl").read_text().splitlines()
    trials = [trial for trial in map(json.loads, lines) if "cell" in trial]
    assert sorted((trial["server"], trial["status"]) for trial in trials) == [
        ("uvicorn-httptools", "ok"),
        ("waitress", "ok"),
    ]
    assert (tmp_path / told["report"]).is_file()
