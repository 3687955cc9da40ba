"""What this machine can and can't measure, and why: one finding for each thing that a number depends on.

Looks, never changes anything, and takes about a second. A finding is `fine`, `limited` (numbers are less exact or
something optional is missing) or `broken` (nothing can be measured until it is mended).
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from sgibench import machine, units
from sgibench.errors import EnvsError, UsageError
from sgibench.paths import exists
from sgibench.results import store
from sgibench.serve import envs
from sgibench.serve.needs import find_program

State = Literal["fine", "limited", "broken"]
WATCHED_S = 0.5
BUSY_SHARE = 0.10
STEAL_SHARE = 0.05  # method, section 6: `Stolen`
ENOUGH_FILES = 4096
ENOUGH_BACKLOG = 1024
OPTIONAL = {
    "wrk": ("an independent load generator, to check ours against", "apt-get install wrk"),
    "nginx": ("servers behind it, such as nginx+waitress", "apt-get install nginx-light"),
    "haproxy": ("servers behind it, such as haproxy+waitress", "apt-get install haproxy"),
    "chromium": ("the browser tests of the report", "apt-get install chromium"),
    "gcc": ("servers that are compiled at installation", "apt-get install gcc python3-dev"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    detail: str
    advice: str = ""


def examine(results: Path) -> list[Finding]:
    """Look at everything, most important first."""
    checks: Sequence[Callable[[], Finding]] = (
        _python,
        _environments,
        lambda: _results(results),
        _cpus,
        _quota,
        _disturbance,
        _clock,
        _memory_shares,
        _descriptors,
        _backlog,
        _governor,
        _sleep,
        *[lambda name=name: _program(name) for name in OPTIONAL],
    )
    return [check() for check in checks]


def _python() -> Finding:
    others = [name for name in ("python3.12", "python3.13", "python3.14") if _runs(name)]
    more = f"; also installed: {', '.join(others)}" if others else ""
    return Finding(name="python", state="fine", detail=f"{sys.version.split()[0]} runs sgibench and the servers{more}")


def _runs(name: str) -> bool:
    try:
        envs.version_of(name)
    except EnvsError:
        return False
    return True


def _environments() -> Finding:
    try:
        envs.refuse_unwritable_cache()
    except EnvsError as error:
        return Finding(name="environments", state="broken", detail=f"{error}")
    folder = envs.cache_folder() / "envs"
    made = len(list(folder.glob(f"*/{envs.MARKER}")))
    return Finding(
        name="environments",
        state="fine",
        detail=f"{made} ready in {folder}; others are made with uv when a run needs them",
    )


def _results(results: Path) -> Finding:
    try:
        store.refuse_unwritable(results, "--results")
    except UsageError as error:
        return Finding(name="results", state="broken", detail=f"{error}")
    parent = next(folder for folder in (results, *results.absolute().parents) if exists(folder))
    free = shutil.disk_usage(parent).free
    return Finding(name="results", state="fine", detail=f"{results} can be written; {units.size(free)} free")


def _cpus() -> Finding:
    plan = machine.plan_cpus(1)
    usable = machine.usable_cpus()
    if plan.note:
        return Finding(
            name="cpus",
            state="limited",
            detail=f"{len(usable)} usable; {plan.note}",
            advice="compare CPU per request rather than requests per second",
        )
    return Finding(
        name="cpus",
        state="fine",
        detail=f"{len(usable)} usable; with one worker the server gets CPU {_list(plan.servers)}, "
        f"the load CPU {_list(plan.load)}",
    )


def _list(cpus: Sequence[int]) -> str:
    return ",".join(map(str, cpus))


def _quota() -> Finding:
    quota = machine.describe(machine.plan_cpus(1)).cpu_quota
    if quota is None:
        return Finding(name="container limit", state="fine", detail="no CPU limit is set")
    return Finding(
        name="container limit",
        state="limited",
        detail=f"a container limit allows {quota:g} CPUs; it stops processes in mid-run when it is used up",
        advice="raise the limit to at least 2 CPUs or use pinning (cpuset) instead",
    )


def _disturbance() -> Finding:
    """Watch the machine for a moment, while sgibench itself does nothing."""
    before = machine.snapshot(())
    psutil.cpu_percent()
    time.sleep(WATCHED_S)
    busy = psutil.cpu_percent() / 100
    seen = before.until(machine.snapshot(()))
    detail = (
        f"over {WATCHED_S:g} s: CPUs {units.percent(busy)} busy, {units.percent(seen.steal)} taken by the hypervisor"
    )
    if busy > BUSY_SHARE or (seen.steal or 0) > STEAL_SHARE:
        return Finding(
            name="quiet", state="limited", detail=detail, advice="stop other work; use more blocks (--blocks 10)"
        )
    return Finding(name="quiet", state="fine", detail=detail)


def _clock() -> Finding:
    if machine.cpu_clock_s(os.getppid()) is None:
        return Finding(
            name="cpu clocks",
            state="broken",
            detail="the CPU time of another process can't be read",
            advice="run on Linux or macOS",
        )
    exact = "to the nanosecond" if machine.LINUX else "in clock ticks"
    return Finding(name="cpu clocks", state="fine", detail=f"CPU time of the servers is read {exact}")


def _memory_shares() -> Finding:
    memory = machine.tree_memory([os.getpid()])
    if memory.pss_bytes is None:
        return Finding(
            name="memory", state="limited", detail="only the unique set size is known here, not the proportional one"
        )
    return Finding(name="memory", state="fine", detail="proportional and unique set sizes can be read")


def _descriptors() -> Finding:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_FILES:
        return Finding(
            name="descriptors", state="limited", detail=f"at most {hard} open files", advice="raise ulimit -Hn"
        )
    return Finding(name="descriptors", state="fine", detail="enough open files are allowed")


def _backlog() -> Finding:
    text = machine.describe(machine.plan_cpus(1)).sysctls.get("net.core.somaxconn")
    if text is not None and int(text) < ENOUGH_BACKLOG:
        return Finding(
            name="backlog",
            state="limited",
            detail=f"the system cuts the backlog of {ENOUGH_BACKLOG} to {text}",
            advice=f"as root: sysctl net.core.somaxconn={ENOUGH_BACKLOG}",
        )
    return Finding(name="backlog", state="fine", detail=f"a backlog of {ENOUGH_BACKLOG} is granted")


def _governor() -> Finding:
    governor = machine.describe(machine.plan_cpus(1)).governor
    if governor is None:
        return Finding(
            name="frequency", state="limited", detail="how the CPU's frequency is governed can't be seen here"
        )
    if governor != "performance":
        return Finding(
            name="frequency",
            state="limited",
            detail=f"the CPU's governor is {governor!r}, so its speed changes with the load",
            advice="as root: cpupower frequency-set -g performance",
        )
    return Finding(name="frequency", state="fine", detail="the CPU's governor is 'performance'")


def _sleep() -> Finding:
    if why := machine.why_not_awake(machine.plan_cpus(1)):
        return Finding(
            name="sleep",
            state="limited",
            detail=f"CPUs may sleep while they wait for requests, which adds to latency: {why}",
            advice="compare p99 with care; it holds the time in which a CPU wakes up",
        )
    detail = "CPUs of servers and load are kept from it while they wait for requests at a fixed rate"
    return Finding(name="sleep", state="fine", detail=detail)


def _program(name: str) -> Finding:
    use, command = OPTIONAL[name]
    path = find_program(name)
    if path is None:
        return Finding(name=name, state="limited", detail=f"not installed; it is for {use}", advice=command)
    return Finding(name=name, state="fine", detail=f"installed; it is for {use}")
