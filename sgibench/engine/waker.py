"""What keeps a CPU from sleeping: work for nobody, which gives way to any other at once. Run by itself, see `waking`.

    python -I -S waker.py CPU PARENT

It ends with its parent.
"""

from __future__ import annotations

import os
import sys

TURNS = 10_000
"""Between two looks whether the parent is there: some milliseconds."""


def main(cpu: int, parent: int) -> None:
    """Go on until the parent is gone."""
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    give_way = os.sched_yield
    while os.getppid() == parent:
        for _ in range(TURNS):
            give_way()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
