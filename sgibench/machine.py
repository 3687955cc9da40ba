"""What this host is, how its CPUs are shared out, and what it took away while we measured.

Reads /proc, /sys and cgroup files on Linux; elsewhere what psutil knows. What can't be read is None, and
`Machine.not_measured` says why. Nothing here starts or stops a process.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import psutil

from sgibench.errors import UsageError, shown
from sgibench.model import Machine, Memory

LINUX = sys.platform.startswith("linux")
SYS_CPU = Path("/sys/devices/system/cpu")
SYSCTLS = (
    "net.core.somaxconn",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_fin_timeout",
    "net.core.rmem_default",
    "net.core.wmem_default",
    "fs.file-max",
    "kernel.sched_autogroup_enabled",
)


@dataclass(frozen=True, kw_only=True)
class CpuPlan:
    """Who runs where; empty tuples where the system can't pin."""

    servers: tuple[int, ...]
    load: tuple[int, ...]
    note: str | None
    """Why servers and load get in each other's way, or None when each has cores of its own."""

    def load_alone(self, load_workers: int) -> bool:
        """Whether each load worker has a CPU that no server runs on; where the system can't pin, whether it may.

        A container's limit on CPU time is shared with the servers, so it must leave enough for both.
        """
        quota = _cpu_quota()
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
    return CpuPlan(servers=host.server_cpus, load=host.load_cpus, note=host.sharing)


def core_of(cpu: int) -> int:
    """First hardware thread of the core that a CPU is a thread of; the CPU itself where the system doesn't tell."""
    threads = _read(SYS_CPU / f"cpu{cpu}/topology/thread_siblings_list")
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
    return CpuPlan(servers=plan.servers, load=load, note=plan.note or note) if shared else plan


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


def describe(cpus: CpuPlan) -> Machine:
    """Say all that may explain a number measured here."""
    return Machine(
        hostname_hash=hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12],
        cpu_model=_cpu_model(),
        cores=os.cpu_count() or 1,
        cpus_usable=usable_cpus(),
        server_cpus=cpus.servers,
        load_cpus=cpus.load,
        kernel=platform.release(),
        system=_system(),
        governor=_read(SYS_CPU / "cpu0/cpufreq/scaling_governor"),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        memory_bytes=psutil.virtual_memory().total,
        container=_container(),
        cpu_quota=_cpu_quota(),
        sysctls=_sysctls(),
        not_measured=_not_measured(cpus),
    )


def _cpu_model() -> str:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith(("model name", "Model", "Hardware")):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.mac_ver()[0] or platform.release()}"


def _container() -> str | None:
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    return os.environ.get("container")  # noqa: SIM112 - systemd's name for it is in lower case


def _cgroup_value(v2: str, v1: str) -> str | None:
    return _read(Path("/sys/fs/cgroup") / v2) or _read(Path("/sys/fs/cgroup") / v1)


def _cpu_quota() -> float | None:
    """CPUs allowed by the container's limit (cgroup v2 `cpu.max`, v1 `cfs_quota_us`)."""
    if (text := _read(Path("/sys/fs/cgroup/cpu.max"))) is not None:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period or 100_000)
    quota_us = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
    period_us = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
    if quota_us is None or period_us is None or int(quota_us) < 0:
        return None
    return int(quota_us) / int(period_us)


def _sysctls() -> dict[str, str]:
    found = {name: _read(Path("/proc/sys") / name.replace(".", "/")) for name in SYSCTLS}
    return {name: " ".join(value.split()) for name, value in found.items() if value is not None}


def _not_measured(cpus: CpuPlan) -> dict[str, str]:
    missing = {}
    if cpus.note:
        missing["pinning"] = cpus.note
    if not Path("/proc/stat").exists():
        missing["steal"] = f"{platform.system()} doesn't tell how much time a hypervisor took"
    if not Path("/proc/pressure/cpu").exists():
        missing["pressure"] = "this kernel has no pressure stall information (/proc/pressure)"
    if not Path("/proc/self/smaps_rollup").exists():
        missing["pss"] = "this system doesn't tell the proportional share of memory"
    if _read(SYS_CPU / "cpu0/cpufreq/scaling_governor") is None:
        missing["governor"] = "the CPU's frequency policy isn't visible here (usual in virtual machines)"
    return missing


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


