"""What the audit looks at: one row of figures, whoever measured it; and what it answers: doubts.

`Figures` is the common form of our trials and of other tools' results, so that one rule serves both. Everything may be
missing; a rule speaks only when all it needs is there. Milliseconds, seconds and shares, as the names say.
"""

from __future__ import annotations

from dataclasses import dataclass

from sgibench.model import Doubt, LoadKind
from sgibench.units import seconds

ADVICE = {
    "GeneratorBound": "Give the load more CPU or lower the rate: this measured the generator, not the server.",
    "CeilingUnknown": "Take no rate for the server's limit: it may be the generator's. Mend the cause, measure anew.",
    "GeneratorLag": "Do not quote that percentile: the load came later than it was due; use a quieter machine.",
    "RateNotKept": "Rank no latency: the server fell behind, so it depends on how long one watched; lower the rate.",
    "ClientPorts": "Keep connections alive or use several client addresses: the client ran out, not the server.",
    "LittleMismatch": "Do not quote the row: connections stood still or the latency describes only some requests.",
    "LoadUneven": "Rank no throughput by it: the load was not what it should be; measure longer, on a quieter machine.",
    "Impossible": "Throw the row away: no run can give these figures, whatever was measured.",
    "Plateau": "Look for Nagle with delayed ACK (TCP_NODELAY) or for retransmits: the server was waiting, not working.",
    "Starvation": "Quote no mean or percentile alone: a part of the connections got hardly any service.",
    "ServerIdle": "Look for what held it back (too few connections, a lock, a wait): this is no saturation.",
    "ErrorsSeen": "Read the errors first: a server that fails has no speed to compare.",
    "WrongCount": "Do not quote the row: its figures contradict each other, so at least one column is wrong.",
    "OutsideCpus": "Do not compare the row: the server ran outside what all were given; let it not place itself.",
    "Growing": "Look for a leak before trusting it for long: memory still grew when the window ended.",
    "BusyIdle": "Measure this server alone: while idle it takes CPU from the others.",
    "Stolen": "Measure again: the hypervisor gave the server's CPUs to somebody else.",
    "Throttled": "Raise the container's CPU quota: it held processes back.",
    "Pressed": "Measure again on a quieter machine: something else wanted the same CPUs.",
    "Unsteady": "Warm up longer or measure a longer window: it was not in a steady state.",
    "Mixture": "Quote the rows that it adds up, not their sum: it counts unlike things, some perhaps twice.",
    "Noisy": "Measure more blocks on a quieter machine before drawing conclusions.",
    "TooFew": "Measure longer or more blocks: too little stands behind this figure.",
    "NoiseFloor": "Quote no small difference of this run: a server did not come out equal to its own copy.",
    "Failed": "There is no figure: read the end of its log, mend it, and measure again.",
    "Thinned": "Read first why blocks are missing: the figures are those of the blocks in which it worked.",
    "Missing": "Go on with the run (--resume): what was planned here was not measured.",
    "NoDiscrimination": "Don't rank this table: the generator, the network or the scenario's ceiling was measured.",
}
"""Every kind of doubt, with what to do about it."""

REFUTING = frozenset({"Impossible", "LittleMismatch", "OutsideCpus", "WrongCount"})
"""Doubts that refute a row: by arithmetic alone, its figures can't all be true of the measurement that it claims. The
other doubts say that the figures may be right, but are noisy, or are not about the server."""

FAILING = frozenset({"Failed", "Missing", "Thinned"})
"""Doubts that say that what was planned has no figure, or not in all blocks: a check that passes over them is none."""

MACHINE_KINDS = frozenset({"GeneratorBound", "GeneratorLag", "Stolen", "Throttled", "Pressed"})
"""Doubts about the generator or the machine: such a trial is worth measuring again in the same block."""

CLIENT_LIMITS = (
    "cannot assign requested address",
    "can't assign requested address",
    "address not available",
    "eaddrnotavail",
    "only one usage of each socket address",
    "too many open files",
    "emfile",
    "enfile",
    "no buffer space",
)
"""How the client's own limits read among its errors."""


@dataclass(frozen=True, kw_only=True)
class Twice:
    """A figure that a row has in two ways: as it is told, and as its own parts have it."""

    told: str
    """In words, with what it is a figure of."""
    parts: str
    agree: bool


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A bump of a latency distribution that sits where the network's timers sit."""

    centre_ms: float
    share: float
    """Of all answers."""


