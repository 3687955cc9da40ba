"""When requests are due: schedules of open loops, as arrays of moments; pure, no clock and no sockets.

A schedule is fixed before the first request leaves, so a slow server can't bend it (coordinated omission). Moments
are in nanoseconds from the schedule's beginning; a rate may be a constant or a function of time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sgibench.model import Arrivals

Rate = float | Callable[[float], float]
"""Arrivals per second, constant or as a function of seconds since the beginning."""

CHUNK = 256
"""Moments computed at once: in some hundredths of a millisecond, as requests are due meanwhile."""
AT_EDGE_NS = 100_000
"""A short burst."""
GRID_S = 0.001
"""A rate that varies is integrated in steps of this length."""


def due_times_ns(rate: Rate, arrivals: Arrivals, seed: int, phase: float = 0.0) -> Iterator[NDArray[np.int64]]:
    """Give the moments in chunks, without end (a varying rate that falls to 0 for an hour ends it).

    Uniform arrivals come when the integral of the rate reaches `phase` (0 to 1), 1 + `phase`, 2 + `phase`, …; Poisson
    arrivals when it reaches the sums of exponential gaps of mean 1 (time rescaling; Çinlar, Introduction to Stochastic
    Processes, 1975, chapter 4.7).
    """
    amounts = _amounts(arrivals, seed, phase)
    if not callable(rate):
        if not rate > 0:
            raise ValueError(f"expected a rate above 0 per second, got {rate}")
        for amount in amounts:
            yield (amount / rate * 1e9).astype(np.int64)
        return
    yield from _varying(rate, amounts)


def _amounts(arrivals: Arrivals, seed: int, phase: float) -> Iterator[NDArray[np.float64]]:
    """How much of the rate's integral has passed at each arrival."""
    random = np.random.default_rng(seed)
    done = 0.0
    while True:
        if arrivals == "uniform":
            chunk = done + phase + np.arange(CHUNK, dtype=np.float64)
            done += CHUNK
        else:
            chunk = done + np.cumsum(random.exponential(size=CHUNK))
            done = float(chunk[-1])
        yield chunk


def _varying(rate: Callable[[float], float], amounts: Iterator[NDArray[np.float64]]) -> Iterator[NDArray[np.int64]]:
    """Invert the integral of a rate that changes with time, second by second."""
    second, reached, waiting = 0, 0.0, next(amounts)
    quiet_s = 0
    while quiet_s < 3600:  # noqa: PLR2004 - seconds in an hour
        at = second + np.arange(0, 1 + GRID_S / 2, GRID_S)
        rates = np.array([max(0.0, float(rate(float(moment)))) for moment in at])
        steps = (rates[1:] + rates[:-1]) / 2 * GRID_S
        integral = reached + np.concatenate(([0.0], np.cumsum(steps)))
        quiet_s = quiet_s + 1 if integral[-1] == reached else 0
        while waiting[0] < integral[-1]:
            now = int(np.searchsorted(waiting, integral[-1]))
            # Where the rate is 0 the integral is flat; interp then takes the flat part's end, which is right.
            yield (np.interp(waiting[:now], integral, at) * 1e9).astype(np.int64)
            waiting = waiting[now:] if now < waiting.size else next(amounts)
        reached = float(integral[-1])
        second += 1


def burst_ns(ahead_ns: int, most_ns: int) -> int:
    """How long to go on where somebody wants to have a look so far ahead: until then, and shortly until they had it.

    Their timer may be up to 1 ms late, which a whole burst would make as long as that.
    """
    if 0 < ahead_ns < most_ns:
        return ahead_ns
    return min(AT_EDGE_NS, most_ns) if -most_ns < ahead_ns <= 0 else most_ns


class Schedule:
    """The moments one after the other, in absolute monotonic nanoseconds."""

    __slots__ = ("_chunks", "_index", "_moments", "_passed", "_start_ns", "next_ns")

    NEVER = (1 << 63) - 1

    def __init__(self, rate: Rate, arrivals: Arrivals, seed: int, start_ns: int, *, phase: float = 0.0) -> None:
        self._chunks = due_times_ns(rate, arrivals, seed, phase)
        self._start_ns = start_ns
        self._moments: list[int] = []
        self._index = 0
        self._passed = 0
        """Moments that were taken and dropped from the list."""
        self.next_ns = 0
        """When the next request is due; NEVER when no more will be."""
        self._go_on()

    def _extend(self) -> bool:
        """Prepare more moments; whether there were any."""
        if self._index > CHUNK:
            self._drop()
        chunk = next(self._chunks, None)
        if chunk is not None:
            self._moments += (chunk + self._start_ns).tolist()
        return chunk is not None

    def _drop(self) -> None:
        """Forget what was taken."""
        self._passed += self._index
        del self._moments[: self._index]
        self._index = 0

    def _go_on(self) -> None:
        """The prepared moments are taken: prepare more."""
        self._drop()
        self.next_ns = self._moments[0] if self._moments or self._extend() else self.NEVER

    def take(self) -> int:
        """Take the next moment off the schedule."""
        taken = self.next_ns
        self._index += 1
        if self._index < len(self._moments):
            self.next_ns = self._moments[self._index]
        else:
            self._go_on()
        return taken

    def before(self, at_ns: int) -> int:
        """How many of all its moments, taken or not, lie before a moment."""
        while (not self._moments or self._moments[-1] < at_ns) and self._extend():
            pass
        return self._passed + bisect_left(self._moments, at_ns)

    def overdue(self, now_ns: int) -> int:
        """How many moments are past and not taken: the length of the queue."""
        return max(0, self.before(now_ns + 1) - self._passed - self._index)

    def cut(self, at_ns: int) -> None:
        """End it: from this moment on, nothing is due."""
        kept = self.before(at_ns) - self._passed
        del self._moments[max(kept, self._index) :]
        self._chunks = iter(())
        if self._index >= len(self._moments):
            self.next_ns = self.NEVER

    @property
    def left(self) -> int:
        """How many moments are prepared and not taken; after `cut`, all that are left."""
        return len(self._moments) - self._index
