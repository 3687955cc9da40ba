"""Over TLS everything is counted as without: HTTP/1.1 and HTTP/2, however the records are cut."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import gevent
import pytest

from sgibench.errors import ServerError
from sgibench.load.arriving import open_loop
from sgibench.load.paces import ClosedPace
from sgibench.load.pacing import Schedule
from sgibench.load.request import Program, Request, get, post
from sgibench.load.slow import TICK_S, Crowd, Slow
from sgibench.load.speaking import target_for
from sgibench.load.target import Target
from sgibench.load.wire.tls import TlsSocket
from sgibench.model.terms import Protocol
from sgibench.serve import certificate
from tests.h2_server import Asked, Reference, speaking
from tests.loaded_target import answered, assert_accounted, assert_opened, play
from tests.requirements_for_tests import need_program
from tests.scripted_server import Script, ScriptedServer, Talk, answer, serving

BODY = b"Hello, World!"
OK = answer(BODY)
HELLO = get("/", expect=BODY)
CERTIFICATE: list[Path] = []
"""Certificate and key, once they are made."""


@pytest.fixture(scope="module", name="server_side")
def make_server_side(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    need_program("openssl", "apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    CERTIFICATE[:] = [folder / "certificate.pem", folder / "key.pem"]
    certificate.make(*CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE[0], CERTIFICATE[1])
    return context


def secured(context: ssl.SSLContext, plain: Script) -> Script:
    """The same script behind TLS."""

    def script(talk: Talk) -> None:
        try:
            talk.sock = context.wrap_socket(talk.sock, server_side=True)
        except ssl.SSLError as error:
            raise OSError(str(error)) from error
        plain(talk)

    return script


@contextmanager
def target_over(
    protocol: Protocol, server: ScriptedServer, *requests: Request, keep_alive: bool = True, timeout_s: float = 5.0
) -> Iterator[Target]:
    """A target that speaks a protocol."""
    program = Program(requests=requests, host=f"{server.host}:{server.port}", keep_alive=keep_alive)
    target = target_for(protocol, (server.host, server.port), program, streams=4, timeout_s=timeout_s)
    target.pace = ClosedPace(target)
    try:
        yield target
    finally:
        target.close()


@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept alive", "one connection each"])
def test_http1_over_tls_is_counted_as_the_server_counts(server_side: ssl.SSLContext, *, keep_alive: bool) -> None:
    def script(talk: Talk) -> None:
        while talk.request() is not None:
            talk.send(OK)

    with (
        serving(secured(server_side, script)) as server,
        target_over("https", server, HELLO, keep_alive=keep_alive) as target,
    ):
        play(target, answered(target, 300 if keep_alive else 40), connections=4)
        assert_accounted(target, server)
        assert not target.tally.errors
        assert (server.connections == 4) is keep_alive


def test_megabytes_go_out_and_come_in_over_tls(server_side: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 4096 * 3

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            talk.sock.sendall(answer(request.split(b"\r\n\r\n", 1)[1]))

    upload = post("/echo", body=body, expect=body)
    with serving(secured(server_side, script)) as server, target_over("https", server, upload) as target:
        play(target, answered(target, 5), connections=2)
        assert_accounted(target, server)
        assert not target.tally.errors


def test_an_answer_in_many_records_is_one_answer(server_side: ssl.SSLContext) -> None:
    def script(talk: Talk) -> None:
        at = 0
        while talk.request() is not None:
            at = at % (len(OK) - 1) + 1
            talk.send(OK[:at], OK[at:], pause_s=0.0)

    with serving(secured(server_side, script)) as server, target_over("https", server, HELLO) as target:
        play(target, answered(target, len(OK)))
        assert_accounted(target, server)
        assert not target.tally.errors


def echo(server: Reference, asked: Asked) -> None:
    server.answer(asked.stream, bytes(asked.body) or BODY)


def test_http2_over_tls_is_counted_as_the_server_counts(server_side: ssl.SSLContext) -> None:
    server_side.set_alpn_protocols(["h2", "http/1.1"])
    box: list[ScriptedServer] = []

    def note() -> None:
        box[0].note_request()

    large = post("/echo", body=b"x" * 500_000, expect=b"x" * 500_000)
    for request, enough in ((HELLO, 500), (large, 10)):
        box.clear()
        with serving(secured(server_side, speaking(echo, note))) as server:
            box.append(server)
            with target_over("h2", server, request) as target:
                play(target, answered(target, enough), connections=8)
                assert_accounted(target, server)
                assert not target.tally.errors
                assert_opened(target, server, 2)


@pytest.mark.parametrize("resumes", [False, True], ids=["full", "resumed"])
def test_http2_makes_a_handshake_for_each_request_and_says_goodbye(
    server_side: ssl.SSLContext, *, resumes: bool
) -> None:
    server_side.set_alpn_protocols(["h2", "http/1.1"])
    box: list[ScriptedServer] = []
    goodbyes: list[int | None] = []

    def note() -> None:
        box[0].note_request()

    def until_it_ends(talk: Talk) -> None:
        server = Reference()
        talk.sock.sendall(server.out())
        while data := talk.sock.recv(1 << 16):
            for asked in server.feed(data):
                note()
                server.answer(asked.stream, BODY)
            talk.sock.sendall(server.out())
        goodbyes.append(server.gone)

    with serving(secured(server_side, until_it_ends)) as server:
        box.append(server)
        program = Program(
            requests=(HELLO,),
            host=f"{server.host}:{server.port}",
            keep_alive=False,
            times_opening=True,
            resumes=resumes,
        )
        target = target_for("h2", (server.host, server.port), program, streams=1, timeout_s=5.0)
        target.pace = ClosedPace(target)
        try:
            play(target, answered(target, 60), connections=4)
            assert_accounted(target, server)
            assert not target.tally.errors
            assert target.standing == 0
            made = target.handshakes_counted()
            assert made is not None
            # One more for a connection that was opened when the gate closed, and never asked on.
            assert target.tally.requests <= sum(made.values()) <= target.tally.requests + 4
            assert made["full"] == 4 if resumes else made["resumed"] == 0
            assert target.wait_until(lambda: goodbyes.count(0) >= target.tally.requests, 60), goodbyes
        finally:
            target.close()


@pytest.mark.parametrize("at_rate", [False, True], ids=["closed loop", "open loop"])
def test_http2_with_a_connection_for_each_request_counts_what_goes_wrong_as_the_server_does(*, at_rate: bool) -> None:
    box: list[ScriptedServer] = []
    acts: Counter[str] = Counter()
    turns = itertools.count()

    def act(server: Reference, asked: Asked) -> None:
        box[0].note_request()
        what = ("right", "reset", "body", "right", "closed", "goaway")[next(turns) % 6]
        acts[what] += 1
        if what == "reset":
            server.h2.reset_stream(asked.stream, 2)
        elif what == "closed":
            raise OSError("hangs up")
        else:
            server.answer(asked.stream, BODY[::-1] if what == "body" else BODY)
            if what == "goaway":
                server.h2.close_connection(last_stream_id=asked.stream)

    with serving(speaking(act, lambda: None)) as server:
        box.append(server)
        program = Program(requests=(HELLO,), host=f"{server.host}:{server.port}", keep_alive=False)
        target = target_for("h2c", (server.host, server.port), program, streams=1, timeout_s=5.0)
        target.pace = ClosedPace(target)
        if at_rate:
            open_loop(target, Schedule(400.0, "uniform", 1, time.monotonic_ns()))
        try:
            play(target, lambda: target.tally.sent >= 90, connections=3)
            assert_accounted(target, server)
            wrong = {kind: acts[kind] for kind in ("reset", "body", "closed")}
            assert dict(target.tally.errors + target.outside.errors) == wrong
            assert target.tally.requests + target.outside.requests == acts["right"] + acts["goaway"]
            assert server.connections >= server.requests
        finally:
            target.close()


def test_streams_are_not_shared_by_requests_that_have_a_connection_each() -> None:
    program = Program(requests=(HELLO,), host="127.0.0.1:1", keep_alive=False)
    with pytest.raises(ValueError, match="one stream on each, not 4"):
        target_for("h2", ("127.0.0.1", 1), program, streams=4, timeout_s=1.0)


def refuse_tls(talk: Talk) -> None:
    talk.sock.recv(1 << 16)
    talk.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def hang_up(talk: Talk) -> None:
    talk.sock.recv(1 << 16)


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [(refuse_tls, "connect", "connecting failed"), (hang_up, "reset", "during the TLS handshake")],
)
def test_a_server_that_does_not_speak_tls_is_an_error_by_name(script: Script, kind: str, words: str) -> None:
    with serving(script) as server, target_over("https", server, HELLO) as target:
        target.attach()
        target.add()
        assert target.wait_until(lambda: target.outside.errors[kind] >= 2, 60)
        assert set(target.outside.errors) == {kind}
        assert words in target.outside.samples[kind]


def test_a_server_that_stalls_in_the_handshake_is_a_time_out() -> None:
    stalled = threading.Event()

    def script(talk: Talk) -> None:
        talk.sock.recv(1 << 16)
        stalled.wait(60)

    with serving(script) as server, target_over("https", server, HELLO, timeout_s=0.3) as target:
        target.attach()
        target.add()
        assert target.wait_until(lambda: target.outside.errors["timeout"] >= 1, 60)
        stalled.set()


def test_a_server_that_agrees_to_another_protocol_is_told_apart(server_side: ssl.SSLContext) -> None:
    server_side.set_alpn_protocols(["http/1.1"])
    with serving(secured(server_side, hang_up)) as server, target_over("h2", server, HELLO) as target:
        target.attach()
        target.add()
        assert target.wait_until(lambda: target.outside.errors["connect"] >= 1, 60)
        assert "expected the server to agree to h2 by ALPN" in target.outside.samples["connect"]


def test_without_openssl_no_server_is_started_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("shutil.which", nowhere)
    with pytest.raises(ServerError, match="openssl is not here: apt-get install openssl"):
        certificate.make(tmp_path / "certificate.pem", tmp_path / "key.pem")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_of_tls_1_3_is_offered_once_and_a_session_of_1_2_as_often_as_it_holds(
    server_side: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server_side.maximum_version = version
        first = _shaken(ours, theirs, server_side, None)
        assert first.session is not None
        again = _shaken(ours, theirs, server_side, first.session, reads=False)
        assert again.resumed
        assert not again.refused
        # The server may have crossed the ticket off; the next one has not been read.
        assert (again.session is None) is (version == ssl.TLSVersion.TLSv1_3)
        forgetful = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        forgetful.load_cert_chain(CERTIFICATE[0], CERTIFICATE[1])
        assert _shaken(ours, theirs, forgetful, first.session).refused
    server_side.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED


def _shaken(
    ours: socket.socket, theirs: socket.socket, context: ssl.SSLContext, session: object, *, reads: bool = True
) -> TlsSocket:
    """Shake hands over a pair of sockets, and with `reads` read what the server says then."""
    for sock in (ours, theirs):
        sock.settimeout(0)
        with suppress(BlockingIOError):
            sock.recv(1 << 16)  # of the connection before
    client = TlsSocket(ours, "http/1.1", session)  # type: ignore[arg-type]  # a session, or none
    server = context.wrap_socket(theirs.dup(), server_side=True, do_handshake_on_connect=False)
    with server:
        server.settimeout(0)
        done = False
        while not done:
            done = client.shake_hands()
            with suppress(ssl.SSLWantReadError):
                server.do_handshake()
        if reads:
            server.sendall(b"hello")
            assert client.recv(100) == b"hello"
    return client


def test_slow_clients_are_slow_over_tls_too(server_side: ssl.SSLContext) -> None:
    """They shake hands, ask, take a little at a time, and send a little at a time; a plain one never gets so far."""
    heads: list[bytes] = []

    def script(talk: Talk) -> None:
        heads.append(talk.sock.recv(4096).split(b" ")[0])
        talk.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
        while talk.sock.recv(4096):
            continue

    for protocol, expected in (("https", {b"GET", b"POST"}), ("http", set())):
        heads.clear()
        with serving(secured(server_side, script)) as server:
            slow = Slow(readers=1, writers=1, read_bytes=100, write_bytes=100)
            crowd = Crowd(slow, (server.host, server.port), protocol=protocol)  # type: ignore[arg-type]
            began = time.monotonic()
            crowd.start()
            deadline = began + 20
            while expected and not all(one.moved > 500 for one in crowd.clients) and time.monotonic() < deadline:
                gevent.sleep(0.05)
            gevent.sleep(0 if expected else 0.5)
            moved, standing = [one.moved for one in crowd.clients], crowd.standing
            most = 100 * ((time.monotonic() - began) / TICK_S + 2)
            crowd.stop()
        assert set(heads) == expected
        # A plain writer may have sent something before the server hung up; a plain reader has read no answer.
        assert all(500 < one <= most for one in moved) if expected else moved[0] < 100, (moved, most)
        assert not expected or standing == 2
