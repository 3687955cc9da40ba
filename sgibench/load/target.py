"""One server under load: its connections, the gate, and the loop that moves answers and requests.

Everything between an answer's arrival and the next request's departure happens here, inside one callback of gevent's
loop, with no greenlet switch. What is asked next is the pace's decision; when to open the gate and what to count is
the caller's. Nothing is ever sent twice: a request that fails is an error, and its connection is opened anew.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

import gevent
from gevent.hub import get_hub

from sgibench.load.count import Counted
from sgibench.load.request import Ask, Program
from sgibench.load.right import refuse_leftover, verify
from sgibench.load.sizes import Sizes
from sgibench.load.tally import FOLD_AT
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import ROOM, Connection
from sgibench.load.wire.frames import FrameReader
from sgibench.load.wire.poller import READ, TROUBLE, WRITE
from sgibench.load.wire.reader import SWITCHING
from sgibench.model.kinds import kind_named

BURST_NS = 10_000_000
"""How long the loop may go on before everything else in the process gets a turn."""
PATIENCE_S = 0.01
"""How long a burst waits for the next answer inside the callback, which saves a turn of gevent's loop. Longer than a
tick of the kernel's clock: a nearer moment makes each short sleep set the CPU's timer twice, on virtual machines for
microseconds, and a server that answers meanwhile finds a client that is not asleep yet and is spared waking it."""
PATIENCE_NS = round(PATIENCE_S * 1e9)
LARGE = 7
SAMPLED = 32
"""Lag is noted for batches of more than LARGE events, and for each SAMPLEDth of the others."""
BATCH = 64
"""Most events taken at once; keeps the edges of a window sharp."""
TICK_S = 0.02
"""How often time-outs and failed connections are looked after."""
MOST_PIECES = 16
"""An answer that comes in more pieces is not remembered."""
LEAST_ROOM = 1024
MOST_LAGS = 100_000
"""Lags kept when nobody takes them."""


class Target(Counted):
    """One server under load."""

    def __init__(self, host: str, port: int, program: Program, *, timeout_s: float = 10.0) -> None:
        super().__init__(host, port, program, timeout_s=timeout_s)
        self.answer_sizes: dict[tuple[str, str], Sizes] = {}
        """Of answers read in full, by (method, name)."""
        self.body_sizes: dict[tuple[str, str], int] = {}
        """Size of the last body read in full, by (method, name)."""
        self.edge_ns = 0
        """When somebody wants to have a look: a burst that is under way ends by then."""
        self.room = ROOM
        """Bytes asked of one recv in the hot loop, twice the largest answer so far."""
        self._largest = 0
        self.fault: BaseException | None = None
        """A bug met inside the loop, to be raised where somebody can see it."""
        hub = get_hub()
        self._watcher = hub.loop.io(self.poller.fileno(), 1)
        self._timer = hub.loop.timer(TICK_S, TICK_S)
        self._attached = False

    # --- life ----------------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Let gevent's loop drive this target."""
        if not self._attached:
            self._attached = True
            self._watcher.start(self._on_ready)
            self._timer.start(self._on_tick)
            self.pace.attach()

    def detach(self) -> None:
        """Leave the target alone; its connections stay open."""
        if self._attached:
            self._attached = False
            self._watcher.stop()
            self._timer.stop()
            self.pace.detach()

    def close(self) -> None:
        """Close everything; tasks that still ask get no answer."""
        self.detach()
        self.closed = True
        for conn in self.connections:
            conn.close(by_reset=bool(conn.since))
        self.connections.clear()
        self.by_fd.clear()
        self._watcher.close()
        self._timer.close()
        self.poller.close()

    # --- the loop ------------------------------------------------------------------------------------------------

    def _on_ready(self) -> None:
        """Gevent's callback: some connection is ready."""
        try:
            if self.gate_open and self.pace.hot:
                self._burst(monotonic_ns())
            elif self.pace.converses:
                self._converse(monotonic_ns() + BURST_NS)
            elif not self.pace.awake:
                self._serve(monotonic_ns() + BURST_NS)
        except Exception as error:  # noqa: BLE001 - a bug must reach the caller, not be printed by the loop
            self.fault = error
            self.detach()

    def _burst(self, now: int) -> None:  # noqa: C901 - a call for each branch is what this loop must not pay
        """Closed loop, gate open: as little as possible per answer."""
        poll, by_fd, clock, lag = self.poller.poll, self.by_fd, monotonic_ns, self.lags_ns.append
        room, many = self.room, self.program.many
        until_ns = calm_ns = now + BURST_NS
        if self.edge_ns > now:
            until_ns, calm_ns = min(until_ns, self.edge_ns), self.edge_ns - PATIENCE_NS
        turn = 0
        while True:
            events = poll(PATIENCE_S if now < calm_ns else self.patience_s(now), BATCH)
            if not events:
                return
            turn += 1
            # A clock reading for each batch would cost more than it tells: small batches are sampled.
            began = now = clock() if len(events) > LARGE or not turn % SAMPLED else 0
            for fd, mask in events:
                conn = by_fd[fd]
                if mask != READ:
                    self.on_event(conn, mask)
                    continue
                try:
                    data = conn.recv(room)
                    now = clock()
                    if data != conn.fast:
                        self.on_data(conn, data, now)
                        continue
                    ask: Ask = conn.ask  # type: ignore[assignment]  # fast is only set together with ask
                    ask.record(now - conn.since)
                    conn.count += 1
                    if many:
                        conn.ask = ask = conn.next_ask()  # type: ignore[misc]  # hot paces have programs
                    conn.fast = ask.whole
                    conn.since = now
                    sent = conn.send(ask.payload)
                except OSError as error:
                    self.broken(conn, error, sending=0 < now == conn.since)
                    continue
                if sent != ask.size:
                    self.partly_sent(conn, sent)
            if began:
                now = clock()
                lag(now - began)
            if now >= until_ns:
                return

    def patience_s(self, now_ns: int) -> float:
        """How long to wait for an answer inside a callback: not past the moment when somebody wants to have a look."""
        left_s = (self.edge_ns - now_ns) / 1e9
        return left_s if 0 < left_s < PATIENCE_S else PATIENCE_S

    def _converse(self, until_ns: int) -> None:
        """Tasks ask: an answer known byte for byte goes to the task that waits for it, all else by the general path.

        What `on_event`, `on_data`, `_on_answer` and the pace do one after the other, without a call for each.
        """
        poll, by_fd, clock, lag = self.poller.poll, self.by_fd, monotonic_ns, self.lags_ns.append
        while events := poll(0, BATCH):
            began = clock()
            for fd, mask in events:
                conn = by_fd.get(fd)
                if conn is None:
                    continue
                if mask != READ or conn.connecting:
                    self.on_event(conn, mask)
                    continue
                try:
                    data = conn.recv(ROOM)
                except OSError as error:
                    self.broken(conn, error)
                    continue
                now, since, ask, waiter = clock(), conn.since, conn.ask, conn.waiter
                known = None if ask is None or data != conn.fast or waiter is None or conn.retired else ask.answer
                if known is None or not data or not 0 < since >= self.from_ns:
                    self.on_data(conn, data, now)
                    continue
                conn.took_ns = took_ns = now - since
                ask.record(took_ns)  # type: ignore[union-attr]  # it has an answer
                conn.count += 1
                conn.since = 0
                conn.idle_since = now
                conn.outcome = known
                waiter.switch()  # type: ignore[union-attr]  # gevent calls this from the hub, its parent
            lag(clock() - began)
            if clock() >= until_ns:
                return

    def _serve(self, until_ns: int) -> None:
        """Any pace, gate open or closed: every event by the general path; returns when nothing is ready."""
        while self.take_batch(0) and monotonic_ns() < until_ns:
            pass

    def take_batch(self, patience_s: float) -> bool:
        """Handle one batch of what is ready, or soon will be, by the general path; whether there was anything."""
        events = self.poller.poll(patience_s, BATCH)
        began = monotonic_ns()
        for fd, mask in events:
            conn = self.by_fd.get(fd)
            if conn is not None:
                self.on_event(conn, mask)
        if events:
            self.lags_ns.append(monotonic_ns() - began)
        return bool(events)

    def on_event(self, conn: Connection, mask: int) -> None:
        """Handle any event of any connection."""
        if conn.connecting:
            self._on_connected(conn)
            return
        if mask & WRITE and conn.unsent is not None:
            try:
                conn.flush()
            except WireError as error:
                self._on_refused(conn, error)
                return
        if mask & (READ | TROUBLE):
            try:
                data = conn.recv(ROOM)
            except OSError as error:
                self.broken(conn, error)
                return
            self.on_data(conn, data, monotonic_ns())

    def _on_refused(self, conn: Connection, error: WireError) -> None:
        """A request could not be sent to its end: what the server said before it hung up says why, if it said it."""
        since = conn.since
        while conn.since == since and conn.sock is not None:
            try:
                data = conn.recv(ROOM)
            except OSError:
                break
            if not data and conn.answer_began != since:
                break
            self.on_data(conn, data, monotonic_ns())
        if since and conn.since == since:
            self._on_error(conn, error)
        elif not since and conn.unsent is not None:
            self._reopen(conn, monotonic_ns())  # a broadcast's sender has nothing in flight

    def on_data(self, conn: Connection, data: bytes, now_ns: int) -> None:
        """Read what came; an empty piece is the end of the stream."""
        ask = conn.ask
        if not conn.since or ask is None:
            self._on_idle_data(conn, data)
            return
        if data and data == conn.fast:
            self._on_answer(conn, ask, None, now_ns, closes=False)
            return
        if conn.continues(data):
            return
        try:
            if not conn.reading:
                conn.read(ask)
            answer = self._read(conn, ask, data)
        except WireError as error:
            self._on_error(conn, error)
        except OSError as error:
            self.broken(conn, error)
        else:
            if answer is not None:
                self._on_read(conn, ask, answer, data, now_ns)
            else:
                self._on_piece(conn, ask, data)

    def _on_piece(self, conn: Connection, ask: Ask, data: bytes) -> None:
        """Take note of a part of an answer; one that says so lets the rest of the request go out."""
        if ask.rest is not None and conn.may_go_on():
            conn.hold_back(memoryview(ask.rest))
        elif ask.remember and len(conn.pieces) < MOST_PIECES:
            conn.pieces.append(data)

    def _read(self, conn: Connection, ask: Ask, data: bytes) -> Answer | None:
        """Feed the reader; give the answer once it is whole and right, raise WireError when it is not."""
        reader = conn.reader
        answer = reader.feed(data) if data else reader.end()
        if isinstance(reader, FrameReader):
            self._reply(conn, reader)
        if answer is not None:
            verify(ask, answer)
            if answer.status != SWITCHING:
                refuse_leftover(reader.leftover)
        return answer

    def _on_read(self, conn: Connection, ask: Ask, answer: Answer, last: bytes, now_ns: int) -> None:
        """Handle a right answer that was read; `last` is its last piece, empty when the stream's end completed it."""
        if answer.status == SWITCHING:
            self._upgrade(conn, answer.header("sec-websocket-extensions"), now_ns)
            return
        self._note_size(ask, answer)
        if answer.chunk_times_ns and self.counting and self.owns(conn):
            self.streams.add(conn.since, answer.chunk_times_ns)
        closes = not last or not self.program.keep_alive or answer.head.closes or conn.unsent is not None
        closes = closes or (ask.rest is not None and not conn.went_on)
        if not closes and ask.remember and answer.size <= ROOM and len(conn.pieces) < MOST_PIECES:
            whole = b"".join((*conn.pieces, last))
            if len(whole) == answer.size:
                ask.whole, ask.answer = whole, answer
                if ask.foretold is not None:
                    ask.foretold.learn(whole, answer)
        self._on_answer(conn, ask, answer, now_ns, closes=closes)

    def _upgrade(self, conn: Connection, agreed: str | None, now_ns: int) -> None:
        """The server agreed to speak WebSocket: from here on its bytes are frames."""
        early, conn.reader = conn.reader.leftover, FrameReader(agreed)
        conn.since = 0
        conn.idle_since = now_ns
        if early:
            self._on_unasked(conn, conn.reader, early, now_ns)
        if conn.stands and not conn.since:
            self.pace.ready(conn, now_ns)

    def _note_size(self, ask: Ask, answer: Answer) -> None:
        """Remember how large answers are; those to questions of our own are none of the scenario's."""
        if self.borrowed:
            return
        self.answer_sizes.setdefault((ask.method, ask.name), Sizes()).add(answer.size)
        if answer.size > self._largest:
            # A buffer much larger than what comes costs time in malloc; one that is too small cuts answers in two.
            self._largest = answer.size
            self.room = min(max(LEAST_ROOM, 2 * answer.size), ROOM)
        self.body_sizes[ask.method, ask.name] = len(answer.body)

    def _on_answer(self, conn: Connection, ask: Ask, answer: Answer | None, now_ns: int, *, closes: bool) -> None:
        """Record a right answer and go on."""
        conn.took_ns = took_ns = now_ns - conn.since
        owned = (conn.due if self.pace.by_due else conn.since) >= self.from_ns
        if owned:
            ask.record(took_ns)
            conn.count += 1
        else:
            self.stray(ask, took_ns)
        if ask.gives is not None and conn.walk is not None:
            conn.walk.values.update(ask.gives.values)
        conn.since = 0
        conn.fast = None  # what comes now is not an answer
        conn.idle_since = now_ns
        if closes or conn.retired:
            self._reopen(conn, now_ns)
        self.pace.answered(conn, answer or ask.answer, now_ns, owned=owned)
        if conn.stands and not conn.since:
            self.pace.ready(conn, now_ns)

    def _on_idle_data(self, conn: Connection, data: bytes) -> None:
        """A connection with nothing in flight became readable: the server closed it, or says something unasked."""
        now = monotonic_ns()
        if data and isinstance(conn.reader, FrameReader):
            if self.pace.heard_known(conn, data, now):
                return
            self._on_unasked(conn, conn.reader, data, now)
            return
        if data:
            self.fail("leftover", f"bytes that nobody asked for: {data[:80]!r}")
        self._reopen(conn, now)

    def _on_unasked(self, conn: Connection, reader: FrameReader, data: bytes, now_ns: int) -> None:
        """A WebSocket may speak first: pings are answered, messages are the pace's."""
        try:
            message = reader.feed(data)
            self._reply(conn, reader)
        except WireError as error:
            if kind_named(error.kind).weight == "wrong":  # a close between two messages is none
                self.fail(error.kind, f"unasked: {error}")
            self._reopen(conn, now_ns)
            return
        except OSError:
            self._reopen(conn, now_ns)
            return
        whole = data if reader.alone and message is not None and message.size == len(data) else None
        while message is not None:
            wrong = self.pace.heard(conn, message, whole, now_ns)
            if wrong is not None:
                self.fail(wrong.kind, str(wrong))
            if conn.reader is not reader:
                return  # it was opened anew
            message, whole = reader.next_waiting(), None

    def _reply(self, conn: Connection, reader: FrameReader) -> None:
        """Send what the framing itself has to say."""
        reply, reader.reply = reader.reply, b""
        if reply:
            conn.send(reply)

    # --- time ----------------------------------------------------------------------------------------------------

    def _on_tick(self) -> None:
        """Gevent's timer: time-outs, connections to open again, and the pace's own time."""
        try:
            self.tick(monotonic_ns())
        except Exception as error:  # noqa: BLE001 - as in _on_ready
            self.fault = error
            self.detach()

    def tick(self, now_ns: int) -> None:
        """Look after the connections, and after lists that grow."""
        self.look_after(now_ns)
        if sum(map(len, self.program.latencies.values())) > FOLD_AT:
            self.fold()
        for unread, most in ((self.connect_ns, FOLD_AT), (self.lags_ns, MOST_LAGS)):
            if len(unread) > most:
                del unread[: -most // 2]

    def wait_until(self, happened: Callable[[], bool], timeout_s: float) -> bool:
        """Let the loop run until something is so; whether it came to be within the time."""
        deadline = monotonic_ns() + round(timeout_s * 1e9)
        while not happened():
            self.check()
            if monotonic_ns() > deadline:
                return False
            gevent.sleep(0.0005)
        return True

    def hear_out(self, patience_s: float) -> None:
        """With nothing in flight, take what still comes: it answers nothing, and is an error."""
        until_ns = monotonic_ns() + round(patience_s * 1e9)
        while not self.in_flight and (left_ns := until_ns - monotonic_ns()) > 0 and self.connections:
            self.take_batch(left_ns / 1e9)

    def check(self) -> None:
        """Raise the bug that stopped the loop, if one did."""
        if self.fault is not None:
            raise self.fault
