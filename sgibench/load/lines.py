"""The connections to one server: opened, watched, timed out, opened again; each trouble counted once, by its kind.

Nothing is ever sent twice: a request that fails is an error, and its connection is opened anew. What an answer means
and what is asked next is not decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol

from sgibench.load.request import Ask, Program, expand
from sgibench.load.steps import Course
from sgibench.load.tally import Tally
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import Connection, kind_of, resolve
from sgibench.load.wire.poller import make_poller
from sgibench.model.kinds import ErrorKind
from sgibench.units import seconds

RETRY_NS = 20_000_000
"""Pause before a connection that was refused is opened again, where there are few."""
FEW = 64
"""More pause longer in proportion: thousands that all try again every tick would leave no time for anything else."""


class Pace(Protocol):
    """Decides what a connection does when it is free; `sgibench.load.paces` has them."""

    hot: bool
    """Whether a finished connection is simply asked its next request (then the fastest loop is used)."""
    awake: bool
    """Whether it takes the events itself, in a turn that comes soon."""
    converses: bool
    """Whether each connection belongs to a task that waits for its answers, and asks as soon as it wants to."""
    opens: bool
    """Whether a connection that ended is opened again at once; else the pace sees to it."""
    by_due: bool
    """Whether a request belongs to the window that it was due in; else to the one that it was sent in."""

    def attach(self) -> None:
        """Begin to act by itself."""

    def detach(self) -> None:
        """Stop acting by itself."""

    def wants(self, conn: Connection) -> bool:
        """Whether a connection that is good for one request has one to send, so that it is to be opened."""

    def ready(self, conn: Connection, now_ns: int) -> None:
        """Handle a connection that is open and has nothing in flight."""

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:
        """Take note of a right answer, and of whether the window under way owns it."""

    def failed(self, conn: Connection, error: WireError) -> None:
        """Take note of an error on a connection that had a request in flight."""

    def heard_known(self, conn: Connection, data: bytes, now_ns: int) -> bool:
        """Take bytes that came without being asked for, if they are a WebSocket message that is known to be right."""

    def heard(self, conn: Connection, message: Answer, data: bytes | None, now_ns: int) -> WireError | None:
        """Take a WebSocket message that came without being asked for; what is wrong with it.

        `data` are its bytes on the wire where it came whole and alone.
        """

    def fold(self, tally: Tally) -> None:
        """Move what it recorded by itself into the tally."""

    def begin_count(self) -> None:
        """Forget what it recorded about itself so far."""

    def end(self, now_ns: int) -> None:
        """The gate closes: from this moment on, nothing more is due."""

    @property
    def owing(self) -> int:
        """What must still happen before a closed gate's last request is done, beside those in flight."""

    def abandon(self) -> list[int]:
        """Give up what is owed; gives the moments at which requests were due that were never sent."""


