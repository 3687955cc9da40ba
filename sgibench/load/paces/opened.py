"""The open loop: requests leave when they are due, whatever the server does.

Latency counts from the moment a request was due: one that waits because no connection is free is late by the server's
fault. What passes between due and sent although a connection is free is the generator's fault: it is noted for each
request, and counts all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic_ns

from gevent import monkey
from gevent.hub import get_hub

from sgibench.histogram import Histogram
from sgibench.load.paces.closed import IdlePace
from sgibench.load.pacing import Schedule, burst_ns
from sgibench.load.request import Ask
from sgibench.load.tally import Tally
from sgibench.load.target import BATCH, BURST_NS, Target
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import Connection
from sgibench.load.wire.poller import READ

SPIN_NS = 8_000
"""Moments nearer than this are not slept for: waking up would take as long."""
AWAKE_NS = 500_000
"""The same where the process has a CPU for itself. On a virtual machine waking up takes tens of microseconds: of the
generator's time, and of the server's to wake it. From 2,000 requests/s on it never sleeps."""
LOOK_NS = 20_000
"""A look at the sockets that finds nothing takes a few microseconds; in one that took longer somebody else had the CPU,
and it was not this process that was awake."""
NEAR_NS = 2_500_000
"""Moments nearer than this are waited for with a finer clock than gevent's timers, which round up to 1 ms."""


