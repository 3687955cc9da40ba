"""Broadcasts, held connections, handshakes, bursts, bodies: counted as the server counts, each fault by its name."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection as Framing
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, TextMessage
from wsproto.extensions import PerMessageDeflate

from sgibench import catalogue, listening
from sgibench.histogram import Histogram
from sgibench.load.request import in_chunks
from sgibench.load.tally import Streams
from sgibench.load.wire.answer import Answer, Head, Unspoken, WireError
from sgibench.load.wire.frames import ACCEPT, OFFER, FrameReader, accepted, accepted_deflated, agreed_with, frame
from sgibench.load.wire.reader import Reader
from sgibench.model import HistogramData
from sgibench.serve import certificate
from sgibench.serve.process import HOST
from sgibench.verify.client import Client, Question
from tests.load_process import SCENARIOS, LoadProcess, accounted, load_process, measuring, target
from tests.requirements_for_tests import need_program
from tests.scripted_server import Script, Talk, answer, serving
from tests.test_load_tls import secured
from tests.test_load_websocket import Room, WebSocketTalk
from tests.test_servers_live import started

OK = answer(b"Hello, World!")
WIRE = SCENARIOS / "wire"


@pytest.fixture(scope="module", name="process")
def running() -> Any:
    with load_process() as process:
        yield process


@pytest.fixture(scope="module", name="tls")
def make_tls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], ssl.SSLContext]:
    need_program("openssl", "apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate.make(folder / "certificate.pem", folder / "key.pem")

    def context() -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        return made

    return context


def scenario(folder: Path, body: str, base: str = "BenchUser") -> Path:
    path = folder / "made.py"
    path.write_text(
        "from sgibench.load.user import BenchUser, Beside, Terms, get, post\n"
        "from sgibench.load.websocket import WebSocketUser, echo, idle_sockets\n"
        f"class Made({base}):\n" + "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
    )
    return path


def measured(process: LoadProcess, path: Path, server: Any, **changes: Any) -> dict[str, Any]:
    changes = {"identify": False, "slice_s": None, "warmup_s": 0.5, "window_s": 0.5} | changes
    told = process.ask(**measuring(path, target(server), **changes))
    assert told["did"] == "measure", told
    (result,) = told["targets"]
    found: dict[str, Any] = result
    return found


def errors_of(result: dict[str, Any]) -> set[str]:
    return set(result["errors"]) | set(result["errors_uncounted"])


# --- compression -----------------------------------------------------------------------------------------------------


def pressing(kind: ConnectionType) -> Framing:
    press = PerMessageDeflate()
    press.finalize(OFFER)
    return Framing(kind, [press])


@settings(max_examples=40)
@given(payload=st.binary(max_size=400) | st.binary(min_size=66_000, max_size=66_010), size=st.integers(1, 4000))
def test_compressed_messages_are_read_by_wsproto_and_read_back_however_they_are_cut(payload: bytes, size: int) -> None:
    server = pressing(ConnectionType.SERVER)
    stream = b""
    for _ in range(2):  # each is compressed for itself: the second has the same bytes
        server.receive_data(frame(payload, deflate=True))
        (event,) = server.events()
        assert isinstance(event, BytesMessage)
        assert event.data == payload
        stream += server.send(BytesMessage(data=payload))
    reader = FrameReader(OFFER)
    found = [reader.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    bodies = [one.body for one in found if one]
    while (more := reader.next_waiting()) is not None:
        bodies.append(more.body)
    assert bodies == [payload, payload]


def agreeing(*fields: tuple[str, str]) -> Answer:
    usual = {"upgrade": "WebSocket", "connection": "keep-alive, Upgrade", "sec-websocket-accept": ACCEPT}
    given = tuple({**usual, **dict(fields)}.items())
    return Answer(Head(status=101, fields=given, length=None, chunked=False, closes=False, size=0), b"", 0)


@pytest.mark.parametrize(
    ("extension", "right", "spoken"),
    [
        (OFFER, True, True),
        ("permessage-deflate; server_no_context_takeover", True, True),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=12", True, True),
        ("permessage-deflate", False, False),
        ("permessage-deflate; client_max_window_bits=12; server_no_context_takeover", False, True),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=99", False, True),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", False, True),
        ("x-webkit-deflate-frame", False, True),
        ("", False, True),
        (None, False, False),
    ],
)
def test_what_a_server_may_agree_to(extension: str | None, *, right: bool, spoken: bool) -> None:
    fields = () if extension is None else (("sec-websocket-extensions", extension),)
    problem = accepted_deflated(agreeing(*fields))
    assert (problem is None) is right
    assert isinstance(problem, Unspoken) is not spoken
    assert (accepted(agreeing(*fields)) is None) is (extension is None), "nothing was offered"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sec-websocket-accept", "bm90IHRoaXMgb25l", "expected Sec-WebSocket-Accept"),
        ("sec-websocket-protocol", "chat", "no subprotocol"),
        ("sec-websocket-protocol", "", "no subprotocol"),
        ("upgrade", "h2c", "expected Upgrade: websocket, but got h2c"),
        ("upgrade", "", "expected Upgrade: websocket, but got None"),
        ("connection", "keep-alive", "expected Connection: Upgrade"),
        ("connection", "upgraded", "expected Connection: Upgrade"),
    ],
)
def test_a_handshake_that_says_anything_else_is_wrong(name: str, value: str, words: str) -> None:
    for check in (accepted, accepted_deflated):
        fields = {name: value} | ({} if check is accepted else {"sec-websocket-extensions": OFFER})
        assert words in str(check(agreeing(*fields.items())))


def test_a_server_without_compression_is_skipped_and_not_failed(process: LoadProcess, tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        for _ in WebSocketTalk(talk).messages():
            raise AssertionError("it must not be asked")

    with serving(script) as server:
        result = measured(
            process, scenario(tmp_path, "deflate = True\nrequests = (echo('hello'),)", "WebSocketUser"), server
        )
    assert result["gave_up"]["reason"] == "not-spoken"
    assert "permessage-deflate" in result["gave_up"]["detail"]


def test_text_that_comes_back_as_binary_is_wrong(process: LoadProcess, tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        socket_ = WebSocketTalk(talk)
        for message in socket_.messages():
            socket_.send(BytesMessage(data=message.data.encode()))

    with serving(script) as server:
        result = measured(process, scenario(tmp_path, "requests = (echo('hello'),)", "WebSocketUser"), server)
    assert errors_of(result) == {"body"}
    assert "expected text back, but binary came" in str(result["error_samples"])


# --- broadcast -------------------------------------------------------------------------------------------------------

BROADCAST = "path = '/ws/broadcast'\nbroadcast_bytes = {size}\nbroadcast_text = {text}\ndeflate = {deflate}"


class Faulty(Room):
    """Sends on what a test makes of each delivery: a list of messages, or None to end the connection."""

    def __init__(self, fault: Callable[[int, int, Any], list[Any] | None], *, deflate: bool = False) -> None:
        super().__init__()
        self.fault = fault
        self.deflate = deflate
        self.numbers: dict[int, int] = {}

    def script(self, talk: Talk) -> None:
        if self.deflate:
            WebSocketTalk.__init__(socket_ := WebSocketTalk.__new__(WebSocketTalk), Agreeing(talk))
            socket_.framing = pressing(ConnectionType.SERVER)
        else:
            socket_ = WebSocketTalk(talk)
        with self.lock:
            self.sockets.append(socket_)
            if self.fault is not FAULTS["not told that it listens"][0]:
                socket_.send(TextMessage(data="joined"))
        for message in socket_.messages():
            with self.lock:
                for other in tuple(self.sockets):
                    self.deliver(other, message.data)

    def deliver(self, socket_: WebSocketTalk, data: Any) -> None:
        number = self.numbers[id(socket_)] = self.numbers.get(id(socket_), 0) + 1
        made = self.fault(self.sockets.index(socket_), number, data)
        try:
            if made is None:
                socket_.talk.sock.shutdown(socket.SHUT_RDWR)
                self.sockets.remove(socket_)
                return
            for each in made:
                socket_.send(TextMessage(data=each) if isinstance(each, str) else BytesMessage(data=each))
                self.deliveries += 1
        except OSError:
            self.sockets.remove(socket_)


class Agreeing(Talk):
    """A talk whose WebSocket agrees to compression."""

    def __init__(self, talk: Talk) -> None:
        self.__dict__ |= talk.__dict__
        self.sock = AgreeingSocket(talk.sock)  # type: ignore[assignment]


class AgreeingSocket:
    """Sends another answer to the handshake, and passes everything else on."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.agreed = False

    def sendall(self, data: bytes) -> None:
        self.sock.sendall(data if self.agreed else agreed_with())
        self.agreed = True

    def recv(self, room: int) -> bytes:
        return self.sock.recv(room)

    def shutdown(self, how: int) -> None:
        self.sock.shutdown(how)

    def close(self) -> None:
        self.sock.close()


