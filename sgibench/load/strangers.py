"""Who takes time from the CPUs that a run measures on, and can't do it for a server.

The kernel keeps a clock of every process, in nanoseconds, and of the time that a hypervisor took, in ticks. So what was
taken between two moments is known, and a turn in which it was much can be made again for a cause that lies outside of
the server. For that it must really lie outside. Of most processes nobody can know: a database, a daemon that writes
logs, or a helper behind a socket works for a server without being of its tree, be it in one turn of a thousand. So only
those count that serve nobody: the hypervisor, threads of the kernel that go by a clock of their own, and init, as long
as it does no more while servers are asked than while they are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from time import monotonic_ns

from sgibench.load.cpu import TICK_NS, main_children
from sgibench.machine import LINUX, cpu_ns, read_bytes
from sgibench.model import HYPERVISOR

INIT, KTHREADD = 1, 2
"""Processes that Linux starts first; KTHREADD starts the kernel's threads. A container may have others there."""
CLOCKWORK = ("kdamond", "khugepaged", "ksmd")
"""Threads of the kernel that look through memory by a clock of their own. The others may work for a server: they write
its files and carry its packets."""
TIMES_AT_REST = 2.0
"""An init that uses more than so many times what it uses while nobody is asked may work for somebody who is, ..."""
SPARED_LOOKS = 4
"""... as far as this is beyond so many of its longest turns: one that comes twice a second comes by chance more often
in one second than in another."""
KNOWN_S = 1.0
"""Before it was seen for so long while nobody was asked, nothing is known of it."""


def comm(pid: int) -> str:
    """The name that a process gave itself, with what can't be printed replaced; empty when it is gone."""
    try:
        name = read_bytes(f"/proc/{pid}/comm").decode(errors="replace").rstrip("\n")
    except OSError:
        return ""
    return "".join(each if each.isprintable() else "?" for each in name) or "?"


def clockwork() -> dict[int, str]:
    """Threads of the kernel that work for nobody: pid -> name."""
    if not LINUX or comm(KTHREADD) != "kthreadd":
        return {}
    names = {pid: comm(pid) for pid in main_children(KTHREADD)}
    return {pid: name for pid, name in names.items() if name.startswith(CLOCKWORK)}


def ran_on(pid: int) -> int | None:
    """The CPU that a process's first thread ran on last (proc_pid_stat(5)); None when it is gone."""
    try:
        line = read_bytes(f"/proc/{pid}/stat")
        return int(line[line.rindex(b")") + 2 :].split(maxsplit=37)[36])
    except (OSError, ValueError, IndexError):
        return None


def stolen_ns(cpus: frozenset[int]) -> int:
    """Time for which these CPUs had work and the hypervisor gave them to others (proc_stat(5)), in whole ticks.

    0 where nothing can be read.
    """
    stolen = 0
    try:
        for line in read_bytes("/proc/stat").splitlines()[1:]:
            name, *fields = line.split(maxsplit=9)
            if not name.startswith(b"cpu"):
                break
            if int(name[3:]) in cpus:
                stolen += int(fields[7])
    except (OSError, ValueError, IndexError):
        return 0
    return stolen * TICK_NS


class Strangers:
    """Those who take CPU time for nobody, as one load process sees them from order to order."""

    def __init__(self, init: int = INIT) -> None:
        """`init`: the process that started all others."""
        self._init = init
        self._threads: dict[int, str] = {}
        self._cpus: frozenset[int] = frozenset()
        self._before: dict[int, int] = {}
        self._stolen_ns = 0
        self._asked = False
        self._at_ns, self._init_ns = monotonic_ns(), cpu_ns(init)
        self._spent_ns: Counter[bool] = Counter()
        """How long servers were asked so far (True), and how long they were not."""
        self._used_ns: Counter[bool] = Counter()
        """What init used meanwhile."""
        self._longest_ns = 0
        """The most that it used in one turn."""

    @property
    def seen(self) -> bool:
        """Whether the system says what they took."""
        return LINUX

    # --- orders ----------------------------------------------------------------------------------------------------

    def begin_order(self, cpus: Iterable[int]) -> None:
        """Servers are asked from here on; they and the load run on these CPUs."""
        self._cpus, self._threads = frozenset(cpus), clockwork()
        self._book()
        self._asked = True

    def end_order(self) -> None:
        """Nobody is asked any more."""
        self._book()
        self._asked = False

    def _book(self) -> None:
        """Note what init used since the last time."""
        now_ns, used_ns = monotonic_ns(), cpu_ns(self._init)
        self._spent_ns[self._asked] += now_ns - self._at_ns
        if used_ns is not None and self._init_ns is not None:
            self._used_ns[self._asked] += used_ns - self._init_ns
        self._at_ns, self._init_ns = now_ns, used_ns

    # --- turns -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """A turn is near."""
        self._stolen_ns = stolen_ns(self._cpus)

    def start(self) -> None:
        """Its counted part begins: read the clocks, in some microseconds."""
        clocks = {pid: cpu_ns(pid) for pid in (*self._threads, self._init)}
        self._before = {pid: clock for pid, clock in clocks.items() if clock is not None}

    def used(self) -> dict[str, int]:
        """It is over: nanoseconds that were taken from our CPUs in it, by who took them."""
        taken = Counter({HYPERVISOR: max(0, stolen_ns(self._cpus) - self._stolen_ns)})
        took = {pid: (cpu_ns(pid) or 0) - before for pid, before in self._before.items()}
        for pid, name in self._threads.items():
            if pid in took and ran_on(pid) in self._cpus:
                taken[name] += took[pid]
        self._book()
        init_ns = took.get(self._init, 0)
        self._longest_ns = max(self._longest_ns, init_ns)
        if ran_on(self._init) in self._cpus and self._init_serves_nobody:
            taken[comm(self._init)] += init_ns
        return {name: ns for name, ns in taken.items() if ns > 0}

    @property
    def _init_serves_nobody(self) -> bool:
        """Whether init uses no more while servers are asked than while they are not."""
        rest_ns = self._spent_ns[False]
        if rest_ns < KNOWN_S * 1e9:
            return False
        at_rest = self._used_ns[False] / rest_ns * self._spent_ns[True]
        return self._used_ns[True] <= TIMES_AT_REST * at_rest + SPARED_LOOKS * self._longest_ns
