"""Before anything counts: load each target until its rate is steady, and learn how slow answers are.

An open loop is rehearsed at its own rate, as answers at a closed loop's may be slower or faster by any factor; of all
servers at once where they may be measured so.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic_ns, process_time_ns

from sgibench.load.cpu import TreeClock
from sgibench.load.measure.course import Course
from sgibench.load.visitor import STANDING_S, Visited, visiting
from sgibench.load.ways import Way, may_go_together, together_way

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


class Warming:
    """The warm-up of an order."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._order = course.order

    def warm_up(self, visited: Visited) -> None:
        """Load it until its rate is steady, at most for `warmup_s`.

        Before an open loop, a server that is warm from another load is only asked once on each connection: to some
        servers one on which nothing was ever said is one that keeps a thread waiting for it.
        """
        if self._course.is_open and self._order.warmup_s <= WARMUP_S:
            with visited.visit():
                visited.sleep(0)
            return
        began = monotonic_ns()
        visited.target.think_ns = 0
        with visited.visit():
            self.until_steady(visited)
            time_s = (monotonic_ns() - began) / 1e9
            visited.rhythm.look_back(time_s)
        visited.warm(time_s=time_s)
        self._course.share_pulse(visited)

    def until_steady(self, visited: Visited) -> None:
        """Go on until two windows agree, the first not among them, or the time for it is over."""
        course, warmup_s = self._course, self._order.warmup_s
        rates: list[float] = []
        length_s, passed_s = QUICK_WARMUP_S, 0.0
        while len(rates) < LEAST_RATES or passed_s < warmup_s:
            course.progress(visited, "warmup", passed_s / warmup_s)
            answered, at = visited.answered, monotonic_ns()
            if rates:
                visited.heard.new_stretch()
            visited.sleep(length_s)
            visited.target.fold()
            passed_s += length_s
            rate = (visited.answered - answered) / (monotonic_ns() - at)
            agreement = course.agree(visited, rate=rate, fallen_s=visited.patience.fallen_s)
            rates.append(agreement.sum("rate"))
            steady = len(rates) >= LEAST_WARMUPS and abs(rates[-1] - rates[-2]) < STEADY * max(rates[-2:])
            fallen = agreement.most("fallen_s") >= STANDING_S
            if course.stopped or visited.gave_up or steady or fallen:
                return
            length_s = QUICK_WARMUP_S if rates[-1] * 1e9 * QUICK_WARMUP_S >= ENOUGH else WARMUP_S

    # --- at the rate -------------------------------------------------------------------------------------------------

    def rehearse_all(self) -> Way | None:
        """Learn how slow answers are at the rate that will be measured: of all servers at once, or one by one.

        Gives the way all of them are measured at once, where they left one another in peace.
        """
        course, way = self._course, None
        course.laps.to("rehearsal")
        if may_go_together(self._order, course.floor_s, alone=course.together.of == 1):
            fit = course.those_left()
            way = self._rehearse_together(fit) if len(fit) > 1 else None
        if way is None:
            for visited in course.visited:
                if course.goes_on(visited):
                    self._rehearse([visited])
        return way

    def _rehearse(self, several: Sequence[Visited]) -> None:
        """Go at the rate for a while, with all of these at once."""
        course = self._course
        for visited in several:
            visited.target.enter("warm-up")
        length_s = min(WARMUP_S, max(LEAST_REHEARSAL_S, LEAST_REHEARSED / (self._order.load.rate_per_s or 1.0)))
        began = monotonic_ns()
        with visiting(several, at_rate=True, apart_s=course.apart_s(several)):
            for stretch in range(REHEARSALS):
                for visited in several if stretch else ():
                    visited.heard.new_stretch()
                course.sleep(several, length_s)
            for visited in several:
                visited.rhythm.look_back((monotonic_ns() - began) / 1e9)
        for visited in several:
            visited.warm(time_s=(monotonic_ns() - began) / 1e9)
            course.share_pulse(visited)

    def _rehearse_together(self, fit: Sequence[Visited]) -> Way | None:
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
        return together_way(self._order.window_s, of_servers, own)
