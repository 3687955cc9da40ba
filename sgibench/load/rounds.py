"""Users who think: how long a round of theirs takes, and how they are gathered so that it can be begun evenly.

One who still sleeps when the gate opens begins when it wakes, at the same moment as all who fell asleep with it, and
what is measured then depends on whether that moment lies in the window. So all of them come to ask again behind a
closed gate first, and are let go one after the other, across a round's time.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

from sgibench.load.target import Target
from sgibench.load.ways import Pulse

LONGEST_ROUND_S = 30.0
"""Users are spread over a round as long as this, or as the window; a longer one can't be measured."""
PATIENCE = 1.1
"""Times the longest wait that users were told of: they come when the process gets round to them."""
LEAST_PATIENCE_S = 0.1


def thought_s(target: Target) -> float:
    """For how long users did something else than wait for answers, those who have not come back yet included."""
    return target.thinking_ns(monotonic_ns()) / 1e9


def round_s(target: Target, places: int, time_s: float, median_s: float) -> float:
    """Say how long a round took in the warm-up: a session, or the wait after it, whichever is known to be longer.

    `time_s` is the least for users who are not through with their first.
    """
    each_s = places * time_s / max(1, target.sessions, places)
    return max(median_s + target.thoughts.mean_s, each_s)


def gather(target: Target, pulse: Pulse, longest_s: float, over: Callable[[], bool]) -> float:
    """Wait until all users ask, or `over`; gives a round's time by what they thought meanwhile, in seconds."""
    users = target.connections
    limit_s = PATIENCE * min(pulse.think_s or longest_s, longest_s) + LEAST_PATIENCE_S
    target.wait_until(lambda: over() or all(user.waiter is not None for user in users), limit_s)
    thought_ns = [user.asked_since - user.idle_since for user in users if user.waiter is not None and user.idle_since]
    seen_s = sum(thought_ns) / len(thought_ns) / 1e9 if thought_ns else 0.0
    return max(pulse.round_s, pulse.median_s + seen_s)
