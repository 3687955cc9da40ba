"""All requests of a scenario for one target, as an endless sequence: by their weights, evenly, from one seeded ring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import cycle, repeat
from math import gcd
from random import Random
from typing import TypeVar

from sgibench.load.request.asks import Ask, Distinct, payload_of
from sgibench.load.request.declared import Request, expand
from sgibench.load.wire.answer import Answer

T = TypeVar("T")


@dataclass(kw_only=True)
class Program:
    """All requests of a scenario, ready for one target; gives an endless sequence of asks."""

    requests: Sequence[Request]
    host: str
    keep_alive: bool = True
    seed: int = 0
    write: Callable[[Request], bytes] | None = None
    """Writes a request as it goes on the wire; HTTP when None."""
    handshake: Request | None = None
    """Asked once on every new connection before anything else."""
    times_opening: bool = False
    """Whether a request's time begins when its connection begins to be opened."""
    resumes: bool = False
    """Whether each connection takes up the TLS session of the one before it."""
    prepared: bool = False
    """Whether prepared answers come: what `make` expects of each request is not asked of them."""
    latencies: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """Service times in ns, not yet folded, by (method, name)."""
    sessions: int = 0
    """Whole passes in which every answer was right, where requests depend on others."""
    _came: dict[tuple[str, str], dict[tuple[object, ...], None]] = field(default_factory=dict)
    """Values of answers that must not come again, by (method, name)."""
    _next: Callable[[], Ask] | None = None
    _serial: int = 0

    @property
    def dependent(self) -> bool:
        """Whether some requests take what others give, so that each connection goes through sessions of its own."""
        return any(request.gives for request in self.requests)

    @property
    def many(self) -> bool:
        """Whether one request may be unlike the one before."""
        return len(self.requests) != 1 or bool(self.requests[0].variants or self.requests[0].make)

    @cached_property
    def of_kinds(self) -> bool:
        """Whether there may be several kinds of requests: declared ones of several names, or those of tasks."""
        return len({(request.method, request.title) for request in self.requests}) != 1

    def ask_for(self, request: Request) -> Ask:
        """Make one ask whose latencies land in this program's lists."""
        ask = Ask(request, self._bytes_of(request), self.record_for(request.method, request.title))
        if request.distinct:
            ask.check = Distinct(request, ask.check, self._came.setdefault((request.method, request.title), {}))
        return ask

    def apart(self, request: Request, record: Callable[[int], None]) -> Ask:
        """Make an ask whose latencies go elsewhere, and whose answer is read each time."""
        ask = Ask(request, self._bytes_of(request), record)
        ask.remember = False
        return ask

    def _bytes_of(self, request: Request) -> bytes:
        return self.write(request) if self.write else self._http(request)

    def greeting(self) -> Ask:
        """Make the ask that opens a connection; its time counts as connecting, not as a request."""
        if self.handshake is None:
            raise AssertionError("only programs with a handshake greet")
        return Ask(self.handshake, self._http(self.handshake), lambda _: None)

    def _http(self, request: Request) -> bytes:
        return payload_of(request, host=self.host, keep_alive=self.keep_alive)

    def record_for(self, method: str, name: str) -> Callable[[int], None]:
        """Give the function that records a latency in ns under a name."""
        return self.latencies.setdefault((method, name), []).append

    def sequence(self) -> Callable[[], Ask]:
        """Endless asks.

        All connections take from one ring, so that whatever a window holds has the declared weights, whoever sent it.
        """
        if self._next is None:
            if any(request.make for request in self.requests):
                self._next = self._made().__next__
            else:
                ring = self._ring()
                self._next = repeat(ring[0]).__next__ if len(ring) == 1 else cycle(ring).__next__
        return self._next

    def _ring(self) -> list[Ask]:
        """Every request as often as its weight says, variants in turn, evenly spread in a seeded random order."""
        variants = [[self.ask_for(each) for each in expand(request)] for request in self.requests]
        times = max(map(len, variants))
        turns = [cycle(asks).__next__ for asks in variants]
        random = Random(self.seed)
        weights = self.weights
        deck = sum(weights.values())
        rounds = 1 if deck == 1 and times == 1 else max(times, -(-256 // deck))
        return [turns[place]() for _ in range(rounds) for place in spread(weights, random)]

    @property
    def weights(self) -> dict[int, int]:
        """Weight of each request by its place."""
        common = gcd(*(request.weight for request in self.requests))
        return {place: request.weight // common for place, request in enumerate(self.requests)}

    def _made(self) -> Iterator[Ask]:
        """Asks written afresh for each request."""
        random = Random(self.seed)
        fixed = {
            place: cycle([self.ask_for(each) for each in expand(request)])
            for place, request in enumerate(self.requests)
            if not request.make
        }
        while True:
            for place in spread(self.weights, random):
                request = self.requests[place]
                if request.make is None:
                    yield next(fixed[place])
                    continue
                self._serial += 1
                named = replace(request, name=request.title)
                made = request.make(self._serial)
                if self.prepared and made.expect is not None:
                    made = replace(made, expect=_anything)
                yield self.ask_for(named.varied(made))


def _anything(_answer: Answer) -> None:
    """Take every answer as right."""


def spread(weights: Mapping[T, int], random: Random) -> list[T]:
    """Give each key as often as its weight says, in an order that is random and even.

    The k-th of w lies at random in the k-th of w equal parts (stratified sampling), so any stretch of the list holds
    each key in proportion, to within one or two.
    """
    placed = [((place + random.random()) / weight, key) for key, weight in weights.items() for place in range(weight)]
    placed.sort(key=lambda pair: pair[0])
    return [key for _, key in placed]
