"""One test of the web UI while it is counted: what the clients saw, second by second, and the sums of it all.

It counts from the end of the warm-up until Stop, one unbroken window, with the same edges for requests and for the
server's CPU; what is in flight at Stop is drained and counted. What it gives is
what the order `measure` gives for a target, so that the engine judges both alike.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

import numpy as np

from sgibench.histogram import Histogram
from sgibench.load.books import answers_of, sizes_of
from sgibench.load.cpu import books_of, descendants, heads, spent_ns
from sgibench.load.paces import OpenPace
from sgibench.load.sizes import mean_bytes
from sgibench.load.tally import Tally
from sgibench.load.target import Target

KEPT_S = 300
"""Seconds that the page's charts show at most."""


@dataclass(frozen=True, kw_only=True)
class Second:
    """What happened in one second of a test."""

    at_s: float
    """Since the window began."""
    rps: float
    cpu_us: float | None
    """Server CPU per right answer, microseconds."""
    cpus: float | None
    """CPUs that the server kept busy."""
    generator: float
    """CPUs that the load process used."""
    lag_us: float | None
    """p99 of how late the generator looked at events or sent what was due."""
    errors: int


class TreeMeter:
    """CPU of a process tree since it was made, with that of processes that came and went, once they were waited for."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._roots = heads(pids)
        self._first = books_of(descendants(self._roots))

    def read(self) -> int | None:
        """CPU nanoseconds so far; None when one of the first processes can't be read."""
        now = books_of(descendants(self._roots))
        if not self._roots or any(pid not in self._first or pid not in now for pid in self._roots):
            return None
        return spent_ns(self._first, now)


