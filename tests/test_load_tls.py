"""Over TLS everything is counted as without: HTTP/1.1 and HTTP/2, however the records are cut."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sgibench.errors import ServerError
from sgibench.load.paces import ClosedPace
from sgibench.load.request import Program, Request, get, post
from sgibench.load.speaking import target_for
from sgibench.load.target import Target
from sgibench.model.terms import Protocol
from sgibench.serve import certificate
from tests.h2_server import Asked, Reference, speaking
from tests.loaded_target import answered, assert_accounted, play
from tests.requirements_for_tests import need_program
from tests.scripted_server import Script, ScriptedServer, Talk, answer, serving

BODY = b"Hello, World!"
OK = answer(BODY)
HELLO = get("/", expect=BODY)


@pytest.fixture(scope="module", name="server_side")
def make_server_side(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    need_program("openssl", "apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate.make(folder / "certificate.pem", folder / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
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
                assert server.connections == 2


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
