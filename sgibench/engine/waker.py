"""What keeps a CPU from sleeping: work for nobody, which gives way to any other at once. Run by itself, see `waking`.

    python -I -S waker.py CPU PARENT

It ends with its parent, and rests while that is stopped.
"""

from __future__ import annotations

import os
import sys
import time

TURNS = 10_000
"""Between two looks whether the parent is there: some milliseconds."""
LOOK_S = 0.5
"""Between two looks whether it is stopped (Ctrl-Z): nobody would end what was meant to last for a load."""
STOPPED = (b"T", b"t")
"""States of a process that a signal, or a debugger, has stopped (proc_pid_stat(5))."""


def main(cpu: int, parent: int) -> None:
    """Go on until the parent is gone."""
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    give_way = os.sched_yield
    next_look_s = 0.0
    while os.getppid() == parent:
        for _ in range(TURNS):
            give_way()
        if time.monotonic() >= next_look_s:
            while _is_stopped(parent):
                time.sleep(LOOK_S)
            next_look_s = time.monotonic() + LOOK_S


def _is_stopped(pid: int) -> bool:
    """Whether a process is stopped; one that is gone is not. `serve.guarded`, which has it too, is no import here."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - this runs without what pathlib imports
            line = file.read()
    except OSError:
        return False
    return line[line.rindex(b")") + 2 :].startswith(STOPPED)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
