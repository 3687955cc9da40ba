"""One strict HTTP/2 connection to a server, for asking it a few questions: the library h2 judges what comes.

It answers to the same names as `client.Client`, and shares no code with the load's own HTTP/2.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError

from sgibench.errors import ServerError
from sgibench.verify.client import ENDLESS, MOST_BYTES, Connected, Deadline, Question, Reply, connect

NOT_IN_HTTP2 = frozenset({"connection", "host", "keep-alive", "transfer-encoding", "upgrade"})


@dataclass(kw_only=True)
class Hearing:
    """What has come of one answer."""

    stream: int
    unsent: bytes
    started_s: float
    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    arrivals_s: list[float] = field(default_factory=list)
    ended: bool = False


class Http2Client(Connected):
    """An HTTP/2 connection."""

    def __init__(self, host: str, port: int, *, tls: bool) -> None:
        super().__init__(host, port)
        self._tls = tls
        self._state = H2Connection()

    def ask(self, question: Question) -> Reply:
        """Ask and hear the whole answer, on the open connection if there is one. Raises ServerError."""
        if self._sock is None:
            self._sock = connect(self._address, question, alpn="h2" if self._tls else None)
            self._state = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
            self._state.initiate_connection()
        deadline = Deadline(self._sock, question)
        try:
            return self._hear(question, deadline)
        except ProtocolError as error:
            self.close()
            raise ServerError("wrong-answer", f"{question}: expected HTTP/2, but {error}") from None
        except ServerError:
            self.close()
            raise

    def _hear(self, question: Question, deadline: Deadline) -> Reply:
        stream = self._state.get_next_available_stream_id()
        self._state.send_headers(stream, self._head(question), end_stream=not question.body)
        hearing = Hearing(stream=stream, unsent=question.body, started_s=deadline.started_s)
        while not hearing.ended:
            self._send_more(hearing)
            deadline.write(self._state.data_to_send())
            data = deadline.read()
            if not data:
                raise ServerError("wrong-answer", f"{question}: expected an answer, but the connection was closed")
            if data.startswith(b"HTTP/"):  # the library waits for the rest of what would be a very long frame
                raise ServerError("wrong-answer", f"{question}: expected HTTP/2, but {data[:60]!r} came")
            for event in self._state.receive_data(data):
                self._take(event, hearing, question)
        deadline.write(self._state.data_to_send())
        if hearing.unsent:
            self.close()  # it answered early; what is left of the body is not sent
        if hearing.status is None:
            raise ServerError("wrong-answer", f"{question}: expected an answer, but the stream ended without one")
        return Reply(
            status=hearing.status,
            headers=tuple(hearing.headers),
            body=bytes(hearing.body),
            arrivals_s=tuple(hearing.arrivals_s),
            took_s=time.monotonic() - deadline.started_s,
            reusable=True,
        )

    def _head(self, question: Question) -> list[tuple[str, str]]:
        host, port = self._address
        given = {name.lower() for name, _ in question.headers}
        headers = [
            (":method", question.method),
            (":scheme", "https" if self._tls else "http"),
            (":authority", f"{host}:{port}"),
            (":path", question.path),
        ]
        headers += [(name.lower(), value) for name, value in question.headers if name.lower() not in NOT_IN_HTTP2]
        wants_length = question.body or question.method in {"POST", "PUT", "PATCH"}
        if wants_length and not question.chunked and "content-length" not in given:
            headers.append(("content-length", str(len(question.body))))
        return headers

    def _send_more(self, hearing: Hearing) -> None:
        """Send as much of the body as the windows let through."""
        while hearing.unsent:
            window = self._state.local_flow_control_window(hearing.stream)
            size = min(len(hearing.unsent), window, self._state.max_outbound_frame_size)
            if size <= 0:
                return
            self._state.send_data(hearing.stream, hearing.unsent[:size], end_stream=size == len(hearing.unsent))
            hearing.unsent = hearing.unsent[size:]

    def _take(self, event: Event, hearing: Hearing, question: Question) -> None:
        """Take one event; what is for another stream belongs to a question that was given up."""
        if isinstance(event, ConnectionTerminated):
            raise ServerError("wrong-answer", f"{question}: expected an answer, but the server went away: {event}")
        if getattr(event, "stream_id", None) != hearing.stream:
            return
        if isinstance(event, ResponseReceived):
            pairs = [(str(name), str(value)) for name, value in event.headers or ()]
            status = dict(pairs).get(":status", "")
            if not (status.isascii() and status.isdigit() and len(status) == len("200")):
                raise ServerError("wrong-answer", f"{question}: expected a status, but {status[:20]!r} came")
            hearing.status = int(status)
            hearing.headers = [(name, value) for name, value in pairs if not name.startswith(":")]
        elif isinstance(event, DataReceived):
            if event.data:
                hearing.body += event.data
                if len(hearing.body) > MOST_BYTES:
                    raise ServerError("wrong-answer", f"{question}: {ENDLESS}")
                hearing.arrivals_s.append(time.monotonic() - hearing.started_s)
            self._state.acknowledge_received_data(event.flow_controlled_length or 0, hearing.stream)
        elif isinstance(event, StreamReset):
            code = getattr(event.error_code, "name", event.error_code)
            raise ServerError("wrong-answer", f"{question}: expected an answer, but the stream was reset: {code}")
        elif isinstance(event, StreamEnded):
            hearing.ended = True

    def closed_by_server(self, within_s: float) -> bool:
        """Whether the server hangs up within that time, unasked."""
        if self._sock is None:
            return True
        self._sock.settimeout(within_s)
        try:
            data = self._sock.recv(65536)
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        if not data:
            return True
        try:
            events = self._state.receive_data(data)
        except ProtocolError:
            return True  # nothing more can be heard on it
        return any(isinstance(event, ConnectionTerminated) for event in events)
