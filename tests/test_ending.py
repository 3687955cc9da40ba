"""What a signal ends says which one it was, by its exit status and in words, and keeps what it had."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sgibench import ending
from sgibench.results import store

FAULTY = Path(__file__).parent / "faulty"
QUICK = ("--server", "faulty-none", "--catalogue", str(FAULTY), "--scenario", "json", "--connections", "4")
RUN = ("run", *QUICK, *"--blocks 50 --window 0.3s --rate none --no-control".split())
SGIBENCH = (sys.executable, "-m", "sgibench.cli")


def in_folder(folder: Path) -> Mapping[str, str]:
    return {**os.environ, "TMPDIR": str(folder)}


@contextmanager
def command(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        [*SGIBENCH, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=in_folder(folder),
    )
    with running:
        try:
            yield running
        finally:
            running.kill()


def until(true: Callable[[], bool], within_s: float = 120.0) -> None:
    ends = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


def measured(folder: Path) -> bool:
    """Whether a trial is on disk."""
    return any(path.read_bytes().count(b"\n") > 1 for path in (folder / "results").glob(f"*/{store.TRIALS_FILE}"))


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (signal.SIGINT, 130, "sgibench: ended"),
        (signal.SIGTERM, 143, "sgibench: ended by SIGTERM"),
        (signal.SIGHUP, 129, "sgibench: ended by SIGHUP"),
    ],
)
def test_a_command_that_has_measured_nothing_yet_says_what_ended_it(
    tmp_path: Path, number: signal.Signals, status: int, words: str
) -> None:
    with command(tmp_path, "calibrate", "--scenario", "json") as running:
        until(lambda: any(tmp_path.glob("sgibench-*")))  # its scratch folder: the load process is about to start
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
    assert running.returncode == status, err
    assert words in err.splitlines()
    assert "Traceback" not in err
    assert not any(tmp_path.glob("sgibench-*"))


@pytest.mark.parametrize("words", [RUN, ("capacity", *QUICK, "--slo", "p99<50ms")])
def test_a_run_that_is_stopped_before_its_first_trial_says_that_nothing_was_measured(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    with command(tmp_path, *words) as running:
        until(lambda: any(tmp_path.glob("sgibench-*")))
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "sgibench: ended; nothing was measured" in err.splitlines()


def test_a_search_for_capacity_that_is_ended_says_so_with_the_command_that_goes_on(tmp_path: Path) -> None:
    with command(tmp_path, "capacity", *QUICK, "--slo", "p99<50ms") as running:
        until(lambda: measured(tmp_path))
        running.terminate()
        out, err = running.communicate(timeout=60)
    assert running.returncode == 143, err
    assert "stopped by SIGTERM; what was found is kept: sgibench capacity --resume" in err
    told = out[out.index("No search for capacity has finished.\nNot finished, so no capacities, p99<50ms:\n") :]
    assert re.search(r"\n  faulty-none \(\w+\), json, block 1: (\S+/s held|\S+/s failed|no rate is decided)", told)


def test_a_run_whose_terminal_is_closed_closes_its_books_and_writes_a_report(tmp_path: Path) -> None:
    """What it writes to the terminal then fails: the run ended in a traceback that nobody saw, without a report."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [shutil.which("setsid") or "setsid", "--ctty", *SGIBENCH, *RUN],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=in_folder(tmp_path),
    )
    try:
        os.close(theirs)
        os.set_blocking(ours, False)
        until(lambda: drained(ours) and measured(tmp_path))
        os.close(ours)
        assert running.wait(60) == 129
    finally:
        running.kill()
    run = store.read_run(store.find_run(tmp_path / "results", "latest"))
    assert run.info.finished_at is None
    assert run.info.measuring_share, "it is worked out when the books are closed"
    assert [*(tmp_path / "reports").glob(f"{run.info.run}*.html")]


def drained(terminal: int) -> bool:
    """Read what is on a terminal; a picture that nobody reads would hold its program up."""
    with suppress(BlockingIOError):
        os.read(terminal, 1 << 16)
    return True


def test_ctrl_c_is_not_told_to_who_pressed_it() -> None:
    assert ending.by(ending.signal_of(KeyboardInterrupt())) == ""
    assert ending.by(ending.signal_of(ending.Ended(signal.SIGTERM))) == " by SIGTERM"
    assert ending.signal_of(EOFError()) is signal.SIGINT


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-99, "was killed by signal 99"),
        (None, "ended"),
    ],
)
def test_how_a_process_ended_is_told_by_its_status(status: int | None, told: str) -> None:
    assert ending.how(status) == told
