"""One strict HTTP/1.1 or WebSocket connection to a server, for asking it a few questions.

h11 and wsproto judge what comes: anything they refuse is a wrong answer, told in one sentence. Every question has a
deadline for the whole answer, not for each read, so that a server which trickles bytes can't hold the verifier.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import h11
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from sgibench.errors import ServerError
from sgibench.model.kinds import MOST_HEAD_BYTES
from sgibench.serve.certificate import trusting
from sgibench.units import many

ANSWER_TIMEOUT_S = 5.0
"""For connecting, asking and hearing the whole answer."""
READ_BYTES = 65536
MOST_BYTES = 1 << 28
ENDLESS = f"expected an answer of at most {MOST_BYTES >> 20} MiB, and it goes on"
PIECE_BYTES = 5000
"""A chunked request body is sent in chunks of this size."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False
    """Send the body in chunks, without its length."""

    def __str__(self) -> str:
        """The request as a person writes it."""
        return f"{self.method} {self.path}" + (" with a chunked body" if self.chunked else "")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One whole answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order they came."""
    body: bytes
    arrivals_s: tuple[float, ...]
    """When each read that brought some of the body returned, in seconds after the question."""
    took_s: float
    """From the question to the end of the answer."""
    reusable: bool
    """Whether the connection may carry another question, by what both sides said."""

    def all(self, name: str) -> list[str]:
        """Every value of a header; `name` in lower case."""
        return [value for header, value in self.headers if header == name]


class Deadline:
    """A moment by which everything must be over."""

    def __init__(self, sock: socket.socket, question: object) -> None:
        """Start the clock."""
        self.started_s = time.monotonic()
        self._sock = sock
        self.question = question
        """What is waited for, for people."""

    def read(self) -> bytes:
        """Read what has come, waiting no longer than the deadline; empty at the end of the stream."""
        self.arm()
        try:
            return self._sock.recv(READ_BYTES)
        except TimeoutError:
            raise self.hung() from None
        except (ConnectionError, ssl.SSLError):
            return b""  # a reset ends the stream as well; what is missing shows in the answer

    def write(self, data: bytes) -> None:
        """Send all of it; a server that closed its ears may still have answered, so that is not an error here."""
        self.arm()
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise self.hung() from None
        except (ConnectionError, ssl.SSLError):
            return

    def arm(self) -> None:
        """Let the next call on the socket last no longer than the deadline."""
        left_s = self.started_s + ANSWER_TIMEOUT_S - time.monotonic()
        if left_s <= 0:
            raise self.hung()
        self._sock.settimeout(left_s)

    def hung(self) -> ServerError:
        """Say that the answer did not come in time."""
        return ServerError("hung", f"{self.question}: no whole answer within {ANSWER_TIMEOUT_S:g} s")


class Asker(Protocol):
    """What checks need of a connection, whatever it speaks."""

    def __enter__(self) -> Self:
        """Nothing is opened before the first question."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Hang up."""

    def close(self) -> None:
        """Hang up; the next question opens a new connection."""

    def ask(self, question: Question) -> Reply:
        """Ask and hear the whole answer. Raises ServerError."""

    def closed_by_server(self, within_s: float) -> bool:
        """Whether the server hangs up within that time, unasked."""


class Connected:
    """A connection that is opened at the first question and closed with the context; what goes over it is another's."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._sock: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the next question opens a new connection."""
        if self._sock is not None:
            self._sock.close()
        self._sock = None


class Client(Connected):
    """The same over HTTP/1.1."""

    def __init__(self, host: str, port: int, *, tls: bool = False) -> None:
        super().__init__(host, port)
        self._alpn = "http/1.1" if tls else None
        self._state = _fresh()

    def close(self) -> None:
        """Hang up; the next question opens a new connection."""
        super().close()
        self._state = _fresh()

    def ask(self, question: Question) -> Reply:
        """Ask and hear the whole answer, on the open connection if there is one. Raises ServerError."""
        if self._sock is None:
            self._sock = connect(self._address, question, alpn=self._alpn)
        elif self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        deadline = Deadline(self._sock, question)
        try:
            deadline.write(self._encode(question))
            return self._hear(question, deadline)
        except h11.LocalProtocolError as error:
            raise ServerError("not-asked", f"{question}: it can't be asked with these headers: {error}") from None
        except h11.RemoteProtocolError as error:
            raise ServerError("wrong-answer", f"{question}: expected an HTTP/1.1 answer, but {error}") from None

    def _encode(self, question: Question) -> bytes:
        given = {name.lower() for name, _ in question.headers}
        headers = list(question.headers)
        if "host" not in given:
            headers.insert(0, ("Host", f"{self._address[0]}:{self._address[1]}"))
        if question.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        elif (question.body or question.method in {"POST", "PUT", "PATCH"}) and "content-length" not in given:
            headers.append(("Content-Length", str(len(question.body))))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        sent = [self._state.send(h11.Request(method=question.method, target=question.path, headers=raw))]
        size = PIECE_BYTES if question.chunked else max(1, len(question.body))
        pieces = (question.body[start : start + size] for start in range(0, len(question.body), size))
        sent += [self._state.send(h11.Data(data=piece)) for piece in pieces]
        sent.append(self._state.send(h11.EndOfMessage()))
        return b"".join(data for data in sent if data)

    def _hear(self, question: Question, deadline: Deadline) -> Reply:
        head: h11.Response | None = None
        came = b""
        body = bytearray()
        arrivals_s: list[float] = []
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                came = came or deadline.read()
                half, _ = self._state.trailing_data
                if not came and head is None and not half:
                    raise ServerError("wrong-answer", f"{question}: expected an answer, but the connection was closed")
                room = MOST_HEAD_BYTES - len(half)
                if not room:
                    most = f"a head, or a line of framing, of at most {MOST_HEAD_BYTES >> 10} KiB"
                    begin = f"{len(half):,} bytes came without its end: {half[:40]!r}"
                    raise ServerError("wrong-answer", f"{question}: expected {most}, but {begin}")
                self._state.receive_data(came[:room])
                came = came[room:]
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MOST_BYTES:
                    raise ServerError("wrong-answer", f"{question}: {ENDLESS}")
                arrivals_s.append(time.monotonic() - deadline.started_s)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                break
        surplus = self._state.trailing_data[0] + came
        if surplus:
            more = f"{len(surplus)} bytes more came: {surplus[:40]!r}"
            raise ServerError("wrong-answer", f"{question}: expected nothing after the answer's end, but {more}")
        return Reply(
            status=head.status_code,
            headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers),
            body=bytes(body),
            arrivals_s=tuple(arrivals_s),
            took_s=time.monotonic() - deadline.started_s,
            reusable=self._state.our_state is h11.DONE and self._state.their_state is h11.DONE,
        )

    def closed_by_server(self, within_s: float) -> bool:
        """Whether the server hangs up within that time, unasked."""
        if self._sock is None:
            return True
        self._sock.settimeout(within_s)
        try:
            return self._sock.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


