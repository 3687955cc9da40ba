"""How this host's CPUs are shared out between the servers and the load.

A core belongs to one side: its hardware threads share arithmetic and caches. Where that can't be, the plan says so.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from sgibench.errors import UsageError, shown
from sgibench.machine.files import SYS_CPU, read
from sgibench.machine.processes import LINUX
from sgibench.model import Machine

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True, kw_only=True)
class CpuPlan:
    """Who runs where; empty tuples where the system can't pin."""

    servers: tuple[int, ...]
    load: tuple[int, ...]
    note: str | None
    """Why servers and load get in each other's way, or None when each has cores of its own."""
    awake: bool = False
    """Whether these CPUs are kept from sleeping while they wait for requests; see `kept_awake`."""

    @property
    def all(self) -> tuple[int, ...]:
        """Every CPU that servers or load run on, once."""
        return tuple(sorted({*self.servers, *self.load}))

    def load_alone(self, load_workers: int) -> bool:
        """Whether each load worker has a CPU that no server runs on; where the system can't pin, whether it may.

        A container's limit on CPU time is shared with the servers, so it must leave enough for both.
        """
        quota = cpu_quota()
        if quota is not None and quota < load_workers + max(1, len(self.servers)):
            return False
        if not self.load:
            return not hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > load_workers
        return self.note is None and len(self.load) >= load_workers


def usable_cpus() -> tuple[int, ...]:
    """CPUs that this process may run on; all of them where the system doesn't tell."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def plan_of(host: Machine) -> CpuPlan:
    """Give the plan that a stored machine was measured by."""
    return CpuPlan(servers=host.server_cpus, load=host.load_cpus, note=host.sharing, awake=host.awake)


def kept_awake(plan: CpuPlan) -> CpuPlan:
    """Have its CPUs kept awake, where that takes nothing from servers and load."""
    return replace(plan, awake=why_not_awake(plan) is None)


def why_not_awake(plan: CpuPlan) -> str | None:
    """Say why its CPUs can't be kept awake, or None when they can.

    Work on one thread of a core slows down the other one, and work under a limit of CPU time uses it up.
    """
    if not LINUX:
        return f"{platform.system()} has no policy for work that gives way to all other at once"
    if plan.note is not None or not plan.all:
        return plan.note or "there are no CPUs of which it is known who runs there"
    if len({core_of(cpu) for cpu in plan.all}) < len(plan.all):
        return f"CPUs {','.join(map(str, plan.all))} are threads of fewer cores"
    if os.sched_getscheduler(0) == os.SCHED_IDLE:
        return "this process has the policy SCHED_IDLE itself (chrt -i), so what it starts would displace nothing"
    if cpu_quota() is not None:
        return "it would use up the container's limit of CPU time"
    return None if _idle_policy_allowed() else "the policy SCHED_IDLE is not allowed here"


def _idle_policy_allowed() -> bool:
    """Whether a thread may take the policy SCHED_IDLE (sched(7)): a thread that ends is asked to."""
    allowed = []

    def take_it() -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            allowed.append(True)

    thread = threading.Thread(target=take_it)
    thread.start()
    thread.join()
    return bool(allowed)


def core_of(cpu: int) -> int:
    """First hardware thread of the core that a CPU is a thread of; the CPU itself where the system doesn't tell."""
    threads = read(SYS_CPU / f"cpu{cpu}/topology/thread_siblings_list")
    first = re.match(r"\d+", threads or "")
    return int(first[0]) if first else cpu


def plan_cpus(workers: int, load_workers: int = 1, usable: Sequence[int] | None = None) -> CpuPlan:
    """Share the CPUs out: one for each server worker as far as they go, others for the load, never the same ones.

    Two hardware threads of one core share its arithmetic and its caches, so a core belongs to the servers or to the
    load, and its second thread is used only when every core of that side has work. With a single CPU, or where
    processes can't be pinned, both sets are empty; `note` says so, and says when both sides share a core.
    """
    if not hasattr(os, "sched_setaffinity"):
        return CpuPlan(servers=(), load=(), note=f"{platform.system()} can't pin a process to a CPU")
    cpus = tuple(usable if usable is not None else usable_cpus())
    if len(cpus) < 2:  # noqa: PLR2004 - one for the server, one for the load
        return CpuPlan(servers=(), load=(), note="there is one CPU only, which servers and load share")
    cores = _by_core(cpus)
    if len(cores) == 1:
        cores = [[cpu] for cpu in cpus]
    for_servers = max(1, min(workers, len(cores) - load_workers))
    for_load = max(1, min(load_workers, len(cores) - for_servers))
    return _side_by_side(_spread(cores[:for_servers], workers), _spread(cores[-for_load:], load_workers))


