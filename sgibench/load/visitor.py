"""One target of a measurement: its Locust runner and users, its visits, and the sums that become its result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic_ns
from typing import Any

import gevent
import numpy as np
from locust.env import Environment

from sgibench.load import field as fields
from sgibench.load.cpu import TreeClock
from sgibench.load.loading import load_scenario
from sgibench.load.orders import MeasureOrder
from sgibench.load.paces import IdlePace, OpenPace
from sgibench.load.request import Ask, Request, payload_of
from sgibench.load.wire.answer import Answer

STANDING_S = 2.0
"""A target on which no connection stands for so long is given up."""
BURSTY_S = 0.005
"""Answers slower than this get their connections started one after the other, so that they do not come in bursts."""
STEP_S = 0.05
"""An unbroken window looks up this often."""
IDENTIFY_S = 2.0


class Gone(Exception):  # noqa: N818 - an event, caught where it is raised from
    """A target is given up: `reason` and `detail` as the protocol has them."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Visited:
    """A target while it is measured."""

    def __init__(self, order: MeasureOrder, index: int) -> None:
        self.order = order
        self.spec = order.targets[index]
        self.id = self.spec.id
        self.cls = load_scenario(order.scenario)
        self.environment = Environment(
            user_classes=[self.cls], host=f"http://{self.spec.host}:{self.spec.port}", stop_timeout=1
        )
        field = fields.prepare(
            self.environment,
            self.cls,
            (self.spec.host, self.spec.port),
            keep_alive=order.load.connection == "keep-alive",
            timeout_s=order.timeout_s,
            seed=order.seed,
            closed=True,
        )
        self.target = field.target
        self.clock = TreeClock(self.spec.pids)
        self.gave_up: dict[str, str] | None = None
        self.cut_short = False
        self.median_s = 0.0
        self.warmup_s: float | None = None
        self.counted_s = 0.0
        self.slices: list[dict[str, Any]] = []
        self.series: list[int] = []
        self._cpu_ns: int | None = 0
        self._own_cpu_ns = 0
        self._lags_ns: list[int] = []
        self._per_connection: Counter[int] = Counter()
        self._by_pid: dict[int, int] | None = None
        self._established: int | None = None
        self._schedule: dict[str, Any] = {}
        self._visit_timeouts = 0
        self._visit_requests = 0

    # --- life ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Spawn the users, whose connections open at once."""
        connections = self.order.load.connections
        self.target.attach()
        runner = self.environment.create_local_runner()
        runner.start(connections, spawn_rate=connections)
        if runner.spawning_greenlet is not None:
            runner.spawning_greenlet.join()
        gevent.sleep(0)
        if self.order.load.connection == "keep-alive":
            self.target.wait_until(lambda: self.target.standing == connections, STANDING_S)
        self.target.detach()
        if self.order.load.connection == "keep-alive" and not self.target.standing:
            raise self._nobody_stands()

    def close(self) -> None:
        """Stop the users and close the connections."""
        self.target.close()
        if self.environment.runner is not None:
            self.environment.runner.quit()

    def give_up(self, reason: str, detail: str) -> None:
        """Visit this target no more; what it counted so far stays in the result."""
        if self.gave_up is None:
            self.gave_up = {"reason": reason, "detail": detail}
        self.cut_short = True

    @contextmanager
    def giving_up(self) -> Iterator[None]:
        """Turn Gone into a target that is not visited again."""
        try:
            yield
        except Gone as gone:
            self.give_up(gone.reason, str(gone))

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Attach, open the gate, and afterwards close it and drain."""
        target = self.target
        self._visit_timeouts = self._timeouts
        self._visit_requests = self.answered
        self.clock.look()
        target.attach()
        try:
            self._restore_connections()
            self._open_gate()
            yield
        finally:
            target.close_gate()
            target.wait_until(lambda: self.gave_up is not None or not target.in_flight, self.order.timeout_s + 1)
            target.detach()
            target.fold()

    def _restore_connections(self) -> None:
        """Let connections that the server closed meanwhile be opened again, outside counted time."""
        if self.order.load.connection == "close":
            return
        target = self.target
        while target.take_events():
            pass
        if target.standing < len(target.connections):
            target.wait_until(lambda: target.standing == len(target.connections), STANDING_S / 4)
        if not target.standing:
            self.check_alive()

    def _open_gate(self) -> None:
        """Start all connections; slow answers one after the other across one answer's time."""
        if self.median_s <= BURSTY_S or self.order.load.kind == "open":
            self.target.open_gate()
            return
        self.target.gate_open = True
        began = monotonic_ns()
        connections = list(self.target.connections)
        for index, conn in enumerate(connections):
            wait_s = index / len(connections) * self.median_s - (monotonic_ns() - began) / 1e9
            if wait_s > 0:
                gevent.sleep(wait_s)
            self.target.release(conn, monotonic_ns())

    # --- counting ------------------------------------------------------------------------------------------------

    @property
    def answered(self) -> int:
        """Right answers so far, counted or not, once folded."""
        return self.target.tally.requests + self.target.outside.requests

    @property
    def _timeouts(self) -> int:
        return self.target.tally.errors["timeout"] + self.target.outside.errors["timeout"]

    def settle(self) -> None:
        """Let the visit come into its stride; not counted."""
        self._sleep(max(self.order.settle_s, self.cls.floor_s, self.median_s))

    def _sleep(self, seconds: float) -> None:
        """Let the loop run, unless this visit is cut short."""
        until = monotonic_ns() + round(seconds * 1e9)
        while not self.cut_short and (left := until - monotonic_ns()) > 0:
            gevent.sleep(min(left / 1e9, STEP_S))
            self.target.check()

    def count(self, length_s: float, number: int) -> None:
        """Count one slice."""
        with self._counted() as done:
            self._sleep(length_s)
        window_s, requests, cpu_ns = done[0]
        self.slices.append(
            {
                "round": number,
                "window_s": window_s,
                "requests": requests,
                "cpu_s": None if cpu_ns is None else cpu_ns / 1e9,
            }
        )

    def count_unbroken(self, window_s: float, progress: Callable[[float], None]) -> None:
        """Count one unbroken window, with right answers per second."""
        with self._counted():
            began = monotonic_ns()
            before = 0
            while not self.cut_short and (passed := (monotonic_ns() - began) / 1e9) < window_s:
                until = min(len(self.series) + 1.0, window_s)
                self._sleep(min(until - passed, 0.25))
                progress(passed / window_s)
                if monotonic_ns() - began >= until * 1e9 and until == len(self.series) + 1:
                    self.target.fold()
                    self.series.append(self.target.tally.requests - before)
                    before = self.target.tally.requests

    @contextmanager
    def _counted(self) -> Iterator[list[tuple[float, int, int | None]]]:
        """Count from here to the end of the block; gives (seconds, requests, CPU ns) once it is over."""
        target = self.target
        done: list[tuple[float, int, int | None]] = []
        for conn in target.connections:
            conn.count = 0
        target.begin_count()
        before = target.tally.requests
        own = time.process_time_ns()
        self.clock.start()
        began = monotonic_ns()
        try:
            yield done
        finally:
            cpu_ns = self.clock.stop()
            ended = monotonic_ns()
            self._own_cpu_ns += time.process_time_ns() - own
            target.end_count()
            self._lags_ns += target.lags_ns
            self._established = max(target.standing, self._established or 0)
            for conn in target.connections:
                self._per_connection[conn.index] += conn.count
            self.counted_s += (ended - began) / 1e9
            self._cpu_ns = None if self._cpu_ns is None or cpu_ns is None else self._cpu_ns + cpu_ns
            done.append(((ended - began) / 1e9, target.tally.requests - before, cpu_ns))

    def warm(self, *, time_s: float) -> None:
        """The warm-up is over: note the median answer."""
        self.warmup_s = time_s
        median_us = self.target.outside.histogram.percentile_us(0.5)
        self.median_s = (median_us or 0.0) / 1e6
        self.check_visit()

    # --- giving up -----------------------------------------------------------------------------------------------

    def check_alive(self) -> None:
        """Raise Gone when no connection stands for two seconds."""
        target = self.target
        keep_alive = self.order.load.connection == "keep-alive"
        if self.cut_short or target.standing or not (keep_alive or target.outside.errors or target.tally.errors):
            return
        answered = self.answered
        if target.wait_until(lambda: self.cut_short or bool(target.standing) or self.answered > answered, STANDING_S):
            return
        raise self._nobody_stands()

    def _nobody_stands(self) -> Gone:
        kind, sample = self._commonest_error()
        reason = "refused" if kind == "refused" else "gone"
        return Gone(reason, f"no connection stood for {STANDING_S:g} s; {kind}: {sample}")

    def _commonest_error(self) -> tuple[str, str]:
        """Kind and example of the error that was seen most."""
        errors = self.target.outside.errors + self.target.tally.errors
        samples = {**self.target.outside.samples, **self.target.tally.samples}
        kind = max(errors, key=errors.__getitem__, default="closed")
        return kind, samples.get(kind, "")

    def check_visit(self) -> None:
        """Raise Gone when a whole visit brought nothing right and something timed out, or only errors."""
        self.target.fold()
        if self.cut_short or self.answered > self._visit_requests:
            return
        if self._timeouts > self._visit_timeouts:
            raise Gone("hung", f"a whole visit brought no right answer within {self.order.timeout_s:g} s")
        kind, sample = self._commonest_error()
        if sample:
            raise Gone("no-right-answer", f"a whole visit brought no right answer; {kind}: {sample}")

    # --- afterwards ----------------------------------------------------------------------------------------------

    def identify(self) -> None:
        """Ask each connection which process serves it; nothing when a connection can't say."""
        if self.order.load.connection == "close":
            return
        target = self.target
        pids: dict[int, int] = {}
        request = Request(method="GET", path="/pid")
        ask = Ask(request, payload_of(request, host=target.program.host, keep_alive=True), lambda _: None)
        pace, target.pace = target.pace, PidPace(pids)
        counts = dict(self._per_connection)
        target.attach()
        try:
            for conn in list(target.connections):
                if conn.stands and not conn.since:
                    target.begin(conn, ask, monotonic_ns())
            target.wait_until(lambda: not target.in_flight, IDENTIFY_S)
        finally:
            target.detach()
            target.pace = pace
        by_pid: Counter[int] = Counter()
        for index, count in counts.items():
            if count and index not in pids:
                return
            if count:
                by_pid[pids[index]] += count
        self._by_pid = dict(by_pid)

    def note_schedule(self, pace: object) -> None:
        """Keep what an open schedule says about itself."""
        if isinstance(pace, OpenPace):
            self._schedule = {"queue_max": pace.queue_max, "lag_us_p99": pace.lateness.percentile_us(0.99)}

    def result(self) -> dict[str, Any]:
        """Say what was measured, as the protocol has it."""
        tally, target = self.target.tally, self.target
        open_load = self.order.load.kind == "open"
        requests = tally.requests
        lag_ns = float(np.percentile(self._lags_ns, 99)) if self._lags_ns else None
        window_s = self.counted_s
        sizes, read = target.answer_sizes
        connect = target.connect_ns
        return {
            "id": self.id,
            "warmup_s": self.warmup_s,
            "window_s": window_s,
            "requests": requests,
            "requests_uncounted": target.outside.requests,
            "errors": dict(tally.errors),
            "error_samples": dict(tally.samples),
            "errors_uncounted": dict(target.outside.errors),
            "cpu_s": None if self._cpu_ns is None or not window_s else self._cpu_ns / 1e9,
            "histogram": _data(tally.histogram),
            "intended_histogram": _data(tally.intended) if open_load else None,
            "mean_us": tally.sum_ns / requests / 1e3 if requests else None,
            "max_us": tally.max_ns / 1e3 if requests else None,
            "slices": self.slices,
            "series": self.series,
            "connections_established": self._established,
            **self._fairness(),
            "connect_us_p50": float(np.median(connect)) / 1e3 if connect else None,
            "lag_us_p99": None if lag_ns is None else lag_ns / 1e3,
            "generator_cpu_s": self._own_cpu_ns / 1e9,
            "generator_utilisation": self._own_cpu_ns / 1e9 / window_s if window_s else None,
            "answer_bytes": sizes / read if read else None,
            "requests_by_pid": None if self._by_pid is None else {str(pid): n for pid, n in self._by_pid.items()},
            "first_chunk_histogram": _data(target.streams.first) if target.streams.first.count else None,
            "gap_histogram": _data(target.streams.gaps) if target.streams.gaps.count else None,
            "achieved_rate_per_s": requests / window_s if open_load and window_s else None,
            "queue_max": None,
            "reopened": target.reopened,
            "gave_up": self.gave_up,
            **self._schedule,
        }

    def _fairness(self) -> dict[str, float | None]:
        """Jain's index, (Σx)² / (n·Σx²) (Jain, Chiu, Hawe 1984), and the slowest connection's share of the median."""
        counts = np.array([self._per_connection[conn.index] for conn in self.target.connections], dtype=np.float64)
        if not counts.size or not counts.sum():
            return {"jain": None, "slowest_share": None}
        median = float(np.median(counts))
        return {
            "jain": float(counts.sum() ** 2 / (counts.size * (counts**2).sum())),
            "slowest_share": float(counts.min()) / median if median else None,
        }


def _data(histogram: Any) -> dict[str, Any]:
    """A histogram as JSON."""
    data = histogram.to_data()
    return {"gaps": list(data.gaps), "counts": list(data.counts)}


class PidPace(IdlePace):
    """Collects the process ids that answer."""

    def __init__(self, pids: dict[int, int]) -> None:
        self._pids = pids

    def answered(self, conn: Any, answer: Answer | None, now_ns: int) -> None:  # noqa: ARG002 - a Pace
        """Note who answered."""
        if answer is not None and answer.body.strip().isdigit():
            self._pids[conn.index] = int(answer.body)
