"""Over real sockets, HTTP/2: what client and server count agrees, for every pace, whatever the server does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sgibench.load.multiplexed import Multiplexed, block_writer
from sgibench.load.paces import ClosedPace, OpenPace
from sgibench.load.pacing import Schedule
from sgibench.load.request import Program, Request, get, post
from sgibench.load.wire.h2.frames import frame
from tests.h2_server import Asked, Handler, Reference, speaking
from tests.loaded_target import answered, answers_read, assert_accounted, play
from tests.scripted_server import Script, ScriptedServer, Talk, serving

BODY = b"Hello, World!"
HELLO = get("/", expect=BODY)


@contextmanager
def h2_serving(
    handler: Handler, *, script: Callable[[Script], Script] = lambda plain: plain
) -> Iterator[ScriptedServer]:
    """A scripted server that speaks HTTP/2."""
    box: list[ScriptedServer] = []

    def note() -> None:
        box[0].note_request()

    with serving(script(speaking(handler, note))) as server:
        box.append(server)
        yield server


@contextmanager
def multiplexed(
    server: ScriptedServer, *requests: Request, streams: int = 8, timeout_s: float = 5.0
) -> Iterator[Multiplexed]:
    """A target whose places share connections."""
    host = f"{server.host}:{server.port}"
    program = Program(requests=requests, host=host, write=block_writer(host, "http"))
    target = Multiplexed(server.host, server.port, program, streams=streams, timeout_s=timeout_s)
    target.pace = ClosedPace(target)
    try:
        yield target
    finally:
        target.close()


def hello(server: Reference, asked: Asked) -> None:
    server.answer(asked.stream, BODY)


def test_server_and_client_count_the_same_requests_on_few_connections() -> None:
    with h2_serving(hello) as server, multiplexed(server, HELLO) as target:
        play(target, answered(target, 2000), connections=20)
        assert_accounted(target, server)
        assert not target.tally.errors
        assert server.connections == 3  # eight places each
        assert all(conn.count for conn in target.connections)
        assert answers_read(target) < 100  # the others were compared and not read


def test_in_an_open_loop_too() -> None:
    with h2_serving(hello) as server, multiplexed(server, HELLO) as target:
        target.pace = OpenPace(target, Schedule(400.0, "uniform", seed=1, start_ns=time.monotonic_ns()))
        play(target, answered(target, 200), connections=10)
        assert_accounted(target, server)
        assert not target.tally.errors


def test_different_requests_are_checked_each_by_its_own() -> None:
    def handler(server: Reference, asked: Asked) -> None:
        server.answer(asked.stream, asked[":path"] + bytes(asked.body))

    requests = get("/a", expect=b"/a", weight=3), post("/b", body=b"x" * 300_000, expect=b"/b" + b"x" * 300_000)
    with h2_serving(handler) as server, multiplexed(server, *requests) as target:
        play(target, answered(target, 100), connections=10)
        assert_accounted(target, server)
        assert not target.tally.errors


def test_wrong_answers_and_reset_streams_are_errors_of_their_requests_alone() -> None:
    def handler(server: Reference, asked: Asked) -> None:
        if asked.stream == 41:
            server.h2.reset_stream(asked.stream, 7)
        else:
            server.answer(
                asked.stream, b"Hello, Wirld!" if asked.stream == 61 else BODY, 500 if asked.stream == 81 else 200
            )

    with h2_serving(handler) as server, multiplexed(server, HELLO) as target:
        play(target, answered(target, 500), connections=8)
        assert_accounted(target, server)
        assert dict(target.tally.errors) == {"reset": 1, "body": 1, "status": 1}
        assert server.connections == 1


def test_a_server_that_closes_each_connection_after_some_requests_in_good_order_loses_none() -> None:
    going: dict[int, int] = {}

    def handler(server: Reference, asked: Asked) -> None:
        server.answer(asked.stream, BODY)

    def leaving(plain: Script) -> Script:
        del plain

        def script(talk: Talk) -> None:
            server = Reference()
            talk.sock.sendall(server.out())
            while data := talk.sock.recv(1 << 16):
                whole = server.feed(data)
                for asked in whole:
                    box[0].note_request()
                    handler(server, asked)
                out = server.out()
                if any(asked.stream > 100 for asked in whole) and talk.number not in going:
                    going[talk.number] = max(asked.stream for asked in whole)
                    out = frame(7, 0, b"\0" * 4, (2**31 - 1).to_bytes(4, "big") + b"\0" * 4) + out
                talk.sock.sendall(out)

        return script

    box: list[ScriptedServer] = []
    with h2_serving(handler, script=leaving) as server, multiplexed(server, HELLO) as target:
        box.append(server)
        play(target, answered(target, 400), connections=8)
        assert_accounted(target, server)
        assert not target.tally.errors
        assert server.connections >= 3
        assert target.reopened >= 2


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (frame(0, 1, b"\0\0\0\x63", b"x"), "leftover"),
        (frame(8, 0, b"\0" * 4, b"\0\0\0\0"), "protocol"),
        (b"\xff" * 30, "protocol"),
    ],
)
def test_what_breaks_a_connection_fails_its_requests_in_flight_and_never_hangs(bad: bytes, kind: str) -> None:
    def breaking(plain: Script) -> Script:
        def script(talk: Talk) -> None:
            if talk.number:
                plain(talk)
                return
            server = Reference()
            talk.sock.sendall(server.out())
            while data := talk.sock.recv(1 << 16):
                for asked in server.feed(data):
                    box[0].note_request()
                    server.answer(asked.stream, BODY)
                talk.sock.sendall(server.out())
                if box[0].requests > 100:
                    talk.sock.sendall(bad)

        return script

    box: list[ScriptedServer] = []
    with h2_serving(hello, script=breaking) as server, multiplexed(server, HELLO, streams=4) as target:
        box.append(server)
        play(target, answered(target, 300), connections=4)
        assert set(target.tally.errors) == {kind}
        assert_accounted(target, server)
        assert server.connections == 2


@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_server_that_leaves_fails_all_requests_in_flight_and_none_is_sent_again(way: str) -> None:
    def leaving(plain: Script) -> Script:
        def script(talk: Talk) -> None:
            if talk.number:
                plain(talk)
                return
            server = Reference()
            talk.sock.sendall(server.out())
            heard = 0
            while heard < 4:
                for _ in server.feed(talk.sock.recv(1 << 16)):
                    box[0].note_request()
                    heard += 1
            if way == "reset":
                talk.reset()

        return script

    box: list[ScriptedServer] = []
    with h2_serving(hello, script=leaving) as server, multiplexed(server, HELLO, streams=4) as target:
        box.append(server)
        play(target, answered(target, 50), connections=4)
        assert dict(target.tally.errors) == {"closed" if way == "close" else "reset": 4}
        assert_accounted(target, server)


def test_a_stream_that_is_never_answered_is_a_time_out_and_the_others_go_on() -> None:
    def handler(server: Reference, asked: Asked) -> None:
        if asked.stream != 21:
            server.answer(asked.stream, BODY)

    # Long enough for a busy machine: where nothing at all comes for as long, the connection is given up, too.
    with h2_serving(handler) as server, multiplexed(server, HELLO, timeout_s=5.0) as target:
        play(target, lambda: target.tally.errors["timeout"] >= 1, connections=4)
        # On a busy machine others may be late too; none of them costs the connection.
        assert set(target.tally.errors) == {"timeout"}
        assert_accounted(target, server)
        assert server.connections == 1


@pytest.mark.parametrize("streams", [1, 4])
def test_a_server_that_stops_for_good_is_a_time_out_for_each_request_and_a_new_connection(streams: int) -> None:
    def handler(server: Reference, asked: Asked) -> None:
        if asked.stream < 50:
            server.answer(asked.stream, BODY)

    with h2_serving(handler) as server, multiplexed(server, HELLO, streams=streams, timeout_s=2.0) as target:
        play(target, lambda: target.tally.errors["timeout"] >= 8, connections=4)
        assert set(target.tally.errors) == {"timeout"}
        assert_accounted(target, server)
        assert server.connections >= 2  # one on which nothing comes any more is given up
        if streams == 1:  # else the last answer may have come after the first of these was asked
            assert "nothing came on the connection" in target.tally.samples["timeout"]


def test_a_server_that_speaks_only_http1_is_an_error_by_name() -> None:
    def script(talk: Talk) -> None:
        talk.sock.recv(1 << 16)
        talk.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with serving(script) as server, multiplexed(server, HELLO) as target:
        target.attach()
        target.add()
        assert target.wait_until(lambda: target.outside.errors["protocol"] >= 2, 60)
        assert set(target.outside.errors) == {"protocol"}
        assert "expected the server's SETTINGS first, but got b'HTTP/1.1 400" in target.outside.samples["protocol"]
        assert target.standing == 0


def test_places_that_are_given_up_take_their_connection_along() -> None:
    with h2_serving(hello) as server, multiplexed(server, HELLO, streams=2) as target:
        play(target, answered(target, 50), connections=5)
        for conn in list(target.connections)[:3]:
            target.retire(conn)
        assert (len(target.connections), len(target.lines)) == (2, 2)
        target.open_gate()
        assert target.wait_until(lambda: bool(target.in_flight), 60)
        for conn in list(target.connections):
            target.retire(conn)
        assert target.wait_until(lambda: not target.lines, 60)