class OpenPace(IdlePace):
    """Requests leave when they are due; with no connection free they queue, and that lateness counts."""

    by_due = True

    def __init__(self, target: Target, schedule: Schedule, spin_ns: int = SPIN_NS) -> None:
        self._target = target
        self.schedule = schedule
        self._spin_ns = spin_ns
        self._idle: dict[Connection, None] = {}
        """Free connections, the one that has been free longest first."""
        self._intended: list[int] = []
        self._lateness_ns: list[int] = []
        self.lateness = Histogram()
        """How late requests left though a connection was free: the generator's own fault; one value a request."""
        self.queue_start = 0
        """Requests that were due and waited for a connection when the count began."""
        self.queue_max = 0
        """Most requests that were due and waited for a connection."""
        self.awake_ns = 0
        """How long it waited without sleeping: CPU time of the generator's in which it could have worked."""
        self.beside: Sequence[OpenPace] = ()
        """Others that go on at the same time in this thread: then none of them waits for its own server alone."""
        self._select = monkey.get_original("select", "select")
        self._timer = get_hub().loop.timer(0)
        self._next_turn = get_hub().loop.timer(0)
        self._attached = False
        self._ended = False
        """Whether the gate has closed: what is due already is still sent."""
        self._newest_ns = 0
        """When the newest request was due that was answered, or failed; 0 before the first."""

    # --- its own time ----------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Wake up when requests are due."""
        self._attached = True
        self._arm()

    def detach(self) -> None:
        """Send nothing more."""
        self._attached = self.awake = False
        self._timer.stop()
        self._next_turn.stop()

    def _arm(self) -> None:
        """Come back shortly before the next moment; at the earliest after everything else had its turn."""
        wait_ns = self.schedule.next_ns - monotonic_ns() - NEAR_NS
        self.awake = wait_ns <= 0
        if self.awake:
            # Not run_callback: gevent runs 50 of those in a row, and each may take BURST_NS.
            self._next_turn.start(self._on_due)
            return
        self._timer.close()
        self._timer = get_hub().loop.timer(min(wait_ns / 1e9, 3600.0))
        self._timer.start(self._on_due)

    def _on_due(self) -> None:
        """Gevent's callback: send what is due, and wait here for moments that are too near for gevent's timers."""
        if not self._attached:
            return
        try:
            if self.beside:
                self._take_turn()
            else:
                now = monotonic_ns()
                self._run(now + burst_ns(self._target.edge_ns - now, BURST_NS))
        except Exception as error:  # noqa: BLE001 - a bug must reach the caller, not be printed by the loop
            self._target.fault = error
            return
        if self._attached:
            self._arm()

    def _run(self, until_ns: int) -> None:
        """One burst: events and due moments in turn."""
        poller, clock, batch, schedule = self._target.poller, monotonic_ns, self._take_batch, self.schedule
        spin_ns = self._spin_ns
        while True:
            now = clock()
            if schedule.next_ns <= now:
                self._send_due()
                now = clock()
            ahead = schedule.next_ns - now
            if now >= until_ns or ahead > NEAR_NS:
                return
            if ahead > spin_ns:
                self._select((poller,), (), (), min(ahead - spin_ns, until_ns - now) / 1e9)
                batch(0)
            elif not self._idle:
                batch(self._target.patience_s(now))  # an answer is what there is to wait for, whatever is due
            elif not batch(0):
                self.awake_ns += min(clock() - now, LOOK_NS)

    def _take_turn(self) -> None:
        """Do what is to be done; the one whose moment comes next waits for it, and for anybody's answers.

        All others come back at once, and have their turn after it.
        """
        if self.schedule.next_ns <= monotonic_ns():
            self._send_due()
        self._take_batch(0)
        now = monotonic_ns()
        if self._idle and self.schedule.next_ns - now > NEAR_NS:
            return
        mine = self._acts_ns(now)
        wait_ns = min([mine, *(each._acts_ns(now) for each in self.beside)]) - now  # noqa: SLF001 - its own kind
        if wait_ns > SPIN_NS and wait_ns == mine - now:
            everybody = [self._target.poller, *(each._target.poller for each in self.beside)]  # noqa: SLF001
            self._select(everybody, (), (), (wait_ns - SPIN_NS) / 1e9)
            self._take_batch(0)

    def _acts_ns(self, now_ns: int) -> int:
        """When it has something to do by itself; with no free connection that is only after some answer."""
        return min(self.schedule.next_ns, now_ns + NEAR_NS) if self._idle else now_ns + NEAR_NS

    def _take_batch(self, patience_s: float) -> bool:
        """Handle what is ready: answers that equal the one before right here, all else by the target's general path.

        Says whether there was anything.
        """
        target, clock, schedule = self._target, monotonic_ns, self.schedule
        events = target.poller.poll(patience_s, BATCH)
        if not events:
            return False
        began = clock()
        newest_ns = 0
        many, room, by_fd, from_ns = target.program.many, target.room, target.by_fd, target.from_ns
        for fd, mask in events:
            conn = by_fd.get(fd)
            if conn is None:
                continue
            if mask != READ or conn.fast is None or conn.ask is None:
                target.on_event(conn, mask)
                continue
            try:
                data = conn.recv(room)
            except OSError as error:
                target.broken(conn, error)
                continue
            now = clock()
            if data != conn.fast:
                target.on_data(conn, data, now)
                continue
            newest_ns = conn.due
            if newest_ns >= from_ns:
                conn.ask.record(now - conn.since)
                self._intended.append(now - newest_ns)
                conn.count += 1
            else:
                target.stray(conn.ask, now - conn.since)
            if schedule.next_ns > now:
                conn.since = 0
                conn.fast = None  # what comes now is not an answer
                conn.idle_since = now
                self._idle[conn] = None
                continue
            conn.due, conn.since = schedule.take(), now
            conn.idle_since = began  # or earlier: its answer was there when the batch was looked for
            self._note_lateness(conn, now)
            self._send_next(conn, many=many)
        self._newest_ns = max(self._newest_ns, newest_ns)
        target.lags_ns.append(clock() - began)
        return True

    def _note_lateness(self, conn: Connection, now_ns: int) -> None:
        """Note what passed, until a request left, since it was due and any connection was free to send it."""
        if conn.due >= self._target.from_ns:
            self._lateness_ns.append(now_ns - max(conn.due, self._free_since(conn)))

    def _free_since(self, conn: Connection) -> int:
        """Since when this connection, or one that has been idle for longer, could have sent something."""
        oldest = next(iter(self._idle), conn)
        return min(oldest.idle_since, conn.idle_since)

    def _send_next(self, conn: Connection, *, many: bool) -> None:
        """Send the next request on a connection that was answered as expected."""
        if many and conn.next_ask is not None:
            conn.ask = conn.next_ask()
        ask = conn.ask
        if ask is None:
            return
        conn.fast = ask.whole
        try:
            sent = conn.send(ask.payload)
        except OSError as error:
            self._target.broken(conn, error, sending=True)
            return
        if sent != ask.size:
            self._target.partly_sent(conn, sent)

    # --- sending ---------------------------------------------------------------------------------------------------

    def take(self, conn: Connection) -> Ask | None:
        """Give what a connection is to ask next."""
        return conn.next_ask() if conn.next_ask is not None else None

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Serve the queue, or wait for the next moment."""
        if self.schedule.next_ns <= now_ns and self._sends:
            self._send(conn, now_ns)
        else:
            self._idle[conn] = None

    @property
    def _sends(self) -> bool:
        """Whether what is due may leave."""
        return self._target.gate_open or self._ended

    def _send(self, conn: Connection, now_ns: int) -> None:
        ask = self.take(conn)
        if ask is not None:
            conn.due = self.schedule.take()
            self._note_lateness(conn, now_ns)
            self._target.begin(conn, ask, now_ns, conn.due)

    def _send_due(self) -> None:
        """Send what is due by now."""
        now = monotonic_ns()
        while self.schedule.next_ns <= now and self._sends:
            if not self._idle:
                self.queue_max = max(self.queue_max, self.schedule.overdue(now))
                return
            conn = next(iter(self._idle))
            del self._idle[conn]
            if conn.stands and not conn.since and not conn.retired:
                self._send(conn, now)
            now = monotonic_ns()

    # --- noting ----------------------------------------------------------------------------------------------------

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:  # noqa: ARG002
        """Note the latency from the due time."""
        self._newest_ns = max(self._newest_ns, conn.due)
        if owned:
            self._intended.append(now_ns - conn.due)

    def failed(self, conn: Connection, error: WireError) -> None:
        """Take note that it came to an end."""
        super().failed(conn, error)
        self._newest_ns = max(self._newest_ns, conn.due)

    def fold(self, tally: Tally) -> None:
        """Latencies from the due time."""
        tally.intended.record(self._intended)
        self._intended.clear()
        self.lateness.record(self._lateness_ns)
        self._lateness_ns.clear()

    def begin_count(self) -> None:
        """Send what became due meanwhile, and forget what was noted so far."""
        self._send_due()
        self._intended.clear()
        self._lateness_ns.clear()
        self.lateness = Histogram()
        self.queue_start = self.queue_max = self.schedule.overdue(monotonic_ns())
        self.awake_ns = 0

    def behind_ns(self, now_ns: int) -> int:
        """For how long the server has answered nothing that was due since: not how slow one answer is among others."""
        newest_ns = self._newest_ns
        waiting = [conn.due for conn in self._target.connections if conn.since and conn.due > newest_ns]
        return max(0, now_ns - min([*waiting, self.schedule.next_ns]))

    def unheard(self, now_ns: int) -> bool:
        """Whether it was asked, and nothing came yet."""
        return not self._newest_ns and (self._target.in_flight > 0 or self.schedule.next_ns <= now_ns)

    # --- the end of a window ---------------------------------------------------------------------------------------

    def end(self, now_ns: int) -> None:
        """Nothing more is due; what is due already is sent, or waits for a connection and is still to be sent."""
        self.schedule.cut(now_ns)
        self._ended = True
        self._send_due()
        self.queue_max = max(self.queue_max, self.schedule.left)

    @property
    def owing(self) -> int:
        """After the end, what is due and not sent."""
        return self.schedule.left if self._ended else 0

    def abandon(self) -> list[int]:
        """Give up what is due and was not sent."""
        return [self.schedule.take() for _ in range(self.owing)]
