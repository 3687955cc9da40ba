"""`make setup` is complete or done again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.requirements_for_tests import need_program

ROOT = Path(__file__).parent.parent


def steps(folder: Path) -> list[str]:
    """What `make setup` would do in a folder."""
    done = subprocess.run(
        [need_program("make", "apt-get install make"), "--dry-run", "setup", f"PYTHON={sys.executable}"],
        capture_output=True,
        check=True,
        text=True,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    )
    return done.stdout.splitlines()


def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def place(lines: list[str], words: str) -> int:
    return next(number for number, line in enumerate(lines) if words in line)


def test_a_set_up_that_was_broken_off_begins_anew_and_its_mark_goes_first_and_comes_last(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    lines = steps(folder)
    assert place(lines, "rm -f .venv/ready") <= place(lines, "rm -rf .venv")
    assert place(lines, "rm -rf .venv") < place(lines, "-m venv --without-pip .venv")
    assert "touch .venv/ready" in lines[-1]


def test_a_set_up_that_is_complete_is_left_alone_until_what_it_holds_changes(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "ready").touch()
    assert not any("rm " in line for line in steps(folder))
    os.utime(folder / ".venv" / "ready", (1, 1))
    assert any("rm -rf .venv" in line for line in steps(folder))
