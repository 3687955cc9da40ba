"""HTTP/2: the library h2 reads what is asked, what it writes is read alike, and what breaks the rules is named."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench.load.multiplexed import block_writer
from sgibench.load.request import Ask, Request
from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.h2.frames import PREFACE, Type, frame, front
from sgibench.load.wire.h2.headers import request_block
from sgibench.load.wire.h2.receiving import MOST_IDLE_FRAMES, WINDOW, Outcome
from sgibench.load.wire.h2.session import Session
from sgibench.load.wire.h2.stream import STREAM_WINDOW, Stream
from tests.h2_server import Asked, Reference, pieces_of

BODY = b"Hello, World!"
WRITE = block_writer("127.0.0.1:80", "http")


def asking(request: Request | None = None) -> Ask:
    """An ask as a program makes it."""
    request = request or Request(method="GET", path="/")
    return Ask(request, WRITE(request), lambda _: None)


def said(session: Session) -> bytes:
    """What the client has to say, taken away."""
    data = b"".join(session.out)
    session.out.clear()
    return data


def meeting() -> tuple[Session, Reference]:
    """A client and a server that know each other's settings."""
    session, server = Session(), Reference()
    server.feed(said(session))
    assert session.feed(server.out()) == []
    assert session.usable
    server.feed(said(session))
    return session, server


def exchange(session: Session, server: Reference, answer: Callable[[Asked], None]) -> list[tuple[Stream, Outcome]]:
    """Carry bytes to and fro until neither side has anything to say."""
    done: list[tuple[Stream, Outcome]] = []
    while (data := said(session)) or (back := server.out()):
        for asked in server.feed(data) if data else ():
            answer(asked)
        back = server.out() if data else back
        done += session.feed(back) if back else []
        assert session.fault is None, session.fault
    return done


TOKENS = st.text("abcxyz09-", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=300)


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
    st.text("abc/?=&%20", max_size=300),
    st.lists(st.tuples(TOKENS, VALUES), max_size=5),
    st.binary(max_size=40_000),
)
@settings(max_examples=60)
def test_h2_reads_the_requests_as_they_were_declared(
    method: str, path: str, fields: list[tuple[str, str]], body: bytes
) -> None:
    session, server = meeting()
    request = Request(method=method, path="/" + path, headers=tuple(fields), body=body)
    seen: list[Asked] = []

    def answer(asked: Asked) -> None:
        seen.append(asked)
        server.answer(asked.stream, b"")

    for _ in range(2):
        session.ask(Stream("place"), asking(request))
        exchange(session, server, answer)
    for asked in seen:
        assert bytes(asked.body) == body
        assert (asked[":method"], asked[":path"]) == (method.encode(), b"/" + path.encode())
        assert (asked[":scheme"], asked[":authority"]) == (b"http", b"127.0.0.1:80")
        sent = [(name.encode(), value.encode()) for name, value in fields]
        assert [field for field in asked.fields if field in sent] == sent
    assert [asked.stream for asked in seen] == [1, 3]


def test_a_head_of_many_frames_is_read_whole() -> None:
    session, server = meeting()
    server.h2.decoder.max_header_list_size = 1 << 20
    request = Request(method="GET", path="/", headers=tuple((f"x-{n}", "v" * 1000) for n in range(40)))
    session.ask(Stream("place"), asking(request))
    asked = server.feed(said(session))
    assert len(asked[0].fields) == 44


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[int, bytes, int, bool]]:
    """Answers to some requests: status, body, size of a DATA frame, whether trailers come."""
    answer = st.tuples(st.integers(200, 599), st.binary(max_size=3000), st.integers(1, 1500), st.booleans())
    return draw(st.lists(answer, min_size=1, max_size=6))


