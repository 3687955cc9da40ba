"""Connections that are held open beside those that are measured: opened, counted, kept, let go.

They have a target of their own, so what happens on them is in no figure of the measured ones. Their events are handled
in the loop of the measured target, as those of one more descriptor: whoever waits on either is woken by both.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any, cast

import gevent
from gevent.hub import get_hub

from sgibench.load.beside import Beside
from sgibench.load.paces import ClosedPace, IdlePace
from sgibench.load.request import Program
from sgibench.load.speaking import target_for
from sgibench.load.tally import Streams, Tally
from sgibench.load.target import Target
from sgibench.load.wire.answer import Answer
from sgibench.load.wire.connection import Connection
from sgibench.load.wire.frames import FrameReader
from sgibench.load.wire.poller import READ
from sgibench.load.wire.reader import Reader
from sgibench.machine import tree_memory
from sgibench.model import Load

AT_ONCE = 64
"""Connections opened at the same time: fewer than any backlog."""
OPENING_S = 60.0
"""What does not stand by then can't be held: a server that looks at all of its connections to find a new one takes the
longer, the more it has."""
STUCK_S = 3.0
"""Nor what made no progress for so long."""
LEAST_SHARE = 0.99
"""Of the wanted connections, held through the window; with fewer the figures are of something else."""
QUIET_S = 0.3
"""Between the last opening and the look at the memory."""
TIMEOUT_S = 60.0
LOOK_S = 0.05
"""How often streams are looked at that may have fallen silent."""
BETWEEN_NS = 500_000_000
"""A stream that is asked for again stands for so long without an answer; longer, and it waits for others to end."""


class OncePace(IdlePace):
    """Each connection asks once after it was opened, and then stays idle."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.known: dict[Connection, object] = {}
        """The socket on which each was answered."""

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Ask, unless this socket was answered."""
        if conn.next_ask is not None and self.known.get(conn) is not conn.sock:
            self._target.begin(conn, conn.next_ask(), now_ns)

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:
        """The server knows this connection."""
        del answer, now_ns, owned
        self.known[conn] = conn.sock

    def under_way(self, conn: Connection) -> bool:
        """Whether it knows this socket."""
        return conn.stands and self.known.get(conn) is conn.sock


class StreamPace(ClosedPace):
    """Asks again and again, and never waits inside its loop: that is the measured target's.

    A gap between two events is the window's if it ended in it, whenever its stream began. One that has not ended is
    known by how long it lasts already; longer than `silent_s`, and its stream is a time-out.
    """

    hot = False

    def __init__(self, target: Target, silent_s: float | None) -> None:
        super().__init__(target)
        self._silent_ns = None if silent_s is None else round(silent_s * 1e9)
        self._timer = get_hub().loop.timer(LOOK_S, LOOK_S)
        self._ended_ns: dict[Connection, int] = {}
        """When the last stream on each came to its end."""

    def attach(self) -> None:
        """Watch for streams that fall silent."""
        self._timer.start(self._look)

    def detach(self) -> None:
        """Stop watching."""
        self._timer.stop()

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:
        """One came to its end; the gaps of one that began before the window are told here."""
        self._ended_ns[conn] = now_ns
        target = self._target
        if answer is not None and answer.chunk_times_ns and target.counting and not owned:
            target.streams.add_gaps(answer.chunk_times_ns, target.from_ns)

    def under_way(self, conn: Connection) -> bool:
        """Whether a stream is open here, or was until just now and the next has been asked for."""
        begun = conn.since > 0 and conn.answer_began == conn.since
        return begun or monotonic_ns() - self._ended_ns.get(conn, -BETWEEN_NS) < BETWEEN_NS

    def cut(self, now_ns: int) -> None:
        """The window ends in the middle of streams: take what is known of their first events and gaps."""
        open_still = [conn for conn in self._target.connections if conn.since]
        for conn in sorted(open_still, key=lambda one: not events_of(one)):  # bounds are held against what came
            self._take_open(conn, now_ns)

    def _take_open(self, conn: Connection, now_ns: int) -> None:
        """Take what is known of a stream that has not come to its end."""
        target, moments = self._target, events_of(conn)
        if conn.since >= target.from_ns:
            target.streams.add_open(conn.since, moments, now_ns)
        if moments:
            target.streams.add_gaps(moments, target.from_ns, now_ns)

    def _look(self) -> None:
        """Gevent's timer."""
        try:
            self._give_up_silent(monotonic_ns())
        except Exception as error:  # noqa: BLE001 - a bug must reach the caller, not be printed by the loop
            self._target.fault = error

    def _give_up_silent(self, now: int) -> None:
        """Give up streams that say nothing any more."""
        target = self._target
        for conn in list(target.connections):
            last = (events_of(conn) or [conn.since])[-1]
            if self._silent_ns is not None and conn.since and now - last > self._silent_ns:
                if target.counting:
                    self._take_open(conn, now)
                target.give_up(conn, f"a stream said nothing for {self._silent_ns / 1e9:g} s")


