"""A latency histogram: log-linear buckets over whole nanoseconds, three significant digits at every scale.

Exact below 2,048 ns, then 1,024 buckets per power of two, so a bucket is never wider than a thousandth of what it
holds. Pure: no clock, no files. Merging is adding counts, so hundreds of histograms cost milliseconds; percentiles
are read from merged histograms and never averaged. The layout is that of HdrHistogram (G. Tene) with 11 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sgibench.model import HistogramData
from sgibench.model.window import BUCKETS

BITS = 11
"""Significant bits kept: values below 2**BITS ns are exact."""
HALF = 1 << (BITS - 1)
"""Buckets per power of two."""
LONGEST_NS = (1 << 47) - 1
"""About 39 hours; longer latencies count as this one."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def bucket_of(latency_ns: int) -> int:
    """Index of the bucket that holds `latency_ns`, at least 0."""
    value = min(max(latency_ns, 0), LONGEST_NS)
    shift = max(value.bit_length() - BITS, 0)
    return (value >> shift) + HALF * shift


def buckets_of(latencies_ns: Ints) -> Ints:
    """Bucket indices of an array of latencies in nanoseconds."""
    values = np.clip(latencies_ns, 0, LONGEST_NS)
    _, bits = np.frexp(values.astype(np.float64))  # exact: LONGEST_NS has fewer bits than a float's mantissa
    shifts = np.maximum(bits.astype(np.int64) - BITS, 0)
    return np.asarray((values >> shifts) + HALF * shifts, dtype=np.int64)


def _edges_ns() -> tuple[Ints, Ints]:
    """Lowest and highest value of every bucket, in nanoseconds."""
    index = np.arange(BUCKETS, dtype=np.int64)
    shifts = np.maximum(index // HALF - 1, 0)
    lowest = (index - HALF * shifts) << shifts
    return lowest, lowest + (np.int64(1) << shifts) - 1


_LOWEST_NS, _HIGHEST_NS = _edges_ns()
_MIDDLE_US = (_LOWEST_NS + _HIGHEST_NS) / 2000.0


class Histogram:
    """Counts of latencies, mutable; `record` adds nanoseconds, everything read out is in microseconds."""

    __slots__ = ("_bound", "_counts")

    def __init__(self) -> None:
        self._counts: Ints = np.zeros(0, dtype=np.int64)  # grows to the highest bucket used
        self._bound = BUCKETS
        """First bucket that may hold lower bounds."""

    def bounded(self, from_us: float | None) -> Histogram:
        """Say that values from here on may be lower bounds: no percentile, mean or maximum is read from among them."""
        if from_us is not None:
            self._bound = min(self._bound, bucket_of(round(from_us * 1000)))
        return self

    @property
    def _known(self) -> bool:
        """Whether all values are exact."""
        return self._counts.size <= self._bound

    def record(self, latencies_ns: Sequence[int] | Ints) -> None:
        """Add many latencies, in whole nanoseconds."""
        values = np.asarray(latencies_ns, dtype=np.int64)
        if values.size:
            self._add(np.bincount(buckets_of(values)))

    def merge(self, other: Histogram) -> None:
        """Add the other's counts to this one's."""
        self._add(other._counts)
        self._bound = min(self._bound, other._bound)

    def _add(self, counts: Ints) -> None:
        if counts.size > self._counts.size:
            grown = np.zeros(counts.size, dtype=np.int64)
            grown[: self._counts.size] = self._counts
            self._counts = grown
        self._counts[: counts.size] += counts

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        """One histogram with the counts of all."""
        total = cls()
        for histogram in histograms:
            total.merge(histogram)
        return total

    @property
    def count(self) -> int:
        """How many latencies were recorded."""
        return int(self._counts.sum())

    @property
    def mean_us(self) -> float | None:
        """Mean in microseconds, from bucket middles (within 0.05 %); None when empty, or only a bound is known."""
        middles, counts = self.buckets()
        return float((middles * counts).sum()) / int(counts.sum()) if counts.size and self._known else None

    @property
    def min_us(self) -> float | None:
        """Lower edge of the lowest bucket used, in microseconds; None when empty."""
        used = np.flatnonzero(self._counts)
        return float(_LOWEST_NS[used[0]]) / 1000.0 if used.size else None

    @property
    def max_us(self) -> float | None:
        """Upper edge of the highest bucket used, in microseconds; None when empty, or only a bound is known."""
        used = np.flatnonzero(self._counts)
        return float(_HIGHEST_NS[used[-1]]) / 1000.0 if used.size and self._known else None

    def percentile_us(self, q: float) -> float | None:
        """Give the latency in microseconds that a share `q` (0 to 1) of the samples does not exceed.

        None when empty, and when it would be among lower bounds.

        The smallest recorded value with at least `q * count` samples at or below it (the inverse of the empirical
        distribution), read as the middle of its bucket: within 0.05 %.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"expected a share between 0 and 1, got {q}")
        cumulative = np.cumsum(self._counts)
        if not cumulative.size or not cumulative[-1]:
            return None
        # Shares such as 0.99 are not exact in binary: 0.99 * 100 may be 99.00000000000001.
        rank = max(1, int(np.ceil(q * float(cumulative[-1]) - 1e-6)))
        bucket = int(np.searchsorted(cumulative, rank))
        return float(_MIDDLE_US[bucket]) if bucket < self._bound else None

    def above(self, limit_us: float) -> int:
        """How many samples lie in buckets wholly above `limit_us`."""
        first = int(np.searchsorted(_LOWEST_NS, limit_us * 1000.0, side="right"))
        return int(self._counts[first:].sum())

    def cdf(self) -> tuple[Floats, Floats]:
        """Points of the cumulative distribution: latencies in microseconds and shares (0 to 1], used buckets only."""
        used = np.flatnonzero(self._counts)
        cumulative = np.cumsum(self._counts[used])
        shares = cumulative / cumulative[-1] if cumulative.size else cumulative.astype(np.float64)
        return _MIDDLE_US[used], np.asarray(shares, dtype=np.float64)

    def buckets(self) -> tuple[Floats, Ints]:
        """Middles in microseconds and counts of the used buckets."""
        used = np.flatnonzero(self._counts)
        return _MIDDLE_US[used], self._counts[used]

    def to_data(self) -> HistogramData:
        """Turn it into what is stored."""
        used = np.flatnonzero(self._counts)
        gaps = np.diff(used, prepend=0)
        return HistogramData(gaps=tuple(gaps.tolist()), counts=tuple(self._counts[used].tolist()))

    @classmethod
    def from_data(cls, data: HistogramData) -> Histogram:
        """Turn what was stored back into a histogram."""
        histogram = cls()
        used = np.cumsum(np.asarray(data.gaps, dtype=np.int64))
        if used.size:
            np.add.at(counts := np.zeros(int(used[-1]) + 1, dtype=np.int64), used, np.asarray(data.counts))
            histogram._counts = counts
        return histogram

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_data() == other.to_data()

    __hash__ = None  # type: ignore[assignment]  # mutable
