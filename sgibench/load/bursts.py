"""The pace of bursts: all connections are opened at the same moment, each asks once; the next burst waits for the last.

A request's time begins with its burst, so a connection whose first packet the system dropped and sent again is as slow
as it was for the client. No attempt is made twice in a burst. What the system dropped is read where a burst begins and
where it ends, and a burst is the window's if it began in it: what was dropped between two bursts is nobody's. The
window ends when its last burst has, so that the time and the CPU of a burst are counted whole, like its connections.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

from gevent.hub import get_hub

from sgibench.listening import Dropped, dropped, sent_again
from sgibench.load.paces import IdlePace
from sgibench.load.target import Target
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import Connection
from sgibench.model.terms import Protocol

SPEAK: tuple[Protocol, ...] = ("http",)
"""What the connections of a burst speak."""
LOOK_S = 0.01
"""How soon it is seen that a burst has ended."""
PAUSE_NS = 100_000_000
"""Between the last answer of a burst and the next burst."""


@dataclass(kw_only=True)
class Counts:
    """What came of the bursts of a window."""

    bursts: int = 0
    opened: int = 0
    """Connections that they tried to open."""
    again_ns: list[int] = field(default_factory=list)
    """Of connections whose first packet had to be sent again and that were answered: how long that took."""
    listener: int | None = 0
    """Dropped by the server's own listening sockets; None once that could not be read."""
    overflows: int | None = 0
    drops: int | None = 0

    def add(self, before: Dropped, after: Dropped) -> None:
        """Add what was dropped between two looks."""
        self.listener = _sum(self.listener, before.listener, after.listener)
        self.overflows = _sum(self.overflows, before.overflows, after.overflows)
        self.drops = _sum(self.drops, before.drops, after.drops)


def _sum(total: int | None, before: int | None, after: int | None) -> int | None:
    """A total and one more difference; None when one of them is not known, or when a listener began anew."""
    return None if total is None or before is None or after is None or after < before else total + after - before


class BurstPace(IdlePace):
    """Opens everything at once."""

    opens = False

    def __init__(self, target: Target, *, stopped_s: float = 0.0) -> None:
        """`stopped_s`: so long the server's processes are stopped as each burst begins, once `pids` are known."""
        self._target = target
        self._stopped_s = stopped_s
        self.pids: Sequence[int] = ()
        """The server's processes."""
        self._timer = get_hub().loop.timer(LOOK_S, LOOK_S)
        self._alarm = get_hub().loop.timer(stopped_s)
        """Anew for each burst: one that has rung would ring at once."""
        self._began_ns = 0
        """When the burst under way began."""
        self._quiet_ns = 0
        """Since when nothing is under way; 0 while something is."""
        self._before: Dropped | None = None
        """What had been dropped when the burst under way began; None when that is over, or not the window's."""
        self._again: set[Connection] = set()
        """Connections of that burst whose first packet had to be sent again."""
        self.counts = Counts()

    def attach(self) -> None:
        """Begin with the bursts."""
        self._timer.start(self._look)

    def detach(self) -> None:
        """No more of them."""
        self._timer.stop()
        self._go_on()

    def begin_count(self) -> None:
        """Count anew; a burst that is under way is not the window's."""
        self.counts, self._before = Counts(), None
        self._again.clear()

    def between(self) -> bool:
        """Whether no burst is under way."""
        return self._quiet_ns > 0

    def _look(self) -> None:
        """Gevent's timer: begin the next burst when the last is over and the pause, too."""
        now = monotonic_ns()
        if self._target.closed or any(conn.sock is not None for conn in self._target.connections):
            self._quiet_ns = 0
        elif not self._quiet_ns:
            self._quiet_ns = now
            self.settle()
        elif self._target.gate_open and now - self._quiet_ns >= PAUSE_NS:
            try:
                self._burst()
            except Exception as error:  # noqa: BLE001 - a bug must reach the caller, not be printed by the loop
                self._target.fault = error

    def _burst(self) -> None:
        target = self._target
        self._before = dropped(target.address[1], self.pids) if target.counting else None
        self._again.clear()
        self._stop()
        self._began_ns, self._quiet_ns = monotonic_ns(), 0
        if self._before is not None:
            self.counts.bursts += 1
            self.counts.opened += len(target.connections)
        self.opens = True
        try:
            for conn in list(target.connections):
                target.open_anew(conn)
        finally:
            self.opens = False

    def settle(self) -> None:
        """The burst under way is over, if there is one: take what was dropped in it."""
        if self._before is not None:
            self.counts.add(self._before, dropped(self._target.address[1], self.pids))
            self._before = None

    # --- a server that does not accept -----------------------------------------------------------------------------

    def _stop(self) -> None:
        """Stop the server's processes for a while: what comes meanwhile waits in its queue, or is dropped."""
        if not self._stopped_s:
            return
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self._alarm.close()
        self._alarm = get_hub().loop.timer(self._stopped_s)
        self._alarm.start(self._go_on, update=True)  # counted from here, not from where the loop last looked at a clock

    def _go_on(self) -> None:
        """Let them go on; whoever did not stop is not disturbed by being told so."""
        self._alarm.stop()
        for pid in self.pids if self._stopped_s else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    # --- its connections -------------------------------------------------------------------------------------------

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Ask once on a connection that has opened, as of the burst's beginning."""
        del now_ns
        if conn.next_ask is None or not conn.stands or conn.since:
            return
        if conn.sock is not None and sent_again(conn.sock):
            self._again.add(conn)
        self._target.begin(conn, conn.next_ask(), self._began_ns)

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:
        """Note how long those took whose first packet had to be sent again."""
        del answer, now_ns
        if conn in self._again:
            self._again.discard(conn)
            if owned and self._target.counting:
                self.counts.again_ns.append(conn.took_ns)

    def failed(self, conn: Connection, error: WireError) -> None:
        """It was counted as an error."""
        del error
        self._again.discard(conn)

    @property
    def owing(self) -> int:
        """Connections of the burst under way that have not opened yet: theirs are requests of the window, too."""
        return sum(1 for conn in self._target.connections if conn.connecting)

    def abandon(self) -> list[int]:
        """Give up those; each is an error of the burst."""
        for conn in self._target.connections:
            if conn.connecting:
                self._target.lost("connect", "no connection by the end of the drain", self._began_ns, self._began_ns)
                self._target.hang_up(conn)
        return []

    def overflow(self) -> dict[str, Any]:
        """Say what came of the window's bursts, as the model's `Overflow` has it."""
        self.settle()
        counts = self.counts
        return {
            "bursts": counts.bursts,
            "opened": counts.opened,
            "listener_drops": counts.listener,
            "listen_overflows": counts.overflows,
            "listen_drops": counts.drops,
            "sent_again": len(counts.again_ns),
            "sent_again_from_us": min(counts.again_ns) / 1e3 if counts.again_ns else None,
        }
