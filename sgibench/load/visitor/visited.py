"""The visits themselves: arrive, open the gate, go on for a while, close it, drain, leave.

Between two visits a target is left alone with its connections open. Whoever is visited several at once has all gates
closed before the first is drained, so that no server works longer under load than another.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import monotonic_ns
from typing import Any

import gevent

from sgibench.errors import LoadError
from sgibench.laps import Laps
from sgibench.load import field as fields
from sgibench.load.arriving import open_loop, schedule_for
from sgibench.load.bursts import LOOK_S, BurstPace
from sgibench.load.cpu import TreeClock
from sgibench.load.identify import identify
from sgibench.load.loading import load_scenario
from sgibench.load.orders import MeasureOrder
from sgibench.load.paces import OpenPace
from sgibench.load.peak import highest, set_back
from sgibench.load.slow import Crowd
from sgibench.load.together import Together
from sgibench.load.visitor.clocks import Clocks
from sgibench.load.visitor.counting import Counting, Piece
from sgibench.load.visitor.heard import Heard
from sgibench.load.visitor.held import Held
from sgibench.load.visitor.patience import STANDING_S, Patience
from sgibench.load.visitor.rhythm import Rhythm
from sgibench.load.ways import Way
from sgibench.model.kinds import kind_named

BURSTY_S = 0.005
"""Answers slower than this get their connections started one after the other, so that they do not come in bursts."""
SLOWER_THAN_P99 = 1.5
LEAST_HEARD_S = 0.002
HEAR_OUT_S = 0.05
"""How long its connections are listened to after the last visit, at least; else for as long as answers take."""
SAMPLE_S = 0.1
CALM_S = 0.01
"""Before a piece begins only requests and answers are handled for so long: what the load process does else makes some
of them late and come at once, which servers with threads take milliseconds to get over."""
CROWDED_S = 1.0
"""How long slow clients are there before a window begins."""
CATCH_UP_S = 0.001
"""A turn whose server has stopped looks up this often."""
STEP_S = 0.05
"""An unbroken window looks up this often."""
HURRY_S = 0.5
"""How long a visit that was cut short is drained."""


class Visited:
    """A target while it is measured."""

    def __init__(self, order: MeasureOrder, index: int, together: Together, laps: Laps) -> None:
        self.order = order
        self.laps = laps
        self.together = together
        self.spec = order.targets[index]
        self.id = self.spec.id
        self.cls = load_scenario(order.scenario)
        if (self.cls.terms.one_client or self.cls.bursts) and together.of > 1:
            raise LoadError(f"{order.scenario.stem} comes from one load process at one moment: use --load-workers 1")
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
        self.target.program.prepared = order.alone
        if isinstance(self.target.pace, BurstPace):
            self.target.pace.pids = self.spec.pids
        total, each, first = order.load.connections, order.load.streams, together.index == 0
        self.connections = places = (total // together.of + (together.index < total % together.of)) * each
        """This process's share of the connections; of the places on them, where several share one."""
        self.clocks = Clocks(self.spec, first=first)
        self.heard = heard = Heard(target=self.target)
        self.patience = Patience(self.target, heard, places=places)
        self.rhythm = Rhythm(order, self.target, heard, places=places)
        self.counting = Counting(self.target, heard, self.clocks, laps, places=places)
        self.held = Held(order, self.spec, self.target, together, self.patience)
        self.warmup_s: float | None = None
        self.warmup_rps: float | None = None
        """Answers to all processes in the fastest window of the warm-up that had ENOUGH of them for a rate."""
        self._resident_bytes = set_back(self.spec.pids) if self.cls.terms.peak and first else None
        """What the server held before it was asked anything by this order."""
        self._visits = 0
        self._by_pid: dict[str, int] | None = None
        self._arrived_ns = 0
        self._closed_pace = self.target.pace
        self._quiet_ns = monotonic_ns()

    @property
    def answered(self) -> int:
        """Right answers so far, counted or not, once folded."""
        return self.heard.answered

    @property
    def errors(self) -> Counter[str]:
        """Errors so far, counted or not."""
        return self.heard.errors

    @property
    def clock(self) -> TreeClock:
        """The CPU clock of the server."""
        return self.clocks.server

    @property
    def gave_up(self) -> dict[str, str] | None:
        """Why it is visited no more; None while it is."""
        return self.patience.gave_up

    @property
    def cut_short(self) -> bool:
        """Whether its visits end at once."""
        return self.patience.cut_short

    # --- its connections -----------------------------------------------------------------------------------------

    def await_connections(self) -> None:
        """Let the connections of new users open."""
        self.patience.begin_anew()
        if self.keep_alive:
            self.target.attach()
            self.target.wait_until(lambda: self.target.standing == self.connections, STANDING_S)
            self.target.detach()
            self.patience.judge_standing()

    def _restore_connections(self) -> None:
        """Let connections that the server closed meanwhile be opened again, outside counted time."""
        target = self.target
        while self.keep_alive and target.take_batch(0):
            pass
        if self.keep_alive and target.standing < len(target.connections):
            target.wait_until(lambda: target.standing == len(target.connections), STANDING_S / 4)

    def close(self) -> None:
        """Close the connections."""
        self.held.close()
        self.target.close()

    # --- a visit: arrive, begin, edge, leave ---------------------------------------------------------------------

    def visit(self, *, at_rate: bool = False) -> AbstractContextManager[None]:
        """Attach, open the gate, and afterwards close it and drain; `at_rate` on a schedule of its own."""
        return visiting([self], at_rate=at_rate)

    def arrive(self) -> None:
        """Let the loop drive this target, all of its connections open."""
        self.patience.begin_visit()
        self._visits += 1
        self._arrived_ns = monotonic_ns()
        self.clocks.look()
        self._closed_pace = self.target.pace
        self.target.attach()
        self.held.join()
        self._restore_connections()

    def begin(self, *, at_rate: bool, delay_s: float = 0.0) -> None:
        """Open the gate; `at_rate` on a schedule that begins after a delay."""
        if at_rate:
            self._go_on_schedule(delay_s)
        self._open_gate(at_rate=at_rate)

    def edge(self) -> None:
        """Close the gate; what was counted has its second edge."""
        self.counting.edge()

    def leave(self, *, at_rate: bool) -> None:
        """The gate is closed: drain, close the books of this visit, and leave the target alone."""
        target = self.target
        self.held.leave()
        self._drain(self.rhythm.timeout_s if at_rate else self.rhythm.timeout_s + 1)
        self.counting.end()
        self._quiet_ns = monotonic_ns()
        target.detach()
        target.fold()
        target.pace = self._closed_pace
        self.patience.judge_visit((monotonic_ns() - self._arrived_ns) / 1e9, self.rhythm.timeout_s)

    def _drain(self, limit_s: float) -> None:
        """Wait for what is owed; what is not there by then, or soon after this visit was cut short, is given up."""
        target = self.target
        hurry_ns = monotonic_ns() + round(HURRY_S * 1e9)

        def over() -> bool:
            return self.gave_up is not None or target.drained or (self.cut_short and monotonic_ns() > hurry_ns)

        target.wait_until(over, limit_s)
        target.give_up_rest()

    def _go_on_schedule(self, delay_s: float) -> None:
        """Give this visit a schedule of its own; each process sends as much of the rate as it has connections for.

        Even arrivals begin anywhere in their period, in all processes at the same place of it: visits of a whole number
        of periods and a bit would else all hold one request more, or one less, than their share.
        """
        if not self.connections:
            return
        load, together = self.order.load, self.together
        rate = load.rate_per_s or 0.0
        start_ns = monotonic_ns() + round(delay_s * 1e9)
        start_ns += round(together.index / rate * 1e9) if load.arrivals == "uniform" else 0
        seed = (self.order.seed + together.index) * 1009 + self._visits
        self.target.detach()
        own_rate = rate * self.connections / (load.connections * load.streams)
        phase = random.Random(self.order.seed * 1009 + self._visits).random()
        schedule = schedule_for(self.target, own_rate, load.arrivals, seed, start_ns, phase=phase)
        open_loop(self.target, schedule, awake=self.order.awake)
        self.target.attach()

    def _open_gate(self, *, at_rate: bool) -> None:
        """Start all connections; slow answers and users who think one after the other, across one round's time."""
        spread_s = self.rhythm.spread_s
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

    # --- what goes on in it --------------------------------------------------------------------------------------

    def settle(self, least_s: float) -> None:
        """Let the visit come into its stride; not counted."""
        self.settle_for(self.rhythm.settle_s(least_s))

    def settle_turn(self, least_s: float) -> None:
        """The same of a turn: it begins when something was answered in this visit, and the server keeps up."""
        self.settle_for(self.rhythm.turn_settle_s(least_s))
        self.catch_up()
        self.counting.books.out_of_step += self._behind and not self.cut_short

    def settle_for(self, seconds: float) -> None:
        """The same for so long."""
        self.target.enter("settling")
        self.laps.to("settling")
        calm_s = min(CALM_S, max(0.0, seconds))
        self.sleep(seconds - calm_s)
        self.counting.ready()
        self.sleep(calm_s)

    def count(self, length_s: float) -> None:
        """Count one slice, or one turn: that begins and ends when the server owes nothing but what just came.

        A turn of fixed length would hold a part of a stop, and the time until the server is there again would be
        nobody's. Between two such moments each stop has its whole weight, whether requests cause it or a clock does
        (ratios over the cycles of a regenerative process; Crane and Iglehart, Operations Research 23, 1975).
        """
        keeps_up = not self._behind
        piece = self.counting.begin()
        self.sleep(length_s)
        if keeps_up and self._behind:
            self.catch_up()
            self.counting.books.longer_s += max(0.0, piece.passed_s - length_s)

    def catch_up(self) -> None:
        """Go on while the server has said nothing yet, has stopped, or answers what was due then.

        At most for as long as requests wait.
        """
        until = monotonic_ns() + round(self.rhythm.timeout_s * 1e9)
        while self._behind and not self.cut_short and monotonic_ns() < until:
            self.sleep(CATCH_UP_S)

    @property
    def _behind(self) -> bool:
        """Whether a server that is asked at a rate answers nothing of what was due since, or has said nothing yet."""
        pace, now = self.target.pace, monotonic_ns()
        if not isinstance(pace, OpenPace):
            return False
        return pace.unheard(now) or pace.behind_ns(now) > self.rhythm.behind_s * 1e9

    def count_unbroken(self, window_s: float, progress: Callable[[float], None]) -> None:
        """Count one unbroken window, with right answers per second."""
        counting = self.counting
        piece = counting.begin()
        series = counting.books.series
        progress(0.0)  # whoever watches begins with the window
        while not self.cut_short and (passed := piece.passed_s) < window_s:
            second = len(series) + 1.0
            if passed >= second:
                counting.note_second(piece)
            else:
                self.sleep(min(second - passed, window_s - passed, SAMPLE_S))
                if self.order.samples:
                    counting.sample(piece)
                progress(passed / window_s)
        if not self.cut_short and window_s >= len(series) + 1:
            counting.note_second(piece)
        self._let_burst_end(counting, piece)

    def _let_burst_end(self, counting: Counting, piece: Piece) -> None:
        """A burst that began in the window ends in it: all of its connections are counted, so are its time and CPU."""
        pace = self.target.pace
        if not isinstance(pace, BurstPace):
            return
        until = monotonic_ns() + round((self.rhythm.timeout_s + 1) * 1e9)
        while not self.cut_short and not pace.between() and monotonic_ns() < until:
            self.sleep(LOOK_S)
            if piece.passed_s >= len(counting.books.series) + 1:
                counting.note_second(piece)

    def ask_for(self, seconds: float, places: int) -> None:
        """Ask on so many connections for so long, and wait for all answers; not counted."""
        target = self.target
        target.gate_open = places > 0
        now_ns = monotonic_ns()
        for conn in target.connections[:places]:
            target.release(conn, now_ns)
        self.sleep(seconds)
        target.close_gate()
        self._drain(self.rhythm.timeout_s + 1)
        target.fold()

    def sleep(self, seconds: float) -> None:
        """Let the loop run, unless this visit is cut short."""
        until = monotonic_ns() + round(seconds * 1e9)
        self.target.edge_ns = until
        while not self.cut_short and (left := until - monotonic_ns()) > 0:
            gevent.sleep(min(left / 1e9, STEP_S))
            self.look()

    def look(self) -> None:
        """Raise the bug that stopped the loop, if one did, and give up on one of the scenario's own."""
        self.target.check()
        if bug := self.target.bug:
            self.patience.give_up(kind_named("task").given_up, bug)
        if self.target.counting:
            self.counting.look()

    @contextmanager
    def crowded(self) -> Iterator[None]:
        """Have slow clients at the server meanwhile, where the scenario wants some."""
        if self.cls.slow is None:
            yield
            return
        address, share = (self.spec.host, self.spec.port), (self.together.index, self.together.of)
        crowd = Crowd(self.cls.slow, address, *share, protocol=self.order.load.protocol)
        crowd.start()
        try:
            gevent.sleep(CROWDED_S)
            yield
            self.counting.books.slow = crowd.standing
        finally:
            crowd.stop()

    # --- afterwards ----------------------------------------------------------------------------------------------

    def warm(self, *, time_s: float) -> None:
        """The warm-up is over and drained: learn how slow answers are, or give up when there was none."""
        self.warmup_s = (self.warmup_s or 0.0) + time_s
        self.rhythm.look_back(time_s)
        self.heard.end_warmup()
        if not self.target.outside.requests:
            self.patience.give_up_fruitless("the whole warm-up")

    def hear_out(self) -> None:
        """Before its connections are used for anything else: look for answers that nobody asked for.

        One that was sent twice can pass for the answer to the next request, whose own comes when its time is up.
        """
        if self.cls.resumes:
            self.patience.judge_handshakes()
        if self.gave_up is None and not self.cut_short:
            p99_s = (self.target.tally.histogram.percentile_us(0.99) or 0.0) / 1e6
            passed_s = (monotonic_ns() - self._quiet_ns) / 1e9
            # What came meanwhile waits to be read.
            self.target.hear_out(max(LEAST_HEARD_S, max(HEAR_OUT_S, SLOWER_THAN_P99 * p99_s) - passed_s))

    def identify(self) -> None:
        """Find out which of the server's processes answered; each connection stays with one."""
        if self.keep_alive and self.target.program.handshake is None:
            self._by_pid = identify(self.target, self.counting.books.per_connection)

    def _peak(self) -> dict[str, int] | None:
        """What the server held before, and at most; None where that can't be known."""
        most = highest(self.spec.pids) if self._resident_bytes is not None else None
        return None if most is None else {"before_bytes": self._resident_bytes or 0, "most_bytes": most}

    def share(self, way: Way) -> dict[str, Any]:
        """Say what this process counted."""
        return {
            "id": self.id,
            "warmup_s": self.warmup_s,
            "warmup_rps": self.warmup_rps,
            "visits": way.visits,
            "why": way.why,
            "timeout_s": self.rhythm.timeout_s,
            "thinks": self.rhythm.pulse.thinks,
            "tasks": not self.cls.requests,
            "in_sessions": not self.cls.requests or self.target.program.dependent,
            "requests_by_pid": self._by_pid,
            "gave_up": self.gave_up,
            "held": self.held.share,
            "peak": self._peak(),
            **self.counting.books.share(self.target),
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
