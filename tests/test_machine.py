"""What the machine tells, and how its CPUs are shared out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sgibench import machine
from sgibench.errors import UsageError
from sgibench.machine.cpus import cpu_quota

pinning = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux, which can pin processes")


@pinning
@pytest.mark.parametrize("cores", [2, 3, 4, 8, 64])
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("load_workers", [1, 2])
def test_servers_and_load_never_share_a_cpu(cores: int, workers: int, load_workers: int) -> None:
    plan = machine.plan_cpus(workers, load_workers, usable=range(cores))
    assert plan.servers
    assert plan.load
    assert not set(plan.servers) & set(plan.load)
    assert len(plan.servers) <= workers
    assert plan.note is None


@pinning
def test_each_worker_gets_a_cpu_as_far_as_they_go() -> None:
    assert machine.plan_cpus(4, usable=range(8)).servers == (0, 1, 2, 3)
    assert len(machine.plan_cpus(16, usable=range(8)).servers) == 7


def hyperthreads(folder: Path, monkeypatch: pytest.MonkeyPatch, *siblings: str) -> None:
    """Make a system that tells of these cores, each as the kernel lists its threads: `0,4` or `0-1`."""
    for text in siblings:
        first, last = (int(cpu) for cpu in re.split("[,-]", text))
        for cpu in (first, last):
            topology = folder / f"cpu{cpu}" / "topology"
            topology.mkdir(parents=True)
            (topology / "thread_siblings_list").write_text(f"{text}\n")
    monkeypatch.setattr("sgibench.machine.cpus.SYS_CPU", folder)


@pinning
@pytest.mark.parametrize("siblings", [("0,4", "1,5", "2,6", "3,7"), ("0-1", "2-3", "4-5", "6-7")])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("load_workers", [1, 2])
def test_servers_and_load_never_share_a_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, siblings: tuple[str, ...], workers: int, load_workers: int
) -> None:
    hyperthreads(tmp_path, monkeypatch, *siblings)
    plan = machine.plan_cpus(workers, load_workers, usable=range(8))
    on_servers, on_load = ([machine.core_of(cpu) for cpu in cpus] for cpus in (plan.servers, plan.load))
    assert not set(on_servers) & set(on_load)
    assert len(plan.servers) == min(workers, 2 * (4 - load_workers))
    assert len(set(on_servers)) == min(workers, 4 - load_workers)
    assert len(plan.load) == load_workers
    assert plan.note is None


@pinning
def test_two_threads_of_the_only_core_are_shared_and_the_plan_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hyperthreads(tmp_path, monkeypatch, "0-1")
    plan = machine.plan_cpus(1, usable=range(2))
    assert (plan.servers, plan.load) == ((0,), (1,))
    assert plan.note == "servers and load are threads of the same core (CPUs 0,1)"
    assert not plan.load_alone(1)


@pinning
def test_beside_chosen_cpus_the_load_takes_another_core_while_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hyperthreads(tmp_path, monkeypatch, "0,3", "1,4", "2,5")
    monkeypatch.setattr("sgibench.machine.cpus.usable_cpus", lambda: tuple(range(6)))
    assert machine.plan_beside((0, 2), 1) == machine.CpuPlan(servers=(0, 2), load=(1,), note=None)
    assert machine.plan_beside((0, 2), 2).load == (1, 4)
    every_core = machine.plan_beside((0, 1, 2), 1)
    assert every_core.load == (3,)
    assert every_core.note == "servers and load are threads of the same core (CPUs 0,3)"
    assert machine.plan_beside(tuple(range(6)), 1).note == "the servers were given every CPU, so the load shares them"


@pinning
def test_a_single_cpu_is_shared_and_the_plan_says_so() -> None:
    plan = machine.plan_cpus(1, usable=(0,))
    assert (plan.servers, plan.load) == ((), ())
    assert plan.note == "there is one CPU only, which servers and load share"
    assert not plan.load_alone(1)


@pinning
def test_the_load_may_wait_awake_only_where_each_of_its_processes_has_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgibench.machine.cpus.cpu_quota", lambda: None)
    assert machine.plan_cpus(1, 1, usable=range(2)).load_alone(1)
    assert not machine.plan_cpus(1, 2, usable=range(2)).load_alone(2)
    assert not machine.CpuPlan(servers=(0, 1), load=(0, 1), note="shared").load_alone(1)
    monkeypatch.setattr("sgibench.machine.cpus.cpu_quota", lambda: 1.5)
    assert not machine.plan_cpus(1, 1, usable=range(2)).load_alone(1)


@pytest.mark.parametrize(
    ("said", "limits", "quota"),
    [
        ("0::/", {".": "150000 100000"}, 1.5),
        ("0::/", {".": "max 100000"}, None),
        (
            "1:cpu:/x\n0::/user.slice/run.scope",
            {"user.slice": "max 100000", "user.slice/run.scope": "50000 20000"},
            2.5,
        ),
        ("0::/user.slice/run.scope", {"user.slice": "100000 100000", "user.slice/run.scope": "300000 100000"}, 1.0),
        ("0::/user.slice", {}, None),
        ("", {}, None),
    ],
)
def test_the_tightest_limit_of_all_control_groups_counts(
    said: str, limits: dict[str, str], quota: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgibench.machine.cpus.CGROUPS", tmp_path / "groups")
    monkeypatch.setattr("sgibench.machine.cpus.OWN_CGROUPS", tmp_path / "own")
    (tmp_path / "own").write_text(said)
    for name, limit in limits.items():
        (tmp_path / "groups" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name / "cpu.max").write_text(limit + "\n")
    assert cpu_quota() == (None if quota is None else pytest.approx(quota))


def test_lists_of_cpus_are_read_as_taskset_writes_them() -> None:
    first = machine.usable_cpus()[0]
    assert machine.parse_cpus(str(first)) == (first,)
    assert machine.parse_cpus(f"{first}-{first}") == (first,)
    with pytest.raises(UsageError, match="expected CPUs such as 0,2-3"):
        machine.parse_cpus("0-")
    with pytest.raises(UsageError, match="this process may use"):
        machine.parse_cpus("100000")


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_cpu_clock_of_another_process_counts_what_it_burned() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    child = subprocess.Popen([sys.executable, "-S", "-c", busy])
    seen = 0.0
    while child.poll() is None:
        seen = max(seen, machine.cpu_clock_s(child.pid) or 0.0)
        time.sleep(0.005)
    assert 0.15 <= seen <= 0.5
    assert machine.cpu_clock_s(child.pid) is None


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs /proc/stat, which Linux has")  # noqa: PTH110 - in a mark
def test_work_of_others_on_the_watched_cpus_is_told_from_our_own() -> None:
    before = machine.snapshot((), [os.getpid()])
    burn(0.5)
    own = before.until(machine.snapshot((), [os.getpid()]))
    stranger = machine.snapshot((), [])
    burn(0.5)
    foreign = stranger.until(machine.snapshot((), []))
    assert own.foreign_cpu is not None
    assert foreign.foreign_cpu is not None
    assert foreign.foreign_cpu >= 0.5 / foreign_s(stranger) / len(machine.usable_cpus()) * 0.5


def foreign_s(since: machine.Snapshot) -> float:
    return time.monotonic() - since.at_s


def test_memory_of_a_tree_is_the_sum_of_its_processes() -> None:
    alone = machine.tree_memory([os.getpid()])
    assert alone.processes == 1
    assert alone.uss_bytes
    assert alone.uss_bytes > 1_000_000
    if alone.pss_bytes is not None:
        assert alone.pss_bytes >= alone.uss_bytes


def test_the_description_says_what_could_not_be_measured() -> None:
    host = machine.describe(machine.plan_cpus(1))
    assert host.cores >= 1
    assert host.memory_bytes > 0
    assert (host.governor is None) == ("governor" in host.not_measured)
