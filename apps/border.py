"""The border between a server and its app: CPU that is used behind it, by the clocks of the threads that use it.

Whoever takes requests apart serves an app behind its border (`around`) in trials of their own. The border costs some
microseconds, so only one request in EVERY of each kind is taken at it: the others are as they are without one. What it
costs is on the app's side, and is tried beforehand, so that it can be taken off there; on ASGI, where it is more and
depends on the server, every second request that is taken passes two borders, so that their difference tells. What the
server does while the app calls it (`start_response`, `send`, `receive`) is the server's; threads and tasks that the app
starts are the app's. Sums are kept in pages that others read, as in `inside`. Standard library only.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import types
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextvars import ContextVar, copy_context
from importlib import import_module
from typing import Any, NamedTuple

from inside import page_of

NS, CALLS, OWN = "within-ns", "within-calls", "within-own-ns"
TWICE_NS, TWICE_CALLS, THREADS_NS = "within-twice-ns", "within-twice-calls", "within-threads-ns"
EVERY = 16
"""One in so many requests is taken at the border."""
KIND = 6
"""So many letters of an address say what kind of request it is."""
KINDS = 10_000
"""So many kinds are told apart at most."""
SETTLE_NS = 2_000_000
"""So often at most the clocks of the app's own threads are read."""
TRIED = 500
"""Calls of an app that does next to nothing, to know what the border itself costs."""
TRIES = 5
"""So often they are tried: of several means the least is the one that nothing disturbed."""

now = time.thread_time_ns


BEHIND: ContextVar[bool] = ContextVar("behind", default=False)
"""Whether this context runs a request of the app's, or ran one last: then threads that it starts are the app's."""


class Turns:
    """Who is taken at the border: of each kind of request every so many-th, so that none is taken more than another.

    A kind is how an address begins. All requests pass here, so this does next to nothing.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._turn = every // 2
        self._seen: dict[str, int] = {}

    def mine(self, path: str) -> int:
        """Count a request; say whether it is one to be taken: 1, the next time of its kind 2, or 0 for no."""
        kind = path[:KIND]
        self._seen[kind] = seen = self._seen.get(kind, 0) + 1
        if seen % self._every != self._turn:
            return 0
        if len(self._seen) > KINDS:
            self._seen.clear()
        return 1 + seen // self._every % 2


class Ledger:
    """CPU behind the border, and calls."""

    def __init__(self) -> None:
        self.threads: dict[int, list[int]] = {}
        """Thread of the app -> its clock, and what stood on it when it was read last."""
        self._lock = threading.Lock()
        self._pages: dict[str, memoryview] = {}
        self._settled_ns = 0
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin anew, in a process that was forked off another."""
        self._lock = threading.Lock()
        self._pages = {}
        self.threads = {}

    def add(self, used_ns: int, own_ns: int = 0, calls: int = 1) -> None:
        """Add what a call used behind the border, and how much of it the border itself when it was tried."""
        self._add({NS: used_ns, CALLS: calls, OWN: own_ns})

    def add_twice(self, used_ns: int, own_ns: int = 0, calls: int = 1) -> None:
        """Add what a call used behind the first of two borders."""
        del own_ns
        self._add({TWICE_NS: used_ns, TWICE_CALLS: calls})

    def add_thread(self, used_ns: int) -> None:
        """Add what a thread of the app used."""
        self._add({THREADS_NS: used_ns})

    def _add(self, numbers: dict[str, int]) -> None:
        with self._lock:
            numbers[THREADS_NS] = numbers.get(THREADS_NS, 0) + self._of_threads()
            for name, number in numbers.items():
                if number:
                    if name not in self._pages:
                        self._pages[name] = page_of(name)
                    self._pages[name][0] += number

    def _of_threads(self) -> int:
        """What the app's own threads used since they were looked at, if that was a while ago."""
        if not self.threads or time.monotonic_ns() < self._settled_ns + SETTLE_NS:
            return 0
        self._settled_ns = time.monotonic_ns()
        used_ns = 0
        for state in self.threads.values():
            at_ns = time.clock_gettime_ns(state[0])
            used_ns, state[1] = used_ns + at_ns - state[1], at_ns
        return used_ns

    def run_thread(self, run: Callable[[], None]) -> None:
        """Be a thread of the app's, whose whole CPU is the app's."""
        BEHIND.set(True)
        ident = threading.get_ident()
        with self._lock:
            self.threads[ident] = state = [time.pthread_getcpuclockid(ident), 0]
        try:
            run()
        finally:
            with self._lock:
                self.threads.pop(ident, None)
            self.add_thread(now() - state[1])