@given(conversations(), st.randoms(use_true_random=False), st.lists(st.integers(0, 20_000), max_size=20))
def test_answers_are_read_as_h2_writes_them_however_they_mix_and_are_cut(
    wanted: list[tuple[int, bytes, int, bool]], random: Any, places: list[int]
) -> None:
    session, server = meeting()
    streams = [Stream(number) for number in range(len(wanted))]
    for stream in streams:
        session.ask(stream, asking())
    numbers = [asked.stream for asked in server.feed(said(session))]
    steps = {number: iter(answer_steps(spec)) for number, spec in zip(numbers, wanted, strict=True)}
    turns = [number for number, spec in zip(numbers, wanted, strict=True) for _ in answer_steps(spec)]
    random.shuffle(turns)
    for number in turns:  # each answer's steps in their order, the answers mixed
        next(steps[number])(server, number)
    done = [found for piece in pieces_of(server.out(), places) for found in session.feed(piece)]
    assert session.fault is None
    assert sorted(stream.owner for stream, _ in done) == list(range(len(wanted)))
    for stream, outcome in done:
        status, body, _, _ = wanted[stream.owner]
        assert isinstance(outcome, Answer), outcome
        assert (outcome.status, outcome.body) == (status, b"" if status in {204, 304} else body)
        assert outcome.header("x-name") == "välue"
    assert session.in_flight == 0


def answer_steps(spec: tuple[int, bytes, int, bool]) -> list[Callable[[Reference, int], None]]:
    """What a server does one after the other to give an answer."""
    status, body, size, trailers = spec
    body = b"" if status in {204, 304} else body
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    steps: list[Callable[[Reference, int], None]] = [
        lambda server, number: server.h2.send_headers(
            number, [(b":status", str(status).encode()), (b"x-name", "välue".encode("latin-1"))], end_stream=False
        )
    ]
    steps += [lambda server, number, chunk=chunk: server.h2.send_data(number, chunk) for chunk in chunks]  # type: ignore[misc]
    steps.append(
        (lambda server, number: server.h2.send_headers(number, [("x-sum", "1")], end_stream=True))
        if trailers
        else (lambda server, number: server.h2.end_stream(number))
    )
    return steps


def answered(body: bytes = BODY, times: int = 3) -> bytes:
    """The bytes of one right answer on stream 1, 3, … as a server without a header table sends them."""
    block = b"\x88\x0f\x0d\x02%d" % len(body)
    return b"".join(
        frame(Type.HEADERS, 4, number.to_bytes(4, "big"), block) + frame(Type.DATA, 1, number.to_bytes(4, "big"), body)
        for number in range(1, 2 * times, 2)
    )


def test_a_known_answer_is_known_again_and_any_other_is_read_however_they_are_cut() -> None:
    stream_bytes = answered(times=2) + answered(b"Hello, Wirld!", 3)[-len(answered(times=1)) :]
    for at in range(1, len(stream_bytes)):
        session, _ = meeting()
        ask = asking()
        for number in range(3):
            session.ask(Stream(number), ask)
        first = len(answered(times=1))
        outcomes: list[Outcome] = []
        for piece in pieces_of(stream_bytes, [first, at]):
            for stream, outcome in session.feed(piece):
                outcomes.append(outcome)
                if isinstance(outcome, Answer) and outcome.body == BODY:
                    stream.remember(outcome)
        assert session.fault is None
        bodies = [outcome.body if isinstance(outcome, Answer) else outcome for outcome in outcomes]
        assert bodies in ([BODY, None, b"Hello, Wirld!"], [BODY, BODY, b"Hello, Wirld!"])


def test_uploads_wait_for_their_windows_and_arrive_whole() -> None:
    session, server = meeting()
    body = bytes(range(256)) * 4096
    streams = [Stream(number) for number in range(3)]
    for stream in streams:
        session.ask(stream, asking(Request(method="POST", path="/", body=body)))
    seen: list[bytes] = []

    def answer(asked: Asked) -> None:
        seen.append(bytes(asked.body))
        server.answer(asked.stream, b"ok")

    done = exchange(session, server, answer)
    assert seen == [body] * 3
    assert len(done) == 3


def test_downloads_beyond_every_window_arrive_whole() -> None:
    session, server = meeting()
    body = b"x" * (WINDOW + STREAM_WINDOW + 12345)
    session.ask(Stream(0), asking())
    done = exchange(session, server, lambda asked: server.answer(asked.stream, body))
    assert isinstance(done[0][1], Answer)
    assert done[0][1].body == body


def test_an_answer_that_comes_before_its_request_was_sent_ends_the_stream_and_not_the_connection() -> None:
    session, server = meeting()
    early = Stream("early")
    session.ask(early, asking(Request(method="POST", path="/", body=b"x" * 1_000_000)))
    assert server.feed(said(session)) == []
    server.head(1, 413, ends=True)
    ((stream, outcome),) = session.feed(server.out())
    assert (stream, isinstance(outcome, Answer) and outcome.status) == (early, 413)
    assert frame(Type.RST_STREAM, 0, b"\0\0\0\1", b"\0\0\0\x08") in session.out
    session.ask(Stream("next"), asking())
    (asked,) = server.feed(said(session))
    assert asked.stream == 3


