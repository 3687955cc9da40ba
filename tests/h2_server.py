"""The server's side of HTTP/2 as the library h2 speaks it: the reference that the client under test is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated

from tests.scripted_server import Script, Talk


@dataclass
class Asked:
    """One request as the server saw it."""

    stream: int
    fields: list[tuple[bytes, bytes]]
    body: bytearray = field(default_factory=bytearray)

    def __getitem__(self, name: str) -> bytes:
        return next(value for key, value in self.fields if key == name.encode())


class Reference:
    """One connection."""

    def __init__(self) -> None:
        self.h2 = H2Connection(
            H2Configuration(client_side=False, header_encoding=None, normalize_inbound_headers=False)
        )
        self.h2.initiate_connection()
        self.asked: dict[int, Asked] = {}
        self.resets: list[int] = []
        self.gone: int | None = None
        self._unsent: dict[int, bytes] = {}

    def feed(self, data: bytes) -> list[Asked]:
        """Take what the client sent; gives the requests that are whole now."""
        whole: list[Asked] = []
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self.asked[event.stream_id] = Asked(event.stream_id, list(event.headers))
            elif isinstance(event, DataReceived):
                self.asked[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                whole.append(self.asked[event.stream_id])
            elif isinstance(event, StreamReset):
                self.resets.append(event.stream_id)
                self._unsent.pop(event.stream_id, None)
            elif isinstance(event, WindowUpdated):
                self._send_more()
            elif isinstance(event, ConnectionTerminated):
                self.gone = int(event.error_code or 0)
        return whole

    def head(self, stream: int, status: int, *fields: tuple[str, str], ends: bool = False) -> None:
        """Send a head."""
        self.h2.send_headers(stream, [(":status", str(status)), *fields], end_stream=ends)

    def answer(self, stream: int, body: bytes, status: int = 200, *fields: tuple[str, str]) -> None:
        """Send a whole answer, as far as the windows let it."""
        self.head(stream, status, ("content-length", str(len(body))), *fields, ends=not body)
        if body:
            self._unsent[stream] = body
            self._send_more()

    def _send_more(self) -> None:
        for stream, body in list(self._unsent.items()):
            at = 0
            while at < len(body):
                size = min(len(body) - at, self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
                if size <= 0:
                    break
                self.h2.send_data(stream, body[at : at + size], end_stream=at + size == len(body))
                at += size
            self._unsent[stream] = body[at:]
            if at == len(body):
                del self._unsent[stream]

    def out(self) -> bytes:
        """What is to be sent."""
        return self.h2.data_to_send()


Handler = Callable[[Reference, Asked], None]


def speaking(handler: Handler, note: Callable[[], None], *, begin: Callable[[Reference], None] | None = None) -> Script:
    """A script for a scripted server: every whole request is noted, and given to the handler."""

    def script(talk: Talk) -> None:
        server = Reference()
        if begin is not None:
            begin(server)
        talk.sock.sendall(server.out())
        while data := talk.sock.recv(1 << 16):
            for asked in server.feed(data):
                note()
                handler(server, asked)
            talk.sock.sendall(server.out())

    return script


def pieces_of(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut a stream at places."""
    cuts = [0, *sorted({place for place in places if 0 < place < len(stream)}), len(stream)]
    return [stream[start:end] for start, end in pairwise(cuts)]
