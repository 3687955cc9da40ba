"""The yardstick on the servers' CPU: that it lies there, says how long its work took, and goes with whoever laid it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from sgibench.engine.orders import Measured
from sgibench.engine.yardstick import Yardstick, watched_cpu, yardstick
from sgibench.machine import LINUX, CpuPlan, usable_cpus
from sgibench.model import Group, Load, Scenario, Slice, Windows
from sgibench.model.behaviour import Watched
from tests.killed_owner import ends_with_its_owner
from tests.results_maker import Making, make_run

pytestmark = pytest.mark.skipif(not LINUX, reason="only Linux pins processes")


def until(true: Callable[[], bool], within_s: float = 20.0) -> bool:
    ends = time.monotonic() + within_s
    while not true() and time.monotonic() < ends:
        time.sleep(0.02)
    return true()


def seen(yards: Yardstick, from_ns: int, edge_ns: int) -> float | None:
    visit = Slice(round=0, window_s=(edge_ns - from_ns) / 1e9, requests=1, cpu_s=0.1)
    told = yards.told({"a": replace(MEASURED, slices=(visit,), edges_ns=((from_ns, edge_ns),))})
    return told["a"].slices[0].yard_us


def said(cpus: CpuPlan, group: Group, floor_s: float, windows: Windows) -> bool:
    scenario = SimpleNamespace(floor_s=floor_s, jobs=False, watched=Watched())
    return watched_cpu(cpus, group, cast("Scenario", scenario), windows) is not None


MEASURED = Measured(id="a", requests=1, window_s=1.0)


def test_it_lies_on_the_cpu_it_was_laid_on_and_tells_of_the_time_that_is_asked_for() -> None:
    cpu = usable_cpus()[-1]
    before_ns = time.monotonic_ns()
    with yardstick(cpu) as yards:
        (pid,) = yards.pids
        assert until(lambda: psutil.Process(pid).cpu_affinity() == [cpu])
        began_ns = time.monotonic_ns()
        assert until(lambda: seen(yards, began_ns, time.monotonic_ns()) is not None)
        took_us = seen(yards, began_ns, time.monotonic_ns())
        assert took_us is not None
        assert 0.1 < took_us < 1000
        assert seen(yards, before_ns - 2_000_000_000, before_ns - 1_000_000_000) is None
    assert not psutil.pid_exists(pid)


def test_without_one_nothing_is_said() -> None:
    with yardstick(None) as yards:
        assert yards.pids == ()
        assert seen(yards, 0, time.monotonic_ns()) is None


def test_it_ends_when_whoever_laid_it_is_killed() -> None:
    laying = (
        "import sys, time\n"
        "from sgibench.engine.yardstick import yardstick\n"
        "with yardstick(int(sys.argv[1])) as yards:\n"
        "    print(*yards.pids, flush=True)\n"
        "    time.sleep(60)\n"
    )
    assert ends_with_its_owner(laying, str(usable_cpus()[0]))


def test_it_is_laid_only_where_it_says_something() -> None:
    run = make_run(Making(scenarios=("json",), control=False))
    group = run.info.plan.blocks[0].stages[0].groups[0]
    windows = replace(run.info.plan.windows, slice_s=0.1)
    one = CpuPlan(servers=(0,), load=(1,), note=None)
    assert said(one, group, 0.0, windows)
    assert not said(CpuPlan(servers=(0, 1), load=(2,), note=None), group, 0.0, windows), "a server may slow itself down"
    assert not said(CpuPlan(servers=(0,), load=(0,), note="they share it"), group, 0.0, windows)
    assert not said(CpuPlan(servers=(), load=(), note="no pinning"), group, 0.0, windows)
    assert not said(one, group, 0.05, windows), "servers that wait"
    assert not said(one, group, 0.0, replace(windows, slice_s=None))
    opened = replace(group, load=Load(kind="open", connections=8, rate_per_s=100.0))
    assert not said(one, opened, 0.0, windows)
