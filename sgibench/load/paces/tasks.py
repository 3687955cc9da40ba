"""Tasks decide what is asked, each in a greenlet of its own that waits for its answer; when it leaves is the pace's."""

from __future__ import annotations

from time import monotonic_ns

from gevent.hub import get_hub
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from sgibench.load.paces.closed import IdlePace
from sgibench.load.paces.opened import OpenPace
from sgibench.load.request import Ask
from sgibench.load.target import Target
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import Connection


class TaskPace(IdlePace):
    """Each connection belongs to a user whose tasks, in a greenlet of their own, decide what is asked and when."""

    converses = True

    def __init__(self, target: Target) -> None:
        self._target = target

    def wants(self, conn: Connection) -> bool:
        """Whether its task has something to ask: one that thinks holds no connection open meanwhile."""
        return conn.pending is not None

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Ask what the task wants, if the gate is open."""
        if self._target.gate_open and conn.pending is not None:
            ask, conn.pending = conn.pending, None
            conn.asked_since = now_ns
            self._target.begin(conn, ask, now_ns)

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:  # noqa: ARG002
        """Give the answer to the task."""
        if answer is not None:
            wake(conn, answer)

    def failed(self, conn: Connection, error: WireError) -> None:
        """Give the error to the task."""
        wake(conn, error)


class OpenTaskPace(OpenPace):
    """Tasks decide what is asked, the schedule when: each due moment lets one waiting task send its request."""

    def _take_batch(self, patience_s: float) -> bool:
        """Handle what is ready; every answer goes to a task, so there is no short way."""
        return self._target.take_batch(patience_s)

    def take(self, conn: Connection) -> Ask | None:
        """Give what the connection's task wants; None while it is busy with something else."""
        ask, conn.pending = conn.pending, None
        if ask is None:
            self._idle.pop(conn, None)  # it comes back when the task asks
        elif conn.idle_since < conn.asked_since:
            conn.idle_since = conn.asked_since  # until then the task itself was what it waited for
        return ask

    def _free_since(self, conn: Connection) -> int:
        """As always, but a connection whose task wants nothing is not free."""
        wanting = next((each for each in self._idle if each.pending is not None), conn)
        return min(max(wanting.idle_since, wanting.asked_since), conn.idle_since)

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:
        """Note the latency, and give the answer to the task."""
        super().answered(conn, answer, now_ns, owned=owned)
        if answer is not None:
            wake(conn, answer)

    def failed(self, conn: Connection, error: WireError) -> None:
        """Give the error to the task."""
        super().failed(conn, error)
        wake(conn, error)


def ask_and_wait(target: Target, conn: Connection, ask: Ask) -> Answer:
    """Ask, from a task's greenlet, and wait for the answer; raises WireError."""
    if conn.since and not target.borrowed:
        target.abandon(conn)
    conn.waiter, conn.outcome = getcurrent(), None
    conn.asked_since = asked_ns = monotonic_ns()
    held = not target.gate_open
    if not held:
        since, from_ns = conn.idle_since, target.from_ns
        target.think_ns += asked_ns - (since if since > from_ns else from_ns)  # noqa: FURB136 - a call less for each request
    try:
        if held or conn.since or conn.connecting or conn.sock is None or not target.pace.converses:
            conn.pending = ask
            target.release(conn, asked_ns)
        else:
            target.begin(conn, ask, asked_ns)
        switch = get_hub().switch
        while (outcome := conn.outcome) is None:
            switch()
    finally:
        if held:
            conn.held_ns += conn.asked_since - asked_ns
        conn.waiter = conn.pending = conn.outcome = None
    if isinstance(outcome, WireError):
        raise outcome
    return outcome


def wake(conn: Connection, outcome: Answer | WireError) -> None:
    """Go on with the task that waits for this connection's answer, if one does.

    It comes back by switching to the hub: whoever is not the hub must not wait for that, or nobody goes on with it.
    """
    waiter: greenlet | None = conn.waiter
    if waiter is None:
        return
    conn.outcome = outcome
    current = getcurrent()
    if current is waiter.parent:
        waiter.switch()
    elif current is not waiter:
        get_hub().loop.run_callback(waiter.switch)
