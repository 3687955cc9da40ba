"""One target of a measurement: visits, what is counted in them, and when it is of no use to go on.

Nothing here decides who is visited when; that is the measurement's. Requests and CPU are read at the same edges,
between two batches of events, so both cover exactly the counted time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic_ns
from typing import Any

import gevent

from sgibench.histogram import Histogram
from sgibench.load import field as fields
from sgibench.load.cpu import TreeClock
from sgibench.load.identify import identify
from sgibench.load.loading import load_scenario
from sgibench.load.orders import MeasureOrder
from sgibench.load.outcome import pack
from sgibench.load.pacing import Schedule
from sgibench.load.together import Together
from sgibench.model.kinds import gravest, kind_named

STANDING_S = 2.0
"""A target on which no connection stands, or nothing is right, for so long is given up."""
BURSTY_S = 0.005
"""Answers slower than this get their connections started one after the other, so that they do not come in bursts."""
HEAR_OUT_S = 0.05
"""How long its connections are listened to after the last visit."""
STEP_S = 0.05
"""An unbroken window looks up this often."""


class Visited:
    """A target while it is measured."""

    def __init__(self, order: MeasureOrder, index: int, together: Together) -> None:
        self.order = order
        self.together = together
        self.spec = order.targets[index]
        self.id = self.spec.id
        self.cls = load_scenario(order.scenario)
        self.keep_alive = order.load.connection == "keep-alive"
        self.target = fields.make_target(
            self.cls,
            (self.spec.host, self.spec.port),
            keep_alive=self.keep_alive,
            timeout_s=order.timeout_s,
            seed=order.seed + together.index,
            closed=True,
        )
        total = order.load.connections
        self.connections = total // together.of + (together.index < total % together.of)
        """This process's share of the connections."""
        self.clock = TreeClock(self.spec.pids if together.index == 0 else ())
        self.gave_up: dict[str, str] | None = None
        self.cut_short = False
        self.median_s = 0.0
        self.warmup_s: float | None = None
        self.counted_s = 0.0
        self.slices: list[dict[str, Any]] = []
        self.series: list[int] = []
        self._server_cpu_ns: int | None = 0
        self._own_cpu_ns = 0
        self._lag = Histogram()
        self._lateness = Histogram()
        self._queue_max = 0
        self._awake_ns = 0
        self._per_connection: Counter[int] = Counter()
        self._by_pid: dict[str, int] | None = None
        self._established: int | None = None
        self._before_visit = (0, 0)
        self._fruitless_s = 0.0
        self._stood_ns = monotonic_ns()

    # --- visits --------------------------------------------------------------------------------------------------

    def await_connections(self) -> None:
        """Let the connections of new users open."""
        self._stood_ns = monotonic_ns()
        if self.keep_alive:
            self.target.attach()
            self.target.wait_until(lambda: self.target.standing == self.connections, STANDING_S)
            self.target.detach()
            self.judge_standing()

    def close(self) -> None:
        """Close the connections."""
        self.target.close()

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Attach, open the gate, and afterwards close it and drain."""
        target = self.target
        began = monotonic_ns()
        self._before_visit = (self.answered, self._timeouts)
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
            self._judge_visit((monotonic_ns() - began) / 1e9)

    def _restore_connections(self) -> None:
        """Let connections that the server closed meanwhile be opened again, outside counted time."""
        target = self.target
        while self.keep_alive and target.take_batch(0):
            pass
        if self.keep_alive and target.standing < len(target.connections):
            target.wait_until(lambda: target.standing == len(target.connections), STANDING_S / 4)

    def _open_gate(self) -> None:
        """Start all connections; slow answers one after the other across one answer's time."""
        if self.median_s <= BURSTY_S or self.order.load.kind == "open":
            self.target.open_gate()
            return
        self.target.gate_open = True
        began = monotonic_ns()
        connections = list(self.target.connections)
        for index, conn in enumerate(connections):
            share = (index * self.together.of + self.together.index) / (len(connections) * self.together.of)
            due = began + round(share * self.median_s * 1e9)
            self.target.edge_ns = due
            wait_s = (due - monotonic_ns()) / 1e9
            if wait_s > 0:
                gevent.sleep(wait_s)
            self.target.release(conn, monotonic_ns())

    def settle(self) -> None:
        """Let the visit come into its stride; not counted."""
        self.sleep(max(self.order.settle_s, self.cls.floor_s, self.median_s))

    def sleep(self, seconds: float) -> None:
        """Let the loop run, unless this visit is cut short."""
        until = monotonic_ns() + round(seconds * 1e9)
        self.target.edge_ns = until
        while not self.cut_short and (left := until - monotonic_ns()) > 0:
            gevent.sleep(min(left / 1e9, STEP_S))
            self.target.check()
            if self.target.counting:
                self._take_lags()

    # --- counting ------------------------------------------------------------------------------------------------

    @property
    def answered(self) -> int:
        """Right answers so far, counted or not, once folded."""
        return self.target.tally.requests + self.target.outside.requests

    @property
    def _timeouts(self) -> int:
        return self.target.tally.errors["timeout"] + self.target.outside.errors["timeout"]

    def count(self, length_s: float, number: int) -> None:
        """Count one slice."""
        with self._counted() as done:
            self.sleep(length_s)
        window_s, requests, cpu_ns = done[0]
        cpu_s = None if cpu_ns is None else cpu_ns / 1e9
        self.slices.append({"round": number, "window_s": window_s, "requests": requests, "cpu_s": cpu_s})

    def count_unbroken(self, window_s: float, progress: Callable[[float], None]) -> None:
        """Count one unbroken window, with right answers per second."""
        with self._counted():
            began = monotonic_ns()
            while not self.cut_short and (passed := (monotonic_ns() - began) / 1e9) < window_s:
                second = len(self.series) + 1.0
                if passed >= second:
                    self.target.fold()
                    self._note_second()
                else:
                    self.sleep(min(second - passed, window_s - passed, 0.25))
                    progress(passed / window_s)
        if not self.cut_short and window_s >= len(self.series) + 1:
            self._note_second()  # folded after the window: while that goes on, nothing is answered

    def _note_second(self) -> None:
        """Note how many right answers the second that is over brought."""
        self.series.append(self.target.tally.requests - sum(self.series))

    def count_open(self, window_s: float, settle_s: float, progress: Callable[[float], None]) -> None:
        """Count one unbroken window of an open loop; each process sends its share of the rate."""
        load, together = self.order.load, self.together
        rate = load.rate_per_s or 0.0
        start_ns = monotonic_ns() + (round(together.index / rate * 1e9) if load.arrivals == "uniform" else 0)
        schedule = Schedule(rate / together.of, load.arrivals, self.order.seed + together.index, start_ns)
        closed, pace = self.target.pace, fields.open_loop(self.target, schedule, awake=self.order.awake)
        with self.visit():
            self.sleep(settle_s)
            self.count_unbroken(window_s, progress)
            self._awake_ns = pace.awake_ns
        self._lateness, self._queue_max = pace.lateness, pace.queue_max
        self.target.pace = closed

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
            self._take_lags()
            self._established = max(target.standing, self._established or 0)
            for conn in target.connections:
                self._per_connection[conn.index] += conn.count
            self.counted_s += (ended - began) / 1e9
            self._server_cpu_ns = (
                None if self._server_cpu_ns is None or cpu_ns is None else self._server_cpu_ns + cpu_ns
            )
            done.append(((ended - began) / 1e9, target.tally.requests - before, cpu_ns))

    def _take_lags(self) -> None:
        """Keep counted lags in a histogram, so that memory stays flat."""
        self._lag.record(self.target.lags_ns)
        self.target.lags_ns.clear()

    def warm(self, *, time_s: float) -> None:
        """The warm-up is over: note the median answer, and give up when there was none."""
        self.warmup_s = time_s
        median_us = self.target.outside.histogram.percentile_us(0.5)
        self.median_s = (median_us or 0.0) / 1e6
        if median_us is None:
            self._give_up_fruitless("the whole warm-up")

    # --- giving up -----------------------------------------------------------------------------------------------

    def give_up(self, reason: str, detail: str) -> None:
        """Visit this target no more; what it counted so far stays in the result."""
        if self.gave_up is None:
            self.gave_up = {"reason": reason, "detail": detail}
        self.cut_short = True

    @property
    def fallen_s(self) -> float:
        """For how long no connection has been standing."""
        errors = self.target.outside.errors.total() + self.target.tally.errors.total()
        if self.target.standing or not (self.keep_alive or errors) or self.target.in_flight:
            self._stood_ns = monotonic_ns()
        return (monotonic_ns() - self._stood_ns) / 1e9

    def judge_standing(self) -> None:
        """Give up when no connection has been standing for too long."""
        fallen_s = self.fallen_s
        if fallen_s >= STANDING_S:
            kind, sample = self._gravest_error()
            self.give_up(kind_named(kind).given_up, f"no connection stood for {fallen_s:.1f} s; {kind}: {sample}")

    def _judge_visit(self, length_s: float) -> None:
        """Give up when nothing came right, and something timed out or this has been going on for too long."""
        answered, timeouts = self._before_visit
        if self.cut_short or self.answered > answered:
            self._fruitless_s = 0.0
            return
        self._fruitless_s += length_s
        if self._timeouts > timeouts:
            self.give_up("hung", f"a whole visit brought no right answer within {self.order.timeout_s:g} s")
        self.judge_standing()
        if self._fruitless_s >= STANDING_S:
            self._give_up_fruitless(f"{self._fruitless_s:.1f} s of visits")

    def _give_up_fruitless(self, what: str) -> None:
        kind, sample = self._gravest_error()
        if sample:
            reason = "client" if kind_named(kind).weight == "void" else "no-right-answer"
            self.give_up(reason, f"{what} brought no right answer; {kind}: {sample}")

    def _gravest_error(self) -> tuple[str, str]:
        """Kind and example of the error that explains the others."""
        samples = {**self.target.outside.samples, **self.target.tally.samples}
        kind = gravest(self.target.outside.errors + self.target.tally.errors) or "closed"
        return kind, samples.get(kind, "")

    # --- afterwards ----------------------------------------------------------------------------------------------

    def hear_out(self) -> None:
        """Before its connections are used for anything else: look for answers that nobody asked for."""
        if self.gave_up is None and not self.cut_short:
            self.target.hear_out(HEAR_OUT_S)

    def identify(self) -> None:
        """Find out which of the server's processes answered; each connection stays with one."""
        if self.keep_alive and self.target.program.handshake is None:
            self._by_pid = identify(self.target, self._per_connection)

    def share(self) -> dict[str, Any]:
        """Say what this process counted."""
        tally, target = self.target.tally, self.target
        connect = Histogram()
        connect.record(target.connect_ns)
        return {
            "id": self.id,
            "warmup_s": self.warmup_s,
            "window_s": self.counted_s,
            "requests": tally.requests,
            "requests_uncounted": target.outside.requests,
            "errors": dict(tally.errors),
            "error_samples": dict(tally.samples),
            "errors_uncounted": dict(target.outside.errors),
            "server_cpu_ns": self._server_cpu_ns,
            "own_cpu_ns": self._own_cpu_ns,
            "awake_ns": self._awake_ns,
            "sum_ns": tally.sum_ns,
            "max_ns": tally.max_ns,
            "histogram": pack(tally.histogram),
            "intended": pack(tally.intended),
            "first_chunk": pack(target.streams.first),
            "gaps": pack(target.streams.gaps),
            "connect": pack(connect),
            "lag": pack(self._lag),
            "lateness": pack(self._lateness),
            "slices": self.slices,
            "series": self.series,
            "established": self._established,
            "per_connection": [self._per_connection[conn.index] for conn in target.connections],
            "answer_bytes_sum": target.answer_sizes[0],
            "answers_read": target.answer_sizes[1],
            "requests_by_pid": self._by_pid,
            "queue_max": self._queue_max,
            "reopened": target.reopened,
            "gave_up": self.gave_up,
        }