def honest(_listener: int, _number: int, data: Any) -> list[Any]:
    return [data]


@pytest.mark.parametrize("kind", ["closed", "open"])
@pytest.mark.parametrize(
    ("size", "text", "deflate"), [(100, True, False), (65_536, False, False), (1024, True, True)], ids=str
)
def test_each_delivery_of_a_broadcast_is_counted_once(
    process: LoadProcess, tmp_path: Path, kind: str, size: int, *, text: bool, deflate: bool
) -> None:
    room = Faulty(honest, deflate=deflate)
    load = {"kind": kind, "connections": 6, "rate_per_s": 300.0 if kind == "open" else None}
    path = scenario(tmp_path, BROADCAST.format(size=size, text=text, deflate=deflate), "WebSocketUser")
    with serving(room.script) as server:
        result = measured(process, path, server, load=load, timeout_s=30.0)
        heard = room.deliveries
    assert errors_of(result) == set()
    assert heard == accounted(result) > 6
    assert result["requests"] % 6 == 0, "all hear what one hears"
    if kind == "open":
        assert result["window"]["due"] == result["requests"]
        assert sum(result["intended_histogram"]["counts"]) == result["requests"]


FAULTS: dict[str, tuple[Callable[[int, int, Any], list[Any] | None], set[str], str]] = {
    "not told that it listens": (lambda _who, _n, _data: [], {"timeout"}, "was not told 'joined'"),
    "lost": (lambda who, n, data: [] if (who, n) == (1, 5) else [data], {"body", "timeout", "closed"}, ""),
    "twice": (lambda who, n, data: [data, data] if (who, n) == (1, 5) else [data], {"leftover", "closed"}, "again"),
    "another byte": (
        lambda who, n, data: [data[:-1] + b"!"] if (who, n) == (1, 5) else [data],
        {"body", "closed"},
        "expected message 5",
    ),
    "as text": (
        lambda who, n, data: [data.hex()] if (who, n) == (1, 5) else [data],
        {"body", "closed"},
        "but got text",
    ),
    "hung up": (lambda who, n, data: None if (who, n) == (1, 5) else [data], {"closed"}, "ended before it heard"),
    "deaf from then on": (lambda who, n, data: [] if who == 1 and n >= 5 else [data], {"timeout"}, "did not hear"),
}


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "closed") for name in FAULTS), ("lost", "open"), ("twice", "open")]
)
def test_what_is_wrong_with_a_delivery_has_a_name(process: LoadProcess, tmp_path: Path, name: str, kind: str) -> None:
    fault, kinds, words = FAULTS[name]
    path = scenario(tmp_path, BROADCAST.format(size=64, text=False, deflate=False), "WebSocketUser")
    load = {"kind": kind, "connections": 4, "rate_per_s": 200.0 if kind == "open" else None}
    with serving(Faulty(fault).script) as server:
        result = measured(process, path, server, load=load, timeout_s=0.5, window_s=1.5)
    found = errors_of(result)
    assert found
    assert found <= kinds
    assert words in str(result["error_samples"])