def around(interface: str, target: str, every: int = EVERY) -> Any:
    """Import an app, `module:attribute`, and put it behind the border, which takes one request in `every`."""
    ledger = Ledger()
    follow_threads(ledger)
    put, tried = {"wsgi": (wsgi, wsgi_cost), "asgi": (asgi, asgi_cost)}[interface]
    turns = Turns(every) if every > 1 else ALL
    return put(copy_context().run(imported, target), ledger, copy_context().run(tried), turns)


def imported(target: str) -> Any:
    """Import an app; threads that this starts are its own."""
    BEHIND.set(True)
    module, _, attribute = target.partition(":")
    app = import_module(module)
    for name in attribute.split("."):
        app = getattr(app, name)
    return app


def follow_threads(ledger: Ledger) -> None:
    """From now on threads that are started behind the border are the app's."""
    start = threading.Thread.start

    def started(thread: threading.Thread) -> None:
        if BEHIND.get():
            run = thread.run
            thread.run = lambda: ledger.run_thread(run)  # type: ignore[method-assign]
        start(thread)

    threading.Thread.start = started  # type: ignore[method-assign, assignment]


class Cost(NamedTuple):
    """What the border costs, in nanoseconds."""

    unseen: int = 0
    """Of a call, that its own clocks do not see."""
    each_unseen: int = 0
    """The same each time that the app calls the server."""
    own: int = 0
    """Of a call, all in all."""
    each_own: int = 0
    """The same each time that the app calls the server."""


NOTHING = Cost()


class Always(Turns):
    """Every request, at one border."""

    def mine(self, path: str) -> int:
        """It is."""
        del path
        return 1


ALL = Always(1)


# --- WSGI -----------------------------------------------------------------------------------------------------------


def wsgi(app: Any, ledger: Any, cost: Cost, turns: Turns = ALL) -> Any:
    """Put a WSGI app behind the border; its clock is read as seldom as can be, because a reading takes microseconds."""
    unseen_ns, own_ns = cost.unseen, cost.own

    def counted(environ: Any, start_response: Any) -> Any:
        BEHIND.set(True)
        if not turns.mine(environ.get("PATH_INFO", "")):
            return app(environ, start_response)
        said: list[Any] = []
        written: list[bytes] = []

        def start(*words: Any) -> Any:
            said[:] = words
            return written.append

        began_ns = now()
        try:
            answer = app(environ, start)
            parts = made_at_once(answer, said)
        except BaseException:
            ledger.add(now() - began_ns + unseen_ns, own_ns)
            raise
        used_ns = now() - began_ns + unseen_ns
        if said:
            start_response(*said)
        if parts is None:
            return Rest(answer, ledger, (used_ns, own_ns), (start_response, said))
        ledger.add(used_ns, own_ns)
        if written:
            return [*written, *parts]
        return answer if parts is answer else Made(parts)

    return counted


def made_at_once(answer: Any, said: list[Any]) -> Any:
    """Give all parts of an answer whose length is known; None for one that is to come piece by piece."""
    if type(answer) in {list, tuple}:
        return answer
    if not said or not any(name.lower() == "content-length" for name, _ in said[1]):
        return None
    try:
        return list(answer)
    finally:
        close = getattr(answer, "close", None)
        if close is not None:
            close()


class Made:
    """Parts that are there, handed out as those of a lazy answer are."""

    def __init__(self, parts: list[bytes]) -> None:
        self._next = iter(parts).__next__

    def __iter__(self) -> Made:
        """Itself."""
        return self

    def __next__(self) -> bytes:
        """Give the next part."""
        return self._next()

    def close(self) -> None:
        """It was closed where it was made."""


