"""A target on a schedule of arrivals: which schedule its kind of load has, and which pace keeps it."""

from __future__ import annotations

from sgibench.load.broadcast import BroadcastPace, Fanned, OpenBroadcastPace
from sgibench.load.paces import AWAKE_NS, SPIN_NS, OpenPace, OpenTaskPace
from sgibench.load.pacing import Schedule
from sgibench.load.target import Target
from sgibench.model import Arrivals


def schedule_for(
    target: Target, rate_per_s: float, arrivals: Arrivals, seed: int, start_ns: int, *, phase: float
) -> Schedule:
    """Make a schedule for a rate of what is counted; a broadcast's has a moment for each message, heard by many."""
    if not isinstance(target.pace, BroadcastPace):
        return Schedule(rate_per_s, arrivals, seed, start_ns, phase=phase)
    fan = max(1, len(target.connections))
    return Fanned(rate_per_s, arrivals, seed, start_ns, fan=fan, phase=phase)


def open_loop(target: Target, schedule: Schedule, *, awake: bool = False) -> OpenPace:
    """Put a target on a schedule of arrivals; with a CPU for itself a process may wait `awake`."""
    if isinstance(target.pace, BroadcastPace):
        target.pace = voices = OpenBroadcastPace(target.pace.choir, schedule, AWAKE_NS if awake else SPIN_NS)
        return voices
    pace_of = OpenPace if target.program.requests else OpenTaskPace
    target.pace = pace = pace_of(target, schedule, AWAKE_NS if awake else SPIN_NS)
    return pace