class Record:
    """One window on one target."""

    def __init__(self, target: Target, pids: Iterable[int]) -> None:
        """Nothing counts before `begin`."""
        self._target = target
        self._pids = tuple(pids)
        self.seconds: deque[Second] = deque(maxlen=KEPT_S)
        self.window_s: float | None = None
        """Counted time; None while it goes on."""
        self._began_ns = 0
        self._marked = _Mark(at_ns=0, requests=0, errors=0, cpu_ns=None, own_ns=0)
        self._first = self._marked
        self._last = self._marked
        self._lags = Histogram()
        self._series: list[int] = []
        self._established = 0
        self._queue_max = self._queue_start = self._queue_end = 0
        self._due = 0
        """Of an open loop's moments, those before the window's end less those before its beginning."""
        self._thinking_ns = 0
        self._in_time = 0
        """Right answers that came before Stop."""
        self._counts: list[int] = []
        """Right answers of each connection, once counting is over."""

    @property
    def began(self) -> bool:
        """Whether anything counts yet."""
        return self._began_ns > 0

    @property
    def elapsed_s(self) -> float:
        """Counted time so far."""
        return self.window_s if self.window_s is not None else (monotonic_ns() - self._began_ns) / 1e9

    def begin(self) -> None:
        """From here on it counts; what was before is the warm-up's."""
        target = self._target
        target.end_count()
        target.outside.merge(target.tally)
        target.tally = Tally()
        from_ns = target.begin_count()
        if isinstance(target.pace, OpenPace):
            self._queue_start = target.pace.queue_start
            self._due = -target.pace.schedule.before(from_ns)
        self._meter = TreeMeter(self._pids)
        self._first = self._marked = self._last = self._mark()
        self._began_ns = self._first.at_ns

    def tick(self) -> None:
        """Note the second that has passed."""
        target = self._target
        target.check()
        target.fold()
        self._established = max(self._established, target.standing)
        before, now = self._marked, self._mark()
        seconds_s = (now.at_ns - before.at_ns) / 1e9
        answered = now.requests - before.requests
        used_ns = None if now.cpu_ns is None or before.cpu_ns is None else now.cpu_ns - before.cpu_ns
        self._series.append(answered)
        self.seconds.append(
            Second(
                at_s=(now.at_ns - self._began_ns) / 1e9,
                rps=answered / seconds_s,
                cpu_us=used_ns / answered / 1e3 if used_ns is not None and answered else None,
                cpus=None if used_ns is None else used_ns / 1e9 / seconds_s,
                generator=(now.own_ns - before.own_ns) / 1e9 / seconds_s,
                lag_us=self._lag_us(),
                errors=now.errors - before.errors,
            )
        )
        self._marked = self._last = now

    def end(self) -> None:
        """Close the gate and read the clocks; what is in flight is the field's to drain, and still counts."""
        if self.window_s is None:
            self._thinking_ns = self._target.thinking_ns(monotonic_ns())
            edge_ns = self._target.close_gate()
            if isinstance(self._target.pace, OpenPace):
                self._queue_end = self._target.pace.owing
                self._due += self._target.pace.schedule.before(edge_ns)
            self._target.fold()
            self._in_time = self._target.tally.requests
            self._last = self._mark()
            self._lag_us()
            self._established = max(self._established, self._target.standing)
            self._counts = [conn.count for conn in self._target.connections]
            self.window_s = (self._last.at_ns - self._began_ns) / 1e9

    def _mark(self) -> _Mark:
        """Read all clocks and counters at one moment."""
        tally = self._target.tally
        cpu = self._meter.read()
        return _Mark(
            at_ns=monotonic_ns(),
            requests=tally.requests,
            errors=tally.errors.total(),
            cpu_ns=cpu,
            own_ns=time.process_time_ns(),
        )

    def _lag_us(self) -> float | None:
        """p99 of the last second's lags, which are kept for the sum and forgotten here."""
        target = self._target
        if isinstance(target.pace, OpenPace):
            self._queue_max = max(self._queue_max, target.pace.queue_max)
        lags_ns = list(target.lags_ns)
        target.lags_ns.clear()
        self._lags.record(lags_ns)
        if isinstance(target.pace, OpenPace):
            return target.pace.lateness.percentile_us(0.99)
        return float(np.percentile(lags_ns, 99)) / 1e3 if lags_ns else None

    def result(self, name: str) -> dict[str, Any]:
        """Say what was counted so far, as the answer to `measure` does for one target."""
        target = self._target
        if self.window_s is None:
            target.fold()
        last = self._now()
        tally = target.tally
        requests = tally.requests
        answered = answers_of(target.answers)
        return {
            "id": name,
            "window_s": self._window_s(last),
            "requests": requests,
            "errors": dict(tally.errors),
            "error_samples": {**target.outside.samples, **tally.samples},
            "errors_uncounted": dict(target.outside.errors),
            "answers": answered,
            "cpu_s": None if last.cpu_ns is None else last.cpu_ns / 1e9,
            "histogram": _data(tally.service),
            "intended_histogram": _data(tally.from_due) if isinstance(target.pace, OpenPace) else None,
            "mean_us": tally.sum_ns / requests / 1e3 if requests else None,
            "max_us": tally.max_ns / 1e3 if requests else None,
            "window": self._window(last),
            "series": list(self._series),
            "answer_bytes": mean_bytes([sizes_of(target.answer_sizes)], answered),
            **self.generator(),
        }

    def _window(self, last: _Mark) -> dict[str, Any]:
        """Say what the window owned, as `Window` does."""
        target, tally, ended = self._target, self._target.tally, self.window_s is not None
        pace = target.pace if isinstance(target.pace, OpenPace) else None
        by_tasks = not target.program.requests
        window_s = self._window_s(last)
        return {
            "visits": "unbroken",
            "why": "one test of the web UI, from the end of its warm-up until it was stopped",
            "timeout_s": target.timeout_ns / 1e9,
            "sent": tally.sent,
            "in_time": self._in_time if ended else tally.requests,
            "due": self._due if pace is not None and ended else None,
            "queue_start": self._queue_start if pace is not None else None,
            "queue_end": self._queue_end if pace is not None and ended else None,
            "queue_max": self._queue_max if pace is not None else None,
            "censored": tally.censored,
            "censored_from_us": None if tally.censored_from_ns is None else tally.censored_from_ns / 1e3,
            "in_flight": tally.busy_ns / 1e9 / window_s,
            "thinking": self._thinking_ns / 1e9 / window_s if by_tasks and pace is None and ended else None,
            "thinks": target.thoughts.longest_s > 0,
            "sessions": target.sessions + target.program.sessions if by_tasks or target.program.dependent else None,
            "uncounted": {phase: count for phase, count in target.uncounted.items() if count},
            "lateness_histogram_us": None if pace is None else _data(pace.lateness),
        }

    def generator(self) -> dict[str, Any]:
        """Say how the load process and its connections fared so far."""
        target, last = self._target, self._now()
        own_s = (last.own_ns - self._first.own_ns) / 1e9
        pace = target.pace if isinstance(target.pace, OpenPace) else None
        return {
            "generator_cpu_s": own_s,
            "generator_utilisation": own_s / self._window_s(last),
            "lag_us_p99": (self._lags if pace is None else pace.lateness).percentile_us(0.99),
            "connections_established": self._established or target.standing,
            **_fairness([conn.count for conn in target.connections] if self.window_s is None else self._counts),
            "queue_max": None if pace is None else self._queue_max,
        }

    def _now(self) -> _Mark:
        """The clocks and counters now, or at the end when that is past."""
        return self._mark() if self.window_s is None else self._last

    def _window_s(self, last: _Mark) -> float:
        return max((last.at_ns - self._first.at_ns) / 1e9, 1e-9)


@dataclass(frozen=True, kw_only=True)
class _Mark:
    """Clocks and counters at one moment."""

    at_ns: int
    requests: int
    errors: int
    cpu_ns: int | None
    own_ns: int


def _data(histogram: Histogram) -> dict[str, Any]:
    data = histogram.to_data()
    return {"gaps": list(data.gaps), "counts": list(data.counts)}


def _fairness(counts: list[int]) -> dict[str, float | None]:
    """Jain's index, (Σx)² / (n·Σx²) (Jain, Chiu, Hawe 1984), and the slowest connection's share of the median."""
    requests = Counter(counts)
    total = sum(counts)
    if not total:
        return {"jain": None, "slowest_share": None}
    squares = sum(count * count * many for count, many in requests.items())
    median = float(np.median(counts))
    return {
        "jain": total * total / (len(counts) * squares),
        "slowest_share": min(counts) / median if median else None,
    }
