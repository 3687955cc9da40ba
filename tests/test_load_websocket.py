"""WebSocket messages are framed as wsproto frames them, checked like answers, and counted as the server counts them."""

from __future__ import annotations

import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection as Framing
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, Event, Ping, TextMessage

from sgibench.load.wire.answer import WireError
from sgibench.load.wire.frames import ACCEPT, FrameReader, frame
from tests.load_process import LoadProcess, accounted, load_process, measuring, target
from tests.scripted_server import Script, Talk, serving
from tests.test_load_user import locust, url
from tests.test_scenarios import entries

AGREED = (
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
)


class WebSocketTalk:
    """The server's side of one WebSocket connection."""

    def __init__(self, talk: Talk, server_note: Any = None) -> None:
        self.talk = talk
        self.framing = Framing(ConnectionType.SERVER)
        self.note = server_note
        request = talk.request()
        self.open = request is not None and b"Sec-WebSocket-Key: " in request
        if self.open:
            talk.sock.sendall(AGREED.encode())

    def messages(self) -> Any:
        """Messages as they come."""
        parts: list[Any] = []
        while self.open:
            data = self.talk.sock.recv(1 << 20)
            if not data:
                return
            self.framing.receive_data(data)
            for event in self.framing.events():
                if isinstance(event, BytesMessage | TextMessage):
                    parts.append(event.data)
                    if event.message_finished:
                        whole = type(event.data)().join(parts)
                        yield TextMessage(data=whole) if isinstance(whole, str) else BytesMessage(data=bytes(whole))
                        parts.clear()

    def send(self, message: Event) -> None:
        self.talk.sock.sendall(self.framing.send(message))


class Counter:
    def __init__(self) -> None:
        self.messages = 0
        self.lock = threading.Lock()


def echoing(counter: Counter, *, ping: bool = False, wrong_at: int = 0) -> Script:
    """Send every message back; with `ping`, a ping before each tenth."""

    def script(talk: Talk) -> None:
        socket = WebSocketTalk(talk)
        for count, message in enumerate(socket.messages(), 1):
            with counter.lock:
                counter.messages += 1
            if ping and count % 10 == 0:
                socket.send(Ping(payload=b"are you there"))
            if wrong_at == count and talk.number == 0:
                socket.send(BytesMessage(data=b"no"))
            else:
                socket.send(type(message)(data=message.data))

    return script


def scenario(folder: Path, text: str) -> Path:
    path = folder / "socket_scenario.py"
    path.write_text("from sgibench.load.websocket import WebSocketUser, echo\n" + dedent(text))
    return path


ECHO = """
class Echo(WebSocketUser):
    requests = (echo("hello"), echo(b"\\0" * 70_000, weight=2), echo(b"x" * 300))
"""


@pytest.fixture(scope="module", name="process")
def running() -> Any:
    with load_process() as process:
        yield process


LONG = st.builds(
    lambda piece, size: (piece * size)[:size], st.binary(min_size=1, max_size=9), st.integers(65_530, 65_540)
)


@given(payload=st.binary(max_size=300) | LONG, text=st.booleans())
def test_frames_are_read_back_by_wsproto(payload: bytes, *, text: bool) -> None:
    server = Framing(ConnectionType.SERVER)
    body = payload.hex().encode() if text else payload
    server.receive_data(frame(body, text=text))
    (event,) = server.events()
    assert isinstance(event, TextMessage if text else BytesMessage)
    assert event.data == (body.decode() if text else body)
    assert event.message_finished


