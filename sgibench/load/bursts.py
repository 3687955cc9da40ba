"""The pace of bursts: all connections are opened at the same moment, each asks once; the next burst waits for the last.

A request's time begins with its burst, so a connection whose first packet the system dropped and sent again is as slow
as it was for the client. No attempt is made twice in a burst. What the system dropped is read from its own counters.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic_ns

from gevent.hub import get_hub

from sgibench.load.paces import IdlePace
from sgibench.load.target import Target
from sgibench.load.wire.connection import Connection

LOOK_S = 0.01
PAUSE_NS = 100_000_000
"""Between the last answer of a burst and the next burst."""
NETSTAT = Path("/proc/net/netstat")
COUNTERS = {"ListenOverflows": "listen_overflows", "ListenDrops": "listen_drops"}


class BurstPace(IdlePace):
    """Opens everything at once."""

    opens = False

    def __init__(self, target: Target) -> None:
        self._target = target
        self._timer = get_hub().loop.timer(LOOK_S, LOOK_S)
        self._began_ns = 0
        """When the burst under way began."""
        self._quiet_ns = 0
        """Since when nothing is under way; 0 while something is."""
        self.bursts = 0
        """Bursts that began since the count did."""

    def attach(self) -> None:
        """Begin with the bursts."""
        self._timer.start(self._look)

    def detach(self) -> None:
        """No more of them."""
        self._timer.stop()

    def begin_count(self) -> None:
        """Count anew."""
        self.bursts = 0

    def _look(self) -> None:
        """Gevent's timer: begin the next burst when the last is over and the pause, too."""
        now = monotonic_ns()
        if self._target.closed or any(conn.sock is not None for conn in self._target.connections):
            self._quiet_ns = 0
        elif not self._quiet_ns:
            self._quiet_ns = now
        elif self._target.gate_open and now - self._quiet_ns >= PAUSE_NS:
            try:
                self._burst(now)
            except Exception as error:  # noqa: BLE001 - a bug must reach the caller, not be printed by the loop
                self._target.fault = error

    def _burst(self, now_ns: int) -> None:
        self._began_ns, self._quiet_ns = now_ns, 0
        self.bursts += 1
        self.opens = True
        try:
            for conn in list(self._target.connections):
                self._target.open_anew(conn)
        finally:
            self.opens = False

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Ask once on a connection that has opened, as of the burst's beginning."""
        del now_ns
        if conn.next_ask is not None and conn.stands and not conn.since:
            self._target.begin(conn, conn.next_ask(), self._began_ns)

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


def dropped() -> dict[str, int] | None:
    """Read what listening sockets dropped so far, in this network namespace; None where the system doesn't tell."""
    try:
        lines = NETSTAT.read_text(encoding="ascii").splitlines()
        names, values = next(
            (name.split()[1:], value.split()[1:])
            for name, value in zip(lines[::2], lines[1::2], strict=True)
            if name.startswith("TcpExt:")
        )
        counted = dict(zip(names, map(int, values), strict=True))
        return {ours: counted[theirs] for theirs, ours in COUNTERS.items()}
    except (OSError, ValueError, KeyError, StopIteration):
        return None
