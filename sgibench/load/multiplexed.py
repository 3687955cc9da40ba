"""One server under load over HTTP/2: many requests at once on each connection.

A place (`Lane`) is to a pace what a connection is elsewhere: one request at a time, its own count and its own task.
Several lanes share a connection (`Line`). All that is counted, due or given up is `Target`'s; here bytes are carried
between lines and their sessions, and what becomes of a line is told to its lanes. With one connection for each request
a line has one lane, and is closed once that is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

from sgibench.load.lines import RETRY_NS
from sgibench.load.request import BODILESS_METHODS, Ask, Program, Request
from sgibench.load.right import verify
from sgibench.load.target import BATCH, BURST_NS, LARGE, PATIENCE_NS, PATIENCE_S, SAMPLED, Target
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import ROOM, Connection, kind_of
from sgibench.load.wire.h2.headers import request_block
from sgibench.load.wire.h2.session import Session
from sgibench.load.wire.h2.stream import Stream
from sgibench.load.wire.poller import READ, TROUBLE, WRITE, Poller
from sgibench.load.wire.tls import PENDING
from sgibench.model.kinds import kind_named
from sgibench.units import seconds


class Line(Connection):
    """One connection and its session."""

    __slots__ = ("corked", "heard_ns", "lanes", "session", "settling")

    def __init__(self, index: int, address: tuple[str, int], family: int, poller: Poller) -> None:
        super().__init__(index, address, family, poller)
        self.session = Session()
        self.lanes: list[Lane] = []
        self.settling = 0
        """When its attempt to connect began, until the server's SETTINGS are here; 0 otherwise."""
        self.corked = False
        """Whether what is to be sent waits for the end of a batch."""
        self.heard_ns = 0

    def flush(self) -> None:
        """Send what the session has to say; a connection that does not take it is found broken by the next read."""
        session = self.session
        if self.corked or self.sock is None or self.connecting or not (session.out or self.unsent is not None):
            return
        data: bytes | memoryview = b"".join(session.out)
        session.out.clear()
        if self.unsent is not None:
            data = memoryview(bytes(self.unsent) + bytes(data))
        try:
            sent = self.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(data)
        waits = sent == PENDING or sent < len(data)
        if waits != (self.unsent is not None):
            self.poller.change(self.fd, READ | WRITE if waits else READ)
        rest = b"" if sent == PENDING else memoryview(data)[sent:]
        self.unsent = memoryview(rest) if waits else None

    def close(self, *, by_reset: bool = False) -> None:
        """Close the socket; the next one has a session of its own."""
        super().close(by_reset=by_reset)
        self.session = Session()
        self.settling = 0


class Lane(Connection):
    """One place for a request on a line."""

    __slots__ = ("line", "stream")

    def __init__(self, index: int, line: Line) -> None:
        super().__init__(index, line.address, line.family, line.poller)
        self.line = line
        self.stream = Stream(self)
        line.lanes.append(self)

    @property
    def stands(self) -> bool:
        """Whether something may be asked here."""
        return self.line.sock is not None and self.line.session.usable

    def start(self, ask: Ask, now_ns: int) -> None:
        """Send a request on a stream of its own."""
        self.ask = ask
        self.since = now_ns
        self.line.session.ask(self.stream, ask)
        self.line.flush()

    def forget(self) -> None:
        """Expect nothing known: the hot loop looks at `retired` here."""

    def close(self, *, by_reset: bool = False) -> None:
        """Give up what is in flight; the line stays."""
        del by_reset
        if self.since:
            self.line.session.cancel(self.stream)
            self.line.flush()
        self.since = 0
        self.ask = None


def block_writer(authority: str, scheme: str) -> Callable[[Request], bytes]:
    """Give what writes a request's header block, which is what an `Ask` has for payload over HTTP/2."""

    def write(request: Request) -> bytes:
        fields = list(request.headers)
        names = {name.lower() for name, _ in fields}
        if request.body and "content-type" not in names:
            fields.append(("content-type", "application/octet-stream"))
        if (request.body or request.method not in BODILESS_METHODS) and "content-length" not in names:
            fields.append(("content-length", str(len(request.body))))
        return request_block(request.method, scheme, authority, request.path, tuple(fields))

    return write


