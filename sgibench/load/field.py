"""Which target a user class of a Locust environment plays against, and how its counts reach Locust's statistics.

Driven by `python -m sgibench.load`, the target is made beforehand with its gate closed. Run by plain Locust, it is
made when the first user spawns: gate open, counts folded into `environment.stats` twice a second, requests in flight
drained when the test stops, which Locust itself would not do.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import gevent
import numpy as np
from locust import stats as locust_stats
from locust.event import EventHook
from locust.stats import RequestStats, StatsEntry

from sgibench.load.arriving import open_loop
from sgibench.load.client import Client
from sgibench.load.lines import Pace
from sgibench.load.paces import ClosedPace, OpeningPace, TaskPace
from sgibench.load.pacing import Rate, Schedule
from sgibench.load.request import Ask, Program, Request
from sgibench.load.speaking import target_for
from sgibench.load.target import Target
from sgibench.load.wire.answer import Answer, WireError
from sgibench.model import Arrivals, Load
from sgibench.model import Connection as ConnectionKind

if TYPE_CHECKING:
    from locust.env import Environment


REPORT_S = 0.5

batch: Any = EventHook()  # type: ignore[no-untyped-call]  # Locust's events are not typed
"""Fired for declared requests instead of Locust's `request` event: `environment`, `method`, `name`, `latencies_ns` (a
list, only valid during the call), twice a second. A listener that is slow slows the generator."""


class Player(Protocol):
    """What a field reads of a user class; `BenchUser` is one."""

    requests: ClassVar[tuple[Request, ...]]
    timeout_s: ClassVar[float]
    connection: ClassVar[ConnectionKind]
    rate: ClassVar[Rate | None]
    arrivals: ClassVar[Arrivals]
    times_opening: ClassVar[bool]
    resumes: ClassVar[bool | None]

    @classmethod
    def pace(cls, target: Target) -> Pace | None:
        """Give a pace of its own to a class that needs one."""

    @classmethod
    def writer(cls) -> Callable[[Request], bytes] | None:
        """Give what writes a declared request for the wire."""

    @classmethod
    def handshake(cls) -> Request | None:
        """Give the request that every connection begins with."""


class Field:
    """One user class in one environment, and its target."""

    def __init__(self, environment: Environment, cls: type[Player], target: Target) -> None:
        self.environment = environment
        self.cls = cls
        self.target = target
        self._failures: Counter[tuple[str, str, str]] = Counter()

    # --- plain Locust --------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Open the gate for good, and report to Locust."""
        target, environment = self.target, self.environment
        target.on_fold = self._report
        target.on_failure = self._note_failure
        target.gate_open = True
        target.begin_count()
        target.attach()
        events: Any = environment.events
        events.test_stopping.add_listener(self._on_stopping)
        events.test_stop.add_listener(self._on_stop)
        self._reporter = gevent.spawn(self._keep_reporting)

    def _keep_reporting(self) -> None:
        while True:
            gevent.sleep(REPORT_S)
            self.fold()

    def _on_stopping(self, **_: Any) -> None:
        """The test is about to stop: let what is in flight be answered."""
        self.target.close_gate()
        self.target.wait_until(lambda: self.target.drained, self.cls.timeout_s + 1)
        self.target.give_up_rest()

    def _on_stop(self, **_: Any) -> None:
        """The test has stopped: hand over the rest and forget this target."""
        self._reporter.kill(block=False)
        self.fold()
        self.target.close()
        events: Any = self.environment.events
        events.test_stopping.remove_listener(self._on_stopping)
        events.test_stop.remove_listener(self._on_stop)
        _FIELDS.get(self.environment, {}).pop(self.cls, None)

    def fold(self) -> None:
        """Hand what was counted to Locust."""
        self.target.check()
        self.target.fold()
        for (method, name, message), count in self._failures.items():
            for _ in range(count):
                self.environment.stats.log_error(method, name, message)
                # Locust counts a failed request as a request too; it has no response time.
                self._count_failed(method, name)
        self._failures.clear()

    def _count_failed(self, method: str, name: str) -> None:
        now = time.time()
        for entry in (self.environment.stats.total, self.environment.stats.entries[(name, method)]):
            entry.num_requests += 1
            entry.num_none_requests += 1
            entry.num_reqs_per_sec[int(now)] += 1
            entry.last_request_timestamp = now

    def _note_failure(self, method: str, name: str, error: WireError) -> None:
        self._failures[method, name, f"{error.kind}: {error}"[:200]] += 1

    def _report(self, method: str, name: str, latencies_ns: list[int]) -> None:
        """Fold a list of latencies into Locust's statistics."""
        size = self.target.body_sizes.get((method, name), 0)
        stats = self.environment.stats
        addition = entry_of(stats, method, name, latencies_ns, size)
        stats.entries[(name, method)].extend(addition)
        stats.total.extend(addition)
        batch.fire(environment=self.environment, method=method, name=name, latencies_ns=latencies_ns)

    # --- request listeners ---------------------------------------------------------------------------------------

    def announce_to_listeners(self, client: Client) -> None:
        """Let a task's client fire Locust's request event, if the locustfile listens to it."""
        listeners = [*_foreign(self.environment.events.request._handlers)]  # noqa: SLF001 - no public list
        if not listeners:
            return

        def announce(ask: Ask, answer: Answer | None, error: WireError | None) -> None:
            for listener in listeners:
                listener(
                    request_type=ask.method,
                    name=ask.name,
                    response_time=client.connection.took_ns / 1e6,
                    response_length=len(answer.body) if answer else 0,
                    response=answer,
                    exception=error,
                    context={},
                )

        client.announce = announce


