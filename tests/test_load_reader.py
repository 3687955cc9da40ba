"""Answers are read alike however the bytes are cut, as an independent parser reads them, or are refused by kind."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.reader import Reader

BODY = b"Hello, World!"
OK = b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: 13\r\n\r\n" + BODY
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = CHUNKED_HEAD + b"5\r\nHello\r\n8;note=1\r\n, World!\r\n0\r\nX-Sum: 1\r\n\r\n"
INFORMED = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"

VALID: dict[str, tuple[bytes, bool, int, bytes]] = {
    # name: (stream, answers a HEAD, status, body)
    "a body of known length": (OK, False, 200, BODY),
    "a body of no length": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, 200, b""),
    "no reason phrase": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", False, 200, b"ok"),
    "names in any case, spaces around values": (
        b"HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh:\t 2 \r\n\r\nok",
        False,
        200,
        b"ok",
    ),
    "the same length said twice": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        False,
        200,
        b"ok",
    ),
    "chunks, extensions and trailers": (CHUNKED, False, 200, BODY),
    "an empty chunked body": (CHUNKED_HEAD + b"0\r\n\r\n", False, 200, b""),
    "204": (b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", False, 204, b""),
    "304 that names a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", False, 304, b""),
    "an answer to HEAD that names a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", True, 200, b""),
    "informational answers before": (INFORMED + OK, False, 200, BODY),
    "a line break inside the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\r\n\r\n", False, 200, b"\r\n\r\n"),
    "an error": (b"HTTP/1.1 500 Oh\r\nContent-Length: 1\r\n\r\nx", False, 500, b"x"),
    "old HTTP, kept alive": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        False,
        200,
        b"ok",
    ),
}
ENDED_BY_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nHello, World!"


def read(pieces: Sequence[bytes], *, is_head: bool = False, ends: bool = False) -> tuple[Answer, bytes]:
    """Feed pieces to a fresh reader; the answer, and what came after its end."""
    reader = Reader()
    reader.expect(is_head=is_head)
    answer = None
    for index, piece in enumerate(pieces):
        answer = reader.feed(piece)
        if answer is not None:
            return answer, reader.leftover + b"".join(pieces[index + 1 :])
    assert ends, "the answer never ended"
    return reader.end(), b""


def by_h11(stream: bytes, *, is_head: bool, ends: bool) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, fields and body as h11 reads them."""
    conn = h11.Connection(h11.CLIENT)
    conn.send(h11.Request(method="HEAD" if is_head else "GET", target="/", headers=[("Host", "x")]))
    conn.send(h11.EndOfMessage())
    conn.receive_data(stream)
    if ends:
        conn.receive_data(b"")
    status, fields, body = 0, [], b""
    while True:
        event = conn.next_event()
        if isinstance(event, h11.Response):
            status, fields = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return status, fields, body


def cuts(stream: bytes) -> list[list[bytes]]:
    """The stream in one piece, cut in two at every place, and byte by byte."""
    halves = [[stream[:at], stream[at:]] for at in range(1, len(stream))]
    return [[stream], *halves, [stream[at : at + 1] for at in range(len(stream))]]


@pytest.mark.parametrize("name", VALID)
def test_an_answer_is_read_the_same_however_it_is_cut(name: str) -> None:
    stream, is_head, status, body = VALID[name]
    for pieces in cuts(stream):
        answer, leftover = read(pieces, is_head=is_head)
        assert (answer.status, answer.body, leftover) == (status, body, b"")


@pytest.mark.parametrize("name", VALID)
def test_bytes_after_an_answer_are_kept_apart_however_it_is_cut(name: str) -> None:
    stream, is_head, status, body = VALID[name]
    for pieces in cuts(stream + b"HTTP/1.1 200"):
        answer, leftover = read(pieces, is_head=is_head)
        assert (answer.status, answer.body, leftover) == (status, body, b"HTTP/1.1 200")


@pytest.mark.parametrize("name", VALID)
def test_h11_reads_the_same(name: str) -> None:
    stream, is_head, _, _ = VALID[name]
    answer, _ = read([stream], is_head=is_head)
    assert by_h11(stream, is_head=is_head, ends=False) == (
        answer.status,
        list(dict.fromkeys((key.encode(), value.encode()) for key, value in answer.head.fields)),  # it drops repeats
        answer.body,
    )


def test_a_body_that_only_the_end_of_the_stream_delimits_is_whole_at_the_end() -> None:
    for pieces in cuts(ENDED_BY_CLOSE):
        answer, _ = read(pieces, ends=True)
        assert answer.body == BODY == by_h11(ENDED_BY_CLOSE, is_head=False, ends=True)[2]


