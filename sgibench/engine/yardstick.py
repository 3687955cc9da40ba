"""How fast the servers' CPU is while slices are counted, by a yardstick that lies beside them.

Who rents a virtual CPU has one thread of a core, and whoever has the other one takes a third of its speed, for some ten
milliseconds or for seconds: no counter of the guest says so. Servers are visited in turn, so it falls on one in more of
its slices than on another by chance, and is a good part of why CPU per request and requests/s scatter on rented
machines. A fixed piece of work tells when it was (`yard`), and `stats.pace` what each server would have needed at the
pace that all of them had together.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import exp, log
from pathlib import Path
from statistics import fmean
from typing import IO

from sgibench.engine import yard
from sgibench.engine.orders import Measured
from sgibench.machine import LINUX, CpuPlan
from sgibench.model import Group, Scenario, Windows

END_S = 5.0
"""Ample for a process that was killed."""


class Yardstick:
    """A yardstick that lies on a CPU while a group is loaded; or none."""

    def __init__(self, process: subprocess.Popen[bytes] | None = None, file: IO[bytes] | None = None) -> None:
        """`file` takes what it writes."""
        self._process = process
        self._file = file

    @property
    def pids(self) -> tuple[int, ...]:
        """Its process, which is no stranger."""
        return () if self._process is None else (self._process.pid,)

    def told(self, measured: Mapping[str, Measured]) -> dict[str, Measured]:
        """Add to each slice how long its work took meanwhile."""
        if self._file is None:
            return dict(measured)
        seen = _records(self._file)
        return {name: _with_pace(one, seen) for name, one in measured.items()}


def _records(file: IO[bytes]) -> list[tuple[int, int]]:
    """(When it ended, how long it took), in nanoseconds; what is being written just now is none."""
    size, each = os.fstat(file.fileno()).st_size, yard.RECORD.size
    return [*yard.RECORD.iter_unpack(os.pread(file.fileno(), size - size % each, 0))]


def _with_pace(measured: Measured, seen: Sequence[tuple[int, int]]) -> Measured:
    if len(measured.slices) != len(measured.edges_ns):
        return measured
    slices = zip(measured.slices, measured.edges_ns, strict=True)
    return replace(measured, slices=tuple(replace(one, yard_us=_took_us(seen, *edges)) for one, edges in slices))


def _took_us(seen: Sequence[tuple[int, int]], from_ns: int, edge_ns: int) -> float | None:
    """Give the geometric mean of what it took between two moments, one period more on each side; None if unknown."""
    around_ns = round(yard.PERIOD_S * 1e9)
    first, last = (bisect_left(seen, (at_ns,)) for at_ns in (from_ns - around_ns, edge_ns + around_ns))
    took = [log(took_ns) for _, took_ns in seen[first:last] if took_ns > 0]
    return exp(fmean(took)) / 1e3 if took else None


def watched_cpu(cpus: CpuPlan, group: Group, scenario: Scenario, windows: Windows) -> int | None:
    """Name the CPU on which a yardstick says something: the servers' only one, where they are busy all the time.

    Two CPUs may be threads of one core, whatever a virtual machine says of them, and then a server slows itself down.
    """
    busy = group.load.kind == "closed" and windows.slice_s is not None and not scenario.floor_s
    told = LINUX and cpus.note is None and busy and not scenario.jobs and not scenario.watched.any
    return cpus.servers[0] if told and len(cpus.servers) == 1 else None


@contextmanager
def yardstick(cpu: int | None) -> Iterator[Yardstick]:
    """Lay one on a CPU, if one is named; where that can't be done, the load is measured without."""
    if cpu is None:
        yield Yardstick()
        return
    command = [sys.executable, "-I", "-S", str(Path(yard.__file__)), str(cpu), str(os.getpid())]
    with tempfile.TemporaryFile() as file:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL, process_group=0
            )
        except OSError:
            yield Yardstick()
            return
        try:
            yield Yardstick(process, file)
        finally:
            process.kill()
            process.wait(END_S)
