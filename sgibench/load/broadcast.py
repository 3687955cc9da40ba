"""The paces of a broadcast: one connection sends, all of them hear each message once and in order.

Closed: the next message leaves when all have heard this one, and deliveries are timed from its sending. Open: messages
leave on schedule, and deliveries are timed from when theirs was due. Who has heard what is the choir's.
"""

from __future__ import annotations

from time import monotonic_ns

from gevent.hub import get_hub

from sgibench.load.choir import Choir
from sgibench.load.paces import SPIN_NS, IdlePace, OpenPace
from sgibench.load.pacing import Schedule
from sgibench.load.tally import Tally
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import Connection
from sgibench.model import Arrivals

CHECK_S = 0.05


class BroadcastPace(IdlePace):
    """Sends one message when all have heard the one before."""

    def __init__(self, choir: Choir) -> None:
        self.choir = choir
        self._timer = get_hub().loop.timer(CHECK_S, CHECK_S)

    def attach(self) -> None:
        """Watch for messages that get lost."""
        self._timer.start(self._check)

    def detach(self) -> None:
        """Stop watching."""
        self._timer.stop()

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Send the next message, if none is under way."""
        del conn
        choir = self.choir
        if choir.target.gate_open and not choir.under_way and choir.complete() and not choir.under_way:
            choir.send(now_ns, now_ns)

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:
        """Nothing is asked that is answered."""

    def heard_known(self, conn: Connection, data: bytes, now_ns: int) -> bool:
        """Count a delivery by its bytes."""
        if not self.choir.heard_known(conn, data, now_ns):
            return False
        self._go_on(conn)
        return True

    def heard(self, conn: Connection, message: Answer, data: bytes | None, now_ns: int) -> WireError | None:
        """Count a delivery; what is wrong with one that is none."""
        if not self.choir.take(conn, message, data, now_ns):
            return self.choir.wrong(conn, message)
        self._go_on(conn)
        return None

    def _go_on(self, conn: Connection) -> None:
        if not self.choir.under_way:
            self.ready(conn, monotonic_ns())

    def failed(self, conn: Connection, error: WireError) -> None:
        """A handshake failed, and was counted."""

    def fold(self, tally: Tally) -> None:
        """Closed: nothing is due."""
        del tally
        self.choir.intended_ns.clear()

    @property
    def owing(self) -> int:
        """Deliveries that are under way."""
        return self.choir.owing

    def abandon(self) -> list[int]:
        """Give the message under way up."""
        self.choir.abandon()
        return []

    def _check(self) -> None:
        """Gevent's timer: count those that did not hear the message in time, and go on."""
        now = monotonic_ns()
        choir = self.choir
        try:
            choir.look(now)
            choir.complete()
            if choir.target.connections:
                self.ready(choir.target.connections[0], now)
        except Exception as error:  # noqa: BLE001 - a bug must reach the caller, not be printed by the loop
            choir.target.fault = error


class Fanned(Schedule):
    """Messages on schedule, counted as the deliveries that they become."""

    __slots__ = ("fan",)

    def __init__(
        self, rate: float, arrivals: Arrivals, seed: int, start_ns: int, *, fan: int, phase: float = 0.0
    ) -> None:
        """`rate` is of deliveries; each message becomes `fan` of them."""
        self.fan = fan
        super().__init__(rate / fan, arrivals, seed, start_ns, phase=phase)

    def before(self, at_ns: int) -> int:
        """Count deliveries that are due before a moment."""
        return super().before(at_ns) * self.fan

    def overdue(self, now_ns: int) -> int:
        """Count deliveries of messages that are past and not sent."""
        before = super().before(now_ns + 1)
        return max(0, before - self._passed - self._index) * self.fan

    def cut(self, at_ns: int) -> None:
        """End it: from this moment on, nothing is due."""
        kept = Schedule.before(self, at_ns) - self._passed
        del self._moments[max(kept, self._index) :]
        self._chunks = iter(())
        if self._index >= len(self._moments):
            self.next_ns = self.NEVER


class OpenBroadcastPace(OpenPace):
    """Sends messages when they are due, whoever has heard those before."""

    def __init__(self, choir: Choir, schedule: Schedule, spin_ns: int = SPIN_NS) -> None:
        super().__init__(choir.target, schedule, spin_ns)
        self.choir = choir
        self._check_timer = get_hub().loop.timer(CHECK_S, CHECK_S)

    def attach(self) -> None:
        """Watch for what is due, and for what gets lost."""
        super().attach()
        self._check_timer.start(self._check)

    def detach(self) -> None:
        """Stop watching."""
        super().detach()
        self._check_timer.stop()

    def _take_batch(self, patience_s: float) -> bool:
        """Handle what is ready, by the target's general path."""
        return self._target.take_batch(patience_s)

    def ready(self, conn: Connection, now_ns: int) -> None:
        """The gate opens, or a connection has: once all listen, moments are waited for, and not answers."""
        del now_ns
        if self.choir.complete():
            self._idle[conn] = None

    def _send_due(self) -> None:
        """Send what is due by now, as long as anybody listens."""
        now = monotonic_ns()
        choir, schedule = self.choir, self.schedule
        while schedule.next_ns <= now and self._sends and choir.heard:
            due_ns = schedule.take()
            if due_ns >= self._target.from_ns:
                self._lateness_ns.append(now - due_ns)
            choir.send(due_ns, now)
            now = monotonic_ns()

    def begin_count(self) -> None:
        """Forget what was noted so far; deliveries that are under way wait already."""
        self.choir.intended_ns.clear()
        super().begin_count()
        self.queue_start += self.choir.owing

    def heard_known(self, conn: Connection, data: bytes, now_ns: int) -> bool:
        """Count a delivery by its bytes."""
        return self.choir.heard_known(conn, data, now_ns)

    def heard(self, conn: Connection, message: Answer, data: bytes | None, now_ns: int) -> WireError | None:
        """Count a delivery; what is wrong with one that is none."""
        return None if self.choir.take(conn, message, data, now_ns) else self.choir.wrong(conn, message)

    def fold(self, tally: Tally) -> None:
        """Latencies from when messages were due."""
        self._intended += self.choir.intended_ns
        self.choir.intended_ns.clear()
        super().fold(tally)

    @property
    def owing(self) -> int:
        """Deliveries of messages that are under way, or due and not sent."""
        return self.choir.owing + super().owing * max(1, len(self.choir.heard))

    def abandon(self) -> list[int]:
        """Give up what is under way, and what is due and was not sent."""
        self.choir.abandon()
        return [self.schedule.take() for _ in range(super().owing)]

    def _check(self) -> None:
        try:
            self.choir.look(monotonic_ns())
            if self.choir.complete():
                self._idle.setdefault(self.choir.sender())
        except Exception as error:  # noqa: BLE001 - a bug must reach the caller, not be printed by the loop
            self._target.fault = error
