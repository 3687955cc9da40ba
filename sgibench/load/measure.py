"""Measure: warm each target up, choose how windows are made, make them, and say what was counted.

A window is as long as the clock says, not as long as it was meant, and owns what is due or sent in it: at its edge the
gate closes, and what is in flight is drained and counted. Processes that measure together take every turn of this road
together: what decides a turn is agreed upon just before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from time import monotonic_ns, process_time_ns
from typing import Any

import gevent

from sgibench.laps import Laps
from sgibench.load.cpu import TreeClock
from sgibench.load.orders import MeasureOrder
from sgibench.load.outcome import result
from sgibench.load.singly import Singly
from sgibench.load.together import Agreement, Alone, Together
from sgibench.load.visitor import STANDING_S, STEP_S, Visited, visiting
from sgibench.load.ways import (
    Pulse,
    Way,
    closed_way,
    given_up,
    may_go_together,
    open_way,
    surely_unbroken,
    together_way,
    too_much,
    waited_in_vain,
)

WARMUP_S = 0.25
"""Length of the windows compared to find out whether the rate is steady; a warm-up this short is a reminder."""
QUICK_WARMUP_S = 0.1
"""The same where so short a window holds ENOUGH answers for two to agree."""
ENOUGH = 300
STEADY = 0.05
"""The last two of them differ by less than this share."""
LEAST_RATES, LEAST_WARMUPS = 2, 3
"""So many windows of a warm-up, and so many if it may last so long: the first is cold, and two have to agree."""
REHEARSALS = 4
"""So many at the rate of an open loop ..."""
LEAST_REHEARSED = 60
"""... each as long as so many answers take, but no longer than those of a warm-up. Turns are far longer than answers,
as a rule, and answers that become slow later are noticed in the turns themselves."""
LEAST_REHEARSAL_S = 0.05
OPEN_SETTLE_S = 0.3
"""How long a schedule runs before the requests of an unbroken window count."""
TURN_SETTLE_S = 0.05
"""The same in a turn, whose connections are warm."""
PROGRESS_S = 0.5
UNSOUND = "visits that were given up"
"""Why what was counted in them belongs to no window."""

Say = Callable[[dict[str, Any]], None]


class Measurement:
    """One order being carried out, by this process alone or together with others."""

    def __init__(self, order: MeasureOrder, say: Say, together: Together | None = None) -> None:
        self.order = order
        self.aborted = False
        self.together = together or Alone()
        self.laps = Laps("connecting")
        self._stopped = False
        self._say = say
        self._said_at = 0
        self._begun: set[tuple[str, str]] = set()
        """Targets and phases that were told of."""
        self._random = Random(order.seed)
        self.way = Way(visits="unbroken", length_s=order.window_s, why="")
        self.visited = [Visited(order, index, self.together, self.laps) for index in range(len(order.targets))]
        self.singly = Singly(
            order=order,
            visited=self.visited,
            agree=self._agree,
            goes_on=self._goes_on,
            random=self._random,
        )

    # --- orders that come while it runs ----------------------------------------------------------------------------

    def abort(self) -> None:
        """End soon; keep what was counted."""
        self.aborted = True
        for visited in self.visited:
            visited.patience.cut_short = True

    def drop(self, target: str, reason: str) -> None:
        """Visit a target no more."""
        for visited in self.visited:
            if visited.id == target:
                visited.patience.give_up("gone", reason)

    # --- the road --------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Carry the order out alone; gives its answer."""
        shares = self.shares()
        return {**answer_of(self.order, [shares], aborted=self.aborted), "spent_s": self.laps.spent_s}

    def shares(self) -> list[dict[str, Any]]:
        """Carry the order out; gives what this process counted of each target."""
        try:
            self._gather()
            surely = surely_unbroken(self.order, self._floor_s)
            if surely is not None:
                self.way = surely
                self._straight_on()
            else:
                self.laps.to("warm-up")
                for visited in self.visited:
                    if self._goes_on(visited):
                        self._warm_up(visited)
                if self.order.load.kind == "open":
                    self._rehearse_all()
                self._measure()
            self._one_by_one()
            self.laps.to("hearing out")
            for visited in self.visited:
                visited.hear_out()
            self.laps.to("identifying")
            if self.order.identify and not self.aborted:
                for visited in self.visited:
                    if visited.gave_up is None:
                        visited.identify()
            return [{**visited.share(self.way), "singly": self.singly.shares(visited.id)} for visited in self.visited]
        finally:
            for visited in self.visited:
                visited.close()
            self.together.dismiss()

    @property
    def _floor_s(self) -> float:
        """What answers take at least; 0 where windows have a way of their own whatever that is."""
        cls = self.visited[0].cls
        return 0.0 if cls.beside is not None or cls.bursts else cls.floor_s

    def _one_by_one(self) -> None:
        """Ask each request by itself, where that was ordered."""
        if not self._stopped and self.order.singly:
            self.laps.to("one request at a time")
            self.singly.run()

    def _gather(self) -> None:
        """Spawn the users; their connections open at once."""
        for visited in self.visited:
            visited.target.attach()
        places = [visited.target for visited in self.visited for _ in range(visited.connections)]
        self.together.recruit(self.visited[0].cls, places)
        for visited in self.visited:
            visited.target.detach()
        for visited in self.visited:
            visited.await_connections()

    def _goes_on(self, visited: Visited, **said: Any) -> bool:
        """Whether all agree to go on with a target; returns at the same moment everywhere."""
        self._agree(visited, **said)
        return not self._stopped and visited.gave_up is None

    def _agree(self, visited: Visited | None = None, **said: Any) -> Agreement:
        """Exchange what each knows, learn who was given up, and wait for the common moment."""
        said |= {"aborted": self.aborted, "gave_up": visited.gave_up if visited else None}
        agreement = self.together.agree(said)
        self._stopped = bool(agreement.any("aborted"))
        gave_up = agreement.any("gave_up")
        if visited is not None and gave_up:
            visited.patience.give_up(**gave_up)
        if (wait_ns := agreement.at_ns - monotonic_ns()) > 0:
            gevent.sleep(wait_ns / 1e9)
        return agreement

    def _progress(self, visited: Visited, phase: str, done: float) -> None:
        """Tell the engine how far this is: where a phase begins, and else not too often."""
        now = monotonic_ns()
        new = (visited.id, phase) not in self._begun
        if self.together.index == 0 and (new or now - self._said_at > PROGRESS_S * 1e9):
            self._said_at = now
            self._begun.add((visited.id, phase))
            self._say({"event": "progress", "target": visited.id, "phase": phase, "done": round(min(done, 1.0), 3)})

    # --- the warm-up -----------------------------------------------------------------------------------------------

    def _warm_up(self, visited: Visited) -> None:
        """Load it until its rate is steady, at most for `warmup_s`.

        Before an open loop, a server that is warm from another load is only asked once on each connection: to some
        servers one on which nothing was ever said is one that keeps a thread waiting for it.
        """
        is_open = self.order.load.kind == "open"
        if is_open and self.order.warmup_s <= WARMUP_S:
            with visited.visit():
                visited.sleep(0)
            return
        began = monotonic_ns()
        visited.target.think_ns = 0
        with visited.visit():
            self._until_steady(visited)
            time_s = (monotonic_ns() - began) / 1e9
            visited.rhythm.look_back(time_s)
        visited.warm(time_s=time_s)
        self._share_pulse(visited)

    def _until_steady(self, visited: Visited) -> None:
        """Go on until two windows agree, the first not among them, or the time for it is over."""
        rates: list[float] = []
        length_s, passed_s = QUICK_WARMUP_S, 0.0
        while len(rates) < LEAST_RATES or passed_s < self.order.warmup_s:
            self._progress(visited, "warmup", passed_s / self.order.warmup_s)
            answered, at = visited.answered, monotonic_ns()
            if rates:
                visited.heard.new_stretch()
            visited.sleep(length_s)
            visited.target.fold()
            passed_s += length_s
            rate = (visited.answered - answered) / (monotonic_ns() - at)
            agreement = self._agree(visited, rate=rate, fallen_s=visited.patience.fallen_s)
            rates.append(agreement.sum("rate"))
            steady = len(rates) >= LEAST_WARMUPS and abs(rates[-1] - rates[-2]) < STEADY * max(rates[-2:])
            fallen = agreement.most("fallen_s") >= STANDING_S
            if self._stopped or visited.gave_up or steady or fallen:
                return
            length_s = QUICK_WARMUP_S if rates[-1] * 1e9 * QUICK_WARMUP_S >= ENOUGH else WARMUP_S

    def _rehearse_all(self) -> None:
        """Learn how slow answers are at the rate that will be measured: of all servers at once, or one by one."""
        self.laps.to("rehearsal")
        if may_go_together(self.order, self._floor_s, alone=self.together.of == 1):
            fit = [visited for visited in self.visited if self._goes_on(visited)]
            if len(fit) > 1:
                self._rehearse_together(fit)
        if self.way.visits != "together":
            for visited in self.visited:
                if self._goes_on(visited):
                    self._rehearse([visited])

    def _rehearse(self, several: Sequence[Visited]) -> None:
        """Go at the rate for a while, with all of these at once."""
        for visited in several:
            visited.target.enter("warm-up")
        length_s = min(WARMUP_S, max(LEAST_REHEARSAL_S, LEAST_REHEARSED / (self.order.load.rate_per_s or 1.0)))
        began = monotonic_ns()
        with visiting(several, at_rate=True, apart_s=self._apart_s(several)):
            for stretch in range(REHEARSALS):
                for visited in several if stretch else ():
                    visited.heard.new_stretch()
                self._sleep(several, length_s)
            for visited in several:
                visited.rhythm.look_back((monotonic_ns() - began) / 1e9)
        for visited in several:
            visited.warm(time_s=(monotonic_ns() - began) / 1e9)
            self._share_pulse(visited)

    def _rehearse_together(self, fit: Sequence[Visited]) -> None:
        """Try whether they leave one another in peace, at once: together they may need little of a CPU."""
        clocks = [TreeClock(pids) for visited in fit for pids in (visited.spec.pids, visited.spec.front_pids) if pids]
        for clock in clocks:
            clock.look()
            clock.start()
        began, own_ns = monotonic_ns(), process_time_ns()
        self._rehearse(fit)
        passed_ns = monotonic_ns() - began
        own = (process_time_ns() - own_ns) / passed_ns
        used = [clock.stop() for clock in clocks]
        of_servers = None if None in used or not used else sum(each or 0 for each in used) / passed_ns
        self.way = together_way(self.order.window_s, of_servers, own) or self.way

    def _apart_s(self, several: Sequence[Visited]) -> float:
        """How far apart the schedules of targets begin that are visited at once: evenly over a request's time."""
        return 1 / ((self.order.load.rate_per_s or 1.0) * len(several))

    def _sleep(
        self, several: Sequence[Visited], seconds: float, progress: Callable[[float], None] | None = None
    ) -> None:
        """Let the loop run, unless all of these were cut short."""
        began = monotonic_ns()
        while (left_s := seconds - (monotonic_ns() - began) / 1e9) > 0 and not all(each.cut_short for each in several):
            gevent.sleep(min(left_s, STEP_S))
            for visited in several:
                visited.look()
            if progress is not None:
                progress(1 - max(0.0, left_s) / seconds)

    def _share_pulse(self, visited: Visited) -> None:
        """Take the slowest answers that any process saw for all of them."""
        agreement = self._agree(visited, **vars(visited.rhythm.pulse))
        visited.rhythm.agreed(Pulse(**{name: agreement.most(name) for name in vars(visited.rhythm.pulse)}))

    # --- the windows -----------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """Choose the way, and go it; slices that turn out to be unsound are given up for unbroken windows."""
        self.laps.to("between visits")
        if self.way.visits == "together":
            self._all_at_once()
            return
        order, load = self.order, self.order.load
        pulses = {visited.id: visited.rhythm.pulse for visited in self.visited if visited.gave_up is None}
        if self.visited[0].cls.beside is not None and not order.alone:
            beside = "connections are held open beside, to one server at a time"
            self.way = Way(visits="unbroken", length_s=order.window_s, why=beside)
        elif self.visited[0].cls.bursts:
            self.way = Way(visits="unbroken", length_s=order.window_s, why="a burst is not cut in two")
        elif load.kind == "open":
            self.way = open_way(order.turn_s, load.rate_per_s or 0.0, order.window_s, pulses)
        else:
            self.way = closed_way(order.slice_s, order.window_s, pulses)
        if self.way.visits == "unbroken":
            self._windows()
            return
        why = self._rounds(self.way.length_s)
        if why is not None:
            self.way = Way(visits="unbroken", length_s=order.window_s, why=why)
            for visited in self.visited:
                visited.counting.forget(UNSOUND)
            self._windows()

    def _rounds(self, length_s: float) -> str | None:
        """Visit all targets in random order, round after round, until each has its window; why it was in vain."""
        number = 0
        while True:
            counted = {visited.id: self._agree(visited, **visited.counting.standing) for visited in self.visited}
            left = {name: self.order.window_s - agreement.most("counted_s") for name, agreement in counted.items()}
            waiting = [visited for visited in self.visited if visited.gave_up is None and left[visited.id] > 0]
            if self._stopped:
                return None
            why = self._unsound(counted, number, last=not waiting)
            if why is not None or not waiting:
                return why
            self._random.shuffle(waiting)
            for visited in waiting:
                if self._goes_on(visited):
                    self._progress(visited, "measure", 1 - left[visited.id] / self.order.window_s)
                    self._slice(visited, length_s, left[visited.id])
            number += 1

    def _unsound(self, counted: dict[str, Agreement], rounds: int, *, last: bool) -> str | None:
        """Say why visits do not tell the truth, if they do not.

        Closed loops are busy for as long as is counted; what an open loop leaves unanswered at the end of a visit is as
        much as it finds at the beginning; and where answers fail to come at all, each visit would wait.
        """
        is_closed = self.order.load.kind == "closed"
        for visited in self.visited:
            said = counted[visited.id]
            if visited.gave_up is not None or not rounds:
                continue
            if said.most("vain_pieces") > 1 and not last:
                return waited_in_vain(visited.id)
            if is_closed:
                time_s, spared = said.most("counted_s") * said.sum("places"), "largest_excess_s"
            else:
                time_s, spared = said.sum("busy_s"), "two_largest_excess_s"
            share = too_much(said.sum("excess_s"), said.sum(spared), time_s, rounds, is_closed=is_closed, last=last)
            if share is not None:
                return given_up(share, visited.id, is_closed=is_closed)
        return None

    def _slice(self, visited: Visited, length_s: float, left_s: float) -> None:
        """Make one visit: settle, count, drain."""
        length = min(length_s, left_s)
        if left_s - length < length_s / 4:
            length = left_s  # no crumb of a slice at the end
        is_open = self.order.load.kind == "open"
        with visited.visit(at_rate=is_open):
            visited.settle(TURN_SETTLE_S if is_open else self.order.settle_s)
            visited.count(length)

    def _all_at_once(self) -> None:
        """One window for all targets at the same time; in which order their requests come is drawn."""
        fit = [visited for visited in self.visited if self._goes_on(visited)]
        self._random.shuffle(fit)
        if not fit:
            return
        with visiting(fit, at_rate=True, apart_s=self._apart_s(fit)):
            self.laps.to("settling")
            for visited in fit:
                visited.target.enter("settling")
            self._sleep(fit, max(visited.rhythm.settle_s(OPEN_SETTLE_S) for visited in fit))
            for visited in fit:
                visited.counting.begin()
                self._said_at = 0  # each of them is said to have begun
                self._progress(visited, "measure", 0.0)
            self._sleep(fit, self.order.window_s, self._progress_of(fit[0]))

    def _straight_on(self) -> None:
        """One unbroken window for each target, in the visit that warms it up: nothing is drained in between."""
        for visited in self._random.sample(self.visited, len(self.visited)):
            if not self._goes_on(visited):
                continue
            self.laps.to("warm-up")
            began = monotonic_ns()
            visited.rhythm.agreed(Pulse(median_s=visited.cls.floor_s))  # so connections do not start all at once
            with visited.visit():
                self._until_steady(visited)
                time_s = (monotonic_ns() - began) / 1e9
                visited.warm(time_s=time_s)
                self._share_pulse(visited)
                if not self._stopped and visited.gave_up is None:
                    visited.settle_for(visited.rhythm.settle_s(self.order.settle_s) - time_s)
                    visited.count_unbroken(self.order.window_s, self._progress_of(visited))

    def _windows(self) -> None:
        """One unbroken window for each target."""
        is_open = self.order.load.kind == "open"
        for visited in self._random.sample(self.visited, len(self.visited)):
            if self._goes_on(visited) and self._holds(visited):
                with visited.crowded(), visited.visit(at_rate=is_open):
                    visited.settle(OPEN_SETTLE_S if is_open else self.order.settle_s)
                    visited.count_unbroken(self.order.window_s, self._progress_of(visited))
            self._let_go(visited)

    def _holds(self, visited: Visited) -> bool:
        """Open what is to be held beside a target; whether all agree to go on."""
        if visited.cls.beside is None:
            return True
        wanted, stood = visited.held.open()
        agreement = self._agree(visited, wanted=wanted, stood=stood)
        visited.held.judge(agreement.sum("wanted"), agreement.sum("stood"), "when the window was to begin")
        return self._goes_on(visited)

    def _let_go(self, visited: Visited) -> None:
        """Close what was held; too few at the end, and the window was beside something else."""
        if visited.held.holding is None:
            return
        wanted, stood = visited.held.at_end()
        agreement = self._agree(visited, wanted=wanted, stood=stood)
        visited.held.judge(agreement.sum("wanted"), agreement.sum("stood"), "at the window's end")
        visited.held.let_go()

    def _progress_of(self, visited: Visited) -> Callable[[float], None]:
        """Give what a window calls with the share that is done."""
        return lambda done: self._progress(visited, "measure", done)


def answer_of(order: MeasureOrder, shares: list[list[dict[str, Any]]], *, aborted: bool) -> dict[str, Any]:
    """The protocol's answer; `shares` has a list for each process, with a share for each target."""
    is_open = order.load.kind == "open"
    return {
        "did": "measure",
        "aborted": aborted,
        "targets": [result(of_target, is_open=is_open) for of_target in zip(*shares, strict=True)],
    }