class Multiplexed(Target):
    """A target whose places share connections."""

    def __init__(self, host: str, port: int, program: Program, *, streams: int, timeout_s: float = 10.0) -> None:
        super().__init__(host, port, program, timeout_s=timeout_s)
        self.streams_each = streams
        self.lines: list[Line] = []

    # --- life ------------------------------------------------------------------------------------------------------

    def _place(self, index: int) -> Connection:
        if not self.lines or len(self.lines[-1].lanes) >= self.streams_each:
            self.lines.append(Line(len(self.lines), self.address, self.family, self.poller))
            self.lines[-1].alpn = self.alpn
            self.lines[-1].resumes = self.program.resumes
        return Lane(index, self.lines[-1])

    def retire(self, conn: Connection) -> None:
        """Give a place up for good, once the answer it waits for is in; its line goes with its last one."""
        super().retire(conn)
        self._leave_line(conn)

    def _leave_line(self, conn: Connection) -> None:
        if isinstance(conn, Lane) and conn not in self.connections and conn in conn.line.lanes:
            conn.line.lanes.remove(conn)
            if not conn.line.lanes and conn.line in self.lines:
                self._hang_up(conn.line)
                self.lines.remove(conn.line)

    def close(self) -> None:
        """Close everything."""
        for line in self.lines:
            line.close(by_reset=bool(line.session.in_flight))
        self.lines.clear()
        super().close()

    def opening_since(self, conn: Connection) -> int:
        """When the line of a place began to be opened, until the server's settings are here; 0 when it does not."""
        line = conn.line if isinstance(conn, Lane) else conn
        return line.connecting or (line.settling if isinstance(line, Line) else 0)

    def _let_go(self) -> None:
        """Close lines that were opened for a request which is not sent now."""
        for line in self.lines:
            if not any(lane.since for lane in line.lanes):
                self._hang_up(line)
                line.retry_at = 0

    def _reopen(self, conn: Connection, now_ns: int) -> None:
        """Begin a line anew, if the place has none; where it stands there is nothing to do."""
        line = conn.line if isinstance(conn, Lane) else conn
        if conn.retired:
            self.connections.remove(conn)
            self._leave_line(conn)
        elif line.sock is None and not line.retry_at:
            super()._reopen(line, now_ns)

    def look_after(self, now_ns: int) -> None:
        """See to what no event announces."""
        latest = now_ns - self.timeout_ns
        for conn in list(self.connections):
            if conn.since and conn.since < latest:
                self._out_of_time(conn, latest)
        for line in list(self.lines):
            began = line.connecting or line.settling
            if began and began < latest:
                self._hang_up(line)
                self._not_opened(line, TimeoutError(110, "timed out"), now_ns)
            elif line.retry_at and line.retry_at <= now_ns and line.sock is None:
                line.retry_at = 0
                self._reopen(line, now_ns)
            elif line.sock is not None and line.heard_ns < latest and line.session.draining and not began:
                self._drop(line, None)

    def _out_of_time(self, conn: Connection, latest_ns: int) -> None:
        """Give up one request; where nothing at all came for so long, the line with all that is in flight on it."""
        limit = seconds(self.timeout_ns / 1e9)
        shut = _shut(conn)
        if isinstance(conn, Lane) and conn.line.heard_ns < latest_ns:
            self._drop(conn.line, WireError("timeout", f"nothing came on the connection within {limit}{shut}"))
        elif isinstance(conn, Lane) and not self.program.keep_alive:
            self._drop(conn.line, WireError("timeout", f"no whole answer within {limit}{shut}"))
        else:
            self._on_error(conn, WireError("timeout", f"no whole answer within {limit}{shut}"))

    # --- the loop --------------------------------------------------------------------------------------------------

    def _burst(self, now: int) -> None:
        """Closed loop, gate open: answers are fed to their sessions, and each free place asks again at once."""
        poll, by_fd, clock = self.poller.poll, self.by_fd, monotonic_ns
        until_ns = calm_ns = now + BURST_NS
        if self.edge_ns > now:
            until_ns, calm_ns = min(until_ns, self.edge_ns), self.edge_ns - PATIENCE_NS
        turn, hot = 0, self.program.keep_alive
        while True:
            events = poll(PATIENCE_S if now < calm_ns else self.patience_s(now), BATCH)
            if not events:
                return
            turn += 1
            began = clock()
            for fd, mask in events:
                line = by_fd.get(fd)
                if line is None:
                    continue
                if mask != READ:
                    self.on_event(line, mask)
                    continue
                try:
                    data = line.recv(ROOM)
                except OSError as error:
                    self._on_broken(line, error)
                    continue
                self._carry(line, data, hot=hot)
            now = clock()
            if len(events) > LARGE or not turn % SAMPLED:
                self.lags_ns.append(now - began)
            if now >= until_ns:
                return

    def _converse(self, until_ns: int) -> None:
        """Serve: what comes on a line may be of many tasks."""
        self._serve(until_ns)

    def on_event(self, conn: Connection, mask: int) -> None:
        """Handle any event of a line."""
        if conn.connecting:
            self._on_connected(conn)
            return
        if mask & WRITE:
            conn.flush()
        if mask & (READ | TROUBLE) and conn.sock is not None:
            try:
                data = conn.recv(ROOM)
            except OSError as error:
                self._on_broken(conn, error)
                return
            self._carry(conn, data, hot=False)

    def _on_connected(self, conn: Connection) -> None:
        """An attempt to connect ended: speak first, and wait for the server's settings."""
        fd = conn.fd
        try:
            began = conn.opened()
        except OSError as error:
            self.by_fd.pop(fd, None)
            self._not_opened(conn, error, monotonic_ns())
            return
        if began is not None and isinstance(conn, Line):
            self.note_handshake(conn, began)
            conn.settling = began
            conn.flush()
            self.on_event(conn, READ)  # what came with the end of TLS's handshake makes no event

    def _on_broken(self, line: Connection, error: OSError) -> None:
        if not isinstance(error, BlockingIOError):
            self._drop(line, WireError(kind_of(error, "reset"), f"the connection broke: {error}"))
        elif line.connecting:
            self._on_connected(line)

    def _carry(self, line: Connection, data: bytes, *, hot: bool) -> None:
        """Hand a line's bytes to its session, and the outcomes to their places."""
        if not isinstance(line, Line):
            raise TypeError("only lines have sockets here")
        if not data:
            self._drop(
                line, WireError("closed", line.session.draining or "the connection was closed before the answer")
            )
            return
        session, line.heard_ns, line.corked = line.session, (now := monotonic_ns()), True
        many = self.program.many
        for stream, outcome in session.feed(data):
            lane = stream.owner
            if outcome is not None or not (hot and lane.since and session.usable and self.gate_open) or lane.retired:
                self._on_outcome(lane, outcome, data, now)
                continue
            lane.ask.record(now - lane.since)
            lane.count += 1
            if many:
                lane.ask = lane.next_ask()
            lane.since = now
            session.ask(stream, lane.ask)
        line.corked = False
        if session is not line.session:
            return  # it was dropped meanwhile
        line.flush()
        if session.fault is not None:
            self._drop(line, session.fault)
        elif session.draining is not None and not session.in_flight:
            self._drop(line, None)
        elif line.settling and session.settled:
            self._on_settled(line, now)

    def _on_settled(self, line: Line, now_ns: int) -> None:
        """The server's settings are here: its places may ask."""
        began_ns, line.settling = line.settling, 0
        self.connect_ns.append(now_ns - began_ns)
        for lane in list(line.lanes):
            lane.idle_since = now_ns
            if not lane.since:
                self.pace.ready(lane, began_ns if self.program.times_opening else now_ns)

    def _on_outcome(self, lane: Lane, outcome: Answer | WireError | None, data: bytes, now_ns: int) -> None:
        """Tell a place what became of its request."""
        if not self.program.keep_alive:
            lane.line.session.say_goodbye("one request was asked, and no more is")
        ask = lane.ask
        if ask is None or not lane.since:
            return  # given up meanwhile
        if outcome is None:
            self._on_answer(lane, ask, None, now_ns, closes=False)
            return
        try:
            if isinstance(outcome, WireError):
                raise outcome
            verify(ask, outcome)
        except WireError as error:
            self._on_error(lane, error)
            return
        if ask.remember:
            lane.stream.remember(outcome)
        self._on_read(lane, ask, outcome, data, now_ns)

    # --- trouble ---------------------------------------------------------------------------------------------------

    def _drop(self, line: Connection, error: WireError | None) -> None:
        """A line is of no more use: its requests in flight fail by that error, and it is opened anew."""
        if not isinstance(line, Line):
            raise TypeError("only lines are dropped")
        began, now = line.settling, monotonic_ns()
        in_flight = [lane for lane in line.lanes if lane.since]
        self._hang_up(line, by_reset=error is not None and error.kind != "closed")
        if began and error is not None:
            self._not_settled(line, error, now)
        elif error is not None and not in_flight and kind_named(error.kind).weight == "wrong":
            self.fail(error.kind, f"unasked: {error}")
        if not line.retry_at:
            self.reopened += self.program.keep_alive
            self._reopen(line, now)
        for lane in in_flight:
            self._on_error(lane, error or WireError("closed", "the connection ended before the answer"))

    def _not_settled(self, line: Line, error: WireError, now_ns: int) -> None:
        """Count a connection that was opened and never spoke HTTP/2; the next attempt comes after a pause."""
        told = WireError(error.kind, f"connecting failed: {error}")
        self.fail(told.kind, str(told))
        if self.on_failure is not None:
            self.on_failure("CONNECT", self.program.host, told)
        line.retry_at = now_ns + RETRY_NS

    def _on_error(self, conn: Connection, error: WireError) -> None:
        """Count a failed request; its place asks again where its line stands."""
        super()._on_error(conn, error)
        if conn.stands and not conn.since and conn in self.connections:
            self.pace.ready(conn, monotonic_ns())


def _shut(conn: Connection) -> str:
    """Say how much of a request's body the server took no window for; nothing where all was sent."""
    unsent = conn.stream.unsent if isinstance(conn, Lane) else None
    return f"; the server's window is shut for the last {len(unsent)} bytes of the request" if unsent else ""
