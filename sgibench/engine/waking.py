"""CPUs that wait for requests are kept from sleeping, so that latency is the servers' and not the machine's.

A CPU with nothing to do stops. On a virtual machine its hypervisor then gives the core to others, and must first get it
back when a request comes; on other machines the core has to leave a sleep that may be deep. Either takes tens of
microseconds to milliseconds, as often as requests come, and more on one day than on another. So on each CPU of servers
and load a task of the policy SCHED_IDLE (sched(7)) runs, which every other task displaces at once: what `idle=poll`
does for a whole machine (kernel-parameters of the kernel's admin-guide), without root, and while a load lasts.

SCHED_IDLE only counts among tasks of one scheduling group. Sessions are such groups where the kernel makes them
(CONFIG_SCHED_AUTOGROUP), and so are control groups: between two of these the CPU would be shared. So guards start what
they guard in the engine's session, and where a server is in another group after all, its CPUs are left alone. So
they are where a server has that policy itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from sgibench.engine import waker
from sgibench.machine import CpuPlan
from sgibench.model import Group, Machine, Scenario
from sgibench.serve.guarded import is_stopped

END_S = 5.0
"""Ample for a process that was killed."""
APART = (
    "a server or a service is in a scheduling group of its own, or of the policy SCHED_IDLE, so the CPUs may sleep "
    "while they wait for requests"
)
BROKEN_OFF = (
    "CPUs were not kept awake to the end of a load: a server or a service went into a scheduling group of its own, or "
    "took the policy SCHED_IDLE, or what kept them awake was ended; compare latencies with care, or use --no-awake"
)


def wakeful_cpus(cpus: CpuPlan, group: Group, scenario: Scenario) -> tuple[int, ...]:
    """CPUs that have time to sleep under a load, where they may be kept from it.

    Under a closed loop, servers of apps that don't wait have work all the time.
    """
    waits = group.load.kind == "open" or scenario.floor_s > 0
    return cpus.all if cpus.awake and waits else ()


def goes_first(pids: Iterable[int], cpus: Collection[int]) -> bool:
    """Whether whatever these processes do on the CPUs displaces what keeps them awake."""
    there = [pid for pid in pids if _may_run_on(pid, {*cpus})]
    return scheduled_together(there, cpus) and not any(_gives_way(task) for pid in there for task in _tasks(pid))


def _tasks(pid: int) -> list[int]:
    """Threads of a process; none when it is gone."""
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _gives_way(task: int) -> bool:
    """Whether a task is of the policy SCHED_IDLE; one that is gone is not."""
    try:
        return os.sched_getscheduler(task) == os.SCHED_IDLE
    except OSError:
        return False


def with_truth(host: Machine, told: AbstractSet[str], *, waited: bool) -> Machine:
    """Say of a machine whether its CPUs were kept awake wherever they `waited`, by what a run has told."""
    return replace(host, awake=host.awake and waited and told.isdisjoint((APART, BROKEN_OFF)))


def scheduled_together(pids: Iterable[int], cpus: Iterable[int]) -> bool:
    """Whether all these processes, as far as they may run on the CPUs, are in this one's scheduling group."""
    ours, watched = _scheduling_group("self"), {*cpus}
    there = (pid for pid in pids if _may_run_on(pid, watched))
    return all(theirs is None or theirs == ours for theirs in map(_scheduling_group, map(str, there)))


def _may_run_on(pid: int, cpus: set[int]) -> bool:
    """Whether a process may run on one of the CPUs; one that is gone may not."""
    try:
        return not cpus.isdisjoint(os.sched_getaffinity(pid))
    except ProcessLookupError:
        return False


def _scheduling_group(process: str) -> tuple[str, str] | None:
    """Autogroup and control groups of a process (sched(7), cgroups(7)); None when it is gone."""
    found = []
    for name in ("autogroup", "cgroup"):
        try:
            found.append(Path(f"/proc/{process}/{name}").read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            if not Path(f"/proc/{process}").exists():
                return None
            found.append("")  # the kernel has no such groups
        except OSError:
            return None
    autogroup, controlled = found
    return autogroup.partition(" ")[0], controlled


@contextlib.contextmanager
def kept_awake(cpus: Iterable[int]) -> Iterator[Wakers]:
    """Keep CPUs from sleeping."""
    with contextlib.ExitStack() as alive:
        yield Wakers([_waker(cpu, alive) for cpu in cpus])


class Wakers:
    """What keeps CPUs from sleeping, one process for each."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes] | None]) -> None:
        """None for one that could not be started."""
        self._processes = processes

    @property
    def pids(self) -> tuple[int, ...]:
        """Those that were started; they are no strangers."""
        return tuple(process.pid for process in self._processes if process is not None)

    @property
    def at_work(self) -> bool:
        """Whether there is one for each CPU, and none has been ended or stopped."""
        return all(
            process is not None and process.poll() is None and not is_stopped(process.pid)
            for process in self._processes
        )


def _waker(cpu: int, alive: contextlib.ExitStack) -> subprocess.Popen[bytes] | None:
    command = [sys.executable, "-I", "-S", str(Path(waker.__file__)), str(cpu), str(os.getpid())]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )
    except OSError:
        return None
    alive.callback(process.wait, END_S)
    alive.callback(process.kill)
    return process