class Lines:
    """Connections to one server, all alike."""

    def __init__(self, host: str, port: int, program: Program, *, timeout_s: float = 10.0) -> None:
        self.family, self.address = resolve(host, port)
        self.program = program
        self.timeout_ns = round(timeout_s * 1e9)
        self.poller = make_poller()
        self.connections: list[Connection] = []
        self.pace: Pace
        self.gate_open = False
        self.closed = False
        """For good: nothing is opened or sent any more."""
        self.borrowed = False
        """Whether something else than the users asks on the connections for a while; users that want to ask wait."""
        self.counting = False
        self.from_ns = 0
        """The window under way owns what was due or sent from this moment on; 0 outside windows."""
        self.tally = Tally()
        self.outside = Tally()
        """What happened outside counts."""
        self.connect_ns: list[int] = []
        self.reopened = 0
        """Connections lost and opened again, idle ones included."""
        self.on_failure: Callable[[str, str, WireError], None] | None = None
        """Told of each failed request by (method, name), and of each failed attempt to connect."""
        self.by_fd: dict[int, Connection] = {}
        self.alpn: str | None = None
        """What is agreed on over TLS; None for no TLS."""
        self.handshakes: Counter[str] = Counter()
        """TLS handshakes of connections whose opening began in the window: `full` and `resumed`; and of the full ones
        `refused`, those in which the server did not take up the session that it was offered."""
        self._added = 0
        self._course: Course | None = None

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered yet."""
        return sum(1 for conn in self.connections if conn.since)

    @property
    def standing(self) -> int:
        """Connections that are open."""
        return sum(1 for conn in self.connections if conn.stands)

    @property
    def wanting(self) -> bool:
        """Whether any connection has something to send: users who all think have not."""
        return any(map(self.pace.wants, self.connections))

    def handshakes_counted(self) -> dict[str, int] | None:
        """TLS handshakes of the window; None without TLS, or when connections are kept."""
        if self.alpn is None or self.program.keep_alive:
            return None
        return {name: self.handshakes[name] for name in ("full", "resumed", "refused")}

    def fail(self, kind: str, detail: str) -> None:
        """Count an error of no request in particular."""
        (self.tally if self.counting else self.outside).fail(kind, detail)

    def lost(self, kind: str, detail: str, since_ns: int, due_ns: int) -> None:
        """Count a request that was sent and failed, where it belongs."""
        raise NotImplementedError

    # --- life ----------------------------------------------------------------------------------------------------

    def add(self) -> Connection:
        """Add a connection and begin to open it."""
        conn = self._place(self._added)
        self._added += 1
        self._set_going(conn)
        conn.idle_since = monotonic_ns()
        self.connections.append(conn)
        self._reopen(conn, monotonic_ns())
        return conn

    def _set_going(self, conn: Connection) -> None:
        """Say what a connection asks next: what all have in common, or its own session; else its task says it."""
        if not self.program.requests:
            return
        if not self.program.dependent:
            conn.next_ask = self.program.sequence()
            return
        if self._course is None:
            self._course = Course(self.program.requests, [*map(expand, self.program.requests)], self.program)
        conn.walk = self._course.walk(conn.index)
        conn.next_ask = conn.walk.next

    def _place(self, index: int) -> Connection:
        """Make what one user has of its own."""
        conn = Connection(index, self.address, self.family, self.poller)
        conn.alpn = self.alpn
        conn.resumes = self.program.resumes
        return conn

    def retire(self, conn: Connection) -> None:
        """Close a connection for good, once the answer it waits for is in."""
        conn.retired = True
        conn.forget()  # its last answer must take the general path, where it is closed
        if not conn.since and conn in self.connections:
            self._hang_up(conn)
            self.connections.remove(conn)

    def release(self, conn: Connection, now_ns: int) -> None:
        """Let one connection go, if it is free."""
        if conn.stands and not conn.since:
            self.pace.ready(conn, now_ns)
        elif conn.sock is None and not conn.retry_at:
            self._reopen(conn, now_ns)

    def begin(self, conn: Connection, ask: Ask, now_ns: int, due_ns: int = 0) -> None:
        """Send a request on a free connection; a failure is counted like any other."""
        conn.due = due_ns or now_ns
        try:
            conn.start(ask, now_ns)
        except WireError as error:
            self._on_error(conn, error)

    def open_anew(self, conn: Connection) -> None:
        """Begin to open a connection that is closed."""
        if conn.sock is None:
            self._reopen(conn, monotonic_ns())

    def hang_up(self, conn: Connection) -> None:
        """Close a connection; it is not opened again until the gate or the pace does."""
        self._hang_up(conn, by_reset=True)
        conn.retry_at = 0

    def drop(self, conn: Connection) -> None:
        """Open a connection anew, whatever it was doing; nothing is counted."""
        self._hang_up(conn, by_reset=True)
        self.reopened += self.program.keep_alive
        self._reopen(conn, monotonic_ns())

    def abandon(self, conn: Connection) -> None:
        """Give up a request in flight that nobody waits for any more."""
        self._on_error(conn, WireError("abandoned", "the task that waited for the answer was interrupted"))

    def give_up(self, conn: Connection, why: str) -> None:
        """Give up a request in flight whose answer does not go on."""
        self._on_error(conn, WireError("timeout", why))

    def look_after(self, now_ns: int) -> None:
        """See to what no event announces: time-outs, and connections to open again."""
        latest = now_ns - self.timeout_ns
        for conn in list(self.connections):
            if conn.since and conn.since < latest:
                self._on_error(conn, WireError("timeout", self._told_late(conn)))
            elif conn.connecting and conn.connecting < latest:
                self._hang_up(conn)
                self._not_opened(conn, TimeoutError(110, "timed out"), now_ns)
            elif conn.retry_at and conn.retry_at <= now_ns and conn.sock is None:
                self._reopen(conn, now_ns)

    def _told_late(self, conn: Connection) -> str:
        """Say what did not come in time."""
        if conn.ask is not None and conn.ask.rest is not None and not conn.went_on:
            return f"no 100 Continue within {seconds(self.timeout_ns / 1e9)}, so the body was never sent"
        return f"no whole answer within {seconds(self.timeout_ns / 1e9)}"

    def _hang_up(self, conn: Connection, *, by_reset: bool = False) -> None:
        """Close a connection."""
        self.by_fd.pop(conn.fd, None)
        conn.close(by_reset=by_reset)

    def _reopen(self, conn: Connection, now_ns: int) -> None:
        """Close what is left of a connection and begin a new one."""
        if conn.sock is not None:
            self._hang_up(conn)
            self.reopened += self.program.keep_alive
        if conn.retired:
            self.connections.remove(conn)
            return
        if self.closed or not self.pace.opens:
            return
        conn.retry_at = 0
        if not (self.program.keep_alive or (self.pace.wants(conn) and (self.gate_open or self.pace.owing))):
            return  # a server of one request at a time would wait for this connection and serve no other
        try:
            conn.open(now_ns)
        except OSError as error:
            self._not_opened(conn, error, now_ns)
            return
        self.by_fd[conn.fd] = conn

    def _on_connected(self, conn: Connection) -> None:
        """An attempt to connect ended."""
        now = monotonic_ns()
        fd = conn.fd
        try:
            began = conn.opened()
        except OSError as error:
            self.by_fd.pop(fd, None)
            self._not_opened(conn, error, now)
            return
        if began is None:
            return
        self.connect_ns.append(now - began)
        self.note_handshake(conn, began)
        conn.idle_since = now
        if self.program.handshake is not None:
            self.begin(conn, self.program.greeting(), now)
        else:
            self.pace.ready(conn, began if self.program.times_opening else now)

    def note_handshake(self, conn: Connection, began_ns: int) -> None:
        """Count the TLS handshake of a connection whose opening began then; without TLS there is none."""
        if conn.tls is not None and self.counting and began_ns >= self.from_ns:
            self.handshakes["resumed" if conn.tls.resumed else "full"] += 1
            self.handshakes["refused"] += conn.tls.refused

    def opening_since(self, conn: Connection) -> int:
        """When a connection began to be opened; 0 when it does not open."""
        return conn.connecting

    # --- trouble -------------------------------------------------------------------------------------------------

    def _not_opened(self, conn: Connection, error: OSError, now_ns: int) -> None:
        """Count a failed attempt to connect; the next one comes after a pause."""
        kind: ErrorKind = kind_of(error, "connect")
        self.fail(kind, f"connecting failed: {error}")
        if self.on_failure is not None:
            self.on_failure("CONNECT", self.program.host, WireError(kind, f"connecting failed: {error}"))
        if self.pace.opens:
            conn.retry_at = now_ns + RETRY_NS * max(1, len(self.connections) // FEW)

    def broken(self, conn: Connection, error: OSError, *, sending: bool = False) -> None:
        """Reading or sending failed, or would have to wait."""
        if not isinstance(error, BlockingIOError):
            self._on_error(conn, WireError(kind_of(error, "reset"), f"the connection broke: {error}"))
        elif conn.connecting:
            self._on_connected(conn)
        elif sending:
            self.partly_sent(conn, 0)

    def partly_sent(self, conn: Connection, sent: int) -> None:
        """The socket took only a part of the request: send the rest when it is ready."""
        if conn.ask is not None:
            conn.sent_in_part(conn.ask, sent)

    def _on_error(self, conn: Connection, error: WireError) -> None:
        """Count a failed request and open its connection anew."""
        had_request = bool(conn.since)
        if had_request:
            if conn.walk is not None:
                conn.walk.broken = True
            self.lost(error.kind, f"{conn.ask.name}: {error}" if conn.ask else str(error), conn.since, conn.due)
            if self.on_failure is not None and conn.ask is not None:
                self.on_failure(conn.ask.method, conn.ask.name, error)
        self._hang_up(conn, by_reset=True)
        self._reopen(conn, monotonic_ns())
        if had_request:
            self.pace.failed(conn, error)