@dataclass(frozen=True, kw_only=True)
class Late:
    """One quantile of an open loop's latency that is shown."""

    name: str
    """E.g. `p99`."""
    due_ms: float
    """From the moment a request was due."""
    service_ms: float
    """From the moment it was sent."""
    own_ms: float | None = None
    """The same quantile of what passed before sending although a connection was free, where the tool noted that."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a server's memory was at one moment."""

    at_s: float
    held_bytes: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One row: a trial of ours, or what another tool printed. None = not said."""

    id: str
    label: str = ""
    """Whose row it is; unlike labels in a group are unlike servers."""
    group: str | None = None
    """Rows of one group are compared with one another."""
    load: LoadKind = "closed"
    connections: float | None = None
    """Requests under way at once, all the time (closed); only when the tool kept them busy without a pause."""
    thinks: bool = False
    """Users pause between requests: fewer than `connections` may be under way, but never more."""
    mean_raised: bool = False
    """The tool raised its mean afterwards (wrk's correction), or its connections may have several requests under way:
    more than `connections` refute nothing, fewer do."""
    idle: float | None = None
    """Users between an answer and their next request, on average, where the tool knows."""
    in_flight: float | None = None
    """Requests under way on average, those that failed included, where the tool knows."""
    new_connections: bool = False
    """Each request opens a connection of its own."""
    at_once: float | None = None
    """How many requests the server can serve at once; None for no known limit."""
    inside: float | None = None
    """Most requests at once that one process of the app counted inside itself."""
    in_flight_most: float | None = None
    """So many could be asked of it at once, and none was given up while the server was still at work on it."""
    floor_ms: float | None = None
    """No right answer can take less."""
    waits_ms: tuple[float, ...] = ()
    """What requests of a user's app took without a server, of those that mostly wait: no bound, but a reason."""
    duration_s: float | None = None
    run_s: float | None = None
    """From the first request to the last answer, where the tool tells: nothing in the run took longer."""
    requests_ok: float | None = None
    due: float | None = None
    """Open loops: requests that were due in the window."""
    waiting_start: float | None = None
    """Open loops: requests that were due and not answered when the window began; of all its visits together."""
    waiting_end: float | None = None
    """The same when it ended."""
    grown_most: float | None = None
    """Open loops of several visits: the most by which it grew in one."""
    least_early: float | None = None
    """Open loops: the fewest of these at any moment of the window's first third."""
    least_late: float | None = None
    """The same of its last third."""
    pieces: int = 1
    """Visits that the window is made of."""
    queued: bool = False
    """Open loops: some request had to wait because no connection was free."""
    cut_off: float | None = None
    """Requests still under way when the time was up, when the tool counts them."""
    lived: float | None = None
    """Share of the run that its connections lived, on average, where the tool tells; None where all of it."""
    timed: float | None = None
    """Answers behind the latency figures, where they are not right answers and errors together."""
    errors: float | None = None
    answered_wrong: float | None = None
    """Those of them that were answers, of a wrong status; None where the tool does not tell them from the others."""
    in_both: bool = False
    """Some of the errors may be right answers and are counted as such, too."""
    error_text: str = ""
    outside_text: str = ""
    """What went wrong before or between the windows, where nothing counts; empty when nothing did."""
    rps: float | None = None
    """Requests per second as published."""
    mean_ms: float | None = None
    connect_ms: float | None = None
    """Time to open a connection, where every request opens one and its latency does not hold that time."""
    opening_ms: float | None = None
    """Time that requests spent on opening connections, as a mean over all requests, outside of their latency."""
    edge_ms: float | None = None
    """What one connection may lose at the edges of the window; None for one mean latency."""
    reconnects: float | None = None
    """Connections opened anew during the run; the time that takes is in no latency."""
    untold_open_ms: float | None = None
    """Time, at most, to open a connection, where the tool does not tell whether each request did."""
    unseen_s: float | None = None
    """Seconds of connections, at most, that went into answers which the tool left out of its latencies."""
    p50_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    quantiles_ms: tuple[tuple[float, float], ...] = ()
    """All percentiles that were printed: quantile from 0 to 1 and milliseconds, ascending by quantile."""
    right_quantiles_ms: tuple[tuple[float, float], ...] = ()
    """The same for right answers alone, where the others are over all requests."""
    users: float | None = None
    """The most users that a tool had."""
    users_at_work: float | None = None
    """Users that its iterations kept busy on average; they can't be more than there were."""
    users_at_work_how: str = ""
    """The figures that make `users_at_work`."""
    dropped: float | None = None
    """Iterations that were due and never begun."""
    iterations_due: float | None = None
    """The iterations that were due, begun or not."""
    unlike_kinds: str = ""
    """What a sum adds to requests that is none; empty when it adds like things."""
    printed_ms: tuple[tuple[float, float], ...] = ()
    """Latencies as they were printed, in their order, where some are too coarse for the fields above: quantile (0 = the
    minimum, 1 = the maximum) and milliseconds. Only whether they contradict one another is asked of them."""
    printed_mean_ms: float | None = None
    """The same of the mean."""
    bucketed: bool = False
    """The percentiles were read from a histogram that is there: those that fall into one bucket are the same figure."""
    resolution: float = 0.005
    """How much a latency figure may be off by the tool's rounding, as a share of it ..."""
    resolution_ms: float = 0.0
    """... and beyond that, the step of tools that cut or round to so many milliseconds."""
    server_cpu_share: float | None = None
    """CPU that the server used, 1 = all that was meant for it."""
    cpus_given: float | None = None
    """CPUs that the server was confined to."""
    cpus_used: float | None = None
    """CPU seconds of its whole tree per second of the window."""
    outside: tuple[str, ...] = ()
    """In which ways it ran outside of what it was given (CPUs, priority, scheduler, group), one phrase each."""
    memory: tuple[Look, ...] = ()
    """Its memory during the window."""
    round_rps: tuple[float, ...] = ()
    """Requests per second of each repeat; 0 = that repeat failed."""
    generator_utilisation: float | None = None
    """1 = one full CPU of each load process."""
    ceiling_share: float | None = None
    """The rate over what the generator can do at most in this scenario."""
    no_ceiling: str = ""
    """Why nobody knows what that is; empty where it is known, or was never asked."""
    lag_ms_p99: float | None = None
    """How late requests were sent after they were due although a connection was free."""
    late: tuple[Late, ...] = ()
    """Open loops: the quantiles that are shown."""
    jain: float | None = None
    slowest_share: float | None = None
    """Requests of the slowest connection over the median's."""
    idle_cpu: float | None = None
    """CPUs burned while nothing was asked."""
    steal: float | None = None
    throttled_s: float | None = None
    pressure: float | None = None
    """Share of time in which some task waited for a CPU."""
    foreign_cpu: float | None = None
    """Share of the server CPUs' time that went to processes which are no servers of the table."""
    disturbed: tuple[tuple[str, int], ...] = ()
    """Open loops in turns: who held a CPU in turns that count, and in how many of `pieces`."""
    modes: tuple[Mode, ...] = ()
    """Timer-like bumps found in a histogram."""
    twice: tuple[Twice, ...] = ()
    """What can be worked out again from what is stored beside it."""
    window_parts: tuple[float, ...] = ()
    """Requests per second in consecutive parts of the window."""

    @property
    def used_of_left(self) -> float | None:
        """CPU that the server used, 1 = all that others left of what was meant for it."""
        left = 1 - (self.foreign_cpu or 0.0) - (self.steal or 0.0)
        return None if self.server_cpu_share is None else self.server_cpu_share / max(left, 1e-9)

    @property
    def samples(self) -> float | None:
        """Answers behind the latency figures, right or wrong."""
        if self.timed is not None:
            return self.timed
        if self.requests_ok is not None:
            return self.requests_ok + (self.errors or 0.0)
        return None if self.rps is None or self.duration_s is None else self.rps * self.duration_s

    @property
    def comparable(self) -> bool:
        """Whether a rule can ask anything of it: some figures by themselves, others only beside one another."""
        latencies = {*self.quantiles_ms, *self.printed_ms} | {
            (name, value)
            for name in ("mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms", "printed_mean_ms")
            if (value := getattr(self, name)) is not None
        }
        return (
            self.errors is not None
            or bool(self.twice)
            or len(latencies) >= 2  # noqa: PLR2004 - one beside the other
            or (self.floor_ms is not None and bool(latencies))
            or (self.rps is not None and bool(self.round_rps or (self.requests_ok is not None and self.duration_s)))
            or (self.rps is not None and self.connections is not None and bool(latencies or self.floor_ms))
            or (self.rps is not None and self.at_once is not None and self.floor_ms is not None)
            or (self.samples is not None and bool(latencies))
            or (self.server_cpu_share is not None and bool(latencies))
        )


@dataclass(frozen=True, kw_only=True)
class Audited:
    """A row and the doubts about it, those of its group included."""

    id: str
    doubts: tuple[Doubt, ...]
    asked: bool = True
    """Whether any two of its figures could be held against one another."""

    @property
    def refuted(self) -> bool:
        """Whether arithmetic alone says that the row can't be true."""
        return any(doubt.kind in REFUTING for doubt in self.doubts)

    @property
    def failed(self) -> bool:
        """Whether what was planned has no figure, or lacks some of its blocks."""
        return any(doubt.kind in FAILING for doubt in self.doubts)


def ms(value: float) -> str:
    """Write milliseconds for people."""
    return seconds(value / 1e3)


def doubt(kind: str, detail: str) -> Doubt:
    """Make a doubt with its kind's advice."""
    return Doubt(kind=kind, detail=detail, advice=ADVICE[kind])
