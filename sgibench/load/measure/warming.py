"""Before anything counts: load each target until its rate is steady, and learn how slow answers are.

An open loop is rehearsed at its own rate, as answers at a closed loop's may be slower or faster by any factor; of all
servers at once where they may be measured so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import monotonic_ns, process_time_ns
from typing import Self

from sgibench.histogram import Histogram
from sgibench.load.cpu import TreeClock
from sgibench.load.measure.course import Course
from sgibench.load.visitor import STANDING_S, Visited, visiting
from sgibench.load.ways import LEAST_PARTY, Pulse, may_go_together, middle_pulse, parties_needed

WARMUP_S = 0.25
"""Length of the windows compared to find out whether the rate is steady; a warm-up this short is a reminder."""
QUICK_WARMUP_S = 0.05
"""Length of the first, and of those that hold ENOUGH answers for a rate in it; others are as long as so many take."""
ENOUGH, MOSTLY = 300, 0.8
"""Answers for a rate, and the share of them that a window may hold at least: it is as long as the last one's rate says.
"""
STEADY = 0.05
"""It is when the last of them is by less than this share faster than any before: a warm server gets no faster, and a
machine that is slow for a moment makes no server cold."""
LEAST_RATES, LEAST_WARMUPS = 2, 3
"""So many windows of a warm-up, and so many if it may last so long: the first is cold."""
TOGETHER_WARM_CPU = 0.9
"""Servers that are warmed up at once need at most so much of a CPU, all of them together: else each waited for others,
and what was seen of their answers says little."""
SLOWER = 2.0
"""Times as slow as in earlier blocks, and what was learned in them is forgotten."""
REHEARSALS, REHEARSED_AGAIN = 4, 1
"""So many at the rate of an open loop, and so many where a server was rehearsed at it in an earlier block ..."""
LEAST_REHEARSED = 60
"""... each as long as so many answers take, but no longer than those of a warm-up. Turns are far longer than answers,
as a rule, and answers that become slow later are noticed in the turns themselves."""
LEAST_REHEARSAL_S = 0.05
NOTHING = nullcontext()


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
            self.until_steady([visited])
            time_s = (monotonic_ns() - began) / 1e9
            visited.rhythm.look_back(time_s)
        visited.warm(time_s=time_s)
        self._course.share_pulse(visited)

    def warm_up_together(self, several: Sequence[Visited]) -> bool:
        """Load all of these at once, whose answers wait anyway; whether they left one another in peace."""
        course = self._course
        for visited in several:
            visited.rhythm.agreed(Pulse(median_s=visited.cls.floor_s))  # so connections do not start all at once
        began = monotonic_ns()
        with visiting(several), Shares(several) as shares:
            self.until_steady(several)
            time_s = (monotonic_ns() - began) / 1e9
        for visited in several:
            visited.warm(time_s=time_s)
            course.share_pulse(visited)
        return shares.most is not None and shares.most <= TOGETHER_WARM_CPU

    def until_steady(self, several: Sequence[Visited]) -> None:
        """Go on until, for each of them, a window was no faster than one before; or the time for it is over."""
        course, warmup_s = self._course, self._order.warmup_s
        rates: dict[str, list[float]] = {visited.id: [] for visited in several}
        length_s, passed_s, windows = QUICK_WARMUP_S, 0.0, 0
        while windows < LEAST_RATES or passed_s < warmup_s:
            for visited in several:
                course.progress(visited, "warmup", passed_s / warmup_s)
                if windows:
                    visited.heard.new_stretch()
            answered, at = [visited.answered for visited in several], monotonic_ns()
            course.sleep(several, length_s)
            passed_s, windows = passed_s + length_s, windows + 1
            passed_ns = monotonic_ns() - at
            ready = [self._is_ready(*each, passed_ns, rates) for each in zip(several, answered, strict=True)]
            if course.stopped or all(ready):
                return
            slowest_per_s = 1e9 * min(each[-1] for each in rates.values())
            length_s = max(QUICK_WARMUP_S, ENOUGH / slowest_per_s) if slowest_per_s * WARMUP_S > ENOUGH else WARMUP_S

    def _is_ready(self, visited: Visited, answered: int, passed_ns: int, rates: Mapping[str, list[float]]) -> bool:
        """Add a window's rate to the others; whether its server needs, or can have, no further one."""
        visited.target.fold()
        rate = (visited.answered - answered) / passed_ns
        agreement = self._course.agree(visited, rate=rate, fallen_s=visited.patience.fallen_s)
        mine = rates[visited.id]
        mine.append(agreement.sum("rate"))
        if mine[-1] * passed_ns > MOSTLY * ENOUGH:
            visited.warmup_rps = max(visited.warmup_rps or 0.0, mine[-1] * 1e9)
        steady = len(mine) >= LEAST_WARMUPS and mine[-1] < (1 + STEADY) * max(mine[:-1])
        return steady or visited.gave_up is not None or agreement.most("fallen_s") >= STANDING_S

    # --- at the rate -------------------------------------------------------------------------------------------------

    def rehearse_all(self) -> list[Party]:
        """Learn how slow answers are at the rate that will be measured: of servers at once, or one by one.

        Gives who is measured at once: all, or parties that left one another in peace; nobody where they go in turns.
        """
        course, parties = self._course, list[Party]()
        course.laps.to("rehearsal")
        if may_go_together(self._order, course.floor_s, alone=course.together.of == 1):
            parties = self._rehearse_together(course.random.sample(course.visited, len(course.visited)))
        if not parties:
            for visited in course.visited:
                if course.goes_on(visited):
                    self._rehearse_one(visited)
        return parties

    def _rehearse_one(self, visited: Visited) -> None:
        """Go at the rate for as long as there is something to learn: at length where it is not what it was."""
        course, known = self._course, self._course.rehearsed
        visited.rhythm.before = before = known.of(visited.id) if self._order.lasting_ids else ()
        if not course.agree(visited, knows_nothing=not before).any("knows_nothing"):
            heard = self._rehearse([visited], REHEARSED_AGAIN)
            if not course.agree(visited, slower=self._is_slower(heard[-1], before)).any("slower"):
                known.remember(visited.id, heard[-1:])
                return
            known.forget(visited.id)
            visited.rhythm.before = ()
        if visited.gave_up is None and not course.stopped:
            known.remember(visited.id, self._rehearse([visited], REHEARSALS))

    def _is_slower(self, heard: Histogram, before: Sequence[Histogram]) -> bool:
        """Whether answers are so much slower than before that turns, and what it is to be behind, would be others."""
        now, then = (Pulse(**middle_pulse(each)) for each in ([heard], before))
        turn_s = self._order.turn_s or 0.0
        return now.median_s > SLOWER * then.median_s or now.needed_s > max(turn_s, SLOWER * then.needed_s)

    def _rehearse(
        self, several: Sequence[Visited], stretches: int, meanwhile: AbstractContextManager[object] = NOTHING
    ) -> list[Histogram]:
        """Go at the rate for a while, with all of these at once; gives what each stretch of the first of them was.

        `meanwhile` is entered as long as requests are due, not while they are waited for afterwards.
        """
        course = self._course
        for visited in several:
            visited.target.enter("warm-up")
        length_s = min(WARMUP_S, max(LEAST_REHEARSAL_S, LEAST_REHEARSED / (self._order.load.rate_per_s or 1.0)))
        began = monotonic_ns()
        with visiting(several, at_rate=True, apart_s=course.apart_s(several)), meanwhile:
            for stretch in range(stretches):
                for visited in several if stretch or stretches < REHEARSALS else ():
                    visited.heard.new_stretch()
                course.sleep(several, length_s)
            for visited in several:
                visited.rhythm.look_back((monotonic_ns() - began) / 1e9)
        heard = [tally.histogram for tally in several[0].heard.stretches]
        for visited in several:
            visited.warm(time_s=(monotonic_ns() - began) / 1e9)
            course.share_pulse(visited)
        return heard

    def _rehearse_together(self, several: Sequence[Visited]) -> list[Party]:
        """Try whether they leave one another in peace, at once or in parties: together they may need little of a CPU.

        Nobody, where not even parties do, or the system doesn't tell what they use.
        """
        fit = [visited for visited in several if self._course.goes_on(visited)]
        if len(fit) < LEAST_PARTY:
            return []
        shares = Shares(fit)
        self._rehearse(fit, REHEARSALS, shares)
        if shares.of_servers is None or shares.most is None:
            return []
        many = parties_needed(shares.most)
        if many == 1:
            return [Party(members=fit, of_servers=shares.of_servers)]
        if len(fit) < many * LEAST_PARTY:
            return []
        parties = [self._rehearse_together(fit[first::many]) for first in range(many)]
        return [each for party in parties for each in party] if all(parties) else []


