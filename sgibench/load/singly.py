"""What each request costs by itself: under each server, and called without one, in turn, so that what drifts cancels.

After the windows each request is asked alone for a moment of every server, and the user's app (`beside`) is called with
it on the same CPUs in the same turn. A stretch begins and ends with nothing in flight, so its CPU is that of exactly
the requests that were sent in it, however long they take. Nothing of this counts in a window.

What a server itself does is measured with few requests at once: threads that run long requests side by side contend for
the interpreter, which costs CPU as well. That is measured apart, on as many connections as the time allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import repeat
from random import Random
from time import monotonic_ns
from typing import Any

import gevent

from sgibench.load.orders import MeasureOrder
from sgibench.load.together import Agreement
from sgibench.load.unserved import Burst, Unserved
from sgibench.load.visitor import Visited

STRETCH_S = 0.1
"""How long requests are sent; their answers are waited for."""
LONGEST_S = 0.12
"""So much CPU slow requests may cost in a stretch on many connections, and in calls of the app."""
LEAST_CALLS = 20
"""So many calls of a slow request make a burst, as far as `LONGEST_S` allows."""
CALM_S = 0.005
"""So much work is asked for at once, or one request: the interpreter lets a thread run for so long undisturbed
(`sys.getswitchinterval`)."""
CROWD = 4
"""On so many connections at least requests are asked to see how they contend."""
LEAST_ROUNDS = 4
"""So many turns each request has, as far as `OVERTIME_S` allows: what one is off by, others are not."""
WARM_S = 0.02
"""How long the same is done before, without being measured."""
REST_S = 0.003
"""After the last answer a server may still have something to put away."""
WAITS_S, FEW = 0.05, 8
"""A request that waits for so long is asked on few connections: with all of them a stretch would take for ever."""
OVERTIME_S = 10.0
"""So much longer the first rounds may take; what was not measured by then is left out."""

AgreeOn = Callable[..., Agreement]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What came of asking one server one request for a moment."""

    requests: int
    cpu_ns: int


@dataclass(kw_only=True)
class Cost:
    """One request under one server and without one, all turns together."""

    request: str
    requests: int = 0
    cpu_s: float = 0.0
    calls: int = 0
    app_cpu_s: float = 0.0
    app_wait_s: float = 0.0
    crowd_requests: int = 0
    crowd_cpu_s: float = 0.0