# --- held open beside ------------------------------------------------------------------------------------------------

HELD = (
    "beside = Beside(count={count}, asks=get('/', expect=b'Hello, World!'))\n"
    "requests = (get('/', expect=b'Hello, World!'),)"
)


def keeping(closes: Callable[[int, int], bool] = lambda _connection, _request: False) -> Script:
    """Answer; a connection for which `closes(its number, its request's number)` is told True ends behind the answer."""

    def script(talk: Talk) -> None:
        number = 0
        while talk.request() is not None:
            number += 1
            talk.send(OK)
            if closes(talk.number, number):
                time.sleep(0.7)
                return

    return script


def test_held_connections_are_asked_once_and_kept(process: LoadProcess, tmp_path: Path) -> None:
    with serving(keeping()) as server:
        result = measured(process, scenario(tmp_path, HELD.format(count=40)), server)
        assert server.connections == 48
        assert server.requests == accounted(result) + 40
    held = result["held"]
    assert (held["wanted"], held["stood"], held["stood_end"], held["closed"]) == (40, 40, 40, 0)
    assert held["errors"] == {}
    assert held["answers"] == 40
    assert result["window"]["visits"] == "unbroken"


def test_held_connections_that_the_server_closes_are_told(process: LoadProcess, tmp_path: Path) -> None:
    with serving(keeping(lambda connection, _: connection == 20)) as server:
        result = measured(process, scenario(tmp_path, HELD.format(count=40)), server, window_s=1.0)
    assert result["held"]["closed"] == 1
    assert result["held"]["stood_end"] == 40, "it was opened again"


