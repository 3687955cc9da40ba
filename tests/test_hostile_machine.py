"""A machine that gives no room, stands still or is gone: one line, or a failed trial with that reason."""

from __future__ import annotations

import contextlib
import errno
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sgibench import catalogue
from sgibench.catalogue.fronted import behind
from sgibench.engine.orders import LoadProcess
from sgibench.errors import ServerError, UsageError
from sgibench.model import ServerEntry, Settings
from sgibench.results import store
from sgibench.serve import envs
from sgibench.serve.process import ServerProcess, ServerSpec
from tests.test_fronts import declared

FOUND = catalogue.load()
LARGE = "x" * 60_000


@contextlib.contextmanager
def small_files(most_bytes: int) -> Iterator[None]:
    """Let no file grow beyond that, as on a disk that is nearly full; what is started inherits it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def process_of(entry: ServerEntry, scratch: Path) -> ServerProcess:
    app = FOUND.app("wsgi_plain")
    return ServerProcess(
        ServerSpec(
            entry=entry,
            app=app,
            settings=Settings(workers=1, threads=1),
            bin=envs.ensure(entry.variant.packages).bin,
            cpus=(),
            scratch=scratch,
        )
    )


def test_a_server_whose_files_find_no_room_fails_as_the_machines(tmp_path: Path) -> None:
    entry = FOUND.server("wsgiref")
    entry = replace(entry, variant=replace(entry.variant, files={"large": LARGE}))
    with small_files(4096), pytest.raises(ServerError, match="File too large") as caught, process_of(entry, tmp_path):
        pass
    assert caught.value.reason == "client"


def test_a_front_whose_files_find_no_room_fails_as_the_machines(tmp_path: Path) -> None:
    front = declared(tmp_path, files=lambda _launch: {"large": LARGE})
    entry = behind(FOUND.server("wsgiref"), front)
    with process_of(entry, tmp_path / "scratch") as process:
        with small_files(4096), pytest.raises(ServerError, match="its front no scratch folder") as caught:
            process.wait_ready()
        assert caught.value.reason == "client"


def test_folders_on_a_full_disk_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with small_files(4096), pytest.raises(UsageError, match=r"can't write to .*File too large"):
        store.refuse_unwritable(tmp_path / "results", "--results")
    assert not [*tmp_path.iterdir()]
    assert "the disk is full" in store._advice(OSError(errno.ENOSPC, ""), "--reports")


def test_a_command_in_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.rmdir({str(gone)!r}); from sgibench.cli import main; sys.argv[1:] = ['doctor']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=gone, capture_output=True, check=False, text=True, timeout=60
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "is gone" in done.stderr


BIG = """from sgibench.load.user import BenchUser, get
class Big(BenchUser):
    requests = (get("/big", expect=b"x" * 1_000_000),)
"""


def test_an_engine_that_stood_still_reads_what_was_said_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-Z, and fg long after: the order's time is over, and its answer, larger than the pipe, has waited there."""
    path = tmp_path / "big.py"
    path.write_text(BIG)
    clock = time.monotonic
    later_s = [0.0]

    with LoadProcess((), tmp_path / "load.log") as load:
        said = load.line._process.pipes["stdout"]

        def stand_still() -> None:
            assert select.select([said], [], [], 60)[0]
            later_s[0] = 3600.0

        load.describe([])
        monkeypatch.setattr(time, "monotonic", lambda: clock() + later_s[0])
        answer = load._order({"do": "describe", "scenarios": [str(path)]}, 30.0, watch=stand_still)
        assert len(answer["scenarios"][0]["exchanges"][0]["expected_b64"]) > 1_000_000
        monkeypatch.undo()