def plan_beside(servers: tuple[int, ...], load_workers: int) -> CpuPlan:
    """Give the load what chosen servers' CPUs leave over, best a core of its own."""
    taken = {core_of(cpu) for cpu in servers}
    others = [cpu for cpu in usable_cpus() if cpu not in servers]
    if not others:
        return CpuPlan(servers=servers, load=servers, note="the servers were given every CPU, so the load shares them")
    apart = _by_core(cpu for cpu in others if core_of(cpu) not in taken)
    return _side_by_side(servers, _spread(apart[-load_workers:] or [[cpu] for cpu in others], load_workers))


def with_load_on(plan: CpuPlan, load_workers: int) -> CpuPlan:
    """Give load workers as many CPUs, some of which they share with the servers; the plan says so.

    Where nothing can be pinned the plan stays as it is.
    """
    others = [cpu for cpu in usable_cpus() if cpu not in plan.servers]
    load = tuple(sorted([*others, *plan.servers][:load_workers])) if plan.load else ()
    shared = ",".join(str(cpu) for cpu in load if cpu in plan.servers)
    note = f"{load_workers} load workers need more CPUs than there are, so they share CPU {shared} with the servers"
    return replace(plan, load=load, note=plan.note or note) if shared else plan


def _side_by_side(servers: tuple[int, ...], load: tuple[int, ...]) -> CpuPlan:
    both = {core_of(cpu) for cpu in servers} & {core_of(cpu) for cpu in load}
    if not both:
        return CpuPlan(servers=servers, load=load, note=None)
    threads = ",".join(str(cpu) for cpu in sorted({*servers, *load}) if core_of(cpu) in both)
    return CpuPlan(servers=servers, load=load, note=f"servers and load are threads of the same core (CPUs {threads})")


def _by_core(cpus: Iterable[int]) -> list[list[int]]:
    """Group CPUs by the core that they are threads of, in the order of their first threads."""
    cores: dict[int, list[int]] = {}
    for cpu in cpus:
        cores.setdefault(core_of(cpu), []).append(cpu)
    return list(cores.values())


def _spread(cores: Sequence[Sequence[int]], wanted: int) -> tuple[int, ...]:
    """Choose CPUs from some cores: the first thread of each, then the second ones, as many as are wanted."""
    threads = [cpu for nth in zip_longest(*cores) for cpu in nth if cpu is not None]
    return tuple(sorted(threads[:wanted]))


def parse_cpus(text: str) -> tuple[int, ...]:
    """Read `0,2-3` as (0, 2, 3); raises UsageError when a CPU isn't usable here."""
    if not re.fullmatch(r"[0-9]{1,9}(-[0-9]{1,9})?(,[0-9]{1,9}(-[0-9]{1,9})?)*", text):
        raise UsageError(f"expected CPUs such as 0,2-3, got {shown(text)}")
    usable = set(usable_cpus())
    chosen: set[int] = set()
    for part in text.split(","):
        first, last = (int(end) for end in (part.split("-") if "-" in part else (part, part)))
        asked = {cpu for cpu in usable if first <= cpu <= last}
        if len(asked) != last - first + 1:
            raise UsageError(f"CPUs {shown(text)}: this process may use {','.join(map(str, usable_cpus()))}")
        chosen |= asked
    return tuple(sorted(chosen))


def cpu_quota() -> float | None:
    """CPUs allowed by the tightest limit on this process's control groups (v2 `cpu.max`, v1 `cfs_quota_us`)."""
    allowed = [_allowed(read(group / "cpu.max")) for group in control_groups()]
    if found := [cpus for cpus in allowed if cpus is not None]:
        return min(found)
    quota_us = read(CGROUPS / "cpu/cpu.cfs_quota_us")
    period_us = read(CGROUPS / "cpu/cpu.cfs_period_us")
    if quota_us is None or period_us is None or int(quota_us) < 0:
        return None
    return int(quota_us) / int(period_us)


def _allowed(limit: str | None) -> float | None:
    """Read `quota period`, in microseconds; None without a limit."""
    quota, _, period = (limit or "max").partition(" ")
    return None if quota == "max" else int(quota) / int(period or 100_000)


def control_groups() -> list[Path]:
    """Folders of the control groups (v2) that this process is in, from the first that it can see to its own.

    In a container that is one, of which /proc/self/cgroup says "0::/" (cgroups(7)).
    """
    lines = (read(OWN_CGROUPS) or "").splitlines()
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    own = CGROUPS / path.strip("/")
    return [*reversed([folder for folder in own.parents if folder.is_relative_to(CGROUPS)]), own]