@pytest.mark.parametrize("stream", [OK, CHUNKED], ids=["length", "chunked"])
def test_a_stream_that_ends_too_early_is_closed_and_never_an_answer(stream: bytes) -> None:
    for length in range(len(stream)):
        reader = Reader()
        assert not stream[:length] or reader.feed(stream[:length]) is None
        with pytest.raises(WireError) as caught:
            reader.end()
        assert caught.value.kind == "closed"


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "protocol"),
        (b"HTTP/2 200 OK\r\n\r\n", "protocol"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n" + b"x" * 70000, "protocol"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nname : value\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "too-large"),
        (CHUNKED_HEAD + b"xyz\r\n", "protocol"),
        (CHUNKED_HEAD + b"-1\r\n", "protocol"),
        (CHUNKED_HEAD + b"5\nHello", "protocol"),
        (CHUNKED_HEAD + b"5\r\nHello!\r\n", "protocol"),
        (CHUNKED_HEAD + b"fffffffffff\r\n", "too-large"),
        (CHUNKED_HEAD + b"0\r\nnot a field\r\n\r\n", "protocol"),
        (CHUNKED_HEAD + b"1;" + b"x" * 70000, "too-large"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000, "too-large"),
    ],
)
def test_what_no_server_may_send_is_refused_by_kind_however_it_is_cut(stream: bytes, kind: str) -> None:
    step = max(1, len(stream) // 50)
    for size in (len(stream), step, 1 if len(stream) < 500 else step):
        with pytest.raises(WireError) as caught:
            read([stream[at : at + size] for at in range(0, len(stream), size)])
        assert caught.value.kind == kind


def test_thousands_of_chunks_in_one_segment_are_read() -> None:
    stream = CHUNKED_HEAD + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n"
    answer, _ = read([stream])
    assert answer.body == b"x" * 20_000
    assert answer.size == len(stream)


def test_megabytes_are_read_in_pieces_of_any_size() -> None:
    body = bytes(range(256)) * 4 * 1024 * 8
    stream = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    pieces = [stream[at : at + 65536] for at in range(0, len(stream), 65536)]
    assert read(pieces)[0].body == body


TOKENS = st.text("abcXYZ09-", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bool, bool]:
    """A valid stream, whether it answers HEAD, and whether the end of the stream delimits it."""
    status = draw(st.integers(200, 599))
    body = draw(st.binary(max_size=300))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    is_head = draw(st.booleans())
    special = {"content-length", "transfer-encoding", "connection", "upgrade"}
    fields = [(name, value) for name, value in draw(st.lists(st.tuples(TOKENS, VALUES), max_size=5))]
    lines = [f"{name}: {value}".encode() for name, value in fields if name.lower() not in special]
    bodiless = is_head or status in {204, 304}
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        cut = draw(st.integers(0, len(body)))
        chunks = [chunk for chunk in (body[:cut], body[cut:]) if chunk]
        body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n" if draw(st.booleans()) else b""
    head = b"\r\n".join([b"HTTP/1.1 %d Reason" % status, *lines]) + b"\r\n\r\n"
    ends = framing == "close" and not bodiless
    return hints + head + (b"" if bodiless else body), is_head, ends


@given(answers(), st.data())
def test_h11_agrees_on_any_valid_stream_cut_anywhere(case: tuple[bytes, bool, bool], data: st.DataObject) -> None:
    stream, is_head, ends = case
    places = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=6)))
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    answer, leftover = read(pieces, is_head=is_head, ends=ends)
    status, fields, body = by_h11(stream, is_head=is_head, ends=ends)
    assert (answer.status, answer.body, leftover) == (status, body, b"")
    assert [(key.encode(), value.encode()) for key, value in answer.head.fields] == fields


PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"2", b"ff", b"+1"),
    *(b"\r\nContent-Length: 5", b"\r\nContent-Length: 0", b"\r\nTransfer-Encoding: chunked", b"\r\nConnection: close"),
    *(b"0\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0", b"\r\n folded"),
)


@given(answers(), st.data())
def test_what_it_accepts_of_a_spoilt_stream_h11_reads_the_same(
    case: tuple[bytes, bool, bool], data: st.DataObject
) -> None:
    stream, is_head, ends = case
    for _ in range(data.draw(st.integers(1, 3))):
        at, drop = data.draw(st.integers(0, len(stream))), data.draw(st.integers(0, 3))
        stream = stream[:at] + data.draw(st.sampled_from((*PIECES, b""))) + stream[at + drop :]
    try:
        answer, leftover = read([stream] if stream else [], is_head=is_head, ends=True)
    except WireError:
        return
    stream = stream[: len(stream) - len(leftover)]
    status, _, body = by_h11(stream, is_head=is_head, ends=ends or not leftover)
    assert (answer.status, answer.body) == (status, body)


@given(st.binary(max_size=300), st.integers(1, 300), st.integers(1, 300))
def test_two_ways_of_cutting_never_make_two_answers_of_one_stream(garbage: bytes, one: int, other: int) -> None:
    for stream in (b"HTTP/1.1 200 OK\r\n" + garbage, CHUNKED_HEAD + garbage, OK[:-2] + garbage):
        assert outcome_of(stream, one) == outcome_of(stream, other)


def outcome_of(stream: bytes, size: int) -> tuple[object, ...]:
    """What a reader makes of a stream in pieces of a size: an answer, or a kind of error."""
    try:
        answer, leftover = read([stream[at : at + size] for at in range(0, len(stream), size)], ends=True)
    except WireError as error:
        return (error.kind,)
    return answer.status, answer.head.fields, answer.body, leftover


@given(st.binary(max_size=200), st.integers(1, 50))
def test_no_bytes_whatever_make_it_raise_anything_but_its_own_error(garbage: bytes, size: int) -> None:
    for stream in (garbage, b"HTTP/1.1 200 OK\r\n" + garbage, CHUNKED_HEAD + garbage):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        with contextlib.suppress(WireError):
            assert read(pieces, ends=True)[0].status >= 101
