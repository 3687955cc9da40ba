"""CPUs kept from sleeping: what does so gives way at once, ends with whoever began it, and is used where it may.

Linux hands CPUs out by groups of tasks: what a guard starts must be in the same one, or the CPU would be shared.
"""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from sgibench import machine
from sgibench.bench.request import Request, cpu_plan, why_asleep
from sgibench.engine.waking import APART, goes_first, kept_awake, scheduled_together, wakeful_cpus, with_truth
from sgibench.machine import LINUX, CpuPlan, usable_cpus
from sgibench.model import Group, Load, Scenario
from sgibench.serve.guarded import Command, Guarded
from sgibench.stats.conditions import differences
from tests.killed_owner import ends_with_its_owner
from tests.results_maker import Making, make_run

pytestmark = pytest.mark.skipif(not LINUX, reason="only Linux has a policy for work that gives way to all other")

BUSY = "import time\nends = time.monotonic() + 60\nwhile time.monotonic() < ends: pass"


def until(true: Callable[[], bool], within_s: float = 30.0) -> bool:
    ends = time.monotonic() + within_s
    while not true() and time.monotonic() < ends:
        time.sleep(0.02)
    return true()


def busy_on(cpu: int, tmp_path: Path) -> Guarded:
    return Guarded(Command(argv=(sys.executable, "-c", BUSY), env=dict(os.environ), log=tmp_path / "log", cpus=(cpu,)))


def test_who_keeps_a_cpu_awake_gives_way_to_what_a_guard_started(tmp_path: Path) -> None:
    cpu = usable_cpus()[0]
    with kept_awake([cpu]) as wakers:
        (waker,) = wakers.pids
        assert until(lambda: os.sched_getscheduler(waker) == os.SCHED_IDLE)
        assert os.sched_getaffinity(waker) == {cpu}
        with busy_on(cpu, tmp_path) as busy:
            assert scheduled_together([busy.pid, waker], [cpu])
            assert until(lambda: (machine.cpu_ns(busy.pid) or 0) > 0.2e9)
            before = [machine.cpu_ns(pid) or 0 for pid in (busy.pid, waker)]
            assert until(lambda: (machine.cpu_ns(busy.pid) or 0) > before[0] + 0.5e9)
            mine, its = (((machine.cpu_ns(pid) or 0) - one) for pid, one in zip((busy.pid, waker), before, strict=True))
        assert its < 0.05 * mine, "they don't share the CPU: one has it, and the other what is left over"
        assert machine.cpu_ns(waker)
    assert not psutil.pid_exists(waker)


def test_a_cpu_without_work_does_not_sleep() -> None:
    cpu = usable_cpus()[0]
    with kept_awake([cpu]) as wakers:
        (waker,) = wakers.pids
        assert until(lambda: (machine.cpu_ns(waker) or 0) > 0.3e9), "all other work on this CPU leaves it some time"


KEEPING = (
    "import sys, time\n"
    "from sgibench.engine.waking import kept_awake\n"
    "with kept_awake([int(sys.argv[1])]) as wakers:\n"
    "    print(*wakers.pids, flush=True)\n"
    "    time.sleep(60)\n"
)


def test_it_ends_when_whoever_began_it_is_killed() -> None:
    assert ends_with_its_owner(KEEPING, str(usable_cpus()[0]))


