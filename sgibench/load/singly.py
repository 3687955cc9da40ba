"""What each request costs by itself: under each server, and called without one, in turn, so that what drifts cancels.

After the windows each request is asked alone for a moment of every server. In the same visit the server is asked to
have the app called within its own process: a driver there calls it with the same request, or calls an app that does
nothing (`WITHIN`), in the thread or on the loop that serves requests. The difference of these two is the app's own CPU,
without the server, but where the server has it: in another process the same code costs up to a quarter more or less.
Where that can't be done, the app that lives beside the servers is called in the same turn on the same CPUs. Servers
that start a process for each request are left out: the CPU of those is not read here. A stretch begins and ends with
nothing in flight, so its CPU is that of exactly the requests that were sent in it, however long they take. Nothing of
this counts in a window.

What a server itself does is measured with few requests at once: threads that run long requests side by side contend for
the interpreter, which costs CPU as well. That is measured apart, on as many connections as the time allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import repeat
from random import Random
from time import monotonic_ns
from typing import Any

import gevent

from sgibench.load.orders import MeasureOrder
from sgibench.load.request import Request, get
from sgibench.load.together import Agreement
from sgibench.load.unserved import Burst, Unserved
from sgibench.load.visitor import Visited
from sgibench.load.wire.answer import Answer
from sgibench.model.own import WITHIN, WITHIN_DONE

STRETCH_S = 0.1
"""How long requests are sent; their answers are waited for."""
NOTHING_S = 0.05
"""The same of requests to call an app that does nothing."""
LONGEST_S = 0.12
"""So much CPU slow requests may cost in a stretch on many connections, and in calls of the app."""
LEAST_CALLS = 20
"""So many calls of a slow request make a burst, as far as `LONGEST_S` allows."""
CALM_S = 0.001
"""So much work is asked for at once, or one request: threads that want the interpreter at the same time cost CPU that
is no work of the app's, within a server as under it (a request of 1 ms a third more, five at once under waitress)."""
CROWD, MOST_CROWD_S = 4, 0.5
"""On so many connections at least requests are asked to see how they contend, unless that is so much CPU or more."""
LEAST_ROUNDS = 4
"""So many turns each request has, as far as `OVERTIME_S` allows: what one is off by, others are not."""
WARM_S = 0.02
"""How long the same is done before, without being measured."""
REST_S = 0.003
"""After the last answer a server may still have something to put away."""
WAITS_S, FEW = 0.05, 8
"""A request that waits for so long is asked on few connections: with all of them a stretch would take for ever."""
OVERTIME_S, FIRST_S = 10.0, 60.0
"""So much longer the first rounds may take, and the very first; what was not measured by then is left out."""

AgreeOn = Callable[..., Agreement]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What came of asking one server one request for a moment."""

    requests: int
    cpu_ns: int


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What came of one request of one server in one visit."""

    served: Stretch
    crowd: Stretch | None = None
    """The same on many connections, where that is another thing."""
    within: Stretch | None = None
    """The app called within the server; None where that can't be done."""
    nothing: Stretch | None = None
    """And there an app that does nothing."""


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
    inside: bool = False

    def add(self, turn: Turn) -> None:
        """Add what the server did."""
        self.requests += turn.served.requests
        self.cpu_s += turn.served.cpu_ns / 1e9
        if turn.crowd is not None:
            self.crowd_requests += turn.crowd.requests
            self.crowd_cpu_s += turn.crowd.cpu_ns / 1e9

    def add_within(self, within: Stretch, nothing: Stretch, wait_s: float) -> None:
        """Add the app's calls within the server; it waits as long as without one, which is said for each call."""
        self.inside = True
        self.calls += within.requests
        self.app_cpu_s += (within.cpu_ns - within.requests * nothing.cpu_ns / nothing.requests) / 1e9
        self.app_wait_s += within.requests * wait_s

    def add_beside(self, burst: Burst, idle: Burst) -> None:
        """Add the app's calls in its own process."""
        self.calls += burst.calls
        self.app_cpu_s += burst.cpu_ns / 1e9 - burst.calls * idle.each_s
        self.app_wait_s += burst.wait_s


