"""The windows: which way they are made, and the visits that go it.

Servers are visited in turn, in an order that is drawn anew each round, as finely as their slowest answers allow; where
they don't, each has one unbroken window. Visits that turn out to tell no truth are given up, with all that was counted
in them, for unbroken windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from time import monotonic_ns

from sgibench.load.measure.aside import SettingAside
from sgibench.load.measure.course import Course
from sgibench.load.measure.warming import Party, Warming
from sgibench.load.together import Agreement
from sgibench.load.visitor import CALM_S, Visited, visiting
from sgibench.load.ways import (
    TOGETHER_CONNECTIONS,
    Pulse,
    Way,
    closed_way,
    given_up,
    may_warm_together,
    never_caught_up,
    open_way,
    queue_grew,
    queue_grows,
    slower_than_rehearsed,
    together_way,
    too_much,
    waited_in_vain,
)
from sgibench.units import seconds

OPEN_SETTLE_S = 0.3
"""How long a schedule runs before the requests of an unbroken window count."""
TURN_SETTLE_S = 0.01
"""The same in a turn, whose connections are warm."""
UNSOUND = "visits that were given up"
"""Why what was counted in them belongs to no window."""


class Windows:
    """The windows of an order."""

    def __init__(self, course: Course, aside: SettingAside) -> None:
        self._course = course
        self._aside = aside
        self._order = course.order
        self.way = self._unbroken("")
        """How they are made; final once they are."""

    def _unbroken(self, why: str) -> Way:
        return Way(visits="unbroken", length_s=self._order.window_s, why=why)

    def make(self) -> None:
        """Choose the way, and go it; visits that turn out to be unsound are given up for unbroken windows."""
        self._course.laps.to("between visits")
        self.way = self._way()
        if self.way.visits != "unbroken":
            self._aside.begin(self.way)
            why = self._rounds()
            if why is None:
                return
            self.way = self._unbroken(why)
            for visited in self._course.visited:
                visited.counting.forget(UNSOUND)
        self._one_after_the_other()

    def _way(self) -> Way:
        """Decide it by what the warm-up showed."""
        order, course = self._order, self._course
        cls = course.visited[0].cls
        if cls.beside is not None and not order.alone:
            return self._unbroken("connections are held open beside, to one server at a time")
        if cls.bursts:
            return self._unbroken("a burst is not cut in two")
        if order.samples:
            return self._unbroken("what is watched takes a window without a break")
        if course.is_open and order.load.arrivals == "poisson":
            return self._unbroken("requests come at random, and what queues up by chance outlasts a turn")
        pulses = {visited.id: visited.rhythm.pulse for visited in course.visited if visited.gave_up is None}
        if course.is_open:
            return open_way(order.turn_s, order.load.rate_per_s or 0.0, order.window_s, pulses)
        return closed_way(order.slice_s, order.window_s, pulses)

    # --- in turn -----------------------------------------------------------------------------------------------------

    def _rounds(self) -> str | None:
        """Visit all targets in random order, round after round, until each has its window; why it was in vain."""
        course, window_s = self._course, self._order.window_s
        number = 0
        while True:
            counted = {visited.id: course.agree(visited, **visited.counting.standing) for visited in course.visited}
            left = {name: window_s - agreement.most("meant_s") for name, agreement in counted.items()}
            waiting = [visited for visited in course.visited if visited.gave_up is None and left[visited.id] > 0]
            if course.stopped:
                return None
            why = self._unsound(counted, number, last=not waiting)
            if why is not None or not waiting:
                return why
            visits = [visited for visited in waiting for _ in range(self.way.visits_to(visited.id))]
            course.random.shuffle(visits)
            for visited in visits:
                if left[visited.id] > 0 and course.goes_on(visited):
                    course.progress(visited, "measure", 1 - left[visited.id] / window_s)
                    left[visited.id] -= self._slice(visited, left[visited.id])
            number += 1

    def _slice(self, visited: Visited, left_s: float) -> float:
        """Make one visit: settle, count, drain; gives how long it was meant to be."""
        length_s = self.way.length_s / self.way.visits_to(visited.id)
        length = min(length_s, left_s)
        if left_s - length < length_s / 4:
            length = left_s  # no crumb of a slice at the end
        if self._course.is_open:
            visited.target.enter("settling")
            with self._aside.turn(visited) as begins, visited.visit(at_rate=True):
                visited.settle_turn(TURN_SETTLE_S)
                begins()
                visited.count(length)
            return length
        with visited.visit():
            visited.settle(self._order.settle_s)
            visited.count(length)
        return length

    def _unsound(self, counted: dict[str, Agreement], rounds: int, *, last: bool) -> str | None:
        """Say why visits do not tell the truth, if they do not.

        Closed loops are busy for as long as is counted; what an open loop leaves unanswered at the end of a visit is as
        much as it finds at the beginning; and where answers fail to come at all, each visit would wait.
        """
        is_closed = not self._course.is_open
        for visited in self._course.visited:
            said = counted[visited.id]
            if visited.gave_up is not None or not rounds:
                continue
            if said.most("vain_pieces") > 1 and not last:
                return waited_in_vain(visited.id)
            if said.most("out_of_step") > 1 and not last:
                return slower_than_rehearsed(visited.id)
            longer_s = said.most("longer_s")
            if longer_s >= max(self._order.window_s, visited.rhythm.timeout_s):
                return never_caught_up(visited.id, longer_s)
            growths = said.each("growths")
            if not is_closed and queue_grows(growths, said.sum("due"), said.sum("waiting_start")):
                return queue_grew(visited.id, fmean(growths))
            if is_closed:
                time_s, spared = said.most("counted_s") * said.sum("places"), "largest_excess_s"
            else:
                time_s, spared = said.sum("busy_s"), "two_largest_excess_s"
            share = too_much(said.sum("excess_s"), said.sum(spared), time_s, rounds, is_closed=is_closed, last=last)
            if share is not None:
                return given_up(share, visited.id, is_closed=is_closed)
        return None

    # --- all at once -------------------------------------------------------------------------------------------------

    def make_together(self, parties: Sequence[Party]) -> None:
        """One window for all targets of a party at the same time, one party after the other."""
        self.way = together_way(self._order.window_s, [party.of_servers for party in parties])
        for party in parties:
            self._course.laps.to("between visits")
            self._one_window_of([visited for visited in party.members if self._course.goes_on(visited)])

    def _one_window_of(self, fit: list[Visited]) -> None:
        """Make a window of these at the same time; in which order their requests come is drawn."""
        course = self._course
        course.random.shuffle(fit)
        if not fit:
            return
        with visiting(fit, at_rate=True, apart_s=course.apart_s(fit)):
            course.laps.to("settling")
            for visited in fit:
                visited.target.enter("settling")
            course.sleep(fit, max(visited.rhythm.settle_s(OPEN_SETTLE_S) for visited in fit))
            for visited in fit:
                visited.counting.ready()
            course.sleep(fit, CALM_S)
            for visited in fit:
                visited.counting.begin()
                course.say_begun(visited)
            course.sleep(fit, self._order.window_s, course.progress_of(fit[0], alone=False))

    # --- unbroken ----------------------------------------------------------------------------------------------------

    def make_in_warm_up(self, way: Way, warming: Warming) -> None:
        """One unbroken window for each target, in the visit that warms it up: nothing is drained in between.

        Those that may be are warmed up some at a time, and then have their windows in visits of their own.
        """
        self.way, course = way, self._course
        warm: set[str] = set()
        if may_warm_together(self._order, course.floor_s, alone=course.together.of == 1):
            course.laps.to("warm-up")
            fit = course.those_left()
            many = max(1, TOGETHER_CONNECTIONS // self._order.load.connections)
            for some in (fit[first : first + many] for first in range(0, len(fit), many)):
                if len(some) > 1 and warming.warm_up_together(some):
                    warm.update(visited.id for visited in some)
        for visited in course.random.sample(course.visited, len(course.visited)):
            if not course.goes_on(visited):
                continue
            if visited.id in warm:
                course.laps.to("between visits")
                self._one_window(visited)
                continue
            course.laps.to("warm-up")
            began = monotonic_ns()
            visited.rhythm.agreed(Pulse(median_s=visited.cls.floor_s))  # so connections do not start all at once
            with visited.visit():
                warming.until_steady([visited])
                time_s = (monotonic_ns() - began) / 1e9
                visited.warm(time_s=time_s)
                course.share_pulse(visited)
                if not course.stopped and visited.gave_up is None:
                    visited.settle_for(visited.rhythm.settle_s(self._order.settle_s) - time_s)
                    visited.count_unbroken(self._order.window_s, course.progress_of(visited))

    def _one_after_the_other(self) -> None:
        """One unbroken window for each target."""
        course = self._course
        for visited in course.random.sample(course.visited, len(course.visited)):
            if course.goes_on(visited) and self._holds(visited) and self._gathers(visited):
                self._one_window(visited)
            self._let_go(visited)

    def _one_window(self, visited: Visited) -> None:
        """Make the unbroken window of a target."""
        order, is_open = self._order, self._course.is_open
        with visited.crowded(), visited.visit(at_rate=is_open):
            visited.settle(OPEN_SETTLE_S if is_open else order.settle_s)
            visited.count_unbroken(order.window_s, self._course.progress_of(visited))

    def _gathers(self, visited: Visited) -> bool:
        """Let users who think come to ask, so that all begin evenly; whether all agree to go on."""
        course, rhythm = self._course, visited.rhythm
        if course.is_open or self._order.alone or not rhythm.thinks:
            return True
        seen_s = rhythm.gather(lambda: visited.cut_short)
        round_s = course.agree(visited, round_s=seen_s).most("round_s")
        rhythm.pulse = replace(rhythm.pulse, round_s=round_s)
        if round_s > rhythm.longest_round_s:
            told = f"users take {seconds(round_s)} from one task to the next: a window as long is needed"
            visited.patience.give_up("slow-users", told)
        return course.goes_on(visited)

    def _holds(self, visited: Visited) -> bool:
        """Open what is to be held beside a target; whether all agree to go on."""
        if visited.cls.beside is None:
            return True
        wanted, stood = visited.held.open()
        agreement = self._course.agree(visited, wanted=wanted, stood=stood)
        visited.held.judge(agreement.sum("wanted"), agreement.sum("stood"), "when the window was to begin")
        return self._course.goes_on(visited)

    def _let_go(self, visited: Visited) -> None:
        """Close what was held; too few at the end, and the window was beside something else."""
        if visited.held.holding is None:
            return
        wanted, stood = visited.held.at_end()
        agreement = self._course.agree(visited, wanted=wanted, stood=stood)
        visited.held.judge(agreement.sum("wanted"), agreement.sum("stood"), "at the window's end")
        visited.held.let_go()