def test_it_rests_while_whoever_began_it_is_stopped() -> None:
    argv = [sys.executable, "-c", KEEPING, str(usable_cpus()[0])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        waker = psutil.Process(int(owner.stdout.readline()))
        assert until(lambda: (machine.cpu_ns(waker.pid) or 0) > 0.1e9)
        owner.send_signal(signal.SIGSTOP)
        assert until(lambda: waker.status() == psutil.STATUS_SLEEPING)
        owner.send_signal(signal.SIGCONT)
        used_ns = machine.cpu_ns(waker.pid) or 0
        assert until(lambda: (machine.cpu_ns(waker.pid) or 0) > used_ns + 0.1e9), "it goes on"
        owner.kill()
    assert until(lambda: not waker.is_running())


def test_one_that_is_ended_or_stopped_keeps_nothing_awake() -> None:
    cpu = usable_cpus()[0]
    with kept_awake([cpu]) as wakers:
        assert until(lambda: wakers.at_work)
        os.kill(wakers.pids[0], signal.SIGSTOP)
        assert until(lambda: not wakers.at_work)
        os.kill(wakers.pids[0], signal.SIGCONT)
        assert until(lambda: wakers.at_work)
        os.kill(wakers.pids[0], signal.SIGKILL)
        assert until(lambda: not wakers.at_work)


def test_a_server_that_gives_way_itself_would_not_go_first() -> None:
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    cpu = usable_cpus()[0]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as server:
        os.sched_setaffinity(server.pid, {cpu})
        assert goes_first([server.pid], [cpu])
        os.sched_setscheduler(server.pid, os.SCHED_IDLE, os.sched_param(0))
        assert not goes_first([server.pid], [cpu])
        server.kill()
    assert goes_first([server.pid], [cpu]), "who is gone gives way to nobody"


def test_what_gives_way_itself_keeps_no_cpu_awake() -> None:
    plan = "machine.CpuPlan(servers=(0,), load=(1,), note=None)"
    asking = f"from sgibench import machine\nprint(machine.why_not_awake({plan}))"
    argv = [sys.executable, "-c", f"import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n{asking}"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "SCHED_IDLE itself" in said or "threads of fewer cores" in said


@pytest.mark.parametrize(("told", "waited", "awake"), [((), True, True), ((), False, False), ((APART,), True, False)])
def test_a_run_says_of_its_cpus_what_happened(*, told: tuple[str, ...], waited: bool, awake: bool) -> None:
    host = replace(make_run(Making()).info.machine, awake=True)
    assert with_truth(host, {*told}, waited=waited).awake is awake
    assert not with_truth(replace(host, awake=False), {*told}, waited=waited).awake


def test_a_server_of_another_session_could_not_displace_it() -> None:
    if machine.describe(machine.plan_cpus(1)).sysctls.get("kernel.sched_autogroup_enabled") != "1":
        pytest.skip("this kernel makes no groups of sessions; sysctl kernel.sched_autogroup_enabled=1 does")
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    first, last = usable_cpus()[0], usable_cpus()[-1]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as apart:
        os.sched_setaffinity(apart.pid, {first})
        assert not scheduled_together([os.getpid(), apart.pid], [first])
        assert first == last or scheduled_together([apart.pid], [last]), "it may not run there"
        apart.kill()
    assert scheduled_together([os.getpid()], [first])
    assert scheduled_together([apart.pid], [first]), "who is gone takes no CPU"


def test_a_command_has_no_terminal_though_it_stays_in_the_session(tmp_path: Path) -> None:
    asking = (
        "import os\n"
        "try:\n"
        "    os.open('/dev/tty', os.O_RDWR)\n"
        "    print('has a terminal')\n"
        "except OSError as error:\n"
        "    print('has none, of session', os.getsid(0), flush=True)\n"
    )
    owner = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from sgibench.serve.guarded import Command, Guarded\n"
        "os.close(os.open('/dev/tty', os.O_RDWR))\n"
        "command = Command(argv=(sys.executable, '-c', sys.argv[1]), env=dict(os.environ), log=Path(sys.argv[2]))\n"
        "with Guarded(command) as asked:\n"
        "    assert asked.wait(30)\n"
    )
    log = tmp_path / "log"
    ours, theirs = pty.openpty()
    session = (shutil.which("setsid") or "setsid", "--ctty", sys.executable, "-c", owner, asking, str(log))
    with subprocess.Popen(session, stdin=theirs) as asking_one:
        assert asking_one.wait(60) == 0
    os.close(theirs)
    os.close(ours)
    assert log.read_text().strip() == f"has none, of session {asking_one.pid}"


def awake_of(plan: CpuPlan) -> bool:
    return machine.kept_awake(plan).awake


def test_cpus_are_kept_awake_only_where_that_takes_nothing_from_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgibench.machine.cpus.cpu_quota", lambda: None)
    monkeypatch.setattr("sgibench.machine.cpus.core_of", lambda cpu: cpu // 2)
    apart = CpuPlan(servers=(0,), load=(2,), note=None)
    assert awake_of(apart)
    assert not awake_of(replace(apart, note="they share a core"))
    assert not awake_of(CpuPlan(servers=(), load=(), note=None))
    assert not awake_of(replace(apart, servers=(0, 1))), "two threads of one core: one slows down the other"
    monkeypatch.setattr("sgibench.machine.cpus.cpu_quota", lambda: 4.0)
    assert not awake_of(apart), "it would use the limit up"


@pytest.mark.parametrize(
    ("changes", "awake"),
    [
        ({}, True),
        ({"awake": False}, False),
        ({"awake": True}, True),
        ({"apps": ("my.app:app",)}, False),
        ({"apps": ("my.app:app",), "awake": True}, False),
        ({"database": "postgresql://me@localhost/items"}, False),
        ({"database": "postgresql"}, True),
    ],
)
def test_they_may_sleep_where_programs_that_sgibench_did_not_start_may_serve(
    *, changes: dict[str, object], awake: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgibench.machine.cpus.cpu_quota", lambda: None)
    plan = CpuPlan(servers=(0,), load=(2,), note=None)
    monkeypatch.setattr("sgibench.bench.request.machine.plan_cpus", lambda *_: plan)
    monkeypatch.setattr("sgibench.machine.cpus.core_of", lambda cpu: cpu // 2)
    request = replace(Request(results=Path("results"), argv=("sgibench",)), **cast("dict[str, Any]", changes))
    assert cpu_plan(request).awake is awake


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"awake": True, "apps": ("my.app:app",)}, "with an app of your own CPUs may sleep"),
        ({"awake": True, "database": "postgresql://me@localhost/items"}, "with a database that existed CPUs may sleep"),
        ({"awake": True, "quota": 1.0}, "it would use up the container's limit of CPU time"),
        ({"awake": True}, None),
        ({"awake": False, "apps": ("my.app:app",)}, None),
        ({"apps": ("my.app:app",)}, None),
    ],
)
def test_who_asks_for_them_to_be_kept_awake_is_told_why_they_are_not(
    *, changes: dict[str, object], why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody else: who says nothing, or lets them sleep, has what was asked for."""
    monkeypatch.setattr("sgibench.machine.cpus.cpu_quota", lambda: changes.get("quota"))
    plan = CpuPlan(servers=(0,), load=(2,), note=None)
    monkeypatch.setattr("sgibench.bench.request.machine.plan_cpus", lambda *_: plan)
    monkeypatch.setattr("sgibench.machine.cpus.core_of", lambda cpu: cpu // 2)
    asked = {name: value for name, value in changes.items() if name != "quota"}
    request = replace(Request(results=Path("results"), argv=("sgibench",)), **cast("dict[str, Any]", asked))
    told = why_asleep(request, cpu_plan(request))
    assert (told is None) == (why is None)
    assert why is None or (told is not None and told.startswith("--awake: ") and why in told)


def test_they_may_sleep_under_loads_that_leave_them_no_time_to() -> None:
    group = make_run(Making(scenarios=("json",), control=False)).info.plan.blocks[0].stages[0].groups[0]
    opened = replace(group, load=Load(kind="open", connections=8, rate_per_s=100.0))
    plan = CpuPlan(servers=(0,), load=(2,), note=None, awake=True)

    def found(plan: CpuPlan, group: Group, floor_s: float = 0.0) -> tuple[int, ...]:
        return wakeful_cpus(plan, group, cast("Scenario", SimpleNamespace(floor_s=floor_s)))

    assert found(plan, opened) == (0, 2)
    assert found(plan, group) == ()
    assert found(plan, group, 0.05) == (0, 2), "servers that wait leave their CPU alone"
    assert found(replace(plan, awake=False), opened) == ()


def test_runs_of_cpus_that_slept_and_of_such_that_did_not_are_told_apart() -> None:
    info = make_run(Making(scenarios=("json",), control=False)).info
    awake = replace(info, machine=replace(info.machine, awake=True))
    assert "CPUs while they wait: may sleep in the old run, kept awake in the new" in differences(info, awake)
    assert differences(awake, awake) == ()
