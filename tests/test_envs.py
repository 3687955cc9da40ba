"""Isolated environments: made once, recorded exactly, and a failure is one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sgibench.errors import EnvsError
from sgibench.serve import envs


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SGIBENCH_CACHE", str(tmp_path))
    return tmp_path


def test_an_environment_holds_what_was_asked_for_and_says_so(cache: Path) -> None:
    environment = envs.ensure(["waitress==3.0.2"])
    assert environment.folder.is_relative_to(cache)
    assert environment.info.packages == ("waitress==3.0.2",)
    program = "import waitress, sys; print(sys.prefix != sys.base_prefix)"
    done = subprocess.run([environment.bin / "python", "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "True"


def test_the_same_requirements_in_another_order_share_one_environment(cache: Path) -> None:
    first = envs.ensure(["waitress==3.0.2", "h11==0.16.0"])
    made = (first.folder / envs.MARKER).stat().st_mtime_ns
    again = envs.ensure(["h11==0.16.0", "waitress==3.0.2"])
    assert again.folder == first.folder
    assert (again.folder / envs.MARKER).stat().st_mtime_ns == made
    assert len(list((cache / "envs").glob("*/"))) == 1


@pytest.mark.usefixtures("cache")
def test_an_environment_that_was_left_half_made_is_made_again() -> None:
    folder = envs.ensure(["waitress==3.0.2"]).folder
    (folder / envs.MARKER).unlink()
    (folder / "bin" / "python").unlink()
    assert envs.ensure(["waitress==3.0.2"]).info.packages == ("waitress==3.0.2",)
    assert (folder / "bin" / "python").exists()


@pytest.mark.usefixtures("cache")
def test_one_that_cannot_be_made_gives_its_reason_in_one_line_and_the_others_are_made() -> None:
    ready, refused = envs.ensure_all({"good": ["waitress==3.0.2"], "bad": ["waitress==99.99"], "none": []})
    assert set(ready) == {"good", "none"}
    assert "waitress==99.99" in refused["bad"]
    assert "\n" not in refused["bad"]


@pytest.mark.usefixtures("cache")
def test_an_interpreter_that_does_not_run_is_named() -> None:
    with pytest.raises(EnvsError, match="/nowhere/python is not a working Python"):
        envs.ensure(["waitress==3.0.2"], python="/nowhere/python")


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SGIBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(EnvsError, match="set SGIBENCH_CACHE"):
        envs.ensure(["waitress==3.0.2"])
