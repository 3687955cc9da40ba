"""Nothing that was started outlives who started it, at whatever moment and however that ends."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sgibench.engine.orders import LoadProcess, line
from sgibench.errors import EnvsError, LoadError
from sgibench.serve import envs, scratch
from sgibench.serve.guarded import Command, Guarded, NotStartedError, Standstill

PATIENCE_S = 30.0
FAMILY = """
import os, sys, time
for leaves in (False, True):
    if os.fork() == 0:
        if leaves:
            os.setsid()
            if os.fork():
                os._exit(0)
        break
os.write(1, f"{os.getpid()}\\n".encode())
time.sleep(600)
"""
"""A process with a child, and one that left its session and its parent; each says its number in one write."""


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def family(tmp_path: Path) -> Command:
    return Command(argv=(sys.executable, "-c", FAMILY), env=dict(os.environ), log=tmp_path / "log")


def members(tmp_path: Path) -> list[int]:
    log = tmp_path / "log"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def test_all_that_a_command_ever_started_is_killed_with_it(tmp_path: Path) -> None:
    with Guarded(family(tmp_path)) as running:
        assert eventually(lambda: len(members(tmp_path)) == 3)
        assert running.alive()
        assert set(running.pids()) == set(members(tmp_path))
    assert all(map(gone, members(tmp_path)))


OWNER = """
import os, sys, time
from pathlib import Path
from sgibench.serve.guarded import Command, Guarded
with Guarded(Command(argv=(sys.executable, "-c", sys.argv[2]), env=dict(os.environ), log=Path(sys.argv[1]))):
    time.sleep(600)
"""


@pytest.mark.parametrize("delay_s", [None, 0.0, 0.05, 0.1, 0.2, 0.3])
def test_an_owner_that_is_killed_at_any_moment_leaves_nothing_behind(tmp_path: Path, delay_s: float | None) -> None:
    mark = {"SGIBENCH_TEST_MARK": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path / "log"), FAMILY], env={**os.environ, **mark})
    if delay_s is None:
        assert eventually(lambda: len(members(tmp_path)) == 3)
    else:
        time.sleep(delay_s)
    owner.kill()
    owner.wait()
    assert eventually(lambda: not marked(tmp_path))


def marked(tmp_path: Path) -> list[int]:
    """Processes that inherited this test's mark, however they are related to it now."""
    found = []
    for pid in psutil.pids():
        try:
            words = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if f"SGIBENCH_TEST_MARK={tmp_path}\0".encode() in words and not gone(pid):
            found.append(pid)
    return found


def test_what_the_command_of_a_killed_guard_had_started_is_found_and_killed(tmp_path: Path) -> None:
    with Guarded(family(tmp_path)) as running:
        assert eventually(lambda: len(members(tmp_path)) == 3)
        assert running._guard is not None
        running._guard.kill()
        left = 1 if sys.platform == "linux" else 2  # the one that left the group, elsewhere also its child
        assert eventually(lambda: gone(running.pid))
        assert eventually(lambda: sum(map(gone, members(tmp_path))) == 3 - left)
    assert all(map(gone, members(tmp_path)))


STRANDED = """
import json, os, sys, time
from sgibench.serve.guarded import Command, Guarded
from sgibench.serve.scratch import scratch_folder
with scratch_folder() as folder:
    log = folder / "log"
    command = Command(argv=(sys.executable, "-c", sys.argv[1]), env=dict(os.environ), log=log)
    with Guarded(command) as running:
        while len(log.read_text().split()) < 3:
            time.sleep(0.01)
        print(json.dumps([running._guard.pid, running.pid, str(folder)]), flush=True)
        time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a group when a pipe's other end is gone")
@pytest.mark.parametrize("leader_too", [False, True], ids=["owner-and-guard", "and-the-command's-first-process"])
def test_an_owner_and_its_guard_that_are_killed_at_one_stroke_leave_nothing_in_the_commands_group(
    temporary: Path, *, leader_too: bool
) -> None:
    owner = subprocess.Popen([sys.executable, "-c", STRANDED, FAMILY], stdout=subprocess.PIPE, text=True)
    guard, leader, folder = json.loads(owner.stdout.readline() if owner.stdout else "")
    log = Path(folder) / "log"
    pids = [int(line) for line in log.read_text().split()]
    group = [pid for pid in pids if os.getpgid(pid) == leader]
    assert len(group) == 2
    strike([owner.pid, guard, *([leader] if leader_too else [])])
    owner.communicate()
    assert eventually(lambda: all(map(gone, group)))
    scratch.sweep(temporary)  # the next command finds the one that had left the group by the log that it holds
    assert eventually(lambda: all(map(gone, pids)))
    assert not Path(folder).exists()


def strike(pids: list[int]) -> None:
    """Kill processes as if at the same moment: none of them runs once the first is hit."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


