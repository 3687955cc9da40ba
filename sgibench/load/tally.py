"""What was counted: right answers with their latencies, errors by kind; filled by a target, read at a window's edges.

Latencies wait in plain lists, because appending is the cheapest thing Python can do, and are folded into histograms
in bulk. What happens outside a count is kept apart, so that every request the server saw can be accounted for. A
request that waited in vain is an error, and stands in the distributions with the time that it waited, a lower bound.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from sgibench.histogram import Histogram

FOLD_AT = 4096
"""Latencies kept in a list before they are folded, so that memory stays flat and no fold takes long."""
MAX_SAMPLE = 300
"""Longest example of an error that is kept, in characters."""


@dataclass(kw_only=True)
class Tally:
    """Sums over one or more windows."""

    requests: int = 0
    sum_ns: int = 0
    max_ns: int = 0
    histogram: Histogram = field(default_factory=Histogram)
    by_request: dict[str, Histogram] = field(default_factory=dict)
    """Service times of right answers by kind of request, `METHOD name`; empty where there is one kind."""
    intended: Histogram = field(default_factory=Histogram)
    errors: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    """Errors of requests that were sent; the others are of connections, and of what was never sent."""
    failed_ns: int = 0
    """For how long those were in flight."""
    vain: Histogram = field(default_factory=Histogram)
    """How long requests waited that were given up: lower bounds of their service times."""
    vain_intended: Histogram = field(default_factory=Histogram)
    """The same from the due time."""
    censored: int = 0
    """How many of those there are."""
    censored_from_ns: int | None = None
    """The smallest of them, from the due time where there is one."""

    @property
    def service(self) -> Histogram:
        """All service times, those of which only a lower bound is known included."""
        return Histogram.merged([self.histogram, self.vain])

    @property
    def from_due(self) -> Histogram:
        """All latencies from the due time, those of which only a lower bound is known included."""
        return Histogram.merged([self.intended, self.vain_intended])

    @property
    def sent(self) -> int:
        """Requests that were sent."""
        return self.requests + self.failures

    @property
    def busy_ns(self) -> int:
        """For how long connections had a request in flight."""
        return self.sum_ns + self.failed_ns

    def add(self, latencies_ns: list[int], kind: str = "") -> None:
        """Fold a list of service times in; `kind` names the requests where there are several kinds."""
        if not latencies_ns:
            return
        values = np.array(latencies_ns, dtype=np.int64)
        self.requests += values.size
        self.sum_ns += int(values.sum())
        self.max_ns = max(self.max_ns, int(values.max()))
        self.histogram.record(values)
        if kind:
            self.by_request.setdefault(kind, Histogram()).record(values)

    def fail(self, kind: str, detail: str) -> None:
        """Count an error, and keep the first example of its kind."""
        self.errors[kind] += 1
        if kind not in self.samples:
            self.samples[kind] = " ".join(detail.split())[:MAX_SAMPLE]

    def failed(self, kind: str, detail: str, waited_ns: int) -> None:
        """Count a request that was sent and failed after so long."""
        self.fail(kind, detail)
        self.failures += 1
        self.failed_ns += waited_ns

    def waited_in_vain(self, waited_ns: int, from_due_ns: int | None) -> None:
        """Keep in the distributions what waited for an answer that did not come."""
        self.vain.record([waited_ns])
        if from_due_ns is not None:
            self.vain_intended.record([from_due_ns])
        self._censor(waited_ns if from_due_ns is None else from_due_ns)

    def never_sent(self, from_due_ns: int) -> None:
        """Count a request that was due and never sent, for want of a connection."""
        self.fail("unsent", "due, but no connection was free until the drain was over")
        self.vain_intended.record([from_due_ns])
        self._censor(from_due_ns)

    def _censor(self, bound_ns: int) -> None:
        self.censored += 1
        self.censored_from_ns = least_known(self.censored_from_ns, bound_ns)

    def merge(self, other: Tally) -> None:
        """Add another's sums."""
        self.failures += other.failures
        self.failed_ns += other.failed_ns
        self.vain.merge(other.vain)
        self.vain_intended.merge(other.vain_intended)
        self.censored += other.censored
        self.censored_from_ns = least_known(self.censored_from_ns, other.censored_from_ns)
        self.requests += other.requests
        self.sum_ns += other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)
        self.histogram.merge(other.histogram)
        for kind, histogram in other.by_request.items():
            self.by_request.setdefault(kind, Histogram()).merge(histogram)
        self.intended.merge(other.intended)
        self.errors.update(other.errors)
        for kind, sample in other.samples.items():
            self.samples.setdefault(kind, sample)


@dataclass(kw_only=True)
class Thoughts:
    """How long users were told to wait between tasks."""

    count: int = 0
    sum_s: float = 0.0
    longest_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Note one wait."""
        self.count += 1
        self.sum_s += seconds
        self.longest_s = max(self.longest_s, seconds)

    @property
    def mean_s(self) -> float:
        """Mean wait; 0 when there was none."""
        return self.sum_s / self.count if self.count else 0.0


def least_known(*values: int | None) -> int | None:
    """Give the least of what is known."""
    return min((value for value in values if value is not None), default=None)


class Streams:
    """Of streamed answers: how long until the first chunk, and how far apart the chunks came."""

    def __init__(self) -> None:
        self.first = Histogram()
        self.gaps = Histogram()
        self._first_ns: list[int] = []
        self._gaps_ns: list[int] = []

    def add(self, since_ns: int, chunks_ns: list[int]) -> None:
        """Take the moments of one answer's chunks; the request was sent at `since_ns`."""
        self._first_ns.append(chunks_ns[0] - since_ns)
        self._gaps_ns += [after - before for before, after in pairwise(chunks_ns)]
        if len(self._gaps_ns) > FOLD_AT:
            self.fold()

    def add_gaps(self, chunks_ns: list[int], from_ns: int, open_until_ns: int | None = None) -> None:
        """Take the gaps that ended from a moment on, of an answer whose chunks came at these moments.

        One that goes on at `open_until_ns` is taken as a lower bound where it is longer than all but one in a hundred
        of those that ended: shorter ones tell nothing.
        """
        self._gaps_ns += [after - before for before, after in pairwise(chunks_ns) if after >= from_ns]
        if open_until_ns is not None and chunks_ns:
            self.fold()
            lasts_ns = open_until_ns - chunks_ns[-1]
            if lasts_ns / 1e3 > (self.gaps.percentile_us(0.99) or 0.0):
                self._gaps_ns.append(lasts_ns)

    def add_open(self, since_ns: int, chunks_ns: list[int], now_ns: int) -> None:
        """Take how long the first chunk took of an answer that is still open: whoever waits for its end forgets it.

        One whose first chunk has not come is taken as a lower bound, by the rule of gaps.
        """
        if chunks_ns:
            self._first_ns.append(chunks_ns[0] - since_ns)
            return
        self.fold()
        waits_ns = now_ns - since_ns
        if waits_ns / 1e3 > (self.first.percentile_us(0.99) or 0.0):
            self._first_ns.append(waits_ns)

    def merge(self, other: Streams) -> None:
        """Add what another noted."""
        other.fold()
        self.first.merge(other.first)
        self.gaps.merge(other.gaps)

    def fold(self) -> None:
        """Move what waits in lists into the histograms."""
        self.first.record(self._first_ns)
        self.gaps.record(self._gaps_ns)
        self._first_ns.clear()
        self._gaps_ns.clear()
