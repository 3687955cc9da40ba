"""The counted part of each visit: where it begins and ends, and what of it goes into the target's books.

A piece has two edges. At both, the gate, the clocks and the counts are read between two batches of events; what is
drained after the second brings its answers in, but no more time. An open loop's books also say what was due, what
waited and what was in flight at each edge, which is how slices that tell no truth are found out.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

from sgibench.laps import Laps
from sgibench.load.books import Books
from sgibench.load.bursts import BurstPace
from sgibench.load.count import Apart
from sgibench.load.paces import OpenPace
from sgibench.load.target import MOST_LAGS, Target
from sgibench.load.visitor.clocks import Clocks
from sgibench.load.visitor.heard import Heard


@dataclass(kw_only=True)
class Piece:
    """The counted part of a visit, while it lasts and is drained."""

    from_ns: int
    waiting: int
    """Requests that were due and not answered when it began."""
    requests: int
    """Right answers counted before it."""
    busy_ns: int
    censored: int
    answered: int
    """Right answers before it, counted or not."""
    failed: int
    """Errors before it, likewise."""
    strays_ns: int
    """How long answers outside windows had taken before it, and those in flight at its beginning by then."""
    afterwards_ns: int = 0
    """How long its requests were in flight by its second edge: what they take more is taken after it."""
    due: int
    """Moments of the schedule before it."""
    looks: list[tuple[int, int]] = field(default_factory=list)
    """Of an open loop: moments, and how many requests were due and not answered then."""
    lags_ns: list[int] = field(default_factory=list)
    """How long batches took in it that are in no histogram yet."""
    edge_ns: int = 0
    """Its second edge; 0 before that."""

    @property
    def window_s(self) -> float:
        """How long it was, once it has its second edge."""
        return (self.edge_ns - self.from_ns) / 1e9

    @property
    def passed_s(self) -> float:
        """For how long it has been counted."""
        return (monotonic_ns() - self.from_ns) / 1e9


@dataclass(frozen=True, kw_only=True)
class Before:
    """What stood in the books before a visit that may be taken back."""

    books: Books
    counted: Apart


class Counting:
    """The books of one target, and the piece that is being counted."""

    def __init__(self, target: Target, heard: Heard, clocks: Clocks, laps: Laps, *, places: int) -> None:
        """`places`: connections, or streams, of this process."""
        self._target = target
        self._heard = heard
        self._clocks = clocks
        self._laps = laps
        self._places = places
        self.books = Books()
        self._piece: Piece | None = None

    # --- the two edges, and the end of the drain -----------------------------------------------------------------

    def ready(self) -> None:
        """A piece is near: do what takes its time."""
        self._clocks.ready()

    def begin(self) -> Piece:
        """Count from here on.

        What is done here delays what is due, so that a server is asked for two things at once: it is as little as can
        be, and `ready` did the rest.
        """
        self._laps.to("counted")
        target, tally = self._target, self._target.tally
        if isinstance(target.pace, BurstPace):
            target.wait_until(target.pace.between, target.timeout_ns / 1e9 + 1)  # a burst is the window's, or it is not
        pace = target.pace if isinstance(target.pace, OpenPace) else None
        answered, failed = self._answered, self._heard.errors.total()
        from_ns = target.begin_count(self._clocks.start)
        waiting = target.in_flight + (pace.queue_start if pace is not None else 0)
        self._piece = Piece(
            from_ns=from_ns,
            waiting=waiting,
            requests=tally.requests,
            busy_ns=tally.busy_ns,
            censored=tally.censored,
            answered=answered,
            failed=failed,
            strays_ns=target.outside.busy_ns + target.unfolded_strays[1] + target.waited_ns(from_ns, owned=False),
            due=pace.schedule.before(from_ns) if pace is not None else 0,
        )
        return self._piece

    def edge(self) -> None:
        """Close the gate; when this ends a piece, read all clocks at this moment, and leave all else for later.

        Answers to what is in flight come meanwhile, and nobody reads them: whatever takes time makes them late.
        """
        target, piece, books = self._target, self._piece, self.books
        if piece is None:
            target.close_gate()
            return
        pace = target.pace if isinstance(target.pace, OpenPace) else None
        edge_ns = target.close_gate()
        self._clocks.edge()
        piece.edge_ns = edge_ns
        books.edges_ns.append((piece.from_ns, edge_ns))
        books.think_ns += target.thinking_ns(edge_ns)
        books.sessions += target.sessions + target.program.sessions
        books.established = max(target.standing, books.established or 0)
        if pace is not None:
            books.due += pace.schedule.before(edge_ns) - piece.due
            books.queue_start += pace.queue_start
            books.queue_end += pace.owing
            books.add_waiting(piece.waiting, target.in_flight + pace.owing)
            books.awake_ns += pace.awake_ns
        answers, took_ns = target.unfolded
        piece.afterwards_ns = target.tally.busy_ns + took_ns + target.waited_ns(edge_ns, owned=True)
        books.in_time += target.tally.requests + answers - piece.requests
        piece.lags_ns, target.lags_ns = target.lags_ns, []

    def end(self) -> None:
        """All that the piece owns is answered or given up."""
        target, piece, books = self._target, self._piece, self.books
        self._piece = None
        if piece is None or not piece.edge_ns:
            return
        used = self._clocks.used()
        if isinstance(target.pace, BurstPace):
            books.overflow = target.pace.overflow()
        target.end_count()
        target.lags_ns.clear()
        books.lag.record(piece.lags_ns)
        tally = target.tally
        for conn in target.connections:
            books.per_connection[conn.index] += conn.count
        if isinstance(target.pace, OpenPace):
            books.lateness.merge(target.pace.lateness)
            books.queue_max = max(books.queue_max, target.pace.queue_max)
            books.add_looks(*books.edges_ns[-1], piece.looks)
        books.vain_pieces += tally.censored > piece.censored
        books.add_services(used.services_ns)
        books.add_front(used.front_ns)
        books.add_pages(used.pages)
        books.own_cpu_ns += used.own_ns
        requests = tally.requests - piece.requests
        books.add_piece(len(books.pieces), piece.window_s, requests, used.server_ns, self._excess_s(piece))

    def _excess_s(self, piece: Piece) -> float:
        """By how much its connections were busy for longer than was counted."""
        target, tally = self._target, self._target.tally
        if target.pace.by_due:
            # What was in flight longer than the piece lasted, beside what it found in flight and had to wait for.
            return (tally.busy_ns - piece.afterwards_ns - target.outside.busy_ns + piece.strays_ns) / 1e9
        return (tally.busy_ns - piece.busy_ns) / 1e9 - self._places * piece.window_s

    # --- while it lasts ------------------------------------------------------------------------------------------

    @property
    def _answered(self) -> int:
        """Right answers so far, counted or not, folded or not."""
        return self._heard.answered + self._target.unfolded[0] + self._target.unfolded_strays[0]

    def sample(self, piece: Piece) -> None:
        """Note what was answered, and what failed, since the last time."""
        answered, failed = self._answered - piece.answered, self._heard.errors.total() - piece.failed
        samples = self.books.samples
        samples.append(
            {
                "at_s": piece.passed_s,
                "answered": answered - sum(one["answered"] for one in samples),
                "failed": failed - sum(one["failed"] for one in samples),
            }
        )

    def note_second(self, piece: Piece) -> None:
        """Note how many right answers the second that is over brought, whoever owns them."""
        self.books.series.append(self._answered - piece.answered - sum(self.books.series))

    def look(self) -> None:
        """Note how many requests of an open loop are due and not answered; and keep lists short."""
        pace, piece = self._target.pace, self._piece
        if piece is not None and isinstance(pace, OpenPace):
            now = monotonic_ns()
            piece.looks.append((now, self._target.in_flight + pace.schedule.overdue(now)))
        if len(self._target.lags_ns) > MOST_LAGS // 2:
            self.books.lag.record(self._target.lags_ns)
            self._target.lags_ns.clear()

    # --- between visits ------------------------------------------------------------------------------------------

    @property
    def standing(self) -> dict[str, Any]:
        """What decides whether the target's slices go on, and are sound."""
        books = self.books
        return {
            "counted_s": books.window_s,
            "meant_s": books.window_s - books.longer_s,
            "longer_s": books.longer_s,
            "growths": books.growths,
            "waiting_start": books.waiting_start,
            "due": books.due,
            "busy_s": self._target.tally.busy_ns / 1e9,
            "places": self._places,
            "excess_s": books.excess_s,
            "largest_excess_s": books.largest_excess_s,
            "two_largest_excess_s": books.two_largest_excess_s,
            "vain_pieces": books.vain_pieces,
            "out_of_step": books.out_of_step,
        }

    def forget(self, reason: str) -> None:
        """Take back all that was counted: it was not sound."""
        self._target.forget_count(reason)
        self.books = Books()

    # --- a visit that may be taken back --------------------------------------------------------------------------

    def set_apart(self) -> Before:
        """A visit begins that may be taken back."""
        return Before(books=deepcopy(self.books), counted=self._target.set_apart())

    @property
    def piece_s(self) -> float:
        """How long the last piece was; 0 before the first."""
        return float(self.books.pieces[-1]["window_s"]) if self.books.pieces else 0.0

    def longer_since(self, before: Before) -> float:
        """In a visit that was set apart: for how long its turn went on until the server had caught up, in seconds."""
        return self.books.longer_s - before.books.longer_s

    @property
    def failed(self) -> int:
        """What went wrong in a visit that was set apart."""
        tally = self._target.tally
        return tally.errors.total() + tally.censored

    @property
    def latest_s(self) -> float:
        """In a visit that was set apart: how long after it was due its latest answer came; 0 without any."""
        return (self._target.tally.intended.max_us or 0.0) / 1e6

    def keep(self, before: Before) -> None:
        """It counts."""
        self._target.rejoin(before.counted)

    def take_back(self, before: Before, reason: str) -> None:
        """It does not: what it owned belongs to no window, for this reason."""
        self._target.forget_count(reason)
        self._target.rejoin(before.counted)
        self.books = before.books