# --- what was taken away -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What the host did to us between two snapshots."""

    steal: float | None
    """Share of the watched CPUs' time taken by the hypervisor."""
    throttled_s: float | None
    pressure: float | None
    """Share of time in which some task waited for a CPU."""
    foreign_cpu: float | None
    """Share of the watched CPUs' time that went to processes which are not the watched ones."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Counters of the host at one moment; two of them give a Disturbance."""

    at_s: float
    steal_s: float | None
    """Summed over the watched CPUs."""
    cpus: int
    throttled_s: float | None
    pressure_s: float | None
    busy_s: float | None
    """All work on the watched CPUs, summed."""
    own_s: Mapping[int, float | None]
    """CPU time of each watched process."""
    services_s: float | None = 0.0
    """CPU time of the services that are watched beside them, however many processes they have."""

    def until(self, later: Snapshot) -> Disturbance:
        """Differences over the time between, as shares of it."""
        elapsed_s = max(later.at_s - self.at_s, 1e-9)
        return Disturbance(
            steal=_difference(self.steal_s, later.steal_s, elapsed_s * self.cpus),
            throttled_s=_difference(self.throttled_s, later.throttled_s, 1.0),
            pressure=_difference(self.pressure_s, later.pressure_s, elapsed_s),
            foreign_cpu=self._foreign(later, elapsed_s),
        )

    def _foreign(self, later: Snapshot, elapsed_s: float) -> float | None:
        """What the watched CPUs did for others; None when a watched process ended meanwhile."""
        own_s = 0.0
        for pid, before_s in self.own_s.items():
            after_s = later.own_s.get(pid)
            if before_s is None or after_s is None:
                return None
            own_s += after_s - before_s
        if self.services_s is None or later.services_s is None:
            return None
        own_s += later.services_s - self.services_s
        busy = _difference(self.busy_s, later.busy_s, 1.0)
        return None if busy is None else max(0.0, busy - own_s) / (elapsed_s * self.cpus)


def _difference(before: float | None, after: float | None, over: float) -> float | None:
    return None if before is None or after is None else max(0.0, after - before) / over


def snapshot(cpus: Iterable[int], pids: Iterable[int] = (), services: Iterable[Sequence[int]] = ()) -> Snapshot:
    """Read the host's counters now: steal and work of `cpus` (all usable ones when empty), CPU time of `pids`.

    `services` are families of processes that come and go, each with its first process in front.
    """
    families = [family_cpu_s(family) for family in services]
    watched = set(cpus) or set(usable_cpus())
    ticks = _cpu_ticks(watched)
    return Snapshot(
        at_s=time.monotonic(),
        steal_s=None if ticks is None else ticks[1],
        cpus=len(watched),
        throttled_s=_throttled_s(),
        pressure_s=_pressure_s(),
        busy_s=None if ticks is None else ticks[0],
        own_s={pid: _with_reaped_s(pid) for pid in pids},
        services_s=None if None in families else sum(one for one in families if one is not None),
    )


def _cpu_ticks(cpus: set[int]) -> tuple[float, float] | None:
    """Give the seconds in which the CPUs worked, and those stolen from them.

    From the `cpuN` lines of /proc/stat (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal.
    """
    text = _read(Path("/proc/stat"))
    if text is None:
        return None
    names = {f"cpu{cpu}" for cpu in cpus}
    rows = [[int(field) for field in line.split()[1:]] for line in text.splitlines() if line.split(" ", 1)[0] in names]
    per_second = os.sysconf("SC_CLK_TCK")
    busy = sum(user + nice + system + irq + softirq for user, nice, system, _, _, irq, softirq, *_ in rows)
    return busy / per_second, sum(row[7] for row in rows) / per_second


