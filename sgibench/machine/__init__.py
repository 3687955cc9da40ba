"""What this host is, how its CPUs are shared out, and what it took away while we measured.

Reads /proc, /sys and cgroup files on Linux; elsewhere what psutil knows. What can't be read is None, and
`Machine.not_measured` says why. Nothing here starts or stops a process.
"""

from __future__ import annotations

from sgibench.machine.cpus import (
    CpuPlan,
    core_of,
    kept_awake,
    parse_cpus,
    plan_beside,
    plan_cpus,
    plan_of,
    usable_cpus,
    why_not_awake,
    with_load_on,
)
from sgibench.machine.files import read_bytes
from sgibench.machine.host import describe
from sgibench.machine.processes import LINUX, cpu_clock_s, cpu_ns, family_cpu_s, reaped_ns, tree_cpu_s, tree_memory
from sgibench.machine.taken import Disturbance, Snapshot, snapshot

__all__ = [
    "LINUX",
    "CpuPlan",
    "Disturbance",
    "Snapshot",
    "core_of",
    "cpu_clock_s",
    "cpu_ns",
    "describe",
    "family_cpu_s",
    "kept_awake",
    "parse_cpus",
    "plan_beside",
    "plan_cpus",
    "plan_of",
    "read_bytes",
    "reaped_ns",
    "snapshot",
    "tree_cpu_s",
    "tree_memory",
    "usable_cpus",
    "why_not_awake",
    "with_load_on",
]
