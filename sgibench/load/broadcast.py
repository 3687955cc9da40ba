"""The pace of a broadcast: one message at a time, sent by each connection in turn, heard by all of them.

Every delivery counts, timed from the moment of sending that the message itself carries; the sender's own copy too. The
next message leaves when all have heard this one. A connection that hears nothing within the time-out is an error.
"""

from __future__ import annotations

import struct
from time import monotonic_ns

from gevent.hub import get_hub

from sgibench.load.paces import IdlePace
from sgibench.load.request import Ask
from sgibench.load.target import Target
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import Connection
from sgibench.load.wire.frames import FrameReader, frame

STAMP = struct.Struct("<qI")
"""What a message begins with: when it was sent, monotonic ns, and its number."""
CHECK_S = 0.05


class BroadcastPace(IdlePace):
    """Sends one message when all have heard the one before."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._request = target.program.requests[0]
        self._record = target.program.record_for(self._request.method, self._request.title)
        self._ask: Ask | None = None
        """The message under way."""
        self._number = 0
        self._sent_ns = 0
        self._waiting: set[Connection] = set()
        """Connections that have not heard the message under way."""
        self._timer = get_hub().loop.timer(CHECK_S, CHECK_S)

    def attach(self) -> None:
        """Watch for messages that get lost."""
        self._timer.start(self._check)

    def detach(self) -> None:
        """Stop watching."""
        self._timer.stop()

    def ready(self, conn: Connection, now_ns: int) -> None:  # noqa: ARG002 - a Pace
        """Send the next message, if none is under way."""
        self._waiting.intersection_update(self._target.connections)
        if not self._target.gate_open or self._waiting:
            return
        listeners = [each for each in self._target.connections if each.stands and isinstance(each.reader, FrameReader)]
        if len(listeners) < len(self._target.connections):
            return  # wait until all are there; the last one to arrive starts
        sender = listeners[self._number % len(listeners)]
        if sender.since:
            return
        self._number += 1
        self._waiting = set(listeners)
        self._sent_ns = now_ns
        body = self._request.body
        ask = Ask(self._request, frame(STAMP.pack(now_ns, self._number) + body[STAMP.size :]), self._record)
        ask.remember = False
        self._ask = ask
        self._target.begin(sender, ask, now_ns)

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:
        """The sender heard its own message, or one that came before it."""
        del owned
        if answer is not None:
            self._heard(conn, answer, now_ns)

    def heard(self, conn: Connection, message: Answer, now_ns: int) -> bool:
        """Count a delivery; whether it belongs to the message under way."""
        if not self._heard(conn, message, now_ns):
            return False
        if self._sent_ns >= self._target.from_ns:
            self._record(now_ns - self._sent_ns)
            conn.count += 1
        elif self._ask is not None:
            self._target.stray(self._ask, now_ns - self._sent_ns)
        if not self._waiting:
            self.ready(conn, monotonic_ns())
        return True

    def _heard(self, conn: Connection, message: Answer, now_ns: int) -> bool:
        """Cross a connection off, if this is the message under way."""
        del now_ns
        if len(message.body) < STAMP.size or conn not in self._waiting:
            return False
        if STAMP.unpack_from(message.body) != (self._sent_ns, self._number):
            return False
        self._waiting.discard(conn)
        return True

    def failed(self, conn: Connection, error: WireError) -> None:  # noqa: ARG002 - a Pace
        """The sender broke, and was counted: give this message up."""
        self._waiting.discard(conn)
        self._lose("unanswered", "the connection that sent the message broke")

    @property
    def owing(self) -> int:
        """Connections that have not heard the message under way."""
        return len(self._waiting.intersection(self._target.connections))

    def abandon(self) -> list[int]:
        """Give the message under way up."""
        self._lose("unanswered", "a connection had not heard the message by the end of the drain")
        return []

    def _lose(self, kind: str, detail: str) -> None:
        """Count those who wait as errors, each a delivery that did not come; the sender's is its request's error."""
        for _ in filter(lambda conn: not conn.since, self._waiting):
            self._target.lost(kind, f"{self._request.title}: {detail}", self._sent_ns, self._sent_ns)
        self._waiting.clear()

    def _check(self) -> None:
        """Gevent's timer: count those that did not hear the message in time, and go on."""
        now = monotonic_ns()
        if self._waiting and now - self._sent_ns > self._target.timeout_ns:
            self._lose("timeout", "a connection did not hear the message in time")
        if not self._waiting:
            self.ready(self._target.connections[0], now) if self._target.connections else None