def test_a_guard_that_is_killed_takes_its_command_along(tmp_path: Path) -> None:
    with Guarded(Command(argv=("/bin/sleep", "600"), env={}, log=tmp_path / "log")) as running:
        assert running._guard is not None
        running._guard.kill()
        assert eventually(lambda: gone(running.pid))
        assert not running.alive()


def test_a_command_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(NotStartedError, match="/nowhere/server: No such file"),
        Guarded(Command(argv=("/nowhere/server",), env={}, cwd=tmp_path)),
    ):
        pass


@pytest.mark.parametrize(
    ("looks", "given_up"),
    [
        ([(0.0, True), (0.5, True), (1.0, True), (1.5, True), (2.0, True)], True),
        ([(0.0, True), (0.5, True), (1.0, False), (1.5, True), (3.0, True)], False),
        # Ctrl-Z: whoever looks was stopped, too; an hour later the others go on a moment after it.
        ([(0.0, False), (3600.0, True), (3600.5, True), (3601.0, False)], False),
        ([(0.0, True), (3600.0, True), (3600.5, True), (3600.9, False)], False),
    ],
)
def test_who_stands_still_is_given_up_and_who_was_stopped_with_the_run_is_not(
    *, looks: list[tuple[float, bool]], given_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    standstill, now_s = Standstill(), 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    seen = []
    for now_s, stopped in looks:  # noqa: B007 - the clock reads it
        seen.append(standstill.seen(stopped=stopped))
    assert any(seen) is given_up


def test_a_log_whose_folder_is_gone_is_named_and_nothing_else_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A command that is ended while it starts something takes its scratch folder along."""
    log = tmp_path / "gone" / "log"
    with pytest.raises(NotStartedError) as error, Guarded(Command(argv=("true",), env=dict(os.environ), log=log)):
        pass
    assert str(error.value) == f"{log}: No such file or directory"
    assert capfd.readouterr().err == ""


def test_a_machine_that_has_no_descriptor_left_is_not_the_commands_fault(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    command = Command(argv=("/bin/true",), env={}, cwd=tmp_path)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        with pytest.raises(NotStartedError) as caught:
            Guarded(command).start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.ours
    with pytest.raises(NotStartedError) as other:
        Guarded(Command(argv=("/nowhere/server",), env={})).start()
    assert not other.value.ours


def test_a_command_says_what_it_has_to_say_and_how_it_ended() -> None:
    command = Command(
        argv=("/bin/sh", "-c", "echo out; echo err >&2; exit 3"), env={}, pipes=frozenset({"stdout", "stderr"})
    )
    with Guarded(command) as running:
        assert running.said(PATIENCE_S) == {"stdout": b"out\n", "stderr": b"err\n"}
        assert running.wait(PATIENCE_S)
    assert running.exit_status == 3


# --- scratch folders --------------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from sgibench.serve.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "server").mkdir()
    (folder / "server" / "log").write_text("words")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield tmp_path
    monkeypatch.setattr("tempfile.tempdir", None)


def test_the_folder_of_a_dead_run_goes_at_the_next_start_and_that_of_a_living_one_stays(temporary: Path) -> None:
    holders = [subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = [Path((holder.stdout.readline() if holder.stdout else "").strip()) for holder in holders]
    holders[0].kill()
    holders[0].wait()
    assert all(folder.exists() for folder in folders)
    with scratch.scratch_folder() as mine:
        assert set(temporary.iterdir()) == {mine, folders[1]}
        assert (folders[1] / "server" / "log").read_text() == "words"
    holders[1].kill()
    holders[1].communicate()
    scratch.sweep(temporary)
    assert not any(temporary.iterdir())


def test_a_folder_that_somebody_else_made_is_never_taken_away(temporary: Path) -> None:
    theirs = temporary / f"{scratch.PREFIX}mine"
    theirs.mkdir()
    (theirs / "precious").touch()
    (temporary / f"{scratch.PREFIX}file").touch()
    (temporary / f"{scratch.PREFIX}link").symlink_to(theirs)
    scratch.sweep(temporary)
    assert len(list(temporary.iterdir())) == 3
    assert (theirs / "precious").exists()


# --- environments -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SGIBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("damage", ["half a mark", "no python", "no package", "another's mark"])
def test_an_environment_that_is_no_longer_whole_is_made_again(damage: str) -> None:
    made = envs.ensure(["waitress==3.0.2"])
    if damage == "half a mark":
        mark = made.folder / envs.MARKER
        mark.write_text(mark.read_text()[:40])
    elif damage == "no python":
        (made.folder / "bin" / "python").unlink()
    elif damage == "no package":
        (record,) = made.folder.glob("lib/*/site-packages/waitress-*.dist-info")
        record.rename(record.with_name("gone"))
    else:
        (made.folder / envs.MARKER).write_text("{}")
    again = envs.ensure(["waitress==3.0.2"])
    assert again.info == made.info
    done = subprocess.run([again.bin / "python", "-c", "import waitress"], check=False)
    assert done.returncode == 0


def test_what_stopped_half_way_is_taken_away_and_says_why(cache: Path) -> None:
    makers = envs.Makers()
    makers.stop()
    with pytest.raises(EnvsError, match="stopped before it was made"):
        envs.ensure(["waitress==3.0.2"], makers=makers)
    assert not list((cache / "envs").glob("*/"))


MAKER = "import sys; from sgibench.serve import envs; print(envs.ensure(['waitress==3.0.2', 'h11==0.16.0']).folder)"


def test_two_runs_that_make_the_same_environment_at_once_make_it_once_and_one_of_them_may_die(cache: Path) -> None:
    del cache
    first, second, third = (
        subprocess.Popen([sys.executable, "-c", MAKER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    )
    time.sleep(0.3)
    first.kill()
    first.communicate()
    said = [maker.communicate(timeout=120) for maker in (second, third)]
    assert said[0][0] == said[1][0] != "", said
    done = subprocess.run([f"{said[0][0].strip()}/bin/python", "-c", "import waitress, h11"], check=False)
    assert done.returncode == 0


# --- the load process -------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine with little patience."""
    monkeypatch.setattr(line, "ASK_AFTER_S", 0.5)
    monkeypatch.setattr(line, "STOPPED_S", 0.5)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGSTOP, r"was stopped from outside \(SIGSTOP\)"), (signal.SIGKILL, "killed by SIGKILL")],
)
def test_a_load_process_that_is_stopped_or_killed_is_named(tmp_path: Path, number: signal.Signals, words: str) -> None:
    with LoadProcess((), tmp_path / "load.log") as load:
        load.describe([])
        os.kill(load.line.pid, number)
        with pytest.raises(LoadError, match=words):
            load.describe([])


@pytest.mark.usefixtures("hasty")
def test_a_load_process_that_gets_stuck_is_named_and_one_that_is_only_slow_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoadProcess((), tmp_path / "load.log") as load:
        load.describe([])
        monkeypatch.setattr(line, "SILENT_S", 5.0)
        heard = load.line.heard_s
        load.line.heard_s = time.monotonic() - 60
        assert load.line.lines(0.01) == []
        assert eventually(lambda: load.line.lines(0.2) == [{"event": "alive"}])
        assert load.line.heard_s > heard
        slow = tmp_path / "stuck.py"
        slow.write_text("import time\ntime.sleep(600)\n")
        with pytest.raises(LoadError, match="runs but has not answered"):
            load.describe([slow])
