"""Any value of any option and argument: exit 0, 1 or 2 in words, or the run begins; never a traceback, never a hang.

The options are found by asking click, so that a new one is covered the day it is added. What would begin is stopped
where it starts its first process: by then everything that can be refused has been refused.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgibench import catalogue
from sgibench.catalogue import reading
from sgibench.cli import COMMANDS, main, program
from sgibench.serve.guarded import Guarded
from tests.results_maker import Making, make_run, write_run
from tests.test_cli import one_line, sgibench

NAMES = ("20260101-000000-aaaa", "20260102-000000-bbbb")
BASE = {"capacity": ["--slo", "p99<50ms"], "check": ["waitress"], "compare": list(NAMES), "audit": ["latest"]}
"""What a command can't do without; the value that is tried comes after it."""
VALUES = (
    *("", " ", "-", "--", "--help", "0", "1", "-1", "²", "٣", "1.5", "1,4", "1,,4", "1," * 5000),
    *("9" * 5000, "x" * 5000, "1e308", "1e-308", "1e999", "nan", "inf", "-inf", "None", "null", "{}", "true"),
    *("100ms", "3s", "1e9h", "5%", "%", "nan%", "9" * 400 + "%", "half", "none", "slower:5%"),
    *("slower:" + "9" * 400 + "%", "9" * 400 + "s", "1e-9s", "9" * 30),
    *("p99<50ms", "p0<1s", "p99<0ms", "p99<" + "9" * 400 + "s", "*", "**", "?", "[", "[!", "[z-a]", "\\", "*" * 500),
    *("@", "waitress@", "@1", "waitress@1+py3.12", "waitress+py", "waitress+py../..", "3", "3.9", "3.12"),
    *("/usr/bin/python3", "0-99999999999", "0-", "-0", "1-0", "0,0", "http://[::1", "http://127.0.0.1:0"),
    *("http://127.0.0.1:99999", "http://a b/", "http://127.0.0.1:1/x", "//", "http:", ".", "..", "../../evil"),
    *("/dev/null", "/nowhere/at/all", "results", *NAMES, "latest", "a\nb", "\x1b[2J", "\udcff"),
)
texts = st.sampled_from(VALUES) | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)


EACH = int(os.environ.get("SGIBENCH_FUZZ_EACH", "12"))
"""Values tried for each option; more by hand."""


class Begun(BaseException):
    """The command was about to start a process."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with two runs, some levels deep, in which processes don't start."""
    folder = tmp_path_factory.mktemp("options") / "a" / "b" / "c"
    folder.mkdir(parents=True)
    for seed, name in enumerate(NAMES, start=1):
        write_run(make_run(Making(run=name, seed=seed, scenarios=("json",), blocks=2)), folder / "results")

    with standing_still(folder):
        yield folder


@contextlib.contextmanager
def standing_still(folder: Path) -> Iterator[None]:
    """Stand in a folder, and let no process be started by what is called there."""

    def begin(*_: object, **__: object) -> None:
        raise Begun

    load = functools.cache(reading.load)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Guarded, "start", begin)
        # The built-in catalogue is read once; a folder of the user's is read each time.
        patch.setattr(catalogue, "load", lambda extra=(): reading.load(extra) if extra else load())
        yield


def call(*arguments: str) -> tuple[int | None, str]:
    """Run the command line in this process, on streams as strict as Python's; None when something would begin."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sgibench", *arguments])
        for name, stream in zip(("stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        code: int | None = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except Begun:
            code = None
        except Exception:  # noqa: BLE001 - what a user would see as a traceback
            traceback.print_exc(file=streams[1])
            code = 99
        streams[1].flush()
    raw = streams[1].buffer
    assert isinstance(raw, io.BytesIO)
    return code, raw.getvalue().decode()


def parameters(name: str) -> list[click.Parameter]:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    return [one for one in command.params if not getattr(one, "is_flag", False)]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_any_value_of_any_option_is_words_and_an_exit_code_or_a_beginning(place: Path, name: str) -> None:
    assert place.is_dir()
    known = parameters(name)

    def attempt(which: click.Parameter, value: str) -> None:
        given_words = [f"{which.opts[0]}={value}"] if which.opts[0].startswith("-") else ["--", value]
        base = [] if which.required and not which.opts[0].startswith("-") else BASE.get(name, [])
        code, said = call(name, *base, *given_words)
        assert code in {0, 1, 2, None}, said
        assert "Traceback" not in said, said
        assert code != 2 or said.strip().splitlines()[-1].startswith("sgibench"), said
        assert len(said) < 20_000

    @settings(max_examples=EACH * len(known), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(known), texts)
    def tried(which: click.Parameter, value: str) -> None:
        attempt(which, value)

    if known:
        tried()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--connections", "²"], "whole numbers from 1 to 60000"),
        (["run", "--connections", "9" * 5000], "whole numbers from 1 to 60000"),
        (["run", "--python", "/usr/bin/python3"], "expected a version such as 3.12"),
        (["run", "--python", "3"], "expected a version such as 3.12"),
        (["run", "--python", "3.9"], "3.11 or later"),
        (["run", "--python", "*"], "expected a version such as 3.12"),
        (["run", "--server", "waitress+py../../x"], "expected a version such as 3.12"),
        (["run", "--server-cpus", "0-99999999999"], "expected CPUs such as 0,2-3"),
        (["run", "--server-cpus", "0-999999999"], "this process may use"),
        (["run", "--blocks", "1000000"], "would take about"),
        (["capacity", "--slo", "p99<50ms", "--blocks", "1000000"], "would take about"),
        (["run", "--window", "9" * 400 + "s"], "at most"),
        (["run", "--seed", "9" * 5000], "--seed"),
        (["run", "--nonsense"], "--nonsense"),
        (["ui", "--target", "http://[::1"], "expected an address such as"),
        (["ui", "--target", "http://127.0.0.1:0"], "expected an address such as"),
        (["ui", "--target", "http://user:secret@127.0.0.1:80"], "expected an address such as"),
    ],
)
def test_a_value_that_means_nothing_is_one_line_and_exit_2(place: Path, arguments: list[str], words: str) -> None:
    assert place.is_dir()
    code, said = call(*arguments)
    assert code == 2, said
    assert words in said
    assert len(said.splitlines()) == 1
    assert len(said) < 1100


@pytest.mark.parametrize("arguments", [["run", "--connections", "²"], ["ui", "--target", "http://[::1"]])
def test_as_a_process_it_is_the_same(tmp_path: Path, arguments: list[str]) -> None:
    done = sgibench(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert one_line(done)
    assert not list(tmp_path.iterdir())


def test_a_relative_cache_folder_is_taken_from_where_one_stands(tmp_path: Path) -> None:
    code = "from sgibench.serve.envs import cache_folder; print(cache_folder())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "SGIBENCH_CACHE": "here/it is"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == tmp_path / "here" / "it is"


def test_the_values_that_are_tried_reach_a_command(place: Path) -> None:
    """So that the fuzzing above can't pass because nothing gets through."""
    assert place.is_dir()
    assert call("run", "--connections", "4")[0] is None
    assert call("ui")[0] is None
    assert call("report") == (0, "")
    assert call("compare", *NAMES)[0] == 0
