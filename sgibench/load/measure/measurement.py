"""The road of one order, from the first connection to what each process counted.

The order's targets are warmed up, measured, asked one request at a time where that was ordered, heard out, and asked
which of their processes answered; connections and users are gone at its end, however it comes.
"""

from __future__ import annotations

from typing import Any

from sgibench.load.measure.aside import SettingAside, begin_among
from sgibench.load.measure.course import Course, Say
from sgibench.load.measure.warming import Warming
from sgibench.load.measure.windows import Windows
from sgibench.load.orders import MeasureOrder
from sgibench.load.outcome import result
from sgibench.load.rehearsed import Rehearsed
from sgibench.load.singly import Singly
from sgibench.load.strangers import Strangers
from sgibench.load.together import Alone, Together
from sgibench.load.ways import surely_unbroken


class Measurement:
    """One order being carried out, by this process alone or together with others."""

    def __init__(
        self,
        order: MeasureOrder,
        say: Say,
        together: Together | None = None,
        *,
        strangers: Strangers | None = None,
        rehearsed: Rehearsed | None = None,
    ) -> None:
        """What this process has seen so far. `strangers`: who else there is on this machine; `rehearsed`: servers."""
        self.order = order
        self._course = course = Course(order, say, together or Alone(), rehearsed or Rehearsed())
        self._strangers = strangers or Strangers()
        self._warming = Warming(course)
        self._windows = Windows(course, SettingAside(course, self._strangers))
        self._singly = Singly(
            order=order,
            visited=course.visited,
            agree=course.agree,
            goes_on=course.goes_on,
            random=course.random,
        )

    # --- orders that come while it runs ----------------------------------------------------------------------------

    @property
    def aborted(self) -> bool:
        """Whether it was told to end soon."""
        return self._course.aborted

    def abort(self) -> None:
        """End soon; keep what was counted."""
        self._course.aborted = True
        for visited in self._course.visited:
            visited.patience.cut_short = True

    def drop(self, target: str, reason: str) -> None:
        """Visit a target no more."""
        for visited in self._course.visited:
            if visited.id == target:
                visited.patience.give_up("gone", reason)

    # --- the road --------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Carry the order out alone; gives its answer."""
        shares = self.shares()
        return {**answer_of(self.order, [shares], aborted=self.aborted), "spent_s": self._course.laps.spent_s}

    def shares(self) -> list[dict[str, Any]]:
        """Carry the order out; gives what this process counted of each target."""
        course = self._course
        begin_among(self._strangers, self.order)
        try:
            self._gather()
            self._measure()
            self._one_by_one()
            course.laps.to("hearing out")
            for visited in course.visited:
                visited.hear_out()
            self._identify()
            way, singly = self._windows.way, self._singly
            return [{**visited.share(way), "singly": singly.shares(visited.id)} for visited in course.visited]
        finally:
            for visited in course.visited:
                visited.close()
            course.together.dismiss()
            self._strangers.end_order()

    def _gather(self) -> None:
        """Spawn the users; their connections open at once."""
        course = self._course
        for visited in course.visited:
            visited.target.attach()
        places = [visited.target for visited in course.visited for _ in range(visited.connections)]
        course.together.recruit(course.visited[0].cls, places)
        for visited in course.visited:
            visited.target.detach()
        for visited in course.visited:
            visited.await_connections()

    def _measure(self) -> None:
        """Warm the targets up, and make their windows."""
        course, warming, windows = self._course, self._warming, self._windows
        tasks = not course.visited[0].cls.requests  # whose users may think, which only a warm-up shows
        surely = None if tasks else surely_unbroken(self.order, course.floor_s)
        if surely is not None:
            windows.make_in_warm_up(surely, warming)
            return
        course.laps.to("warm-up")
        for visited in course.visited:
            if course.goes_on(visited):
                warming.warm_up(visited)
        parties = warming.rehearse_all() if course.is_open else []
        if parties:
            windows.make_together(parties)
        else:
            windows.make()

    def _one_by_one(self) -> None:
        """Ask each request by itself, where that was ordered."""
        if not self._course.stopped and self.order.singly:
            self._course.laps.to("one request at a time")
            self._singly.run()

    def _identify(self) -> None:
        """Find out which of the servers' processes answered, where that was ordered."""
        self._course.laps.to("identifying")
        if self.order.identify and not self.aborted:
            for visited in self._course.visited:
                if visited.gave_up is None:
                    visited.identify()


def answer_of(order: MeasureOrder, shares: list[list[dict[str, Any]]], *, aborted: bool) -> dict[str, Any]:
    """The protocol's answer; `shares` has a list for each process, with a share for each target."""
    is_open = order.load.kind == "open"
    return {
        "did": "measure",
        "aborted": aborted,
        "targets": [result(of_target, is_open=is_open) for of_target in zip(*shares, strict=True)],
    }