@dataclass(kw_only=True)
class Singly:
    """The turns of one order."""

    order: MeasureOrder
    visited: Sequence[Visited]
    agree: AgreeOn
    """Exchanges what each process knows."""
    goes_on: Callable[[Visited], bool]
    random: Random
    """Gives the same in all processes."""
    costs: dict[str, dict[int, Cost]] = field(default_factory=dict)
    """Target -> request's place -> what it cost."""
    _apps: dict[int, Unserved] = field(default_factory=dict)
    """By port; only in the first process."""
    _seen: dict[int, Burst] = field(default_factory=dict)
    """By the request's place: how long it took without a server."""

    def run(self) -> None:
        """Take turns until the time is over."""
        places = [place for place in self.order.singly if place < len(self._requests)]
        if not places or not self.order.singly_s:
            return
        try:
            self._connect()
            began_ns, rounds = monotonic_ns(), 0
            while True:
                for place in self.random.sample(places, len(places)):
                    passed_s = (monotonic_ns() - began_ns) / 1e9
                    over = passed_s > self.order.singly_s + (OVERTIME_S if rounds < LEAST_ROUNDS else 0)
                    said = self.agree(over=over or self._done)
                    if said.any("over") or said.any("aborted"):
                        return
                    self._turn(place)
                rounds += 1
        finally:
            for app in self._apps.values():
                app.close()

    @property
    def _requests(self) -> Sequence[Any]:
        return self.visited[0].cls.requests

    @property
    def _first(self) -> bool:
        return self.visited[0].together.index == 0

    @property
    def _done(self) -> bool:
        """Whether nothing is left to compare, as far as this process knows."""
        alone = self._first and not any(app.alive for app in self._apps.values())
        return alone or all(visited.gave_up is not None for visited in self.visited)

    def _connect(self) -> None:
        if self._first:
            found = {visited.spec.beside.port: visited.spec.beside for visited in self.visited if visited.spec.beside}
            self._apps = {port: Unserved(order) for port, order in found.items()}

    # --- a turn --------------------------------------------------------------------------------------------------

    def _turn(self, place: int) -> None:
        """Measure one request without a server and under each, in random order; the first time without one first."""
        ports = sorted({visited.spec.beside.port for visited in self.visited if visited.spec.beside})
        parties: list[int | Visited] = [*ports, *self.visited]
        known = self.agree(known=place in self._seen).any("known")
        if known:
            self.random.shuffle(parties)
        bursts: dict[int, tuple[Burst, Burst]] = {}
        stretches: list[tuple[Visited, Stretch, Stretch | None]] = []
        for party in parties:
            if isinstance(party, int):
                if (app := self._apps.get(party)) and (burst := self._burst(app, place)):
                    bursts[party] = burst
            elif self.goes_on(party) and (found := self._under(party, place)):
                stretches.append((party, *found))
        for visited, calm, crowd in stretches:
            port = visited.spec.beside.port if visited.spec.beside else 0
            if port in bursts:
                self._add(visited.id, place, calm, crowd, *bursts[port])

    def _add(  # noqa: PLR0917 - what a turn consists of
        self, target: str, place: int, calm: Stretch, crowd: Stretch | None, burst: Burst, idle: Burst
    ) -> None:
        request = self._requests[place]
        cost = self.costs.setdefault(target, {}).setdefault(place, Cost(request=request.title))
        cost.requests += calm.requests
        cost.cpu_s += calm.cpu_ns / 1e9
        if crowd is not None:
            cost.crowd_requests += crowd.requests
            cost.crowd_cpu_s += crowd.cpu_ns / 1e9
        cost.calls += burst.calls
        cost.app_cpu_s += burst.cpu_ns / 1e9 - burst.calls * idle.each_s
        cost.app_wait_s += burst.wait_s

    def _burst(self, app: Unserved, place: int) -> tuple[Burst, Burst] | None:
        """Call the request, and an app that does nothing, without a server."""
        warm = app.burst(place, WARM_S, 1)
        if warm is None:
            return None
        self._seen.setdefault(place, warm)
        calm, _ = self._places(place)
        idle = app.burst(None, WARM_S, calm)
        seconds = max(STRETCH_S, min(LONGEST_S, LEAST_CALLS * warm.wall_s / warm.calls))
        burst = app.burst(place, seconds, calm)
        return None if idle is None or burst is None else (burst, idle)

    # --- under a server ------------------------------------------------------------------------------------------

    def _under(self, visited: Visited, place: int) -> tuple[Stretch, Stretch | None] | None:
        """Ask one server the request for a moment, few at once and then many, where that is another thing."""
        calm, crowd = self._places(place) if self._first else (0, 0)
        said = self.agree(calm=calm, crowd=crowd)
        calm, crowd = int(said.sum("calm")), int(said.sum("crowd"))
        with alone_with(visited), asking_only(visited, place):
            visited.target.enter("one request at a time")
            visited.ask_for(WARM_S, self._mine(calm))
            found = self._stretch(visited, calm)
            return None if found is None else (found, self._stretch(visited, crowd) if crowd > calm else None)

    def _stretch(self, visited: Visited, places: int) -> Stretch | None:
        """Ask on so many connections; requests and CPU, None when they are not to be had."""
        self._rest()
        visited.target.fold()
        answered, failed = visited.answered, visited.errors.total()
        visited.clock.start()
        self.agree()  # nobody begins before the clock was read
        visited.ask_for(STRETCH_S, self._mine(places))
        self._rest()
        cpu_ns = visited.clock.stop()
        visited.target.fold()
        said = self.agree(
            answered=visited.answered - answered,
            failed=visited.errors.total() - failed,
            unread=self._first and cpu_ns is None,
        )
        requests = int(said.sum("answered"))
        if not requests or said.sum("failed") or said.any("unread"):
            return None
        return Stretch(requests=requests, cpu_ns=cpu_ns or 0)

    def _mine(self, places: int) -> int:
        """Give this process's part of so many connections."""
        together = self.visited[0].together
        return places // together.of + (together.index < places % together.of)

    def _rest(self) -> None:
        """Wait until all have their answers, and a little longer."""
        self.agree()
        gevent.sleep(REST_S)

    def _places(self, place: int) -> tuple[int, int]:
        """On how many connections the request is asked: so that few, and that many, of it are at work at once."""
        load = self.order.load
        everybody = load.connections * load.streams
        seen = self._seen.get(place)
        if seen is None:
            return min(everybody, FEW), 0
        each_s = max(seen.each_s, 1e-6)
        calm = min(everybody, max(1, int(CALM_S / each_s)))
        if seen.wait_s / seen.calls > WAITS_S:
            return min(everybody, FEW), 0
        return calm, min(everybody, max(CROWD, int(LONGEST_S / each_s)))

    def shares(self, target: str) -> list[dict[str, Any]]:
        """Say what this process knows of a target."""
        return [asdict(cost) for _, cost in sorted(self.costs.get(target, {}).items())]


@contextmanager
def alone_with(visited: Visited) -> Iterator[None]:
    """Visit a target and leave its gate closed, for `ask_for`."""
    visited.arrive()
    try:
        yield
    finally:
        visited.edge()
        visited.leave(at_rate=False)


@contextmanager
def asking_only(visited: Visited, place: int) -> Iterator[None]:
    """Let all connections of a target ask one request, and nothing else, for a while."""
    target = visited.target
    ask = target.program.ask_for(visited.cls.requests[place])
    for conn in target.connections:
        conn.next_ask = repeat(ask).__next__
    try:
        yield
    finally:
        for conn in target.connections:
            conn.next_ask = target.program.sequence()
