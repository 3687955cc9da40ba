"""BenchUser: the Locust user that scenarios subclass; a thin adapter between Locust and a Target.

A user is one connection. A class that declares `requests` takes the fast path: its greenlet only waits to be stopped,
while the target's loop asks and checks. A class with `@task` methods runs them with `self.client`. Both report to
Locust's statistics in batches, so the web UI, --html, --csv and distributed mode show them as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from gevent.event import Event
from gevent.hub import get_hub
from locust import User, events
from locust.exception import StopUser

from sgibench.load import module_names
from sgibench.load.beside import Beside
from sgibench.load.bursts import BurstPace
from sgibench.load.client import Client
from sgibench.load.field import field_of
from sgibench.load.lines import Pace
from sgibench.load.pacing import Rate
from sgibench.load.request import Request, Variant, delete, get, head, patch, post, put
from sgibench.load.sessions import conduct, told_of
from sgibench.load.slow import Slow
from sgibench.load.steps import problem_of
from sgibench.load.target import Target
from sgibench.load.wire.answer import Answer
from sgibench.model import Arrivals, Connection, Interface, Terms
from sgibench.model.behaviour import Incident, Watched

if TYPE_CHECKING:
    from locust.env import Environment

__all__ = [
    "Answer",
    "BenchUser",
    "Beside",
    "Incident",
    "Request",
    "Slow",
    "Terms",
    "Variant",
    "Watched",
    "delete",
    "events",
    "get",
    "head",
    "patch",
    "post",
    "put",
]


# The loop's idea of now dates from before Locust was imported; without this, --run-time would count that time too.
get_hub().loop.update_now()


class BenchUser(User):
    """One connection that asks what its class declares, and checks every answer."""

    abstract = True
    requests: ClassVar[tuple[Request, ...]] = ()
    """Declared requests; empty for a class with `@task` methods."""
    floor_s: ClassVar[float] = 0.0
    """No right answer can take less than this."""
    interfaces: ClassVar[tuple[Interface, ...]] = ("wsgi", "asgi", "rsgi")
    """Interfaces that can serve it."""
    watched: ClassVar[Watched] = Watched()
    """What is done to the deployment in the window, and what is looked at."""
    slow: ClassVar[Slow | None] = None
    """Slow clients that are there meanwhile; None for none."""
    jobs: ClassVar[bool] = False
    """Whether its requests hand in jobs, which go on after their answers."""
    services: ClassVar[tuple[str, ...]] = ()
    """Services that the app has to use for it, e.g. `("postgresql",)`."""
    rows: ClassVar[dict[str, int]] = {}
    """By how many a right answer to "METHOD name" changes the number of items in the database."""
    pieces: ClassVar[dict[str, int] | None] = None
    """By how much it changes the sum of their quantities; None when that is not counted."""
    timeout_s: ClassVar[float] = 10.0
    connection: ClassVar[Connection] = "keep-alive"
    rate: ClassVar[Rate | None] = None
    """Arrivals per second over all users of a process, or a function of time; None for a closed loop."""
    arrivals: ClassVar[Arrivals] = "uniform"
    terms: ClassVar[Terms] = Terms()
    """What it is counted in, and what it leaves no choice about."""
    times_opening: ClassVar[bool] = False
    """Whether a request's time begins when its connection begins to be opened; for one connection per request."""
    resumes: ClassVar[bool | None] = None
    """Over TLS with a connection per request: whether each takes up a session; a server that makes none fails."""
    bursts: ClassVar[bool] = False
    """Whether all connections are opened at once, again and again, each for one request."""
    beside: ClassVar[Beside | None] = None
    """Connections that are held open beside it; None for none."""
    examples: ClassVar[dict[str, tuple[tuple[int, bytes], ...]]] = {}
    """For tasks, answers of the null server: "METHOD /path" -> (status, body) in the order a session meets them."""

    client: Client

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        module_names.give_back()
        if cls.__dict__.get("abstract"):
            return
        if cls.requests:
            problem = _problem(cls)
            if problem:
                raise TypeError(problem)
            cls.tasks = [_stay]

    @classmethod
    def pace(cls, target: Target) -> Pace | None:
        """Give a pace of its own to a class that needs one; None chooses by what it declares."""
        return BurstPace(target) if cls.bursts else None

    @classmethod
    def writer(cls) -> Callable[[Request], bytes] | None:
        """Give what writes a declared request for the wire; None writes HTTP."""
        return None

    @classmethod
    def rehearsal(cls) -> tuple[dict[str, list[bytes]], dict[bytes, bytes]]:
        """Give what a null server needs besides declared HTTP answers: answers by request line, and by exact bytes."""
        return {}, {}

    @classmethod
    def handshake(cls) -> Request | None:
        """Give the request that every connection begins with; None for none."""
        return None

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._stopping = Event()
        field = field_of(environment, type(self), self.host or environment.host)
        self._target = field.target if field else None
        self._conn = self._target.add() if self._target else None
        if field is None or self._conn is None:
            self.tasks = [_stay]  # one user more than there are places
        elif not self.requests:
            self.client = Client(self._conn, field.target)
            field.announce_to_listeners(self.client)

    @property
    def _taskset_instance(self) -> Any:
        """Locust's default task set; see `sessions` for what is made of it."""
        return self._taskset

    @_taskset_instance.setter
    def _taskset_instance(self, taskset: Any) -> None:
        self._taskset = taskset
        if taskset is not None and self._target is not None and not self.requests:
            conduct(taskset, self._target)

    def start(self, group: Any) -> Any:
        """Start the greenlet; when it ends, its connection is closed once its last answer is in."""
        greenlet = super().start(group)
        greenlet.rawlink(lambda ended: self._leave(ended.exception))
        return greenlet

    def _leave(self, error: BaseException | None) -> None:
        """Give the place up; whoever goes without being told to is missed: the load is one less from then on."""
        if self._target is None or self._conn is None:
            return
        if not (self._target.closed or self._stopping.is_set()):
            self._target.fail("task", "a user left" if error is None else f"a user left: {told_of(error, self)}")
        self._target.retire(self._conn)

    def stop(self, force: bool = False) -> Any:  # noqa: FBT001, FBT002 - Locust's signature
        """Stop this user."""
        self._stopping.set()
        return super().stop(force)

    def stay(self) -> None:
        """Wait until this user is stopped."""
        self._stopping.wait()
        raise StopUser


def _stay(user: Any) -> None:
    """Do nothing: the one task of a user whose requests are declared."""
    getattr(user, "user", user).stay()


def _problem(cls: type[BenchUser]) -> str | None:
    """Say what is wrong with a class's declaration."""
    if not all(isinstance(request, Request) for request in cls.requests):
        return f"{cls.__name__}: expected `requests` to hold what get(…), post(…) give, but it is {cls.requests!r}"
    if any(task is not _stay for task in cls.tasks):
        return f"{cls.__name__}: expected either `requests` or @task methods, but both are there"
    return f"{cls.__name__}: {problem}" if (problem := problem_of(cls.requests)) else None