@dataclass(frozen=True, kw_only=True)
class Party:
    """Servers that are measured at the same time."""

    members: Sequence[Visited]
    of_servers: float
    """What they used of a CPU in their rehearsal, all together."""


class Shares:
    """Which share of a CPU each side uses while something lasts: all the servers, and this process.

    Not while answers are waited for afterwards: one server that hangs would make all of them seem idle.
    """

    def __init__(self, several: Sequence[Visited]) -> None:
        known = [pids for visited in several for pids in (visited.spec.pids, visited.spec.front_pids) if pids]
        self._clocks = [TreeClock(pids) for pids in known]
        self.own = 0.0
        self.of_servers: float | None = None
        """None where the system doesn't tell."""

    @property
    def most(self) -> float | None:
        """That of the busier side."""
        return None if self.of_servers is None else max(self.of_servers, self.own)

    def __enter__(self) -> Self:
        """It begins."""
        for clock in self._clocks:
            clock.look()
            clock.start()
        self._began, self._own_ns = monotonic_ns(), process_time_ns()
        return self

    def __exit__(self, *_: object) -> None:
        """It is over."""
        passed_ns = monotonic_ns() - self._began
        self.own = (process_time_ns() - self._own_ns) / passed_ns
        used = [clock.stop() for clock in self._clocks]
        known = [each for each in used if each is not None]
        self.of_servers = sum(known) / passed_ns if used and len(known) == len(used) else None
