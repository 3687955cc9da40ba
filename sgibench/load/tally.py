"""What was counted: right answers with their latencies, errors by kind; filled by a target, read at a window's edges.

Latencies wait in plain lists, because appending is the cheapest thing Python can do, and are folded into histograms
in bulk. What happens outside a count is kept apart, so that every request the server saw can be accounted for.
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
    intended: Histogram = field(default_factory=Histogram)
    errors: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)

    def add(self, latencies_ns: list[int]) -> None:
        """Fold a list of service times in."""
        if not latencies_ns:
            return
        values = np.array(latencies_ns, dtype=np.int64)
        self.requests += values.size
        self.sum_ns += int(values.sum())
        self.max_ns = max(self.max_ns, int(values.max()))
        self.histogram.record(values)

    def fail(self, kind: str, detail: str) -> None:
        """Count an error, and keep the first example of its kind."""
        self.errors[kind] += 1
        if kind not in self.samples:
            self.samples[kind] = " ".join(detail.split())[:MAX_SAMPLE]

    def merge(self, other: Tally) -> None:
        """Add another's sums."""
        self.requests += other.requests
        self.sum_ns += other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)
        self.histogram.merge(other.histogram)
        self.intended.merge(other.intended)
        self.errors.update(other.errors)
        for kind, sample in other.samples.items():
            self.samples.setdefault(kind, sample)


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

    def fold(self) -> None:
        """Move what waits in lists into the histograms."""
        self.first.record(self._first_ns)
        self.gaps.record(self._gaps_ns)
        self._first_ns.clear()
        self._gaps_ns.clear()
