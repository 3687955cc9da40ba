"""The books about one target: sums over all its visits, and what one process has to say of it in the end.

A piece is the counted part of one visit. Requests and CPU of a piece have the same edges; what is drained after the
second edge brings its answers in, but no more time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sgibench.histogram import Histogram
from sgibench.inside import Stretch, cache_use, within
from sgibench.load.outcome import pack
from sgibench.load.request import spoken
from sgibench.load.sizes import Sizes
from sgibench.load.target import Target


@dataclass(kw_only=True)
class Books:
    """What was counted so far."""

    window_s: float = 0.0
    longer_s: float = 0.0
    """Of it, by how much turns went on until their server had caught up."""
    pieces: list[dict[str, Any]] = field(default_factory=list)
    series: list[int] = field(default_factory=list)
    """Right answers in each second of an unbroken window."""
    server_cpu_ns: int | None = 0
    front_cpu_ns: int | None = 0
    """Of it, what the front used; None without one."""
    samples: list[dict[str, Any]] = field(default_factory=list)
    """Right answers and failures in each tenth of a second of an unbroken window, where they are asked for."""
    slow: int | None = None
    """Slow clients that had a connection when the window ended."""
    edges_ns: list[tuple[int, int]] = field(default_factory=list)
    """Where the counted part of each visit began and ended, by the host's monotonic clock."""
    service_cpu_ns: dict[str, int | None] = field(default_factory=dict)
    """CPU of each service that it uses."""
    inside: dict[str, int] = field(default_factory=dict)
    """Process of the app -> the most requests that were inside it at once."""
    asking: dict[str, int] = field(default_factory=dict)
    """The same of those that asked a database or waited for a connection to it."""
    ticks: Counter[str] = field(default_factory=Counter)
    """What else the app counted."""
    own_cpu_ns: int = 0
    awake_ns: int = 0
    in_time: int = 0
    due: int = 0
    queue_start: int = 0
    queue_end: int = 0
    queue_max: int = 0
    waiting_start: int = 0
    """Requests due and not answered, sent or not, at the first edges of pieces."""
    waiting_end: int = 0
    """The same at their second edges."""
    least_early: int | None = None
    """Of an open loop's only piece: the fewest that waited at any look in its first third."""
    least_late: int | None = None
    """The same in its last third."""
    growths: list[int] = field(default_factory=list)
    """Of each piece of an open loop: what waited at its second edge and not at its first."""
    think_ns: int = 0
    sessions: int = 0
    excess_s: float = 0.0
    """By how much connections were busy for longer than was counted, all connections together."""
    largest_excess_s: float = 0.0
    """The same of the piece in which it was most."""
    second_excess_s: float = 0.0
    """And of the one after that."""
    vain_pieces: int = 0
    """Pieces in which a request waited in vain."""
    out_of_step: int = 0
    """Turns that began with a server that had not caught up within the time-out."""
    established: int | None = None
    overflow: dict[str, Any] | None = None
    """Of bursts: what came of them."""
    set_aside: Counter[str] = field(default_factory=Counter)
    """Turns that were made again, by whoever held a CPU in them."""
    disturbed: Counter[str] = field(default_factory=Counter)
    """Turns that count although somebody did."""
    lag: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)
    per_connection: Counter[int] = field(default_factory=Counter)

    def add_piece(self, number: int, window_s: float, requests: int, cpu_ns: int | None, excess_s: float) -> None:
        """Add a visit that was drained."""
        self.window_s += window_s
        self.server_cpu_ns = None if self.server_cpu_ns is None or cpu_ns is None else self.server_cpu_ns + cpu_ns
        self.excess_s += excess_s
        _, self.second_excess_s, self.largest_excess_s = sorted((excess_s, self.second_excess_s, self.largest_excess_s))
        cpu_s = None if cpu_ns is None else cpu_ns / 1e9
        self.pieces.append({"round": number, "window_s": window_s, "requests": requests, "cpu_s": cpu_s})

    def add_waiting(self, at_start: int, at_end: int) -> None:
        """Add how many waited at the edges of a piece of an open loop."""
        self.waiting_start += at_start
        self.waiting_end += at_end
        self.growths.append(at_end - at_start)

    def add_looks(self, from_ns: int, edge_ns: int, looks: Sequence[tuple[int, int]]) -> None:
        """Keep the fewest that waited in the first and in the last third; `looks` are moments and who waited."""
        third_ns = (edge_ns - from_ns) / 3
        early = [waiting for at_ns, waiting in looks if at_ns < from_ns + third_ns]
        late = [waiting for at_ns, waiting in looks if at_ns >= edge_ns - third_ns]
        if early and late:
            self.least_early, self.least_late = min(early), min(late)

    def add_front(self, cpu_ns: int | None) -> None:
        """Add what a front used in a visit."""
        self.front_cpu_ns = None if self.front_cpu_ns is None or cpu_ns is None else self.front_cpu_ns + cpu_ns

    def add_services(self, cpu_ns: Mapping[str, int | None]) -> None:
        """Add what the services used in a visit; what is unknown once stays unknown."""
        for name, used_ns in cpu_ns.items():
            before = self.service_cpu_ns.get(name, 0)
            self.service_cpu_ns[name] = None if before is None or used_ns is None else before + used_ns

    def add_pages(self, stretch: Stretch) -> None:
        """Add what the app counted of itself in a visit."""
        self.ticks.update(stretch.ticks)
        for kept, seen in ((self.inside, stretch.most), (self.asking, stretch.asking)):
            for process, most in seen.items():
                kept[process] = max(most, kept.get(process, 0))

    @property
    def two_largest_excess_s(self) -> float:
        """Of the two pieces in which it was most."""
        return self.largest_excess_s + self.second_excess_s

    def share(self, target: Target) -> dict[str, Any]:
        """Say what this process counted."""
        tally = target.tally
        connect = Histogram()
        connect.record(target.connect_ns)
        return {
            "window_s": self.window_s,
            "requests": tally.requests,
            "requests_uncounted": target.outside.requests,
            "errors": dict(tally.errors),
            "error_samples": {**target.outside.samples, **tally.samples},
            "errors_uncounted": dict(target.outside.errors),
            "uncounted": {phase: count for phase, count in target.uncounted.items() if count},
            "sent": tally.sent,
            "busy_ns": tally.busy_ns,
            "censored": tally.censored,
            "censored_from_ns": tally.censored_from_ns,
            "server_cpu_ns": self.server_cpu_ns,
            "front_cpu_ns": self.front_cpu_ns,
            "samples": self.samples,
            "slow": self.slow,
            "edges_ns": self.edges_ns,
            "service_cpu_ns": self.service_cpu_ns,
            "inside": sorted(self.inside.values(), reverse=True) or None,
            "asking": sorted(self.asking.values(), reverse=True) or None,
            "cache": None if (use := cache_use(self.ticks)) is None else asdict(use),
            "within": None if (taken := within(self.ticks)) is None else asdict(taken),
            "answers": answers_of(target.answers),
            "own_cpu_ns": self.own_cpu_ns,
            "awake_ns": self.awake_ns,
            "sum_ns": tally.sum_ns,
            "max_ns": tally.max_ns,
            "histogram": pack(tally.service),
            "by_request": {kind: pack(histogram) for kind, histogram in tally.by_request.items()},
            "intended": pack(tally.from_due),
            "first_chunk": pack(target.streams.first),
            "gaps": pack(target.streams.gaps),
            "connect": pack(connect),
            "lag": pack(self.lag),
            "lateness": pack(self.lateness),
            "slices": self.pieces,
            "series": self.series,
            "established": self.established,
            "per_connection": [self.per_connection[conn.index] for conn in target.connections],
            "answer_sizes": sizes_of(target.answer_sizes),
            "in_time": self.in_time,
            "due": self.due,
            "queue_start": self.queue_start,
            "queue_end": self.queue_end,
            "queue_max": self.queue_max,
            "waiting_start": self.waiting_start,
            "waiting_end": self.waiting_end,
            "growths": self.growths,
            "least_early": self.least_early if len(self.pieces) == 1 else None,
            "least_late": self.least_late if len(self.pieces) == 1 else None,
            "think_ns": self.think_ns,
            "sessions": self.sessions,
            "set_aside": dict(self.set_aside),
            "disturbed": dict(self.disturbed),
            "reopened": target.reopened,
            "handshakes": target.handshakes_counted(),
            "overflow": self.overflow,
        }


def answers_of(counted: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Right answers by what their request is called; two kinds that are called alike are one."""
    found: Counter[str] = Counter()
    for (method, name), count in counted.items():
        found[spoken(method, name)] += count
    return dict(found)


def sizes_of(seen: Mapping[tuple[str, str], Sizes]) -> dict[str, list[int]]:
    """Sizes of the answers that were read, by what their request is called, as `mean_bytes` takes them."""
    found: dict[str, Sizes] = {}
    for (method, name), sizes in seen.items():
        found.setdefault(spoken(method, name), Sizes()).merge(sizes)
    return {called: sizes.packed() for called, sizes in found.items()}
