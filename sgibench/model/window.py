"""What a trial's window held: its visits, which requests it owned, and how long they took.

Histograms are kept whole, so that every figure about latency can be made again from what is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sgibench.model.terms import Visits

BUCKETS = 38912
"""Buckets of a histogram (`sgibench.histogram` says what each holds)."""
HYPERVISOR = "the hypervisor"
"""What holds a CPU of a virtual machine that is stolen from it."""
MOST_COUNTED = 10**12
"""Requests in one histogram: a million a second for eleven days. Histograms that are merged still fit 64 bits."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Microseconds; None where too few samples stand behind the figure."""

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    p999: float | None
    max: float | None


@dataclass(frozen=True, kw_only=True)
class HistogramData:
    """A latency histogram as it is stored; `sgibench.histogram` turns it into one and back.

    `gaps[i]` is the distance of the i-th used bucket from the one before (the first: from bucket 0).
    """

    gaps: tuple[int, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raise ValueError for what counts nothing: a file may say what it likes."""
        if len(self.gaps) != len(self.counts):
            raise ValueError(f"expected as many gaps as counts, got {len(self.gaps)} and {len(self.counts)}")
        if self.gaps and (min(self.gaps) < 0 or sum(self.gaps) >= BUCKETS):
            raise ValueError(f"expected gaps of at least 0 and buckets below {BUCKETS}")
        if self.counts and (min(self.counts) < 0 or sum(self.counts) > MOST_COUNTED):
            raise ValueError(f"expected counts of at least 0, {MOST_COUNTED:g} in all")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One visit of a trial: `requests` right answers in `window_s`, `cpu_s` of the server's tree meanwhile."""

    round: int
    window_s: float
    requests: int
    cpu_s: float | None
    yard_us: float | None = None
    """How long a fixed piece of work took on the server's CPU meanwhile, geometric mean; longer where the core was
    slower. None where nobody looked."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """What a trial's window owned, and how it was made.

    A window owns the requests that were due in it (open loops) or sent in it (all else), and no others. Those in flight
    at its edge are drained and counted in it; each that got no answer is an error of it, of the kind `timeout`,
    `unanswered` (sent, and the drain was over) or `unsent` (due, and the drain was over).
    """

    visits: Visits
    """sliced: in turn with the group's other servers, in slices; turns: the same for open loops; together: in one, all
    servers of the group at the same time; unbroken: in one, one server after the other."""
    why: str = ""
    """Why so, in one sentence."""
    pieces: int = 1
    """Visits that it is made of."""
    timeout_s: float | None = None
    """The time-out that fitted window and scenario; also the longest drain of an open loop's queue."""
    due: int | None = None
    """Open: requests that were due in the window."""
    sent: int | None = None
    """Requests of the window that were sent: right answers, wrong ones and none."""
    in_time: int | None = None
    """Right answers of the window that came before its edge; the others came while it was drained."""
    censored: int = 0
    """Values in the histograms that are lower bounds: requests that were still waiting when they were given up."""
    censored_from_us: float | None = None
    """The smallest of them. A percentile below it is exact; above it only a bound is known, and none is given."""
    queue_start: int | None = None
    """Open: requests due and not sent, for want of a free connection, when the window began (all visits together)."""
    queue_end: int | None = None
    """The same at its edge: a queue that has grown says that the rate was not kept."""
    queue_max: int | None = None
    """The longest that it was."""
    waiting_start: int | None = None
    """Open: requests due and not answered, sent or not, when the window began (all visits together)."""
    waiting_end: int | None = None
    """The same at its edge. With a connection for each, a server that falls behind has no queue, but more of these."""
    grown_most: int | None = None
    """Open, in several visits: the most by which more waited at the end of one than at its beginning."""
    least_early: int | None = None
    """Open, in one visit: the fewest requests due and not answered that were seen at any moment of its first third."""
    least_late: int | None = None
    """The same of its last third. What waits by chance is gone now and then; a queue that grows never is."""
    in_flight: float | None = None
    """Mean number of requests of the window in flight, those that failed included: their times over the window."""
    thinking: float | None = None
    """Tasks: mean number of users between an answer and their next request: think time, pacing, work of their own."""
    thinks: bool = False
    """Whether users wait between tasks (`wait_time`), so that they are not all meant to have a request in flight."""
    sessions: int | None = None
    """Whole sessions that ended well in the window: @task methods, passes of a SequentialTaskSet, and of declared
    requests that depend on one another."""
    set_aside: Mapping[str, int] = field(default_factory=dict)
    """Turns that were made again, by who held a CPU in them and serves nobody; what they asked is in `uncounted`."""
    disturbed: Mapping[str, int] = field(default_factory=dict)
    """Turns in which somebody did, and which count all the same: something failed in them, or was later than that
    explains, or most turns are so."""
    uncounted: Mapping[str, int] = field(default_factory=dict)
    """Requests that are in no window, by the reason: warm-up, settling, …; with `sent`, all that the server got."""
    errors_outside: Mapping[str, int] = field(default_factory=dict)
    """What went wrong outside windows, by kind; those of requests are in `uncounted`, too."""
    lateness_histogram_us: HistogramData | None = None
    """Open: for each request, what passed between due and sent although a connection was free: the generator's."""
