"""What other processes use: CPU by the clock that the kernel keeps of each, and memory.

CPU is exact to the nanosecond on Linux, but for processes that have ended, of which their parents know ticks; elsewhere
psutil reads both, in ticks.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from sgibench.machine.files import read, read_bytes
from sgibench.model import Memory

LINUX = sys.platform.startswith("linux")


def cpu_ns(pid: int) -> int | None:
    """CPU time a process has used so far, all its threads, not its children; None when it is gone, or not ours to see.

    On Linux the process's own CPU clock: its id is `(~pid << 3) | 2` (clock_getcpuclockid(3)).
    """
    if LINUX:
        try:
            return time.clock_gettime_ns((~pid << 3) | 2)
        except OSError:
            return None
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return round((times.user + times.system) * 1e9)


def cpu_clock_s(pid: int) -> float | None:
    """The same in seconds."""
    used_ns = cpu_ns(pid)
    return None if used_ns is None else used_ns / 1e9


def with_reaped_s(pid: int) -> float | None:
    """CPU seconds of a process and of those that it started and that have ended: none of it is foreign work."""
    own_s = cpu_clock_s(pid)
    return None if own_s is None else own_s + reaped_ns(pid) / 1e9


def reaped_ns(pid: int) -> int:
    """CPU nanoseconds of all processes that a process started and has waited for since they ended, theirs included.

    On Linux fields 16 and 17 of /proc/PID/stat (proc_pid_stat(5)), in ticks; 0 where nothing can be read.
    """
    try:
        if LINUX:
            line = read_bytes(f"/proc/{pid}/stat")
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
    fields = (read(Path(f"/proc/{pids[0]}/stat")) or "").rpartition(")")[2].split()
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
    text = read(Path(f"/proc/{pid}/smaps_rollup"))
    if text is not None:
        fields = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines()[1:] if ":" in line}
        return fields.get("Pss"), fields.get("Private_Clean", 0) + fields.get("Private_Dirty", 0)
    try:
        return None, psutil.Process(pid).memory_full_info().uss
    except (psutil.Error, OSError):
        return None