class Done:
    """A check function: whether the app within could be called; one that could not be is no wrong answer."""

    def __init__(self) -> None:
        self.well = self.failed = 0
        """How often it could and could not; an answer that is as one before was is not looked at again."""

    def __call__(self, answer: Answer) -> str | None:
        """Take note."""
        if answer.body == WITHIN_DONE:
            self.well += 1
        else:
            self.failed += 1
        return None


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
    _rounds: int = 0
    """Turns that each request had."""
    _apps: dict[int, Unserved] = field(default_factory=dict)
    """By port; only in the first process."""
    _seen: dict[int, Burst] = field(default_factory=dict)
    """By the request's place: how long it took without a server."""
    _warm: set[tuple[str, int]] = field(default_factory=set)
    """Targets and requests of which the app was called within."""
    _shut: set[tuple[str, int]] = field(default_factory=set)
    """Targets and requests of which it can't be."""

    def run(self) -> None:
        """Take turns until the time is over."""
        places = [place for place in self.order.singly if place < len(self._requests)]
        if not places or not self.order.singly_s:
            return
        try:
            self._connect()
            began_ns = monotonic_ns()
            while True:
                for place in self.random.sample(places, len(places)):
                    over = (monotonic_ns() - began_ns) / 1e9 > self.order.singly_s + self._overtime_s
                    said = self.agree(over=over or self._done)
                    if said.any("over") or said.any("aborted"):
                        return
                    self._turn(place)
                self._rounds += 1
        finally:
            for app in self._apps.values():
                app.close()

    @property
    def _overtime_s(self) -> float:
        if not self._rounds:
            return FIRST_S
        return OVERTIME_S if self._rounds < LEAST_ROUNDS else 0.0

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
        parties: list[int | Visited] = [*ports, *(each for each in self.visited if not each.spec.spawns)]
        known = self.agree(known=place in self._seen).any("known")
        if known:
            self.random.shuffle(parties)
        bursts: dict[int, tuple[Burst, Burst]] = {}
        turns: list[tuple[Visited, Turn]] = []
        for party in parties:
            if isinstance(party, int):
                if (app := self._apps.get(party)) and (burst := self._burst(app, place)):
                    bursts[party] = burst
            elif self.goes_on(party) and (found := self._under(party, place)):
                turns.append((party, found))
        for visited, turn in turns:
            self._add(visited, place, turn, bursts)

    def _add(self, visited: Visited, place: int, turn: Turn, bursts: Mapping[int, tuple[Burst, Burst]]) -> None:
        """Add a turn in which both sides were measured."""
        port = visited.spec.beside.port if visited.spec.beside else 0
        if port not in bursts:
            return
        burst, idle = bursts[port]
        cost = self.costs.setdefault(visited.id, {}).get(place) or Cost(request=self._requests[place].title)
        within = turn.within is not None and turn.nothing is not None
        if cost.calls and cost.inside != within:
            return
        if turn.within is not None and turn.nothing is not None:
            cost.add_within(turn.within, turn.nothing, burst.wait_s / burst.calls)
        else:
            cost.add_beside(burst, idle)
        cost.add(turn)
        self.costs[visited.id][place] = cost

    def _burst(self, app: Unserved, place: int) -> tuple[Burst, Burst] | None:
        """Call the request, and an app that does nothing, without a server; only briefly where no share rests on it."""
        warm = app.burst(place, WARM_S, 1)
        if warm is None:
            return None
        self._seen.setdefault(place, warm)
        calm, _ = self._places(place)
        idle = app.burst(None, WARM_S, calm)
        seconds = max(STRETCH_S, min(LONGEST_S, LEAST_CALLS * warm.wall_s / warm.calls))
        rests_on_it = any(not self._goes_within(visited, place) for visited in self.visited)
        burst = app.burst(place, seconds if rests_on_it else WARM_S, calm)
        return None if idle is None or burst is None else (burst, idle)

    # --- under a server ------------------------------------------------------------------------------------------

    def _goes_within(self, visited: Visited, place: int) -> bool:
        return visited.spec.within and (visited.id, place) not in self._shut

    def _under(self, visited: Visited, place: int) -> Turn | None:
        """Ask one server the request for a moment, few at once and then many, where that is another thing."""
        calm, crowd = self._places(place) if self._first else (0, 0)
        seen = self._seen.get(place)
        said = self.agree(calm=calm, crowd=crowd, slow=seen is not None and seen.each_s > STRETCH_S)
        calm, crowd = int(said.sum("calm")), int(said.sum("crowd"))
        warm_s = 0.0 if said.any("slow") else WARM_S
        with alone_with(visited):
            visited.target.enter("one request at a time")
            found = self._calm(visited, place, calm, warm_s)
            if (served := found["served"]) is None or any(stretch is None for stretch in found.values()):
                return None
            with asking_only(visited, self._requests[place]):
                crowds = crowd > calm and not self._rounds % 2
                many = self._stretch(visited, crowd, STRETCH_S) if crowds else None
        return Turn(served=served, crowd=many, within=found.get("within"), nothing=found.get("nothing"))

    def _calm(self, visited: Visited, place: int, calm: int, warm_s: float) -> Mapping[str, Stretch | None]:
        """Ask the request itself, and have the app called within and one that does nothing, in random order."""
        done = Done()
        asked = {"served": self._requests[place]}
        if self._opens(visited, place, calm):
            asked |= {"within": calling_within(place, done), "nothing": calling_within(None, done)}
        found: dict[str, Stretch | None] = {}
        for kind in self.random.sample([*asked], len(asked)):
            with asking_only(visited, asked[kind]):
                if warm_s:
                    visited.ask_for(warm_s, self._mine(calm))
                found[kind] = self._stretch(visited, calm, NOTHING_S if kind == "nothing" else STRETCH_S)
        if self.agree(failed=done.failed).sum("failed"):
            self._shut.add((visited.id, place))
            found["within"] = None
        return found

    def _opens(self, visited: Visited, place: int, calm: int) -> bool:
        """Whether the app can be called within; tried once on all connections of a turn, which loads what calls it."""
        key = (visited.id, place)
        if not self._goes_within(visited, place) or key in self._warm:
            return self._goes_within(visited, place)
        done = Done()
        for asked in (calling_within(None, done), calling_within(place, done)):
            with asking_only(visited, asked):
                visited.ask_for(WARM_S, self._mine(calm))
        said = self.agree(well=done.well, failed=done.failed)
        (self._warm if said.sum("well") and not said.sum("failed") else self._shut).add(key)
        return key in self._warm

    def _stretch(self, visited: Visited, places: int, seconds: float) -> Stretch | None:
        """Ask on so many connections; requests and CPU, None when they are not to be had."""
        self._rest()
        visited.target.fold()
        answered, failed = visited.answered, visited.errors.total()
        visited.clock.start()
        self.agree()  # nobody begins before the clock was read
        visited.ask_for(seconds, self._mine(places))
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
        crowd = 0 if each_s * CROWD >= MOST_CROWD_S else max(CROWD, int(LONGEST_S / each_s))
        return calm, min(everybody, crowd)

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


def calling_within(place: int | None, done: Done) -> Request:
    """Declare the request to call the app within its server with a request, or an app that does nothing."""
    return get(f"{WITHIN}?{'' if place is None else place}", name=WITHIN, expect=done)


@contextmanager
def asking_only(visited: Visited, request: Request) -> Iterator[None]:
    """Let all connections of a target ask one request, and nothing else, for a while."""
    target = visited.target
    ask = target.program.ask_for(request)
    for conn in target.connections:
        conn.next_ask = repeat(ask).__next__
    try:
        yield
    finally:
        for conn in target.connections:
            conn.next_ask = target.program.sequence()