def events_of(conn: Connection) -> list[int]:
    """When the events came of the stream that is in flight on a connection."""
    reader = conn.reader
    if not conn.since or not conn.reading or conn.answer_began != conn.since or not isinstance(reader, Reader):
        return []
    return reader.chunk_times_ns or []


class Guest:
    """Stands in a target's loop for another target's poller; in the shape of a connection with nothing in flight."""

    connecting = 0
    unsent = None
    fast = None
    ask = None
    since = 0

    def __init__(self, other: Target) -> None:
        self._other = other

    def recv(self, _room: int) -> bytes:
        """Serve the other target's events; there is nothing to read."""
        self._other.take_batch(0)
        raise BlockingIOError(errno.EAGAIN, "a guest has nothing to say")


class Holding:
    """The connections held beside one target by this process."""

    def __init__(self, beside: Beside, address: tuple[str, int], load: Load, count: int, pids: Sequence[int]) -> None:
        """`count` is this process's share; `pids` are the server's processes, empty where another process looks."""
        self.count = count
        self._beside = beside
        self._pids = tuple(pids)
        program = Program(
            requests=() if beside.asks is None else (beside.asks,),
            host=f"{address[0]}:{address[1]}",
            handshake=beside.handshake,
        )
        self.target = target_for(load.protocol, address, program, streams=1, timeout_s=TIMEOUT_S)
        self._pace = StreamPace(self.target, beside.silent_s) if beside.repeats else OncePace(self.target)
        self.target.pace = self._pace
        self.before_bytes: int | None = None
        self.held_bytes: int | None = None
        self.stood = 0
        self.stood_end = 0
        self.opening_s = 0.0
        """How long opening them was gone on with."""

    # --- opening ---------------------------------------------------------------------------------------------------

    @property
    def standing(self) -> int:
        """Connections that the server knows: answered, upgraded, or a stream that has begun."""
        return sum(1 for conn in self.target.connections if self._stands(conn))

    def _stands(self, conn: Connection) -> bool:
        if self._beside.handshake is not None:
            return conn.stands and isinstance(conn.reader, FrameReader)
        return self._pace.under_way(conn)

    def open(self) -> None:
        """Open them, a few at a time; give up when that goes on for too long."""
        self.before_bytes = self._memory()
        target = self.target
        target.attach()
        target.gate_open = self._beside.repeats
        began = moved = monotonic_ns()
        reached = 0
        while (standing := self.standing) < self.count:
            now = monotonic_ns()
            if standing > reached:
                reached, moved = standing, now
            if (now - began) / 1e9 > OPENING_S or (now - moved) / 1e9 > STUCK_S:
                break
            for _ in range(min(self.count - len(target.connections), AT_ONCE - (len(target.connections) - standing))):
                target.add()
            target.check()
            gevent.sleep(0.002)
        self.opening_s = (monotonic_ns() - began) / 1e9
        gevent.sleep(QUIET_S)
        self.stood = self.standing
        self.held_bytes = self._memory()

    def _memory(self) -> int | None:
        """Proportional memory of the server's processes; None for what another process looks at, or can't be known."""
        return tree_memory(self._pids).pss_bytes if self._pids else None

    # --- beside a window -------------------------------------------------------------------------------------------

    def join(self, host: Target) -> None:
        """Have their events handled in another target's loop, too; the count begins."""
        host.by_fd[self.target.poller.fileno()] = cast("Connection", Guest(self.target))
        host.poller.watch(self.target.poller.fileno(), READ)
        self.target.begin_count()

    def leave(self, host: Target) -> None:
        """The window is over."""
        self.target.check()
        self.stood_end = self.standing
        if isinstance(self._pace, StreamPace):
            self._pace.cut(monotonic_ns())
        host.poller.forget(self.target.poller.fileno())
        del host.by_fd[self.target.poller.fileno()]
        self.target.end_count()

    @property
    def streams(self) -> Streams:
        """First chunks of streams that began in the window, wherever they end, and gaps that ended in it."""
        return self.target.streams

    def share(self) -> dict[str, Any]:
        """Say what this process held."""
        tally = Tally()
        for part in (self.target.outside, self.target.tally):
            tally.merge(part)
        return {
            "wanted": self.count,
            "stood": self.stood,
            "stood_end": self.stood_end,
            "closed": self.target.reopened,
            "errors": dict(tally.errors),
            "samples": dict(tally.samples),
            "answers": tally.requests,
            "before_bytes": self.before_bytes,
            "held_bytes": self.held_bytes,
        }

    def close(self) -> None:
        """Let them go."""
        self.target.close()
