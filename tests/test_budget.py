"""What a plan needs is counted beforehand, and what can't be had is refused in one line; soft limits are no limits."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgibench import limits, machine
from sgibench.bench.budget import Need, needs_of, refuse_too_much
from sgibench.bench.request import Request, cpu_plan
from sgibench.engine.orders import measured_of
from sgibench.engine.trials import judge
from sgibench.errors import UsageError
from sgibench.limits import Room
from sgibench.model import Cell, Load, Settings
from tests.load_process import SCENARIOS, LoadProcess, load_process, measuring, target
from tests.scripted_server import serving
from tests.test_load_driver import good

FAULTY = Path(__file__).parent / "faulty"
AMPLE = Room(files=10**9, ports=None, memory_bytes=None, processes=None)


def cell(server: str, connections: int = 64, workers: int = 1) -> Cell:
    return Cell(
        server=server,
        app="asgi_plain",
        scenario="json",
        load=Load(kind="closed", connections=connections),
        settings=Settings(workers=workers, threads=8),
    )


def test_servers_of_one_stage_are_counted_together_and_stages_apart() -> None:
    cells = [cell("a"), cell("b"), cell("a", 16), cell("a", workers=2)]
    together, apart = needs_of(cells, 1, control=True)
    assert (together.servers, together.connections, together.workers) == (3, 64, 1)
    assert (apart.servers, apart.connections, apart.workers) == (2, 64, 2)


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (Room(files=1024, ports=None, memory_bytes=None, processes=None), "the hard limit is 1,024"),
        (Room(files=10**6, ports=50, memory_bytes=None, processes=None), "client ports"),
        (Room(files=10**6, ports=None, memory_bytes=2**26, processes=None), "of memory"),
        (Room(files=10**6, ports=None, memory_bytes=None, processes=20), "processes"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_with_what_to_do(room: Room, words: str) -> None:
    need = Need(servers=30, connections=64, workers=1, load_workers=1)
    refuse_too_much([need], AMPLE)
    with pytest.raises(UsageError, match=words) as caught:
        refuse_too_much([need], room)
    assert "\n" not in str(caught.value)
    assert "ask for less" in str(caught.value)


@given(
    servers=st.integers(1, 60),
    connections=st.integers(1, 60_000),
    load_workers=st.integers(1, 16),
    files=st.integers(64, 10**6),
)
def test_the_advice_is_always_taken(servers: int, connections: int, load_workers: int, files: int) -> None:
    room = Room(files=files, ports=None, memory_bytes=None, processes=None)
    try:
        refuse_too_much([Need(servers=servers, connections=connections, workers=1, load_workers=load_workers)], room)
    except UsageError as error:
        _, advised, fewer = str(error).partition("--connections ")
        if advised:
            refuse_too_much([Need(servers=servers, connections=int(fewer), workers=1, load_workers=load_workers)], room)


def limited(soft: int, hard: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these limits of open files, in this process's stead."""
    shell = f'ulimit -Hn {hard}; exec "$@"' if soft == hard else f'ulimit -Sn {soft}; exec "$@"'
    prefix = ["sh", "-c", f"ulimit -Sn {min(soft, hard)}; {shell}", "sh"]
    return subprocess.run([*prefix, *command], capture_output=True, check=False, text=True, timeout=280)


WHAT = "--quiet --json --server faulty-none --scenario json --blocks 1 --window 0.3s --connections 120 --rate none"


@pytest.mark.parametrize("soft", [256, 64])
def test_a_low_soft_limit_spoils_no_trial(tmp_path: Path, soft: int) -> None:
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    command = [sys.executable, "-m", "sgibench.cli", "run", *folders, *WHAT.split(), "--catalogue", str(FAULTY)]
    done = limited(soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1], *command)
    assert done.returncode == 0, done.stderr
    (trials,) = (tmp_path / "results").glob("*/trials.jsonl")
    lines = [json.loads(line) for line in trials.read_text().splitlines()]
    measured = [line for line in lines if "cell" in line]
    assert {line["status"] for line in measured} == {"ok"}
    assert [line["generator"]["connections_established"] for line in measured] == [120, 120]
    assert not any(line["errors"] for line in measured)


def test_a_low_hard_limit_is_refused_in_one_line(tmp_path: Path) -> None:
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    command = [sys.executable, "-m", "sgibench.cli", "run", *folders, *WHAT.split(), "--catalogue", str(FAULTY)]
    done = limited(256, 256, *command)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "the hard limit is 256" in done.stderr
    assert "--connections 95" in done.stderr
    assert not (tmp_path / "results").exists()


def test_descriptors_that_run_out_all_the_same_are_the_clients_failure_and_never_a_number() -> None:
    with load_process() as process, serving(good()) as server:
        use_up_descriptors(process)
        result = process.ask(
            **measuring(SCENARIOS / "json.py", target(server), load={"kind": "closed", "connections": 200})
        )["targets"][0]
    assert result["errors"].get("client", 0) + result["errors_uncounted"].get("client", 0) > 0, result
    failure = judge(measured_of(result), "")
    assert failure is not None
    assert failure.reason == "client"
    assert "Too many open files" in failure.detail


def use_up_descriptors(process: LoadProcess) -> None:
    """Leave the load process too few descriptors, behind its back."""
    process.ask(do="describe", scenarios=[])
    resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE, (100, 100))


def test_more_load_workers_than_cpus_are_refused_and_as_many_share_and_say_so(tmp_path: Path) -> None:
    usable = len(machine.usable_cpus())
    request = Request(results=tmp_path, argv=())
    with pytest.raises(UsageError, match=rf"--load-workers {usable + 1}.*there are {usable}"):
        cpu_plan(Request(results=tmp_path, argv=(), load_workers=usable + 1))
    alone = cpu_plan(request)
    assert alone.note is None or usable == 1
    if usable > 1 and hasattr(os, "sched_setaffinity"):
        crowded = cpu_plan(Request(results=tmp_path, argv=(), load_workers=usable))
        assert len(crowded.load) == usable
        assert crowded.note is not None
        with pytest.raises(UsageError, match="--load-workers"):
            cpu_plan(Request(results=tmp_path, argv=(), load_workers=usable, server_cpus=(machine.usable_cpus()[0],)))


def test_the_room_of_this_machine_is_known() -> None:
    room = limits.room()
    assert room.files == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == room.files
    if sys.platform == "linux":
        assert room.ports is not None
        assert room.memory_bytes is not None
        assert room.memory_bytes > 0
