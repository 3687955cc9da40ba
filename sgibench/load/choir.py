"""Who listens to a broadcast, what each must hear next, and what is under way.

Every delivery counts; the sender hears its own messages, too. A message begins with its number, and what each listener
must hear next is known: a message that is lost, comes twice, in another order or with other bytes is an error. A
connection that was opened anew owes what it missed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sgibench.load.request import Request
from sgibench.load.target import Target
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.connection import Connection
from sgibench.load.wire.frames import FrameReader, frame
from sgibench.model.kinds import ErrorKind

STAMP = struct.Struct("<Q")
"""What a binary message begins with: its number."""
DIGITS = 16
"""What a text message begins with: its number, in so many digits."""
JOINED = b"joined"
"""What the app says, as text, to a socket that listens from then on."""
ENDED = "a listener's connection ended before it heard the message"
MOST_UNSENT = 64 * 1024 * 1024
"""Bytes that wait for the sender's socket; beyond that the server reads no more."""


@dataclass(kw_only=True)
class Message:
    """One that is under way."""

    body: bytes
    due_ns: int
    sent_ns: int
    missing: int
    """Listeners that have not heard it."""


class Choir:
    """Who listens, what each must hear next, and what is under way: shared by the two paces of a target."""

    def __init__(self, target: Target, *, text: bool, deflate: bool) -> None:
        self.target = target
        self.request: Request = target.program.requests[0]
        self.record = target.program.record_for(self.request.method, self.request.title)
        self.text, self.deflate = text, deflate
        self.number = 0
        """Of the last message that was sent."""
        self.under_way: dict[int, Message] = {}
        """By number, the oldest first."""
        self.heard: dict[Connection, tuple[FrameReader, int]] = {}
        """Of each listener: its reader, by which a connection that was opened anew is known, and what it heard last."""
        self.young: set[Connection] = set()
        """Those who have joined and heard no message since: they may still hear what was under way then."""
        self.intended_ns: list[int] = []
        self.known: bytes | None = None
        """The frame of the last message, as the first listener was found to have got it."""
        self.known_number = 0

    # --- who listens -----------------------------------------------------------------------------------------------

    def complete(self) -> bool:
        """Give up what those owe that are gone; whether all connections listen."""
        for conn in [conn for conn in self.heard if not self._same(conn)]:
            self._missed(conn, "closed", ENDED)
        return len(self.heard) == len(self.target.connections) > 0

    def _join(self, conn: Connection, answer: Answer) -> bool:
        """Take what comes to a socket that does not listen yet; whether that is right."""
        reader = conn.reader
        if conn in self.heard:
            self._missed(conn, "closed", ENDED)
        if answer.text_message and answer.body == JOINED and isinstance(reader, FrameReader):
            self.heard[conn] = (reader, self.number)
            self.young.add(conn)
            return True
        return self._was_under_way(answer, self.number)

    def _was_under_way(self, answer: Answer, newest: int) -> bool:
        """Whether this is a message that was sent before its listener had joined: right, and in no figure."""
        number = self._number_of(answer.body)
        if number is None or number > newest or answer.body != self.body_of(number):
            return False
        if answer.text_message is not self.text:
            return False
        self.target.stray_of(self.request, 1)
        return True

    def _same(self, conn: Connection) -> bool:
        return conn.stands and conn.reader is self.heard[conn][0]

    def sender(self) -> Connection:
        """The first of those who listen."""
        return next(iter(self.heard))

    def _missed(self, conn: Connection, kind: str, detail: str) -> None:
        """A listener will not hear what it has not heard: each is an error."""
        _, last = self.heard.pop(conn)
        self.young.discard(conn)
        for number in range(last + 1, self.number + 1):
            self._lose(number, kind, detail)

    def _lose(self, number: int, kind: str, detail: str) -> None:
        message = self.under_way.get(number)
        if message is None:
            return
        self.target.lost(kind, f"{self.request.title}: {detail}", message.sent_ns, message.due_ns)
        self._cross_off(number, message)

    def _cross_off(self, number: int, message: Message) -> None:
        message.missing -= 1
        if not message.missing:
            del self.under_way[number]

    # --- sending ---------------------------------------------------------------------------------------------------

    def send(self, due_ns: int, now_ns: int) -> None:
        """Send the next message to all who listen now."""
        self.number += 1
        body = self.body_of(self.number)
        self.under_way[self.number] = Message(body=body, due_ns=due_ns, sent_ns=now_ns, missing=len(self.heard))
        self._transmit(self.sender(), frame(body, text=self.text, deflate=self.deflate))

    def body_of(self, number: int) -> bytes:
        """Write a message: its number, then what the scenario declares."""
        if self.text:
            return b"%0*d" % (DIGITS, number) + self.request.body[DIGITS:]
        return STAMP.pack(number) + self.request.body[STAMP.size :]

    def _transmit(self, conn: Connection, payload: bytes) -> None:
        """Hand bytes to the sender's socket, behind those that wait for it; a broken one is found by its reading."""
        target = self.target
        if conn.unsent is not None:
            if len(conn.unsent) > MOST_UNSENT:
                self._missed(conn, "timeout", "the server reads no more of what the sender sends")
                target.broken(conn, ConnectionResetError(104, "given up"))
                return
            conn.unsent = memoryview(bytes(conn.unsent) + payload)
            return
        try:
            sent = conn.send(payload)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            target.broken(conn, error)
            return
        if sent < len(payload):
            conn.hold_back(memoryview(payload)[sent:])

    # --- hearing ---------------------------------------------------------------------------------------------------

    def heard_known(self, conn: Connection, data: bytes, now_ns: int) -> bool:
        """Whether these are the bytes of the message that this listener must hear next, found right on another."""
        reader, last = self.heard.get(conn, (None, 0))
        if data != self.known or last + 1 != self.known_number or reader is not conn.reader or reader is None:
            return False
        if not reader.untouched:
            return False
        message = self.under_way.get(self.known_number)
        if message is None:
            return False
        self._count(conn, reader, self.known_number, message, now_ns)
        return True

    def take(self, conn: Connection, answer: Answer, data: bytes | None, now_ns: int) -> bool:
        """Check a message that was read; whether it was the one that this listener must hear next.

        `data` are its bytes on the wire where it came whole and alone: the next listener's are compared with them.
        """
        known = self.heard.get(conn)
        if known is None or known[0] is not conn.reader:
            return self._join(conn, answer)
        reader, last = known
        if conn in self.young and self._was_under_way(answer, last):
            return True
        message = self.under_way.get(last + 1)
        if message is None or answer.body != message.body or answer.text_message is not self.text:
            return False
        if data is not None:
            self.known, self.known_number = data, last + 1
        self._count(conn, reader, last + 1, message, now_ns)
        return True

    def _count(self, conn: Connection, reader: FrameReader, number: int, message: Message, now_ns: int) -> None:
        self.heard[conn] = (reader, number)
        self.young.discard(conn)
        if message.due_ns >= self.target.from_ns:
            self.record(now_ns - message.sent_ns)
            self.intended_ns.append(now_ns - message.due_ns)
            conn.count += 1
        else:
            self.target.stray_of(self.request, now_ns - message.sent_ns)
        self._cross_off(number, message)

    def wrong(self, conn: Connection, answer: Answer) -> WireError:
        """Say what is wrong with a message that was not the next one; what comes after it could not be told."""
        kind, detail = self._wrong(conn, answer)
        self.target.drop(conn)
        return WireError(kind, f"{self.request.title}: {detail}")

    def _wrong(self, conn: Connection, answer: Answer) -> tuple[ErrorKind, str]:
        last = self.heard[conn][1] if conn in self.heard else 0
        number = self._number_of(answer.body)
        if number is not None and number <= last and answer.body == self.body_of(number):
            return "leftover", f"message {number} came again, after {last}"
        if number is not None and number > last + 1 and answer.body == self.body_of(number):
            return "body", f"message {number} came after {last}: those between are lost"
        kind = {True: "text", False: "binary"}.get(bool(answer.text_message))
        return "body", f"expected message {last + 1}, but got {kind} {answer.body[:60]!r}"

    def _number_of(self, body: bytes) -> int | None:
        if not self.text:
            return int(STAMP.unpack_from(body)[0]) if len(body) >= STAMP.size else None
        return int(body[:DIGITS]) if body[:DIGITS].isdigit() else None

    # --- giving up -------------------------------------------------------------------------------------------------

    @property
    def owing(self) -> int:
        """Deliveries that are under way."""
        return sum(message.missing for message in self.under_way.values())

    def look(self, now_ns: int) -> None:
        """Count what did not come in time, and open anew the connections that it did not come on."""
        late = [number for number, each in self.under_way.items() if now_ns - each.sent_ns > self.target.timeout_ns]
        if late:
            self._give_up(late[-1], "timeout", "a connection did not hear the message in time")
        for conn in list(self.target.connections):
            waits = conn.stands and isinstance(conn.reader, FrameReader) and conn not in self.heard
            if waits and now_ns - conn.idle_since > self.target.timeout_ns:
                self.target.fail("timeout", f"{self.request.title}: a connection was not told {JOINED.decode()!r}")
                self.target.drop(conn)

    def abandon(self) -> None:
        """Give up all that is under way."""
        self._give_up(self.number, "unanswered", "a connection had not heard the message by the end of the drain")

    def _give_up(self, newest: int, kind: str, detail: str) -> None:
        """Who has not heard a message by now will not: what comes on its connection after that could not be told."""
        for conn in [conn for conn, (_, last) in self.heard.items() if last < newest]:
            same = self._same(conn)
            self._missed(conn, kind, detail)
            if same:
                self.target.drop(conn)
