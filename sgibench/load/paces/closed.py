"""The closed loop: a connection asks again as soon as it is answered; and the pace that does nothing, to begin from.

Where a request's time begins with its connection's opening, the opening is a part of the request: what is being opened
when the gate closes is the window's, like any request in flight, and is asked and waited for.
"""

from __future__ import annotations

from sgibench.load.tally import Tally
from sgibench.load.target import Target
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import Connection


class IdlePace:
    """Asks nothing, notes nothing: what the others begin from."""

    hot = False
    awake = False
    by_due = False
    converses = False
    opens = True

    def attach(self) -> None:
        """Begin to act by itself."""

    def detach(self) -> None:
        """Stop acting by itself."""

    def wants(self, conn: Connection) -> bool:  # noqa: ARG002 - a Pace
        """Whether a connection that is good for one request has one to send, so that it is to be opened."""
        return True

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Handle a connection that is open and has nothing in flight."""

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:
        """Take note of a right answer."""

    def failed(self, conn: Connection, error: WireError) -> None:
        """Take note of an error on a connection that had a request in flight."""

    def heard_known(self, conn: Connection, data: bytes, now_ns: int) -> bool:  # noqa: ARG002 - a Pace
        """Take bytes that came without being asked for, if they are a WebSocket message that is known to be right."""
        return False

    def heard(self, conn: Connection, message: Answer, data: bytes | None, now_ns: int) -> WireError | None:
        """Take a WebSocket message that came without being asked for; what is wrong with it."""
        del conn, data, now_ns
        return WireError("leftover", f"a message that nobody asked for: {message.body[:80]!r}")

    def fold(self, tally: Tally) -> None:
        """Move what it recorded by itself into the tally."""

    def begin_count(self) -> None:
        """Forget what it recorded about itself so far."""

    def end(self, now_ns: int) -> None:
        """The gate closes: from this moment on, nothing more is due."""

    @property
    def owing(self) -> int:
        """What must still happen before a closed gate's last request is done, beside those in flight."""
        return 0

    def abandon(self) -> list[int]:
        """Give up what is owed; gives the moments at which requests were due that were never sent."""
        return []


class ClosedPace(IdlePace):
    """Each connection asks again as soon as it is answered."""

    hot = True

    def __init__(self, target: Target) -> None:
        self._target = target

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Ask the next request if the gate is open."""
        if self._target.gate_open and conn.next_ask is not None:
            self._target.begin(conn, conn.next_ask(), now_ns)


class OpeningPace(ClosedPace):
    """The same with a connection for each request, whose opening is a part of the request.

    To hang up instead would charge the window for handshakes that it does not count; and a server that lets a session
    be taken up once would have given it away for nothing.
    """

    @property
    def opens(self) -> bool:  # type: ignore[override]
        """Only while requests are sent."""
        return self._target.gate_open

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Ask on what was opened, though the gate may have closed meanwhile."""
        if conn.next_ask is not None:
            self._target.begin(conn, conn.next_ask(), now_ns)

    @property
    def owing(self) -> int:
        """Connections that are being opened."""
        return sum(1 for conn in self._target.connections if self._target.opening_since(conn))

    def abandon(self) -> list[int]:
        """Give them up; each is an error of the window that it began in."""
        for conn in self._target.connections:
            if began_ns := self._target.opening_since(conn):
                self._target.lost("connect", "no connection by the end of the drain", began_ns, began_ns)
        return []