def _throttled_s() -> float | None:
    """`throttled_usec` (cgroup v2) or `throttled_time` in ns (v1) of the cgroup we are in, as far as it is mounted."""
    text = _cgroup_value("cpu.stat", "cpu/cpu.stat")
    fields = dict(line.split() for line in (text or "").splitlines() if len(line.split()) == 2)  # noqa: PLR2004 - pairs
    if "throttled_usec" in fields:
        return int(fields["throttled_usec"]) / 1e6
    return int(fields["throttled_time"]) / 1e9 if "throttled_time" in fields else None


def _pressure_s() -> float | None:
    """`total` of the `some` line of /proc/pressure/cpu, in microseconds (Documentation/accounting/psi.rst)."""
    text = _read(Path("/proc/pressure/cpu"))
    if text is None or "total=" not in text:
        return None
    return int(text.splitlines()[0].rpartition("total=")[2]) / 1e6


# --- other processes -----------------------------------------------------------------------------------------------


def cpu_clock_s(pid: int) -> float | None:
    """CPU seconds that a process has used, all its threads, not its children; None when it is gone.

    On Linux the process's own CPU clock, exact to the nanosecond: its id is `(~pid << 3) | 2` (clock_getcpuclockid(3)).
    """
    try:
        if LINUX:
            return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
        times = psutil.Process(pid).cpu_times()
    except (OSError, psutil.Error):
        return None
    return float(times.user + times.system)


def _with_reaped_s(pid: int) -> float | None:
    """CPU seconds of a process and of those that it started and that have ended: none of it is foreign work."""
    own_s = cpu_clock_s(pid)
    return None if own_s is None else own_s + reaped_ns(pid) / 1e9


def reaped_ns(pid: int) -> int:
    """CPU nanoseconds of all processes that a process started and has waited for since they ended, theirs included.

    On Linux fields 16 and 17 of /proc/PID/stat (proc_pid_stat(5)), in ticks; 0 where nothing can be read.
    """
    try:
        if LINUX:
            line = Path(f"/proc/{pid}/stat").read_bytes()
            user, system = line[line.rindex(b")") + 2 :].split(maxsplit=15)[13:15]
            return (int(user) + int(system)) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
        times = psutil.Process(pid).cpu_times()
    except (OSError, ValueError, psutil.Error):
        return 0
    return round((times.children_user + times.children_system) * 1e9)


def tree_cpu_s(pids: Iterable[int]) -> float | None:
    """CPU seconds of several processes together; None when any of them is gone."""
    clocks = [cpu_clock_s(pid) for pid in pids]
    return None if None in clocks else sum(clock for clock in clocks if clock is not None)


def family_cpu_s(pids: Sequence[int]) -> float | None:
    """CPU seconds of processes and of all children of the first that have ended; None when the first is gone."""
    if not pids or cpu_clock_s(pids[0]) is None:
        return None
    fields = (_read(Path(f"/proc/{pids[0]}/stat")) or "").rpartition(")")[2].split()
    ended_s = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK") if len(fields) > 14 else 0.0  # noqa: PLR2004 - proc_pid_stat(5): cutime, cstime
    return ended_s + sum(cpu_clock_s(pid) or 0.0 for pid in pids)


def tree_memory(pids: Sequence[int]) -> Memory:
    """Proportional and unique memory of several processes together; None for what the system doesn't tell."""
    shares = [_memory_of(pid) for pid in pids]
    known = [share for share in shares if share is not None]
    pss = [share[0] for share in known if share[0] is not None]
    uss = [share[1] for share in known if share[1] is not None]
    return Memory(
        pss_bytes=sum(pss) if len(pss) == len(pids) else None,
        uss_bytes=sum(uss) if len(uss) == len(pids) else None,
        processes=len(pids),
    )


def _memory_of(pid: int) -> tuple[int | None, int | None] | None:
    """(PSS, USS) in bytes, from smaps_rollup on Linux (proc_pid_smaps(5), kB)."""
    text = _read(Path(f"/proc/{pid}/smaps_rollup"))
    if text is not None:
        fields = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines()[1:] if ":" in line}
        return fields.get("Pss"), fields.get("Private_Clean", 0) + fields.get("Private_Dirty", 0)
    try:
        return None, psutil.Process(pid).memory_full_info().uss
    except (psutil.Error, OSError):
        return None
