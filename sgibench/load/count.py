"""What of a target's requests belongs to a window, and what does not: the law of ownership, kept in one place.

A window owns the requests that were due in it (open loops) or sent in it (all others). It begins with the requests that
are in flight then: those are strays, and never count. It ends when the gate closes; what is in flight then is drained
and still counts; what is given up afterwards is an error of the window and stands in its distributions with the time
that it waited. The hot loop pays nothing for this: at the beginning, once, each connection in flight gets an ask whose
answer is noted elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

from sgibench.load.lines import Lines
from sgibench.load.request import Ask, Program, Request, spoken
from sgibench.load.tally import Streams, Tally, Thoughts
from sgibench.load.wire.answer import WireError
from sgibench.load.wire.connection import Connection

WAITED_IN_VAIN = frozenset({"timeout", "unanswered"})
"""Kinds of errors that end a wait: of the request's latency only a lower bound is known."""

WHOLE_WAIT = 0.9
"""Of the time-out: a request that was given up sooner, as the drain was over, says nothing about who answers at all."""
LEAST_IN_VAIN = 2
"""So many requests have to wait in vain before a server is said to answer no more."""


@dataclass(frozen=True, kw_only=True)
class Apart:
    """What was counted before something that may be taken back."""

    tally: Tally
    streams: Streams
    handshakes: Counter[str]