def _fresh() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)  # it is not fed more


def connect(address: tuple[str, int], question: object, *, alpn: str | None = None) -> socket.socket:
    """Open a connection; over TLS, agreeing on a protocol, where one is given. Raises ServerError."""
    try:
        sock = socket.create_connection(address, timeout=ANSWER_TIMEOUT_S)
        return sock if alpn is None else _secured(sock, alpn)
    except TimeoutError:
        raise ServerError("hung", f"{question}: no connection within {ANSWER_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise ServerError("crashed", f"{question}: no connection ({error.strerror or error})") from None


def _secured(sock: socket.socket, alpn: str) -> ssl.SSLSocket:
    """Agree on TLS; the certificate was made for the run and is not judged. Raises OSError."""
    try:
        secured = trusting(alpn).wrap_socket(sock)
    except OSError:
        sock.close()
        raise
    agreed = secured.selected_alpn_protocol()
    if agreed != alpn and (agreed, alpn) != (None, "http/1.1"):
        secured.close()
        raise ssl.SSLError(1, f"expected the server to agree to {alpn} by ALPN, but it chose {agreed}")
    return secured


def echo_over_websocket(
    host: str, port: int, path: str, messages: tuple[str | bytes, ...], greeting: str | None = None
) -> tuple[str | bytes, ...]:
    """Open a WebSocket, send each message, give back what came for each, close. Raises ServerError.

    `greeting` is what the server says first; None for nothing.
    """
    question = f"WebSocket {path}"
    protocol = WSConnection(ConnectionType.CLIENT)
    with connect((host, port), question) as sock:
        deadline = Deadline(sock, question)
        try:
            deadline.write(protocol.send(ws.Request(host=f"{host}:{port}", target=path)))
            _expect(protocol, deadline, ws.AcceptConnection, question)
            if greeting is not None and (came := _heard(protocol, deadline, question)) != greeting:
                raise ServerError("wrong-answer", f"{question}: expected {greeting!r} first, but {came!r} came")
            replies = tuple(_echo(protocol, deadline, message, question) for message in messages)
            deadline.question = question
            deadline.write(protocol.send(ws.CloseConnection(code=1000)))
            _expect(protocol, deadline, ws.CloseConnection, question)
        except (RemoteProtocolError, LocalProtocolError) as error:
            raise ServerError("wrong-answer", f"{question}: expected the WebSocket protocol, but {error}") from None
    return replies


def _echo(protocol: WSConnection, deadline: Deadline, message: str | bytes, question: str) -> str | bytes:
    sent = ws.TextMessage(data=message) if isinstance(message, str) else ws.BytesMessage(data=message)
    unit = "character" if isinstance(message, str) else "byte"
    what = f"a message of {many(len(message), unit)}" if message else "an empty message"
    deadline.question = asked = f"{question}, {what}"
    deadline.write(protocol.send(sent))
    return _heard(protocol, deadline, asked)


def _heard(protocol: WSConnection, deadline: Deadline, question: str) -> str | bytes:
    """Wait for a whole message."""
    text, binary = "", b""
    while True:
        event = _next(protocol, deadline, question)
        if isinstance(event, ws.TextMessage):
            text += event.data
        elif isinstance(event, ws.BytesMessage):
            binary += event.data
        else:
            raise ServerError("wrong-answer", f"{question}: expected a message, but {_name(event)} came")
        if max(len(text), len(binary)) > MOST_BYTES:
            raise ServerError("wrong-answer", f"{question}: {ENDLESS}")
        if event.message_finished:
            return text if isinstance(event, ws.TextMessage) else binary


def _expect(protocol: WSConnection, deadline: Deadline, kind: type[ws.Event], question: str) -> None:
    event = _next(protocol, deadline, question)
    if isinstance(event, ws.RejectConnection):
        raise ServerError("wrong-answer", f"{question}: expected status 101, but {event.status_code} came")
    if not isinstance(event, kind):
        raise ServerError("wrong-answer", f"{question}: expected {kind.__name__}, but {_name(event)} came")


def _next(protocol: WSConnection, deadline: Deadline, question: str) -> ws.Event:
    """Wait for the next event; a ping is answered on the way."""
    while True:
        for event in protocol.events():
            if not isinstance(event, ws.Ping):
                return event
            deadline.write(protocol.send(event.response()))
        data = deadline.read()
        if not data:
            raise ServerError("wrong-answer", f"{question}: expected an answer, but the connection was closed")
        protocol.receive_data(data)


def _name(event: ws.Event) -> str:
    return type(event).__name__