def test_more_requests_than_the_server_allows_at_once_wait_for_a_stream() -> None:
    session, server = Session(), Reference()
    server.feed(said(session))
    session.feed(server.out() + frame(Type.SETTINGS, 0, b"\0" * 4, struct.pack(">HI", 3, 2)))
    server.feed(said(session))
    for number in range(5):
        session.ask(Stream(number), asking())
    assert (session.in_flight, len(session.streams)) == (5, 2)
    most = 0

    def answer(asked: Asked) -> None:
        nonlocal most
        most = max(most, len(session.streams))
        server.answer(asked.stream, BODY)

    done = exchange(session, server, answer)
    assert [stream.owner for stream, _ in done] == [0, 1, 2, 3, 4]
    assert most <= 2


def test_a_server_that_goes_away_leaves_what_it_did_not_begin_undone_and_finishes_the_rest() -> None:
    session, server = meeting()
    for number in range(3):
        session.ask(Stream(number), asking())
    server.feed(said(session))
    goaway = frame(Type.GOAWAY, 0, b"\0" * 4, (3).to_bytes(4, "big") + b"\0\0\0\0" + b"bye")
    lost = session.feed(goaway)
    assert [(stream.owner, outcome.kind) for stream, outcome in lost if isinstance(outcome, WireError)] == [
        (2, "closed")
    ]
    assert not session.usable
    assert session.draining == "the server went away: NO_ERROR b'bye'"
    server.answer(1, BODY)
    server.answer(3, BODY)
    assert [stream.owner for stream, _ in session.feed(server.out())] == [0, 1]
    assert session.in_flight == 0


def test_pings_are_answered_and_priorities_and_unknown_frames_ignored() -> None:
    session, _ = meeting()
    session.ask(Stream(0), asking())
    said(session)
    odd = frame(Type.PING, 0, b"\0" * 4, b"12345678") + frame(Type.PRIORITY, 0, b"\0\0\0\1", b"\0" * 5)
    odd += frame(0xB, 0, b"\0" * 4, b"whatever") + frame(Type.PING, 1, b"\0" * 4, b"12345678")
    assert session.feed(odd) == []
    assert said(session) == frame(Type.PING, 1, b"\0" * 4, b"12345678")
    padded = frame(Type.HEADERS, 4 | 8 | 0x20, b"\0\0\0\1", b"\x03" + b"\0" * 5 + b"\x88" + b"\0" * 3)
    padded += frame(Type.DATA, 1 | 8, b"\0\0\0\1", b"\x02ok\0\0")
    ((_, outcome),) = session.feed(padded)
    assert isinstance(outcome, Answer)
    assert outcome.body == b"ok"