class Rest:
    """What is left of an answer, made while the server asks for it."""

    def __init__(
        self, answer: Iterable[bytes], ledger: Any, so_far: tuple[int, int], said: tuple[Any, list[Any]]
    ) -> None:
        self._answer = answer
        self._ledger = ledger
        self._used_ns, self._own_ns = so_far
        self._start_response, self._said = said
        self._parts: Iterator[bytes] | None = None
        self._said.clear()

    def __iter__(self) -> Rest:
        """Itself."""
        return self

    def __next__(self) -> bytes:
        """Make the next part."""
        began_ns = now()
        try:
            if self._parts is None:
                self._parts = iter(self._answer)
            part = next(self._parts)
        finally:
            self._used_ns += now() - began_ns
            if self._said:  # an app may begin its answer as late as this
                self._start_response(*self._said)
                self._said.clear()
        return part

    def close(self) -> None:
        """End; the sum is known now."""
        began_ns = now()
        try:
            close = getattr(self._answer, "close", None)
            if close is not None:
                close()
        finally:
            self._ledger.add(self._used_ns + now() - began_ns, self._own_ns)


def wsgi_cost() -> Cost:
    """Try what the border costs a WSGI app."""

    def bare(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    def start_response(*_words: Any) -> None:
        """Do nothing."""

    def tried() -> tuple[int, int]:
        ledger = Tried()
        behind = wsgi(bare, ledger, NOTHING)
        whole_ns = each(lambda: behind({}, start_response))
        return whole_ns - ledger.mean_ns - each(start_response), whole_ns - each(lambda: bare({}, start_response))

    unseen, own = least(tried)
    return Cost(unseen=unseen, own=own)


# --- ASGI -----------------------------------------------------------------------------------------------------------


def asgi(app: Any, ledger: Any, cost: Cost, turns: Turns = ALL) -> Any:
    """Put an ASGI app behind the border."""
    twice = app if turns is ALL else asgi(app, Tried(), NOTHING)

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        BEHIND.set(True)
        borders = turns.mine(scope.get("path", "")) if scope["type"] == "http" else 0
        if not borders:
            await app(scope, receive, send)
            return
        follow_tasks()
        spent = Spent(ledger.add if borders == 1 else ledger.add_twice)
        outer = TAKEN.get()
        TAKEN.set((*outer, spent))

        async def receive_of_server() -> Any:
            spent.calls += 1
            return await outside(receive(), spent)

        async def send_of_server(message: Any) -> None:
            spent.calls += 1
            await outside(send(message), spent)

        try:
            await inside(app if borders == 1 else twice, (scope, receive_of_server, send_of_server), spent)
        finally:
            TAKEN.set(outer)
            spent.ns += cost.unseen + spent.calls * cost.each_unseen
            spent.book(cost.own + spent.calls * cost.each_own)

    return counted


class Spent:
    """What one request used behind the border so far, and how often it called the server."""

    __slots__ = ("_add", "_booked_ns", "away", "calls", "ns")

    def __init__(self, add: Callable[..., None]) -> None:
        self.ns = self.calls = 0
        self.away = False
        """Whether the server is doing what the app called it for."""
        self._add = add
        self._booked_ns: int | None = None

    def book(self, own_ns: int) -> None:
        """Its request has ended."""
        self._add(self.ns, own_ns)
        self._booked_ns = self.ns

    def book_rest(self) -> None:
        """A task of its request has ended, which may have gone on for longer."""
        if self._booked_ns is not None:
            self._add(self.ns - self._booked_ns, calls=0)
            self._booked_ns = self.ns


TAKEN: ContextVar[tuple[Spent, ...]] = ContextVar("taken", default=())
"""Whose CPU is counted in this context: of a request that passes two borders there are two counts."""


class Follower:
    """Makes the tasks of a loop, and puts those that a request starts behind the border on its side, once."""

    def __init__(self, make: Callable[..., Any] | None) -> None:
        self._make = make

    def __call__(self, loop: Any, coroutine: Any, **words: Any) -> Any:
        """Make a task."""
        taken = TAKEN.get()
        if taken and not taken[-1].away:
            for spent in reversed(taken):
                coroutine = followed(coroutine, spent)
        if self._make is None:
            return asyncio.Task(coroutine, loop=loop, **words)
        return self._make(loop, coroutine, **words)


def follow_tasks() -> None:
    """From now on tasks that a request starts behind the border, on this loop, are part of it."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return  # not one of asyncio's
    make = loop.get_task_factory()
    if not isinstance(make, Follower):
        loop.set_task_factory(Follower(make))


async def followed(coroutine: Any, spent: Spent) -> Any:
    """Go on with a task of the app's, and count it with its request."""
    try:
        return await inside(lambda: coroutine, (), spent)
    finally:
        spent.book_rest()


@types.coroutine
def inside(app: Any, words: tuple[Any, ...], spent: Spent) -> Generator[Any, Any, Any]:
    """Go on with the app, step by step, and count each."""
    steps: Any = None
    value: Any = None
    error: BaseException | None = None
    while True:
        began_ns = now()
        try:
            if steps is None:
                started = app(*words)
                steps = started.__await__() if hasattr(started, "__await__") else started  # a coroutine of the old kind
            waits_for = further(steps, value, error)
        except StopIteration as end:
            return end.value
        finally:
            spent.ns += now() - began_ns
        value, error = None, None
        try:
            value = yield waits_for
        except BaseException as raised:  # noqa: BLE001 - it is the app's to hear
            error = raised


@types.coroutine
def outside(awaitable: Awaitable[Any], spent: Spent) -> Generator[Any, Any, Any]:
    """Go on with what the app asked of the server, step by step, and take each off."""
    steps: Any = awaitable.__await__()
    value: Any = None
    error: BaseException | None = None
    while True:
        spent.away = True
        began_ns = now()
        try:
            waits_for = further(steps, value, error)
        except StopIteration as end:
            return end.value
        finally:
            spent.ns -= now() - began_ns
            spent.away = False
        value, error = None, None
        try:
            value = yield waits_for
        except BaseException as raised:  # noqa: BLE001 - it is the server's to hear
            error = raised


def further(steps: Any, value: Any, error: BaseException | None) -> Any:
    """Go one step further; what a server hands out may be a bare iterator, which takes neither values nor errors."""
    if error is not None:
        if not hasattr(steps, "throw"):
            raise error
        return steps.throw(error)
    return next(steps) if value is None else steps.send(value)


def asgi_cost() -> Cost:
    """Try what the border costs an ASGI app."""
    scope = {"type": "http"}

    async def receive() -> Any:
        return None

    async def send(_message: Any) -> None:
        """Do nothing."""

    def costs(sends: int) -> tuple[int, int]:
        async def bare(_scope: Any, _receive: Any, send: Any) -> None:
            for _ in range(sends):
                await send(None)

        def tried() -> tuple[int, int]:
            ledger = Tried()
            behind = asgi(bare, ledger, NOTHING)
            whole_ns = each(lambda: run(behind(scope, receive, send)))
            sent_ns = sends * each(lambda: run(send(None)))
            return whole_ns - ledger.mean_ns - sent_ns, whole_ns - each(lambda: run(bare(scope, receive, send)))

        return least(tried)

    (unseen, own), (unseen_of_ten, own_of_ten) = costs(0), costs(10)
    return Cost(
        unseen=unseen,
        each_unseen=max(0, (unseen_of_ten - unseen) // 10),
        own=own,
        each_own=max(0, (own_of_ten - own) // 10),
    )


def run(coroutine: Any) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return


# --- what it costs --------------------------------------------------------------------------------------------------


class Tried:
    """A ledger for trying."""

    def __init__(self) -> None:
        self.ns = self.calls = 0

    def add(self, used_ns: int, own_ns: int = 0, calls: int = 1) -> None:
        """Add what was used behind the border."""
        del own_ns
        self.ns += used_ns
        self.calls += calls

    add_twice = add

    @property
    def mean_ns(self) -> int:
        """Of a call."""
        return self.ns // max(1, self.calls)


def least(tried: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Try several times; of each of the two figures the least, and not less than nothing."""
    first, second = zip(*(tried() for _ in range(TRIES)), strict=True)
    return max(0, min(first)), max(0, min(second))


def each(call: Callable[[], Any]) -> int:
    """What a call costs, in nanoseconds."""
    for _ in range(TRIED // 10):
        call()
    began_ns = now()
    for _ in range(TRIED):
        call()
    return (now() - began_ns) // TRIED