@given(st.binary(min_size=1, max_size=300), st.integers(1, 40))
def test_messages_are_read_the_same_however_they_are_cut(payload: bytes, size: int) -> None:
    server = Framing(ConnectionType.SERVER)
    stream = server.send(BytesMessage(data=payload[:10], message_finished=len(payload) <= 10))
    if len(payload) > 10:
        stream += server.send(BytesMessage(data=payload[10:]))
    reader = FrameReader()
    found = [reader.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    assert [answer.body for answer in found if answer] == [payload]
    assert found[-1] is not None


def test_what_is_no_frame_is_a_protocol_error() -> None:
    with pytest.raises(WireError) as caught:
        FrameReader().feed(b"\xf7\x05hello")  # reserved bits are set, and the opcode means nothing
    assert caught.value.kind == "protocol"


@pytest.mark.parametrize("ping", [False, True], ids=["quiet", "with pings"])
@pytest.mark.parametrize("slice_s", [0.05, None], ids=["slices", "unbroken"])
def test_echoed_messages_are_counted_as_the_server_counts_them(
    process: LoadProcess, tmp_path: Path, *, ping: bool, slice_s: float | None
) -> None:
    counter = Counter()
    with serving(echoing(counter, ping=ping)) as server:
        measured = process.ask(**measuring(scenario(tmp_path, ECHO), target(server), slice_s=slice_s, identify=False))
        (result,) = measured["targets"]
        assert counter.messages == accounted(result)
        assert server.connections == 8
    assert result["errors"] == result["errors_uncounted"] == {}
    assert result["requests"] > 0


def test_an_open_loop_of_messages_keeps_its_rate(process: LoadProcess, tmp_path: Path) -> None:
    counter = Counter()
    load = {"kind": "open", "rate_per_s": 300.0}
    with serving(echoing(counter)) as server:
        order = measuring(scenario(tmp_path, ECHO), target(server), load=load, window_s=1.0, identify=False)
        (result,) = process.ask(**order)["targets"]
        assert counter.messages == accounted(result)
    assert result["achieved_rate_per_s"] == pytest.approx(300, rel=0.1)


def test_a_wrong_echo_is_one_error_on_a_new_connection(process: LoadProcess, tmp_path: Path) -> None:
    counter = Counter()
    with serving(echoing(counter, wrong_at=3)) as server:
        order = measuring(scenario(tmp_path, ECHO), target(server), identify=False)
        (result,) = process.ask(**order)["targets"]
        assert counter.messages == accounted(result)
        assert server.connections == 9
    assert sum(result["errors"].values()) + sum(result["errors_uncounted"].values()) == 1


def test_what_is_no_frame_is_counted_although_nobody_asked_for_it(process: LoadProcess, tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        if talk.number == 0:
            WebSocketTalk(talk)
            talk.send(b"", b"\xf7\x05hello")
        else:
            echoing(Counter())(talk)

    with serving(script) as server:
        order = measuring(scenario(tmp_path, ECHO), target(server), identify=False)
        (result,) = process.ask(**order)["targets"]
    assert {**result["errors"], **result["errors_uncounted"]} == {"protocol": 1}


def test_a_server_that_does_not_speak_websocket_is_given_up(process: LoadProcess, tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        while talk.request() is not None:
            talk.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with serving(script) as server:
        order = measuring(scenario(tmp_path, ECHO), target(server), identify=False, warmup_s=0.5)
        (result,) = process.ask(**order)["targets"]
    assert result["gave_up"]["reason"] == "no-right-answer"
    assert "expected status 101, but got 404" in result["gave_up"]["detail"]


class Room:
    """A broadcasting server: whatever one connection sends, all receive."""

    def __init__(self, *, newest_is_deaf: bool = False) -> None:
        self.sockets: list[WebSocketTalk] = []
        self.lock = threading.Lock()
        self.deliveries = 0
        self.newest_is_deaf = newest_is_deaf

    def script(self, talk: Talk) -> None:
        socket = WebSocketTalk(talk)
        with self.lock:
            self.sockets.append(socket)
            socket.send(TextMessage(data="joined"))
        for message in socket.messages():
            with self.lock:
                for other in tuple(self.sockets):
                    if not self.newest_is_deaf or other is not self.sockets[-1]:
                        self.deliver(other, message.data)

    def deliver(self, socket: WebSocketTalk, data: bytes) -> None:
        try:
            socket.send(BytesMessage(data=data))
        except OSError:  # a client that was slow to connect gave this one up and came again
            self.sockets.remove(socket)
        else:
            self.deliveries += 1


BROADCAST = """
class Broadcast(WebSocketUser):
    path = "/ws/broadcast"
    broadcast_bytes = 64
"""


def test_every_delivery_of_a_broadcast_counts(process: LoadProcess, tmp_path: Path) -> None:
    room = Room()
    with serving(room.script) as server:
        order = measuring(scenario(tmp_path, BROADCAST), target(server), identify=False, slice_s=None, timeout_s=30.0)
        (result,) = process.ask(**order)["targets"]
        heard = room.deliveries
    assert result["errors"] == result["errors_uncounted"] == {}
    assert result["requests"] > 100
    assert heard == accounted(result)
    assert result["jain"] > 0.9


def test_a_connection_that_hears_nothing_is_a_time_out(process: LoadProcess, tmp_path: Path) -> None:
    with serving(Room(newest_is_deaf=True).script) as server:
        order = measuring(
            scenario(tmp_path, BROADCAST), target(server), identify=False, slice_s=None, timeout_s=1.0, window_s=2.0
        )
        (result,) = process.ask(**order)["targets"]
    assert set(result["errors"]) == {"timeout"}
    assert "did not hear" in result["error_samples"]["timeout"]


def test_messages_reach_locusts_statistics(tmp_path: Path) -> None:
    counter = Counter()
    with serving(echoing(counter)) as server:
        found = entries(locust(scenario(tmp_path, ECHO), url(server), "-u", "3", "-r", "3", "-t", "2s"))
        assert sum(entry["num_requests"] for entry in found) == counter.messages
    assert {entry["method"] for entry in found} == {"WS"}
    assert {entry["name"] for entry in found} == {"5 bytes", "70000 bytes", "300 bytes"}