HEAD = frame(Type.HEADERS, 4, b"\0\0\0\1", b"\x88")
SETTINGS = frame(Type.SETTINGS, 0, b"\0" * 4)
INTERIM = frame(Type.HEADERS, 4, b"\0\0\0\1", b"\x08\x03103")
BROKEN: dict[str, tuple[bytes, str, str]] = {
    # what a server does after its settings, with one request on stream 1: (bytes, kind, words)
    "a frame that is too long": (front(16385, 0, 0) + b"\0\0\0\1", "protocol", "FRAME_SIZE_ERROR"),
    "DATA on a stream that nobody opened": (frame(0, 1, b"\0\0\0\5", b"x"), "protocol", "stream 5"),
    "DATA on the connection": (frame(0, 1, b"\0\0\0\0", b"x"), "protocol", "stream 0"),
    "HEADERS on a stream of the server's": (frame(1, 5, b"\0\0\0\2", b"\x88"), "protocol", "stream 2"),
    "PUSH_PROMISE": (frame(5, 4, b"\0\0\0\1", b"\0\0\0\2\x88"), "protocol", "PUSH_PROMISE"),
    "padding without end": (frame(1, 4 | 8, b"\0\0\0\1", b"\x09\x88"), "protocol", "padding"),
    "padding in nothing": (frame(0, 8, b"\0\0\0\1", b""), "protocol", "padding"),
    "a header block that ends in mid-field": (frame(1, 5, b"\0\0\0\1", b"\x88\x00\x7f"), "protocol", "COMPRESSION"),
    "a field from a table that must be empty": (frame(1, 5, b"\0\0\0\1", b"\x88\xbe"), "protocol", "COMPRESSION"),
    "a table size beyond the one allowed": (frame(1, 5, b"\0\0\0\1", b"\x3f\xe1\x1f\x88"), "protocol", "COMPRESSION"),
    "Huffman's code gone wrong": (frame(1, 5, b"\0\0\0\1", b"\x88\x00\x81\xff\x81\xff"), "protocol", "COMPRESSION"),
    "no status": (frame(1, 5, b"\0\0\0\1", b"\x00\x01a\x01b"), "protocol", ":status"),
    "two statuses": (frame(1, 5, b"\0\0\0\1", b"\x88\x88"), "protocol", ":status"),
    "a status after a field": (frame(1, 5, b"\0\0\0\1", b"\x00\x01a\x01b\x88"), "protocol", ":status"),
    "a name in capitals": (frame(1, 5, b"\0\0\0\1", b"\x88\x00\x01A\x01b"), "protocol", "a field that HTTP/2"),
    "a line break in a value": (frame(1, 5, b"\0\0\0\1", b"\x88\x00\x01a\x02\r\n"), "protocol", "a field that HTTP/2"),
    "a field of HTTP/1.1's": (
        frame(1, 5, b"\0\0\0\1", b"\x88\x00\x0aconnection\x05close"),
        "protocol",
        "a field that HTTP/2",
    ),
    "DATA before HEADERS": (frame(0, 1, b"\0\0\0\1", b"x"), "protocol", "HEADERS before DATA"),
    "a body shorter than it says": (
        frame(1, 4, b"\0\0\0\1", b"\x88\x0f\x0d\x019") + frame(0, 1, b"\0\0\0\1", b"x"),
        "protocol",
        "Content-Length",
    ),
    "an interim answer that ends": (frame(1, 5, b"\0\0\0\1", b"\x08\x03100"), "protocol", "final answer"),
    "switching protocols": (frame(1, 4, b"\0\0\0\1", b"\x08\x03101"), "protocol", "final answer"),
    "101 interim answers": (INTERIM * 101, "too-large", "100 interim"),
    "trailers that do not end": (HEAD + frame(1, 4, b"\0\0\0\1", b"\x00\x01a\x01b"), "protocol", "trailers"),
    "an answer twice": (frame(1, 5, b"\0\0\0\1", b"\x88") * 2, "leftover", "STREAM_CLOSED"),
    "DATA after the answer": (
        frame(1, 5, b"\0\0\0\1", b"\x88") + frame(0, 1, b"\0\0\0\1", b"x"),
        "leftover",
        "STREAM_CLOSED",
    ),
    "another frame within a header block": (
        frame(1, 0, b"\0\0\0\1", b"\x88") + frame(6, 0, b"\0" * 4, b"x" * 8),
        "protocol",
        "CONTINUATION",
    ),
    "CONTINUATION of another stream": (
        frame(1, 0, b"\0\0\0\1", b"\x88") + frame(9, 4, b"\0\0\0\3"),
        "protocol",
        "CONTINUATION",
    ),
    "CONTINUATION of nothing": (frame(9, 4, b"\0\0\0\1", b"\x88"), "protocol", "CONTINUATION"),
    "a header block without end": (
        frame(1, 0, b"\0\0\0\1", b"\x88") + frame(9, 0, b"\0\0\0\1", b"x" * 16384) * 5,
        "too-large",
        "head",
    ),
    "empty CONTINUATION without end": (
        frame(1, 0, b"\0\0\0\1", b"\x88") + frame(9, 0, b"\0\0\0\1") * 8000,
        "too-large",
        "head",
    ),
    "a window grown too far": (frame(8, 0, b"\0" * 4, b"\x7f\xff\xff\xff"), "protocol", "FLOW_CONTROL_ERROR"),
    "a stream's window grown too far": (
        frame(8, 0, b"\0\0\0\1", b"\x7f\xff\xff\xff"),
        "protocol",
        "FLOW_CONTROL_ERROR",
    ),
    "a stream's window grown too far by settings": (
        frame(8, 0, b"\0\0\0\1", b"\x7f\xfe\xff\xff") + frame(4, 0, b"\0" * 4, b"\0\4\0\x02\0\0"),
        "protocol",
        "FLOW_CONTROL_ERROR",
    ),
    "a window grown by nothing": (frame(8, 0, b"\0" * 4, b"\0\0\0\0"), "protocol", "WINDOW_UPDATE"),
    "a window of three bytes": (frame(8, 0, b"\0" * 4, b"\0\0\0"), "protocol", "FRAME_SIZE_ERROR"),
    "settings on a stream": (frame(4, 0, b"\0\0\0\1"), "protocol", "SETTINGS"),
    "settings of five bytes": (frame(4, 0, b"\0" * 4, b"12345"), "protocol", "FRAME_SIZE_ERROR"),
    "settings acknowledged with settings": (frame(4, 1, b"\0" * 4, b"123456"), "protocol", "FRAME_SIZE_ERROR"),
    "a first window too large": (frame(4, 0, b"\0" * 4, b"\0\4\xff\xff\xff\xff"), "protocol", "FLOW_CONTROL_ERROR"),
    "a frame size too small": (frame(4, 0, b"\0" * 4, b"\0\5\0\0\0\1"), "protocol", "frame size"),
    "pushing allowed": (frame(4, 0, b"\0" * 4, b"\0\2\0\0\0\1"), "protocol", "ENABLE_PUSH"),
    "a ping of seven bytes": (frame(6, 0, b"\0" * 4, b"1234567"), "protocol", "FRAME_SIZE_ERROR"),
    "a ping on a stream": (frame(6, 0, b"\0\0\0\1", b"12345678"), "protocol", "PING"),
    "pings without end": (frame(6, 1, b"\0" * 4, b"12345678") * (MOST_IDLE_FRAMES + 1), "too-large", "in a row"),
    "settings without end": (SETTINGS * (MOST_IDLE_FRAMES + 1), "too-large", "in a row"),
    "empty DATA without end": (HEAD + frame(0, 0, b"\0\0\0\1") * (MOST_IDLE_FRAMES + 1), "too-large", "in a row"),
    "a stream reset": (frame(3, 0, b"\0\0\0\1", b"\0\0\0\7"), "reset", "REFUSED_STREAM"),
    "a reset of three bytes": (frame(3, 0, b"\0\0\0\1", b"\0\0\7"), "protocol", "FRAME_SIZE_ERROR"),
    "a reset of a stream that nobody opened": (frame(3, 0, b"\0\0\0\5", b"\0\0\0\7"), "protocol", "stream 5"),
    "going away": (frame(7, 0, b"\0" * 4, b"\0\0\0\0\0\0\0\2why"), "closed", "INTERNAL_ERROR b'why'"),
    "going away in seven bytes": (frame(7, 0, b"\0" * 4, b"\0\0\0\0\0\0\0"), "protocol", "FRAME_SIZE_ERROR"),
    "a priority of four bytes": (frame(2, 0, b"\0\0\0\1", b"1234"), "protocol", "PRIORITY"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_a_server_must_not_do_is_an_error_of_a_named_kind_however_it_is_cut(name: str) -> None:
    stream_bytes, kind, words = BROKEN[name]
    step = max(1, len(stream_bytes) // 40)
    for size in {len(stream_bytes), step, 1 if len(stream_bytes) < 500 else step}:
        session, _ = meeting()
        session.ask(Stream(0), asking())
        errors: list[WireError] = []
        for at in range(0, len(stream_bytes), size):
            if session.fault is None:
                outcomes = session.feed(stream_bytes[at : at + size])
                errors += [outcome for _, outcome in outcomes if isinstance(outcome, WireError)]
        if session.fault is not None:
            errors.append(session.fault)
        assert errors
        assert errors[0].kind == kind, errors[0]
        assert words in str(errors[0])


@pytest.mark.parametrize("places", [1, 2], ids=["a stream's window", "the connection's window"])
def test_a_server_that_sends_past_a_window_before_it_was_told_to_go_on_is_named(places: int) -> None:
    session, _ = meeting()
    for number in range(2):
        session.ask(Stream(number), asking())
    flood = b"".join(frame(Type.HEADERS, 4, bytes((0, 0, 0, 2 * place + 1)), b"\x88") for place in range(places))
    data = b"".join(frame(Type.DATA, 0, bytes((0, 0, 0, 2 * place + 1)), b"x" * 16384) for place in range(places))
    session.feed(flood + data * (STREAM_WINDOW // 16384 // places))
    assert session.fault is None
    session, _ = meeting()
    for number in range(2):
        session.ask(Stream(number), asking())
    session.feed(flood + data * (STREAM_WINDOW // 16384 // places + 1))
    assert session.fault is not None
    assert session.fault.kind == "protocol"
    assert "FLOW_CONTROL_ERROR" in str(session.fault)


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0",
        frame(6, 0, b"\0" * 4, b"12345678"),
        frame(4, 1, b"\0" * 4),
        b"SSH-2.0\r\n",
    ],
)
def test_a_server_that_does_not_speak_http2_is_told_by_its_first_bytes(greeting: bytes) -> None:
    for size in range(1, len(greeting) + 1):
        session = Session()
        for at in range(0, len(greeting), size):
            if session.fault is None:
                assert session.feed(greeting[at : at + size]) == []
        assert not session.usable
        if greeting != b"\0":
            assert session.fault is not None
            assert session.fault.kind == "protocol"
            assert "SETTINGS" in str(session.fault)


@given(st.binary(max_size=300), st.integers(1, 60))
def test_no_bytes_whatever_make_it_raise(garbage: bytes, size: int) -> None:
    for stream_bytes in (
        garbage,
        SETTINGS + garbage,
        SETTINGS + HEAD + garbage,
        SETTINGS + frame(1, 5, b"\0\0\0\1", garbage),
    ):
        session = Session()
        session.feed(SETTINGS)
        session.ask(Stream(0), asking())
        for at in range(0, len(stream_bytes), size):
            if session.fault is None:
                session.feed(stream_bytes[at : at + size])


FRAMES = st.builds(
    frame,
    st.integers(0, 10),
    st.integers(0, 255),
    st.sampled_from([0, 1, 3, 5, 2]).map(lambda n: n.to_bytes(4, "big")),
    st.binary(max_size=40) | st.sampled_from([b"\x88", b"\x88\x00\x01a\x01b", b"\0" * 4, b"\0\0\0\1", b"12345678"]),
)


@given(st.lists(FRAMES, max_size=12), st.integers(1, 100))
def test_two_ways_of_cutting_frames_never_make_two_outcomes(frames: list[bytes], size: int) -> None:
    stream_bytes = b"".join(frames)
    assert outcomes_of(stream_bytes, len(stream_bytes) or 1) == outcomes_of(stream_bytes, size)


def outcomes_of(stream_bytes: bytes, size: int) -> list[object]:
    """What two requests and their session come to."""
    session = Session()
    session.feed(SETTINGS)
    for number in range(2):
        session.ask(Stream(number), asking())
    told: list[object] = []
    for at in range(0, len(stream_bytes), size):
        if session.fault is None:
            for stream, outcome in session.feed(stream_bytes[at : at + size]):
                what = (outcome.kind, str(outcome)) if isinstance(outcome, WireError) else outcome and outcome.body
                told.append((stream.owner, what))
    return [*told, session.fault and (session.fault.kind, str(session.fault)), session.draining]


def test_the_preface_and_the_first_frames_are_what_the_reference_expects() -> None:
    session = Session()
    first = said(session)
    assert first.startswith(PREFACE)
    server = Reference()
    server.feed(first)
    assert server.h2.remote_settings.header_table_size == 0
    assert server.h2.remote_settings.enable_push == 0
    assert server.h2.outbound_flow_control_window == WINDOW


def test_a_block_is_read_by_hpack_as_it_was_written() -> None:
    block = request_block("PATCH", "https", "a" * 200, "/" + "b" * 40_000, (("Host", "x"), ("X-A", "y" * 127)))
    fields = hpack.Decoder(max_header_list_size=1 << 20).decode(block)
    assert [f"{name}={value}" for name, value in fields] == [  # type: ignore[str-bytes-safe]  # they are text here
        ":method=PATCH",
        ":scheme=https",
        ":authority=" + "a" * 200,
        ":path=/" + "b" * 40_000,
        "x-a=" + "y" * 127,
    ]
