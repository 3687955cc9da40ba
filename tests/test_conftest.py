"""How the tests are shared out among processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SHARING = """
import pathlib, pytest

@pytest.fixture(scope="module")
def made():
    with pathlib.Path("made").open("a") as file:
        file.write("once")

@pytest.mark.parametrize("number", range(6))
def test_shares(made, number):
    pass
"""
FREE = """
import os, pathlib, time, pytest

@pytest.mark.parametrize("number", range(8))
def test_is_free(number):
    pathlib.Path(os.environ["PYTEST_XDIST_WORKER"]).touch()
    until = time.monotonic() + 60
    while len(list(pathlib.Path().glob("gw*"))) < 2:
        assert time.monotonic() < until, "all of these tests are left to one process"
        time.sleep(0.01)
"""


def test_what_is_made_for_a_file_is_made_once_and_other_tests_go_to_all_processes(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_a.py").write_text(SHARING)
    (tmp_path / "test_b.py").write_text(FREE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=tmp_path, env=environment, capture_output=True, check=False, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "14 passed" in done.stdout
    assert (tmp_path / "made").read_text() == "once"
    assert {path.name for path in tmp_path.glob("gw*")} == {"gw0", "gw1"}
