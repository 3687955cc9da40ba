"""One target of a measurement: visits, what is counted in them, and when it is of no use to go on.

Nothing here decides who is visited when; that is the measurement's. Requests and CPU are read at the same edges,
between two batches of events, so both cover exactly the counted time. Each visit ends with its gate closed and all that
it owns drained: answered, or an error.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

import gevent

from sgibench.errors import LoadError
from sgibench.inside import PageClock
from sgibench.laps import Laps
from sgibench.load import field as fields
from sgibench.load.books import Books
from sgibench.load.bursts import BurstPace, dropped
from sgibench.load.cpu import ServiceClock, TreeClock
from sgibench.load.holding import LEAST_SHARE, Holding
from sgibench.load.identify import identify
from sgibench.load.loading import load_scenario
from sgibench.load.orders import MeasureOrder
from sgibench.load.paces import OpenPace
from sgibench.load.peak import highest, set_back
from sgibench.load.slow import Crowd
from sgibench.load.tally import Tally
from sgibench.load.together import Together
from sgibench.load.ways import Pulse, Way, fitting_timeout, middle_pulse
from sgibench.model.kinds import gravest, kind_named

STANDING_S = 2.0
"""A target on which no connection stands, or nothing is right, for so long is given up."""
BURSTY_S = 0.005
"""Answers slower than this get their connections started one after the other, so that they do not come in bursts."""
SLOWER_THAN_P99 = 1.5
LEAST_HEARD_S = 0.002
HEAR_OUT_S = 0.05
"""How long its connections are listened to after the last visit, at least; else for as long as answers take."""
SAMPLE_S = 0.1
CROWDED_S = 1.0
"""How long slow clients are there before a window begins."""
RESUMED_SHARE = 0.9
"""Of handshakes that could take up a session: tickets that are good for one use get lost on short connections."""
STEP_S = 0.05
"""An unbroken window looks up this often."""
MOST_SETTLE_S = 10.0
HURRY_S = 0.5
"""How long a visit that was cut short is drained."""


@dataclass(kw_only=True)
class Piece:
    """The counted part of a visit, while it lasts and is drained."""

    from_ns: int
    own_ns: int
    requests: int
    """Right answers counted before it."""
    busy_ns: int
    censored: int
    answered: int
    """Right answers before it, counted or not."""
    failed: int
    """Errors before it, likewise."""
    strays_ns: int
    """How long answers outside windows had taken before it, and those in flight at its beginning by then."""
    afterwards_ns: int = 0
    """How long its requests were in flight by its second edge: what they take more is taken after it."""
    due: int
    """Moments of the schedule before it."""
    window_s: float = 0.0
    cpu_ns: int | None = None
    front_cpu_ns: int | None = None


class Visited:
    """A target while it is measured."""

    def __init__(self, order: MeasureOrder, index: int, together: Together, laps: Laps) -> None:
        self.order = order
        self.laps = laps
        self.together = together
        self.spec = order.targets[index]
        self.id = self.spec.id
        self.cls = load_scenario(order.scenario)
        if self.cls.terms.one_worker and together.of > 1:
            raise LoadError(f"{order.scenario.stem} is sent and heard by one load process: use --load-workers 1")
        self.keep_alive = order.load.connection == "keep-alive"
        self.target = fields.make_target(
            self.cls,
            (self.spec.host, self.spec.port),
            keep_alive=self.keep_alive,
            timeout_s=order.timeout_s,
            seed=order.seed + together.index,
            closed=True,
            load=order.load,
        )
        total, each = order.load.connections, order.load.streams
        self.connections = (total // together.of + (together.index < total % together.of)) * each
        """This process's share of the connections; of the places on them, where several share one."""
        self.clock = TreeClock(self.spec.pids if together.index == 0 else (), grows=not self.spec.spawns)
        self.front_clock = TreeClock(self.spec.front_pids if together.index == 0 else ())
        self.services = {name: ServiceClock(root) for name, root in self.spec.services.items() if together.index == 0}
        self.pages = PageClock(self.spec.data if together.index == 0 else None)
        self._resident_bytes = set_back(self.spec.pids) if self.cls.terms.peak and together.index == 0 else None
        """What the server held before it was asked anything by this order."""
        self.gave_up: dict[str, str] | None = None
        self.cut_short = False
        self.pulse = Pulse()
        self.timeout_s = order.timeout_s
        self.warmup_s: float | None = None
        self.books = Books()
        self.holding: Holding | None = None
        """What is held open beside it now."""
        self._held: dict[str, Any] | None = None
        """What was held beside its window."""
        self._warm: list[Tally] = []
        """What came outside windows, one for each stretch of the warm-up, until that is over."""
        self._piece: Piece | None = None
        self._visits = 0
        self._by_pid: dict[str, int] | None = None
        self._before_visit = (0, 0)
        self._arrived_ns = 0
        self._closed_pace = self.target.pace
        self._fruitless_s = 0.0
        self._stood_ns = self._quiet_ns = monotonic_ns()

    # --- what is held open beside it -----------------------------------------------------------------------------

    def hold(self) -> tuple[int, int]:
        """Open what its scenario wants to have held beside it; how many were wanted and stand, in this process."""
        beside = self.cls.beside
        if beside is None or self.order.alone:
            return 0, 0
        of, index = self.together.of, self.together.index
        count = beside.count // of + (index < beside.count % of)
        pids = self.spec.pids if index == 0 else ()
        self.holding = Holding(beside, (self.spec.host, self.spec.port), self.order.load, count, pids)
        self.holding.open()
        return count, self.holding.stood

    def judge_held(self, wanted: float, stood: float, when: str) -> None:
        """Give up when fewer connections were held than the figures are meant to be beside."""
        if self.holding is None or stood >= LEAST_SHARE * wanted:
            return
        samples = self.holding.share()["samples"]
        first = f"; {next(iter(samples))}: {next(iter(samples.values()))}" if samples else ""
        self.give_up("not-held", f"of {wanted:g} connections to be held open, {stood:g} stood {when}{first}")

    def let_go(self) -> int:
        """The window is over: note what was held, and close it; how many stood at the edge."""
        holding, self.holding = self.holding, None
        if holding is None:
            return 0
        if holding.streams.first.count:
            self.target.streams = holding.streams
        self._held = holding.share()
        holding.close()
        return holding.stood_end

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
        if self.holding is not None:
            self.holding.close()
        self.target.close()

    @contextmanager
    def crowded(self) -> Iterator[None]:
        """Have slow clients at the server meanwhile, where the scenario wants some."""
        if self.cls.slow is None:
            yield
            return
        crowd = Crowd(self.cls.slow, (self.spec.host, self.spec.port), self.together.index, self.together.of)
        crowd.start()
        try:
            gevent.sleep(CROWDED_S)
            yield
            self.books.slow = crowd.standing
        finally:
            crowd.stop()

    def visit(self, *, at_rate: bool = False) -> AbstractContextManager[None]:
        """Attach, open the gate, and afterwards close it and drain; `at_rate` on a schedule of its own."""
        return visiting([self], at_rate=at_rate)

    def arrive(self) -> None:
        """Let the loop drive this target, all of its connections open."""
        self._before_visit = (self.answered, self._timeouts)
        self._visits += 1
        self._arrived_ns = monotonic_ns()
        self.clock.look()
        self.front_clock.look()
        for clock in self.services.values():
            clock.look()
        self.pages.look()
        self._closed_pace = self.target.pace
        self.target.attach()
        if self.holding is not None:
            self.holding.join(self.target)
        self._restore_connections()

    def begin(self, *, at_rate: bool, delay_s: float = 0.0) -> None:
        """Open the gate; `at_rate` on a schedule that begins after a delay."""
        if at_rate:
            self._go_on_schedule(delay_s)
        self._open_gate(at_rate=at_rate)

    def leave(self, *, at_rate: bool) -> None:
        """The gate is closed: drain, close the books of this visit, and leave the target alone."""
        target = self.target
        if self.holding is not None:
            self.holding.leave(target)
        self._drain(self.timeout_s if at_rate else self.timeout_s + 1)
        self._end_piece()
        self._quiet_ns = monotonic_ns()
        target.detach()
        target.fold()
        target.pace = self._closed_pace
        self._judge_visit((monotonic_ns() - self._arrived_ns) / 1e9)

    def ask_for(self, seconds: float, places: int) -> None:
        """Ask on so many connections for so long, and wait for all answers; not counted."""
        target = self.target
        target.gate_open = places > 0
        now_ns = monotonic_ns()
        for conn in target.connections[:places]:
            target.release(conn, now_ns)
        self.sleep(seconds)
        target.close_gate()
        self._drain(self.timeout_s + 1)
        target.fold()

    def _drain(self, limit_s: float) -> None:
        """Wait for what is owed; what is not there by then, or soon after this visit was cut short, is given up."""
        target = self.target
        hurry_ns = monotonic_ns() + round(HURRY_S * 1e9)

        def over() -> bool:
            return self.gave_up is not None or target.drained or (self.cut_short and monotonic_ns() > hurry_ns)

        target.wait_until(over, limit_s)
        target.give_up_rest()

    def _go_on_schedule(self, delay_s: float) -> None:
        """Give this visit a schedule of its own; each process sends as much of the rate as it has connections for."""
        if not self.connections:
            return
        load, together = self.order.load, self.together
        rate = load.rate_per_s or 0.0
        start_ns = monotonic_ns() + round(delay_s * 1e9)
        start_ns += round(together.index / rate * 1e9) if load.arrivals == "uniform" else 0
        seed = (self.order.seed + together.index) * 1009 + self._visits
        self.target.detach()
        own_rate = rate * self.connections / (load.connections * load.streams)
        schedule = fields.schedule_for(self.target, own_rate, load.arrivals, seed, start_ns)
        fields.open_loop(self.target, schedule, awake=self.order.awake)
        self.target.attach()

    def _restore_connections(self) -> None:
        """Let connections that the server closed meanwhile be opened again, outside counted time."""
        target = self.target
        while self.keep_alive and target.take_batch(0):
            pass
        if self.keep_alive and target.standing < len(target.connections):
            target.wait_until(lambda: target.standing == len(target.connections), STANDING_S / 4)

    def _open_gate(self, *, at_rate: bool) -> None:
        """Start all connections; slow answers and users who think one after the other, across one round's time."""
        spread_s = self.pulse.median_s + self.pulse.think_mean_s
        if spread_s <= BURSTY_S or at_rate:
            self.target.open_gate()
            return
        self.target.gate_open = True
        began = monotonic_ns()
        connections = list(self.target.connections)
        for index, conn in enumerate(connections):
            share = (index * self.together.of + self.together.index) / (len(connections) * self.together.of)
            due = began + round(share * spread_s * 1e9)
            self.target.edge_ns = due
            wait_s = (due - monotonic_ns()) / 1e9
            if wait_s > 0 and not self.cut_short:
                gevent.sleep(wait_s)
            self.target.release(conn, monotonic_ns())

    def settle(self, least_s: float) -> None:
        """Let the visit come into its stride; not counted."""
        self.settle_for(self.settle_s(least_s))

    def settle_for(self, seconds: float) -> None:
        """The same for so long."""
        self.target.enter("settling")
        self.laps.to("settling")
        self.sleep(max(0.0, seconds))

    def settle_s(self, least_s: float) -> float:
        """How long a visit takes to come into its stride, at least so long."""
        pulse = self.pulse
        return min(MOST_SETTLE_S, max(least_s, self.cls.floor_s, pulse.p99_s, pulse.think_s))

    def sleep(self, seconds: float) -> None:
        """Let the loop run, unless this visit is cut short."""
        until = monotonic_ns() + round(seconds * 1e9)
        self.target.edge_ns = until
        while not self.cut_short and (left := until - monotonic_ns()) > 0:
            gevent.sleep(min(left / 1e9, STEP_S))
            self.look()

    def look(self) -> None:
        """Raise the bug that stopped the loop, if one did; and keep lists short."""
        self.target.check()
        if self.target.counting:
            self._take_lags()

    # --- counting ------------------------------------------------------------------------------------------------

    @property
    def answered(self) -> int:
        """Right answers so far, counted or not, once folded."""
        return self.target.tally.requests + sum(tally.requests for tally in (self.target.outside, *self._warm))

    @property
    def errors(self) -> Counter[str]:
        """Errors so far, counted or not."""
        return sum((tally.errors for tally in (self.target.outside, *self._warm)), self.target.tally.errors)

    @property
    def _timeouts(self) -> int:
        return self.errors["timeout"]

    def count(self, length_s: float) -> None:
        """Count one slice or turn."""
        self.begin_piece()
        self.sleep(length_s)

    def count_unbroken(self, window_s: float, progress: Callable[[float], None]) -> None:
        """Count one unbroken window, with right answers per second."""
        piece = self.begin_piece()
        series = self.books.series
        progress(0.0)  # whoever watches begins with the window
        while not self.cut_short and (passed := (monotonic_ns() - piece.from_ns) / 1e9) < window_s:
            second = len(series) + 1.0
            if passed >= second:
                self._note_second(piece)
            else:
                self.sleep(min(second - passed, window_s - passed, SAMPLE_S))
                self._sample(piece)
                progress(passed / window_s)
        if not self.cut_short and window_s >= len(series) + 1:
            self._note_second(piece)

    def _sample(self, piece: Piece) -> None:
        """Note what was answered, and what failed, since the last time."""
        if not self.order.samples:
            return
        self.target.fold()
        answered, failed = self.answered - piece.answered, self.errors.total() - piece.failed
        samples = self.books.samples
        samples.append(
            {
                "at_s": (monotonic_ns() - piece.from_ns) / 1e9,
                "answered": answered - sum(one["answered"] for one in samples),
                "failed": failed - sum(one["failed"] for one in samples),
            }
        )

    def _note_second(self, piece: Piece) -> None:
        """Note how many right answers the second that is over brought, whoever owns them."""
        self.target.fold()
        self.books.series.append(self.answered - piece.answered - sum(self.books.series))

    def _note_dropped(self, sign: int) -> None:
        """Of bursts, take the difference of the system's counters over the counted time."""
        seen = dropped() if isinstance(self.target.pace, BurstPace) and self.together.index == 0 else None
        if seen is None:
            return
        books, pace = self.books, self.target.pace
        before = books.overflow or dict.fromkeys((*seen, "bursts"), 0)
        bursts = before["bursts"] + (pace.bursts if sign > 0 and isinstance(pace, BurstPace) else 0)
        books.overflow = {**{name: before[name] + sign * count for name, count in seen.items()}, "bursts": bursts}

    def judge_handshakes(self) -> None:
        """Give up where sessions were to be taken up and were not: then full handshakes were measured."""
        made = self.target.handshakes_counted() or {}
        every = sum(made.values())
        if self.cls.resumes and every and made["resumed"] < RESUMED_SHARE * every:
            detail = f"of {every} TLS handshakes that could take up a session, {made['resumed']} did"
            self.give_up("not-resumed", detail)

    def begin_piece(self) -> Piece:
        """Count from here on."""
        self.laps.to("counted")
        target, tally = self.target, self.target.tally
        target.fold()
        answered = self.answered
        self.pages.start()
        from_ns = target.begin_count()
        pace = target.pace if isinstance(target.pace, OpenPace) else None
        self.books.waiting_start += target.in_flight + (pace.queue_start if pace is not None else 0)
        self._piece = Piece(
            from_ns=from_ns,
            own_ns=time.process_time_ns(),
            requests=tally.requests,
            busy_ns=tally.busy_ns,
            censored=tally.censored,
            answered=answered,
            failed=self.errors.total(),
            strays_ns=target.outside.busy_ns + target.waited_ns(from_ns, owned=False),
            due=pace.schedule.before(from_ns) if pace is not None else 0,
        )
        self.front_clock.start()
        for clock in self.services.values():
            clock.start()
        self._note_dropped(-1)
        self.clock.start()
        return self._piece

    def edge(self) -> None:
        """Close the gate; when this ends a piece, read all clocks at this moment."""
        target, piece, books = self.target, self._piece, self.books
        if piece is None:
            target.close_gate()
            return
        pace = target.pace if isinstance(target.pace, OpenPace) else None
        edge_ns = target.close_gate()
        piece.cpu_ns = self.clock.stop()
        piece.front_cpu_ns = self.front_clock.stop()
        books.edges_ns.append((piece.from_ns, edge_ns))
        books.add_services({name: clock.stop() for name, clock in self.services.items()})
        books.own_cpu_ns += time.process_time_ns() - piece.own_ns
        books.add_pages(self.pages.stop())
        piece.window_s = (edge_ns - piece.from_ns) / 1e9
        books.think_ns += target.thinking_ns(edge_ns)
        books.sessions += target.sessions + target.program.sessions
        books.established = max(target.standing, books.established or 0)
        if pace is not None:
            books.due += pace.schedule.before(edge_ns) - piece.due
            books.queue_start += pace.queue_start
            books.queue_end += pace.owing
            books.waiting_end += target.in_flight + pace.owing
            books.awake_ns += pace.awake_ns
        target.fold()
        self._take_lags()
        piece.afterwards_ns = target.tally.busy_ns + target.waited_ns(edge_ns, owned=True)
        books.in_time += target.tally.requests - piece.requests

    def _end_piece(self) -> None:
        """All that the piece owns is answered or given up."""
        if self._piece is not None:
            self._note_dropped(+1)
        target, piece, books = self.target, self._piece, self.books
        self._piece = None
        if piece is None:
            return
        target.end_count()
        target.lags_ns.clear()
        tally = target.tally
        for conn in target.connections:
            books.per_connection[conn.index] += conn.count
        if isinstance(target.pace, OpenPace):
            books.lateness.merge(target.pace.lateness)
            books.queue_max = max(books.queue_max, target.pace.queue_max)
        books.vain_pieces += tally.censored > piece.censored
        if target.pace.by_due:
            # What was in flight longer than the piece lasted, beside what it found in flight and had to wait for.
            excess_s = (tally.busy_ns - piece.afterwards_ns - target.outside.busy_ns + piece.strays_ns) / 1e9
        else:
            excess_s = (tally.busy_ns - piece.busy_ns) / 1e9 - self.connections * piece.window_s
        books.add_front(piece.front_cpu_ns)
        books.add_piece(len(books.pieces), piece.window_s, tally.requests - piece.requests, piece.cpu_ns, excess_s)

    def _take_lags(self) -> None:
        """Keep counted lags in a histogram, so that memory stays flat."""
        self.books.lag.record(self.target.lags_ns)
        self.target.lags_ns.clear()

    @property
    def standing_of_books(self) -> dict[str, float]:
        """What decides whether its slices go on, and are sound."""
        books = self.books
        return {
            "counted_s": books.window_s,
            "busy_s": self.target.tally.busy_ns / 1e9,
            "places": self.connections,
            "excess_s": books.excess_s,
            "largest_excess_s": books.largest_excess_s,
            "two_largest_excess_s": books.two_largest_excess_s,
            "vain_pieces": books.vain_pieces,
        }

    def forget(self, reason: str) -> None:
        """Take back all that was counted: it was not sound."""
        self.target.forget_count(reason)
        self.books = Books()

    # --- the warm-up ---------------------------------------------------------------------------------------------

    def new_stretch(self) -> None:
        """The warm-up goes on; what comes from here on is looked at apart."""
        self.target.fold()
        self._warm.append(self.target.outside)
        self.target.outside = Tally()

    def look_back(self, time_s: float) -> None:
        """Learn from the warm-up so far, which took that long, how slow answers are; and fit the time-out to them.

        Its first stretch has what is only slow once; of the others the middle one counts, so that a single disturbance
        of the machine does not decide.
        """
        self.target.fold()
        stretches = [*self._warm, self.target.outside]
        thoughts = self.target.thoughts
        self.pulse = Pulse(
            **middle_pulse([tally.histogram for tally in stretches]),
            think_s=thoughts.longest_s,
            think_mean_s=thoughts.mean_s,
            think_share=self.target.think_ns / 1e9 / (max(1, self.connections) * time_s) if time_s else 0.0,
        )
        if any(tally.requests for tally in stretches):
            self._fit_timeout()

    def warm(self, *, time_s: float) -> None:
        """The warm-up is over and drained: learn how slow answers are, or give up when there was none."""
        self.warmup_s = (self.warmup_s or 0.0) + time_s
        self.look_back(time_s)
        self.target.outside, self._warm = merged_tallies([*self._warm, self.target.outside]), []
        if not self.target.outside.requests:
            self._give_up_fruitless("the whole warm-up")

    def agreed(self, pulse: Pulse) -> None:
        """All processes know this pulse."""
        self.pulse = pulse
        self._fit_timeout()

    def _fit_timeout(self) -> None:
        pulse = self.pulse
        self.timeout_s = fitting_timeout(
            self.order.timeout_s,
            fields.declared_timeout_s(self.cls),
            self.order.window_s,
            self.cls.floor_s,
            pulse.p99_s,
        )
        self.target.timeout_ns = round(self.timeout_s * 1e9)

    # --- giving up -----------------------------------------------------------------------------------------------

    def give_up(self, reason: str, detail: str) -> None:
        """Visit this target no more; what it counted so far stays in the result."""
        if self.gave_up is None:
            self.gave_up = {"reason": reason, "detail": detail}
        self.cut_short = True

    @property
    def fallen_s(self) -> float:
        """For how long no connection has been standing; a process with no share of the connections misses none."""
        if (
            not self.connections
            or self.target.standing
            or not (self.keep_alive or self.errors)
            or self.target.in_flight
        ):
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
        if not self.cut_short and self.target.fell_silent:
            self.give_up("hung", f"in the end no connection had an answer within {self.timeout_s:g} s")
        if self.cut_short or self.answered > answered:
            self._fruitless_s = 0.0
            return
        self._fruitless_s += length_s
        if self._timeouts > timeouts:
            self.give_up("hung", f"a whole visit brought no right answer within {self.timeout_s:g} s")
        self.judge_standing()
        if self._fruitless_s >= STANDING_S:
            self._give_up_fruitless(f"{self._fruitless_s:.1f} s of visits")

    def _give_up_fruitless(self, what: str) -> None:
        kind, sample = self._gravest_error()
        if sample:
            row = kind_named(kind)
            reason = "no-right-answer" if row.weight == "lost" else row.given_up
            self.give_up(reason, f"{what} brought no right answer; {kind}: {sample}")

    def _gravest_error(self) -> tuple[str, str]:
        """Kind and example of the error that explains the others."""
        samples = {
            kind: text
            for tally in (*self._warm, self.target.outside, self.target.tally)
            for kind, text in tally.samples.items()
        }
        kind = gravest(self.errors) or "closed"
        return kind, samples.get(kind, "")

    # --- afterwards ----------------------------------------------------------------------------------------------

    def hear_out(self) -> None:
        """Before its connections are used for anything else: look for answers that nobody asked for.

        One that was sent twice can pass for the answer to the next request, whose own comes when its time is up.
        """
        if self.gave_up is None and not self.cut_short:
            p99_s = (self.target.tally.histogram.percentile_us(0.99) or 0.0) / 1e6
            passed_s = (monotonic_ns() - self._quiet_ns) / 1e9
            # What came meanwhile waits to be read.
            self.target.hear_out(max(LEAST_HEARD_S, max(HEAR_OUT_S, SLOWER_THAN_P99 * p99_s) - passed_s))

    def identify(self) -> None:
        """Find out which of the server's processes answered; each connection stays with one."""
        if self.keep_alive and self.target.program.handshake is None:
            self._by_pid = identify(self.target, self.books.per_connection)

    def _peak(self) -> dict[str, int] | None:
        """What the server held before, and at most; None where that can't be known."""
        most = highest(self.spec.pids) if self._resident_bytes is not None else None
        return None if most is None else {"before_bytes": self._resident_bytes or 0, "most_bytes": most}

    def share(self, way: Way) -> dict[str, Any]:
        """Say what this process counted."""
        return {
            "id": self.id,
            "warmup_s": self.warmup_s,
            "visits": way.visits,
            "why": way.why,
            "timeout_s": self.timeout_s,
            "thinks": self.pulse.thinks,
            "tasks": not self.cls.requests,
            "in_sessions": not self.cls.requests or self.target.program.dependent,
            "requests_by_pid": self._by_pid,
            "gave_up": self.gave_up,
            "held": self._held,
            "peak": self._peak(),
            **self.books.share(self.target),
        }


@contextmanager
def visiting(several: Sequence[Visited], *, at_rate: bool = False, apart_s: float = 0.0) -> Iterator[None]:
    """Visit targets at once: attach and open the gates, afterwards close all gates before the first is drained.

    `at_rate`: on schedules of their own, each of which begins so long after the one before.
    """
    there: list[Visited] = []
    laps = several[0].laps
    outside = laps.phase
    try:
        for each in several:
            there.append(each)
            each.arrive()
        for place, each in enumerate(several):
            each.begin(at_rate=at_rate, delay_s=place * apart_s)
        paces = [each.target.pace for each in several if isinstance(each.target.pace, OpenPace)]
        for pace in paces:
            pace.beside = [other for other in paces if other is not pace]
        yield
    finally:
        laps.to("draining")
        for each in there:
            each.edge()
        for each in there:
            each.leave(at_rate=at_rate)
        laps.to(outside)


def merged_tallies(tallies: list[Tally]) -> Tally:
    """Add several tallies."""
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    return total