class Counted(Lines):
    """Connections with a gate, and books about what went through it."""

    def __init__(self, host: str, port: int, program: Program, *, timeout_s: float = 10.0) -> None:
        super().__init__(host, port, program, timeout_s=timeout_s)
        self.phase = "warm-up"
        """Why nothing counts at present, or what a stray was in; a key of `uncounted`."""
        self.uncounted: Counter[str] = Counter()
        """Requests that are in no window, by their phase, once folded."""
        self.answers: Counter[tuple[str, str]] = Counter()
        """All right answers there ever were, counted or not, by (method, name)."""
        self.lags_ns: list[int] = []
        """How long each batch of events kept the loop from looking at the next; whoever wants them takes them away."""
        self.streams = Streams()
        """Of counted requests."""
        self.on_fold: Callable[[str, str, list[int]], None] | None = None
        """Told of each list of latencies by (method, name) as it is folded, e.g. for Locust's statistics."""
        self.think_ns = 0
        """Time that users spent between an answer and their next request, since `from_ns`."""
        self.thoughts = Thoughts()
        self.decks: dict[object, Callable[[], Any]] = {}
        """What users of a kind take their next task from."""
        self.sessions = 0
        """Whole sessions of tasks that ended well while counting."""
        self._vain: dict[int, tuple[int, int]] = {}
        """By index, connections on which requests of the window waited in vain: right answers before, and how often."""
        self._strays: dict[tuple[str, str], list[int]] = {}
        """Latencies of right answers that belong to no window, not yet folded."""

    @property
    def bug(self) -> str | None:
        """What the scenario's own tasks raised first, if anything."""
        return self.tally.samples.get("task") or self.outside.samples.get("task")

    def told_to_wait(self, seconds: float) -> None:
        """Note that a user waits between tasks."""
        self.thoughts.add(seconds)

    # --- the gate ------------------------------------------------------------------------------------------------

    def open_gate(self) -> None:
        """Let every free connection go."""
        self.gate_open = True
        now = monotonic_ns()
        for conn in self.connections:
            self.release(conn, now)

    def close_gate(self) -> int:
        """Start nothing more, except what is due already; what is in flight goes on. Gives the moment."""
        self.gate_open = False
        now = monotonic_ns()
        self.pace.end(now)
        if not self.program.keep_alive and not self.pace.owing:
            self._let_go()
        return now

    def _let_go(self) -> None:
        """Close connections that were opened for a request which is not sent now."""
        for conn in self.connections:
            if not conn.since:
                self._hang_up(conn)
                conn.retry_at = 0

    @property
    def drained(self) -> bool:
        """Whether nothing is in flight, and nothing due is left to be sent."""
        return not self.in_flight and not self.pace.owing

    def give_up_rest(self) -> None:
        """The drain is over: what has no answer by now is an error, of the window that owns it."""
        now = monotonic_ns()
        for due_ns in self.pace.abandon():
            self._books(due_ns).never_sent(now - due_ns)
        for conn in list(self.connections):
            if conn.since:
                self._on_error(conn, WireError("unanswered", "no whole answer by the end of the drain"))
        if not self.program.keep_alive:
            self._let_go()

    # --- the count -----------------------------------------------------------------------------------------------

    def begin_count(self, at_last: Callable[[], None] = lambda: None) -> int:
        """From here on what is due or sent counts; gives the moment.

        Hardly anything is done here: requests that are due meanwhile leave late and several at once, and a server takes
        its time over those when the window has begun. `at_last` is what must be done right before.
        """
        self._disown()
        self.counting = True
        self.lags_ns.clear()
        self.think_ns = self.sessions = self.program.sessions = 0
        self._vain.clear()
        for conn in self.connections:
            conn.count = 0
            if conn.since and conn.ask is not None and self.pace.hot:
                self._estrange(conn, conn.ask)
        at_last()
        self.pace.begin_count()
        self.from_ns = monotonic_ns()
        return self.from_ns

    def _disown(self) -> None:
        """Answers that came so far belong to no window; they are folded when there is time for it."""
        for asked, latencies in self.program.latencies.items():
            if latencies:
                self._strays.setdefault(asked, []).extend(latencies)
                latencies.clear()

    def _estrange(self, conn: Connection, ask: Ask) -> None:
        """Have the hot loop note the answer that is under way as a stray; the next one is its connection's own."""
        stray = copy(ask)

        def record(took_ns: int) -> None:
            self.stray(ask, took_ns)
            conn.count -= 1  # the loop is about to count it
            conn.ask = ask

        stray.record = record
        conn.ask = stray

    def waited_ns(self, at_ns: int, *, owned: bool) -> int:
        """For how long the requests that the window owns, or the others, have been in flight by a moment, in sum."""
        return sum(at_ns - conn.since for conn in self.connections if conn.since and self.owns(conn) == owned)

    def end_count(self) -> None:
        """The window is drained; what comes from here on does not count."""
        self.fold()
        self.streams.fold()
        self.counting = False
        self.from_ns = 0

    def thinking_ns(self, edge_ns: int) -> int:
        """Time that users spent between an answer and their next request, up to a window's edge that is now."""
        going_on = sum(
            edge_ns - max(conn.idle_since, self.from_ns)
            for conn in self.connections
            if (conn.stands or not self.program.keep_alive) and not conn.since and conn.waiter is None
        )
        return self.think_ns + going_on

    def stray(self, ask: Ask, took_ns: int) -> None:
        """Note a right answer that belongs to no window."""
        self._strays.setdefault((ask.method, ask.name), []).append(took_ns)

    def stray_of(self, request: Request, took_ns: int) -> None:
        """Note a right answer to a request, outside every window."""
        self._strays.setdefault((request.method, request.title), []).append(took_ns)

    def enter(self, phase: str) -> None:
        """From here on, what is not counted is not counted because of this."""
        if phase != self.phase:
            self.fold()
            self.phase = phase

    @property
    def unfolded(self) -> tuple[int, int]:
        """Of the right answers that wait to be folded: how many the window owns, and how long they took in sum."""
        waiting = self.program.latencies.values()
        return sum(map(len, waiting)), sum(map(sum, waiting))

    @property
    def unfolded_strays(self) -> tuple[int, int]:
        """The same of those that belong to no window."""
        waiting = self._strays.values()
        return sum(map(len, waiting)), sum(map(sum, waiting))

    def fold(self) -> None:
        """Move the latencies that wait in lists into the books; some tenths of a millisecond, so not in a window."""
        tally = self.tally if self.counting else self.outside
        before = self.outside.requests
        for lists, into in ((self.program.latencies, tally), (self._strays, self.outside)):
            for (method, name), latencies in lists.items():
                if latencies:
                    into.add(latencies, spoken(method, name) if self.program.of_kinds else "")
                    self.answers[method, name] += len(latencies)
                    if self.on_fold is not None:
                        self.on_fold(method, name, latencies)
                    latencies.clear()
        self.uncounted[self.phase] += self.outside.requests - before
        self.pace.fold(tally)

    def set_apart(self) -> Apart:
        """Count into empty books from here on; gives those so far, for `rejoin`."""
        self.fold()
        before = Apart(tally=self.tally, streams=self.streams, handshakes=self.handshakes)
        self.tally, self.streams, self.handshakes = Tally(), Streams(), Counter()
        return before

    def rejoin(self, before: Apart) -> None:
        """Add what was counted since to the books before it."""
        self.fold()
        before.tally.merge(self.tally)
        before.streams.merge(self.streams)
        before.handshakes.update(self.handshakes)
        self.tally, self.streams, self.handshakes = before.tally, before.streams, before.handshakes

    def forget_count(self, reason: str) -> None:
        """Take back what was counted so far: it was not sound, and belongs to no window."""
        self.fold()
        self.uncounted[reason] += self.tally.sent
        self.outside.merge(self.tally)
        self.tally, self.streams = Tally(), Streams()
        self.handshakes.clear()

    @property
    def fell_silent(self) -> bool:
        """Whether every connection waited in vain and has had no right answer since; a single vain wait is a loss."""
        since = [self._vain.get(conn.index, (-1, 0)) for conn in self.connections]
        silent = all(conn.count == count for conn, (count, _) in zip(self.connections, since, strict=True))
        return silent and sum(times for _, times in since) >= LEAST_IN_VAIN

    # --- errors --------------------------------------------------------------------------------------------------

    def owns(self, conn: Connection) -> bool:
        """Whether the window under way owns the request in flight on a connection (outside windows: yes)."""
        return (conn.due if self.pace.by_due else conn.since) >= self.from_ns

    def _books(self, moment_ns: int) -> Tally:
        """Where a request belongs that was due or sent at a moment."""
        return self.tally if self.counting and moment_ns >= self.from_ns else self.outside

    def _on_error(self, conn: Connection, error: WireError) -> None:
        """Count a failed request; and remember of which connections the last ones waited in vain, long enough.

        Of a server that is only too slow for its rate, all connections are asked to the end of the drain, in turn.
        """
        waited = bool(conn.since) and monotonic_ns() - conn.since >= WHOLE_WAIT * self.timeout_ns
        if self.counting and waited and error.kind in WAITED_IN_VAIN:
            count, times = self._vain.get(conn.index, (-1, 0))
            self._vain[conn.index] = (conn.count, times + 1 if count == conn.count else 1)
        super()._on_error(conn, error)

    def lost(self, kind: str, detail: str, since_ns: int, due_ns: int) -> None:
        """Count a request that was sent and failed; one that waited in vain stays in the distributions."""
        now = monotonic_ns()
        by_due = self.pace.by_due
        books = self._books(due_ns if by_due else since_ns)
        if books is self.outside:
            self.uncounted[self.phase] += 1
        books.failed(kind, detail, now - since_ns)
        if kind in WAITED_IN_VAIN:
            books.waited_in_vain(now - since_ns, now - due_ns if by_due else None)