_PLACES: WeakKeyDictionary[Environment, deque[Field]] = WeakKeyDictionary()
_FIELDS: WeakKeyDictionary[Environment, dict[type[Player], Field]] = WeakKeyDictionary()


def _foreign(handlers: Iterable[Any]) -> list[Any]:
    """Listeners that are not Locust's own statistics, which are fed in batches."""
    return [handler for handler in handlers if not getattr(handler, "__module__", "").startswith("locust.")]


def entry_of(stats: RequestStats, method: str, name: str, latencies_ns: list[int], size: int) -> Any:
    """Make one of Locust's entries from many latencies at once, all of this second."""
    entry: Any = StatsEntry(stats, name, method)  # Locust types milliseconds as int, and takes floats
    milliseconds = np.array(latencies_ns, dtype=np.float64) / 1e6
    now = time.time()
    entry.num_requests = milliseconds.size
    entry.num_reqs_per_sec[int(now)] = milliseconds.size
    entry.last_request_timestamp = now
    entry.start_time = stats.start_time
    entry.total_response_time = float(milliseconds.sum())
    entry.min_response_time = float(milliseconds.min())
    entry.max_response_time = float(milliseconds.max())
    entry.total_content_length = size * milliseconds.size
    keys, counts = np.unique(_rounded(milliseconds), return_counts=True)
    entry.response_times.update(zip(keys.tolist(), counts.tolist(), strict=True))
    return entry


def _rounded(milliseconds: Any) -> Any:
    """Round to three significant digits, so that Locust's tables of response times stay small."""
    scale = 10.0 ** (2 - np.floor(np.log10(np.maximum(milliseconds, 1e-6))))
    return np.round(np.round(milliseconds * scale) / scale, 6)


def bucket_response_time(response_time: float) -> float:
    """Replace Locust's own, which knows only whole milliseconds below 100 ms."""
    return float(_rounded(np.array([response_time]))[0])


def offer(environment: Environment, cls: type[Player], places: Iterable[Target]) -> None:
    """Give each user that is spawned from here on the next of these targets; users beyond them play nowhere."""
    _PLACES[environment] = deque(Field(environment, cls, target) for target in places)


def places_left(environment: Environment) -> int:
    """How many offered places no user has taken yet."""
    return len(_PLACES.get(environment, ()))


def field_of(environment: Environment, cls: type[Player], host: str | None) -> Field | None:
    """Give the field of a class in an environment; made on first use when nobody prepared one.

    `host` is `http://host:port`; None comes back for a user beyond the places that were offered.
    """
    if environment in _PLACES:
        places = _PLACES[environment]
        return places.popleft() if places else None
    fields = _FIELDS.setdefault(environment, {})
    if cls not in fields:
        locust_stats.bucket_response_time = bucket_response_time  # type: ignore[assignment]  # floats reach the master
        fields[cls] = prepare(environment, cls, address(host))
        fields[cls].play()
    return fields[cls]


def declared_timeout_s(cls: type[Player]) -> float | None:
    """Give the time-out that a scenario declares for itself; None when it leaves that to us."""
    owner = next(base for base in cls.__mro__ if "timeout_s" in base.__dict__)
    return None if owner.__module__.startswith("sgibench.load.") else cls.timeout_s


def address(host: str | None) -> tuple[str, int]:
    """Host and port of `http://host:port`; raises ValueError with what was expected."""
    parts = urlsplit(host or "")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"expected a host such as http://127.0.0.1:8000 (--host), but it is {host!r}")
    return parts.hostname, parts.port or 80


def prepare(
    environment: Environment,
    cls: type[Player],
    address: tuple[str, int],
    *,
    keep_alive: bool | None = None,
    timeout_s: float | None = None,
    seed: int = 0,
    closed: bool = False,
    load: Load | None = None,
) -> Field:
    """Make the field of a class, gate closed, so that users spawned in this environment find it."""
    target = make_target(cls, address, keep_alive=keep_alive, timeout_s=timeout_s, seed=seed, closed=closed, load=load)
    field = Field(environment, cls, target)
    _FIELDS.setdefault(environment, {})[cls] = field
    return field


def make_target(
    cls: type[Player],
    address: tuple[str, int],
    *,
    keep_alive: bool | None = None,
    timeout_s: float | None = None,
    seed: int = 0,
    closed: bool = False,
    load: Load | None = None,
) -> Target:
    """Make the target that a class plays against, gate closed and without connections.

    `load` says what goes over the wire; HTTP/1.1 in clear text when None. Raises ValueError where the class can't.
    `closed` gives it a closed loop whatever the class says; otherwise its `rate` decides.
    """
    program = Program(
        requests=cls.requests,
        host=f"{address[0]}:{address[1]}",
        keep_alive=cls.connection == "keep-alive" if keep_alive is None else keep_alive,
        seed=seed,
        write=cls.writer(),
        handshake=cls.handshake(),
        times_opening=cls.times_opening,
        resumes=bool(cls.resumes),
    )
    target = target_for(
        load.protocol if load else "http",
        address,
        program,
        streams=load.streams if load else 1,
        timeout_s=timeout_s or cls.timeout_s,
    )
    own = cls.pace(target)
    target.pace = own or _closed(target, cls)
    if own is None and cls.rate is not None and not closed:
        open_loop(target, Schedule(cls.rate, cls.arrivals, seed, time.monotonic_ns()))
    return target


def _closed(target: Target, cls: type[Player]) -> Pace:
    """Give the closed loop of a class that has no pace of its own."""
    if not cls.requests:
        return TaskPace(target)
    opens_each = target.program.times_opening and not target.program.keep_alive
    return OpeningPace(target) if opens_each else ClosedPace(target)
