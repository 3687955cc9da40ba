"""Where a running server really is: CPUs, priority, scheduler and control group of each of its threads.

A server is confined when it starts and inherits the rest from us; nothing keeps it from setting its own place anew.
What is read here after the load is compared with what it was given. Linux tells all of it; other systems tell less.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sgibench.model import Place

SCHEDULERS = {0: "other", 1: "fifo", 2: "rr", 3: "batch", 5: "idle", 6: "deadline"}
"""Linux, sched(7)."""


def read(pids: Iterable[int]) -> Place | None:
    """Look at every thread of these processes; None where the system doesn't tell, or none of them lives."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cpus: set[int] = set()
    nices: set[int] = set()
    schedulers: set[str] = set()
    groups: set[str] = set()
    for thread, folder in _threads(pids):
        with contextlib.suppress(OSError):
            cpus |= os.sched_getaffinity(thread)
            nices.add(os.getpriority(os.PRIO_PROCESS, thread))
            number = os.sched_getscheduler(thread) & ~getattr(os, "SCHED_RESET_ON_FORK", 0)
            schedulers.add(SCHEDULERS.get(number, str(number)))
            groups.add((folder / "cgroup").read_text(encoding="utf-8", errors="replace").strip())
    if not cpus:
        return None
    return Place(
        cpus=tuple(sorted(cpus)),
        nices=tuple(sorted(nices)),
        schedulers=tuple(sorted(schedulers)),
        groups=tuple(sorted(groups)),
    )


def _threads(pids: Iterable[int]) -> Iterator[tuple[int, Path]]:
    for pid in pids:
        with contextlib.suppress(OSError):
            yield from ((int(folder.name), folder) for folder in sorted(Path(f"/proc/{pid}/task").iterdir()))


def outside(found: Place | None, given_cpus: Sequence[int], ours: Place | None) -> tuple[str, ...]:
    """Say, one phrase each, in which ways a server is not where it was put.

    `given_cpus` is empty where nothing was pinned; `ours` is our own place, which a server inherits but for its CPUs.
    Fewer CPUs than were given are its own loss, and no phrase.
    """
    if found is None:
        return ()
    told = []
    if given_cpus and not set(found.cpus) <= set(given_cpus):
        told.append(f"it may run on CPUs {_ranges(found.cpus)}, and was given {_ranges(given_cpus)}")
    if ours is not None:
        told += _others("nice", found.nices, ours.nices)
        told += _others("scheduler", found.schedulers, ours.schedulers)
        told += ["it is in another control group"] if not set(found.groups) <= set(ours.groups) else []
    return tuple(told)


def _others(what: str, found: Sequence[object], ours: Sequence[object]) -> list[str]:
    others = [str(one) for one in found if one not in ours]
    given = " and ".join(str(one) for one in ours)
    return [f"{what} {' and '.join(others)}, and was given {given}"] if others else []


def _ranges(cpus: Sequence[int]) -> str:
    """Write CPUs as systems do: 0-3,8."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
