"""What a free connection does next: closed or open loop, declared requests or what a task asks for.

A pace decides and calls `Target.begin`; it never touches a socket. `closed` has what asks as soon as it is answered,
`opened` what asks when it is due, `tasks` what tasks in greenlets of their own decide, for both.
"""

from __future__ import annotations

from sgibench.load.paces.closed import ClosedPace, IdlePace, OpeningPace
from sgibench.load.paces.opened import AWAKE_NS, SPIN_NS, OpenPace
from sgibench.load.paces.tasks import OpenTaskPace, TaskPace, ask_and_wait

__all__ = [
    "AWAKE_NS",
    "SPIN_NS",
    "ClosedPace",
    "IdlePace",
    "OpenPace",
    "OpenTaskPace",
    "OpeningPace",
    "TaskPace",
    "ask_and_wait",
]
