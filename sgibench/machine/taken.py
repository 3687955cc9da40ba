"""What the host took away while we measured: time stolen by a hypervisor, a quota, other tasks on our CPUs.

Counters are read at two moments, and only their difference says something.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgibench.machine.cpus import usable_cpus
from sgibench.machine.files import cgroup_value, read
from sgibench.machine.processes import family_cpu_s, with_reaped_s


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
        own_s={pid: with_reaped_s(pid) for pid in pids},
        services_s=None if None in families else sum(one for one in families if one is not None),
    )


def _cpu_ticks(cpus: set[int]) -> tuple[float, float] | None:
    """Give the seconds in which the CPUs worked, and those stolen from them.

    From the `cpuN` lines of /proc/stat (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal.
    """
    text = read(Path("/proc/stat"))
    if text is None:
        return None
    names = {f"cpu{cpu}" for cpu in cpus}
    rows = [[int(field) for field in line.split()[1:]] for line in text.splitlines() if line.split(" ", 1)[0] in names]
    per_second = os.sysconf("SC_CLK_TCK")
    busy = sum(user + nice + system + irq + softirq for user, nice, system, _, _, irq, softirq, *_ in rows)
    return busy / per_second, sum(row[7] for row in rows) / per_second


def _throttled_s() -> float | None:
    """`throttled_usec` (cgroup v2) or `throttled_time` in ns (v1) of the cgroup we are in, as far as it is mounted."""
    text = cgroup_value("cpu.stat", "cpu/cpu.stat")
    fields = dict(line.split() for line in (text or "").splitlines() if len(line.split()) == 2)  # noqa: PLR2004 - pairs
    if "throttled_usec" in fields:
        return int(fields["throttled_usec"]) / 1e6
    return int(fields["throttled_time"]) / 1e9 if "throttled_time" in fields else None


def _pressure_s() -> float | None:
    """`total` of the `some` line of /proc/pressure/cpu, in microseconds (Documentation/accounting/psi.rst)."""
    text = read(Path("/proc/pressure/cpu"))
    if text is None or "total=" not in text:
        return None
    return int(text.splitlines()[0].rpartition("total=")[2]) / 1e6