def test_a_server_that_holds_too_few_is_not_measured_beside_them(process: LoadProcess, tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        if talk.number >= 20:
            talk.sock.recv(1 << 16)
            time.sleep(20)  # accepted, and never answered
        keeping()(talk)

    with serving(script) as server:
        result = measured(process, scenario(tmp_path, HELD.format(count=40)), server)
    assert result["gave_up"]["reason"] == "not-held"
    assert "of 40 connections to be held open, 12 stood" in result["gave_up"]["detail"]


def test_idle_sockets_are_upgraded_and_say_nothing(process: LoadProcess, tmp_path: Path) -> None:
    heard: list[int] = []

    def script(talk: Talk) -> None:
        socket_ = WebSocketTalk(talk)
        for message in socket_.messages():
            heard.append(talk.number)
            socket_.send(type(message)(data=message.data))

    body = "beside = idle_sockets(30)\nrequests = (echo('hello'),)"
    with serving(script) as server:
        result = measured(process, scenario(tmp_path, body, "WebSocketUser"), server)
        assert server.connections == 38
    assert set(heard) == set(range(8))
    assert len(heard) == accounted(result)
    assert result["held"]["stood_end"] == 30
    assert errors_of(result) == set()


def test_streams_beside_are_timed_and_checked(process: LoadProcess, tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            if b"/stream" in request:
                talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(4):
                    talk.send(b"2\r\nhi\r\n")
                    time.sleep(0.02)
                talk.send(b"0\r\n\r\n")
            else:
                talk.send(OK)

    body = (
        "beside = Beside(count=4, asks=get('/stream', expect=b'hihihihi', streams=True), repeats=True)\n"
        "requests = (get('/', expect=b'Hello, World!'),)"
    )
    with serving(script) as server:
        result = measured(process, scenario(tmp_path, body), server, window_s=1.0)
    assert result["requests"] > 20
    assert result["held"]["answers"] > 10
    assert sum(result["first_chunk_histogram"]["counts"]) > 4
    gaps = sum(result["gap_histogram"]["counts"])
    # Of each stream that began and ended in the window; and of those that one of its edges cut, what lies in it.
    assert abs(gaps - 3 * sum(result["first_chunk_histogram"]["counts"])) <= 2 * 4 * 4


def test_streams_that_outlast_the_window_are_timed_as_well(process: LoadProcess, tmp_path: Path) -> None:
    """None came to its end in it: their gaps are known all the same."""

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            if b"/stream" not in request:
                talk.send(OK)
                continue
            talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(2000):
                talk.send(b"2\r\nhi\r\n")
                time.sleep(0.02)

    body = (
        "beside = Beside(count=4, asks=get('/stream', expect=b'hi' * 2000, streams=True), repeats=True)\n"
        "requests = (get('/', expect=b'Hello, World!'),)"
    )
    with serving(script) as server:
        result = measured(process, scenario(tmp_path, body), server, window_s=0.5)
    assert result["held"]["answers"] == 0
    assert result["first_chunk_histogram"] is None, "each began before the window"
    assert sum(result["gap_histogram"]["counts"]) > 4
    seen = Streams()
    for first_ns in range(1, 201):
        seen.add_open(0, [first_ns * 1_000_000], now_ns=10**9)
    seen.add_open(0, [], now_ns=100_000_000)
    assert seen.first.count == 200, "one that waits for less than most took tells nothing"
    seen.add_open(0, [], now_ns=900_000_000)
    seen.fold()
    assert seen.first.count == 201


def test_the_size_of_an_answer_is_that_of_the_scenarios_own(process: LoadProcess, tmp_path: Path) -> None:
    """Each connection is asked for the pid that serves it, too; those answers are small, and in no mean."""

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            talk.send(answer(b"7") if b"/pid" in request else OK)

    with serving(script) as server:
        path = scenario(tmp_path, "requests = (get('/', expect=b'Hello, World!'),)")
        result = measured(process, path, server, identify=True)
    assert result["requests_by_pid"] == {"7": result["requests"]}
    assert result["answer_bytes"] == len(OK)


@pytest.mark.parametrize("silent_s", [0.3, None])
def test_a_stream_that_pauses_is_a_long_gap_or_a_time_out_and_never_out_of_sight(
    process: LoadProcess, tmp_path: Path, silent_s: float | None
) -> None:
    streams = itertools.count(1)
    paused: list[int] = []

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            if b"/stream" not in request:
                talk.send(OK)
                continue
            talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
            if next(streams) == 12:
                paused.append(talk.number)
                time.sleep(30)  # until the client has gone
            time.sleep(0.01)
            talk.send(b"2\r\nhi\r\n0\r\n\r\n")

    body = (
        "STREAM = get('/stream', expect=b'hihi', streams=True)\n"
        f"beside = Beside(count=4, asks=STREAM, repeats=True, silent_s={silent_s})\n"
        "requests = (get('/', expect=b'Hello, World!'),)"
    )
    with serving(script) as server:
        result = measured(process, scenario(tmp_path, body), server, window_s=0.8, warmup_s=0.3)
    assert len(paused) == 1
    assert result["held"]["errors"] == ({} if silent_s is None else {"timeout": 1})
    assert silent_s is None or "said nothing for 0.3 s" in result["error_samples"]["timeout"]
    gaps = HistogramData(**{name: tuple(found) for name, found in result["gap_histogram"].items()})
    assert (Histogram.from_data(gaps).percentile_us(1.0) or 0.0) > 290_000


# --- handshakes ------------------------------------------------------------------------------------------------------

CLOSING = (
    "terms = Terms(unit='handshake', connection='close')\ntimes_opening = True\nresumes = {resumes}\n"
    "requests = (get('/', expect=b'Hello, World!'),)"
)
OVER_TLS = {"kind": "closed", "connections": 4, "connection": "close", "protocol": "https"}


def once(talk: Talk) -> None:
    if talk.request() is not None:
        talk.send(answer(b"Hello, World!", "200 OK", "Connection: close"))


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("resumes", [True, False])
def test_handshakes_are_resumed_or_full_as_the_server_says(
    process: LoadProcess, tmp_path: Path, tls: Callable[[], ssl.SSLContext], version: str, *, resumes: bool
) -> None:
    context = tls()
    context.maximum_version = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[version]
    seen: list[bool] = []

    def script(talk: Talk) -> None:
        talk.sock = context.wrap_socket(talk.sock, server_side=True)
        if talk.request() is not None:
            seen.append(bool(talk.sock.session_reused))
            talk.send(answer(b"Hello, World!", "200 OK", "Connection: close"))

    with serving(script) as server:
        result = measured(process, scenario(tmp_path, CLOSING.format(resumes=resumes)), server, load=OVER_TLS)
    assert errors_of(result) == set()
    made = result["handshakes"]
    assert made["full" if resumes else "resumed"] == made["refused"] == 0
    assert made["resumed" if resumes else "full"] == result["requests"] > 0
    assert seen.count(False) == (4 if resumes else len(seen))
    assert not result["gave_up"]


def test_a_server_that_gives_no_session_fails_where_one_is_to_be_taken_up(
    process: LoadProcess, tmp_path: Path, tls: Callable[[], ssl.SSLContext]
) -> None:
    context = tls()
    context.num_tickets = 0
    with serving(secured(context, once)) as server:
        result = measured(process, scenario(tmp_path, CLOSING.format(resumes=True)), server, load=OVER_TLS)
    assert result["gave_up"]["reason"] == "not-resumed"
    assert "had given none before" in result["gave_up"]["detail"]


def test_a_server_that_forgets_some_of_its_sessions_fails_too(
    process: LoadProcess, tmp_path: Path, tls: Callable[[], ssl.SSLContext]
) -> None:
    remembering = tls()
    refused: list[int] = []

    def script(talk: Talk) -> None:
        forgets = talk.number % 20 == 19
        context = tls() if forgets else remembering
        if forgets:
            context.num_tickets = 0
        talk.sock = context.wrap_socket(talk.sock, server_side=True)
        refused.extend([talk.number] * forgets)
        once(talk)

    with serving(script) as server:
        result = measured(process, scenario(tmp_path, CLOSING.format(resumes=True)), server, load=OVER_TLS)
    made = result["handshakes"]
    # Each of those was refused once, and had given none to offer the next time.
    assert 0 < made["refused"] <= len(refused)
    assert made["refused"] <= made["full"] <= 2 * len(refused) + 4
    assert f"the server refused {made['refused']} of the sessions" in result["gave_up"]["detail"]


def test_what_is_being_opened_when_a_visit_ends_is_asked_too(
    process: LoadProcess, tmp_path: Path, tls: Callable[[], ssl.SSLContext]
) -> None:
    context = tls()

    def script(talk: Talk) -> None:
        time.sleep(0.01)  # handshakes take longer than what lies between them
        talk.sock = context.wrap_socket(talk.sock, server_side=True)
        once(talk)

    with serving(script) as server:
        path = scenario(tmp_path, CLOSING.format(resumes=True))
        result = measured(process, path, server, load=OVER_TLS, slice_s=0.05)
        assert server.connections == server.requests == accounted(result)
    assert errors_of(result) == set()
    made = result["handshakes"]
    assert made["resumed"] == result["requests"] > 0
    assert not made["full"]
    assert not made["refused"]


# --- bursts ----------------------------------------------------------------------------------------------------------


def test_a_burst_is_every_connection_once(process: LoadProcess, tmp_path: Path) -> None:
    body = (
        "terms = Terms(unit='connection', connection='close', calibrated=False)\ntimes_opening = True\nbursts = True\n"
        "requests = (get('/', expect=b'Hello, World!'),)"
    )
    load = {"kind": "closed", "connections": 50, "connection": "close"}
    with serving(once) as server:
        result = measured(process, scenario(tmp_path, body), server, load=load, window_s=1.5, timeout_s=20.0)
        assert server.requests == accounted(result)
        assert server.connections == server.requests, "no attempt is made twice"
    assert errors_of(result) == set()
    assert result["requests"] % 50 == 0
    assert result["overflow"]["bursts"] == result["requests"] // 50 > 0
    assert result["overflow"]["listen_drops"] >= 0


BURST = 2 * (QUEUE := 5)
"""So many knock at once at a door whose queue holds half of them; the others come again together, and fit."""


class Door:
    """Accepts only when the whole burst has knocked: then, as the system says, half of it was dropped."""

    def __init__(self, then: Callable[[Door], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=QUEUE - 1)
        self.host, self.port = self.listener.getsockname()
        self.ends = threading.Event()
        self.answered = 0
        self._thread = threading.Thread(target=then, args=(self,), daemon=True)
        self._thread.start()

    def wait_for_burst(self, number: int) -> bool:
        """Wait until so many bursts have knocked; False when the test is over."""
        while not self.ends.is_set():
            (seen,) = listening.listeners(self.port) or (None,)
            if seen is not None and seen.drops == (BURST - QUEUE) * number and seen.waiting == QUEUE:
                return True
            time.sleep(0.005)
        return False

    def answer(self, count: int) -> None:
        for _ in range(count):
            sock, _ = self.listener.accept()
            with sock:
                sock.recv(1 << 16)
                sock.sendall(answer(b"Hello, World!", "200 OK", "Connection: close"))
            self.answered += 1

    def close(self) -> None:
        self.ends.set()
        self.listener.close()
        self._thread.join(10)


def accepts_late(door: Door) -> None:
    number = 0
    with suppress(OSError):
        while door.wait_for_burst(number := number + 1):
            door.answer(BURST)


def closes_down(door: Door) -> None:
    door.wait_for_burst(1)
    door.listener.close()


def burst_order(tmp_path: Path, door: Door, **changes: Any) -> dict[str, Any]:
    path = tmp_path / "made.py"
    path.write_text(
        f"from sgibench.load.bursting import BurstUser\n\n\nclass Made(BurstUser):\n    connections = {BURST}\n"
    )
    where = {"id": "door", "host": door.host, "port": door.port, "pids": []}
    load = {"connections": BURST, "connection": "close"}
    return measuring(path, where, load=load, identify=False, slice_s=None, **changes)


@pytest.mark.skipif(not listening.LINUX, reason="only Linux tells what a listener dropped")
def test_a_queue_that_runs_over_is_told_by_its_listener_and_shows_a_second_later(
    process: LoadProcess, tmp_path: Path
) -> None:
    door = Door(accepts_late)
    try:
        order = burst_order(tmp_path, door, warmup_s=0.3, window_s=0.5, timeout_s=30.0)
        (result,) = process.ask(**order)["targets"]
    finally:
        door.close()
    seen = result["overflow"]
    assert result["errors"] == result["errors_uncounted"] == {}
    assert result["requests"] == seen["opened"] == BURST * seen["bursts"] > 0
    assert door.answered == accounted(result)
    assert seen["listener_drops"] == seen["sent_again"] == QUEUE * seen["bursts"]
    assert seen["listen_overflows"] >= QUEUE * seen["bursts"]  # those of the whole namespace
    assert seen["sent_again_from_us"] > 900_000, "a SYN is sent again after a second"
    late = Histogram.from_data(HistogramData(**{name: tuple(found) for name, found in result["histogram"].items()}))
    assert (late.percentile_us(0.99) or 0.0) > 900_000 > (late.percentile_us(0.25) or 1e9)
    assert result["window_s"] > 0.9 * seen["bursts"], "a burst that began in the window ends in it"
    assert result["window"]["in_time"] == result["requests"]


@pytest.mark.skipif(not listening.LINUX, reason="only Linux tells what a listener dropped")
def test_a_door_that_closes_resets_who_waits_and_refuses_who_comes_again(process: LoadProcess, tmp_path: Path) -> None:
    door = Door(closes_down)
    try:
        order = burst_order(tmp_path, door, warmup_s=1.3, window_s=0.3, timeout_s=10.0)
        (result,) = process.ask(**order)["targets"]
    finally:
        door.close()
    errors = Counter(result["errors"]) + Counter(result["errors_uncounted"])
    assert set(errors) == {"reset", "refused"}
    assert errors["reset"] == QUEUE
    assert errors["refused"] % BURST == BURST - QUEUE
    assert result["requests"] == 0
    assert result["gave_up"]["reason"] in {"gone", "refused", "no-right-answer"}


def test_the_counters_are_those_of_the_network_namespace_that_the_server_is_in() -> None:
    unshare = need_program("unshare", "apt-get install util-linux")
    other = subprocess.Popen([unshare, "--net", "--user", "--map-root-user", "sleep", "60"])
    try:
        own = Path("/proc/self/ns/net").readlink()
        while other.poll() is None and Path(f"/proc/{other.pid}/ns/net").readlink() == own:
            time.sleep(0.01)
        if other.poll() is not None:
            pytest.skip("this system allows no network namespaces")
        with socket.create_server(("127.0.0.1", 0), backlog=1) as door, ExitStack() as held:
            for _ in range(4):
                knocks = held.enter_context(socket.socket())
                knocks.settimeout(0)
                knocks.connect_ex(door.getsockname())
            here, there = listening.dropped(door.getsockname()[1]), listening.dropped(1, [other.pid])
        assert here.listener == 2
        assert here.drops is not None
        assert here.drops >= 2
        assert (there.drops, there.overflows) == (0, 0)
        assert there.listener is None, "nothing listens there that this process could see"
    finally:
        other.kill()
        other.wait()


def test_a_listener_that_accepts_nothing_is_no_hang(process: LoadProcess, tmp_path: Path) -> None:
    body = (
        "terms = Terms(unit='connection', connection='close', calibrated=False)\ntimes_opening = True\nbursts = True\n"
        "requests = (get('/', expect=b'Hello, World!'),)"
    )
    load = {"kind": "closed", "connections": 20, "connection": "close"}
    with socket.create_server(("127.0.0.1", 0), backlog=2) as listener:

        class Where:
            host, port = listener.getsockname()

        result = measured(process, scenario(tmp_path, body), Where, load=load, timeout_s=1.0)
    assert result["gave_up"]["reason"] in {"hung", "gone", "no-right-answer"}
    assert errors_of(result) <= {"timeout", "connect", "unanswered"}


# --- bodies ----------------------------------------------------------------------------------------------------------


@given(body=st.binary(max_size=300), size=st.integers(1, 400))
def test_chunks_are_read_back(body: bytes, size: int) -> None:
    reader = Reader()
    found = reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + in_chunks(body, size))
    assert found is not None
    assert found.body == body
    assert reader.leftover == b""


BODY = b"x" * 200_000


def waiting(say: bytes, *, final: bytes = OK) -> Script:
    """Read heads; send `say`, then the body if `100` is in it, then the final answer."""

    def script(talk: Talk) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                piece = talk.sock.recv(1 << 16)
                if not piece:
                    return
                data += piece
            head, _, data = data.partition(b"\r\n\r\n")
            assert b"Expect: 100-continue" in head
            assert data == b"", "the body must wait"
            talk.sock.sendall(say)
            if b" 100 " in say:
                while len(data) < len(BODY):
                    data += talk.sock.recv(1 << 20)
                assert data[: len(BODY)] == BODY
                data = data[len(BODY) :]
            with talk._server._lock:
                talk._server.requests += 1
            if final:
                talk.sock.sendall(final)

    return script


EXPECTING = f"requests = (post('/', body=b'x' * {len(BODY)}, expects_continue=True, expect=b'Hello, World!'),)"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("say", [GO_ON, GO_ON * 3, b"HTTP/1.1 103 Early Hints\r\n\r\n" + GO_ON], ids=len)
def test_a_body_waits_for_100_continue(process: LoadProcess, tmp_path: Path, say: bytes) -> None:
    with serving(waiting(say)) as server:
        result = measured(process, scenario(tmp_path, EXPECTING), server)
        assert server.connections == 8
        assert server.requests == accounted(result)
    assert errors_of(result) == set()
    assert result["requests"] > 0


def test_an_answer_without_100_continue_is_judged_and_costs_the_connection(
    process: LoadProcess, tmp_path: Path
) -> None:
    with serving(waiting(b"")) as server:  # a right answer, though the body was never sent
        result = measured(process, scenario(tmp_path, EXPECTING), server)
        assert server.connections >= server.requests
    assert errors_of(result) == set()
    refused = answer(b"", "417 Expectation Failed")
    with serving(waiting(b"", final=refused)) as server:
        result = measured(process, scenario(tmp_path, EXPECTING), server)
    assert errors_of(result) == {"status"}


def test_no_100_continue_at_all_is_a_time_out_that_says_so(process: LoadProcess, tmp_path: Path) -> None:
    with serving(waiting(b"", final=b"")) as server:
        result = measured(process, scenario(tmp_path, EXPECTING), server, timeout_s=0.4)
    assert errors_of(result) <= {"timeout", "unanswered"}
    assert "no 100 Continue within" in str(result["error_samples"])


def test_a_wire_error_of_a_bomb_is_no_hang() -> None:
    bomb = frame(bytes(70 * 1024 * 1024), masked=False, deflate=True)
    reader = FrameReader(OFFER)

    def feed() -> None:
        for at in range(0, len(bomb), 4096):
            reader.feed(bomb[at : at + 4096])

    with pytest.raises(WireError) as caught:
        feed()
    assert caught.value.kind == "too-large"


# --- real servers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uvicorn-httptools", "granian-asgi"])
@pytest.mark.parametrize("kind", ["closed", "open"])
def test_clients_and_app_count_the_same_for_a_broadcast_to_64(
    process: LoadProcess, tmp_path: Path, name: str, kind: str
) -> None:
    load = {"kind": kind, "connections": 64, "rate_per_s": 1280.0 if kind == "open" else None}
    with started(catalogue.load().server(name), tmp_path) as server:
        where = {"id": name, "host": HOST, "port": server.port, "pids": list(server.pids())}
        order = measuring(WIRE / "ws_broadcast.py", where, load=load, identify=False, slice_s=0.2, timeout_s=30.0)
        (result,) = process.ask(**order)["targets"]
        with Client(HOST, server.port) as client:
            counted = json.loads(client.ask(Question(method="GET", path="/broadcast")).body)
    assert errors_of(result) == set()
    assert not result["gave_up"]
    assert result["requests"] > 64
    assert counted["sent"] == 64 * counted["received"] == accounted(result)


def test_a_server_is_stopped_at_the_beginning_of_each_burst_and_not_only_of_the_first(
    process: LoadProcess, tmp_path: Path
) -> None:
    path = tmp_path / "stopped.py"
    path.write_text(
        "from sgibench.load.bursting import BurstUser\n"
        "class Stopped(BurstUser):\n    'Bursts at a server that is stopped.'\n"
        "    connections = 40\n    stopped_s = 0.2\n"
    )
    with started(catalogue.load().server("uvicorn-httptools"), tmp_path) as server:
        where = {"id": "it", "host": HOST, "port": server.port, "pids": list(server.pids())}
        load = {"connections": 40, "connection": "close"}
        order = measuring(path, where, load=load, identify=False, slice_s=None, timeout_s=30.0, warmup_s=0.5)
        (result,) = process.ask(**order | {"window_s": 1.5})["targets"]
    assert result["errors"] == {}
    assert result["overflow"]["bursts"] > 1
    shortest_us = Histogram.from_data(HistogramData(**result["histogram"])).min_us
    assert shortest_us is not None
    assert shortest_us > 190_000


def test_idle_connections_have_a_price_and_a_burst_is_counted_on_a_real_server(
    process: LoadProcess, tmp_path: Path
) -> None:
    with started(catalogue.load().server("uvicorn-httptools"), tmp_path) as server:
        where = {"id": "it", "host": HOST, "port": server.port, "pids": list(server.pids())}
        order = measuring(WIRE / "conn_idle_1000.py", where, identify=False, slice_s=None, timeout_s=30.0)
        (idle,) = process.ask(**order)["targets"]
        burst = {"connections": 1100, "connection": "close"}
        path = WIRE / "conn_burst_stopped.py"
        order = measuring(path, where, load=burst, identify=False, slice_s=None, timeout_s=30.0, warmup_s=0.3)
        (bursts,) = process.ask(**order | {"window_s": 0.3})["targets"]
        order = measuring(WIRE / "up_16m.py", where, load={"connections": 2}, identify=False, slice_s=None)
        (bodies,) = process.ask(**order | {"timeout_s": 30.0})["targets"]
    held = idle["held"]
    assert (held["stood"], held["stood_end"], held["errors"]) == (1000, 1000, {})
    assert held["held_bytes"] > held["before_bytes"] > 0
    assert bursts["errors"] == {}
    seen = bursts["overflow"]
    assert bursts["requests"] == seen["opened"] == 1100 * seen["bursts"] > 0
    # Its backlog is 1024, and a stopped server's queue holds one more; a second later nobody is in the way.
    assert seen["sent_again"] == 75 * seen["bursts"]
    assert seen["listener_drops"] >= 75 * seen["bursts"]
    assert seen["sent_again_from_us"] > 900_000
    assert bodies["errors"] == {}
    assert bodies["peak"]["most_bytes"] >= bodies["peak"]["before_bytes"] > 0
