"""The verifier believes a right server and sees through a wrong one; every server here is real and speaks TCP."""

from __future__ import annotations

import contextlib
import importlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws

from sgibench import catalogue, verify
from sgibench.errors import DeclarationError, ServerError, UsageError
from sgibench.load.wire.answer import WireError
from sgibench.load.wire.reader import Reader
from sgibench.model import Exchange, Scenario
from sgibench.model.kinds import MOST_HEAD_BYTES
from sgibench.serve.process import ask_pid
from sgibench.verify import client
from sgibench.verify.client import ANSWER_TIMEOUT_S
from tests.scripted_server import Talk, always, serving
from tests.scripted_server import answer as written

HOST = "127.0.0.1"
CONTRACT = catalogue.home() / "apps" / "contract.py"


# --- servers to ask -------------------------------------------------------------------------------------------------


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that is overridden
        """Keep the test's output clean."""


@contextlib.contextmanager
def wsgiref(app: Any) -> Iterator[int]:
    """Serve a WSGI app with the standard library: HTTP/1.0, every connection closed; gives the port."""
    with make_server(HOST, 0, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def speaking(converse: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen, and hold the same conversation with every client; gives the port."""
    with socket.create_server((HOST, 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(30)  # far beyond what is waited for here
                    converse(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()


def saying(answer: bytes, *, keep: bool = False) -> Callable[[socket.socket], None]:
    """Give the same bytes to every request."""

    def converse(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(answer)
            if not keep:
                return

    return converse


def answer(body: bytes = b"Hello, World!", *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(headers or ("Content-Type: text/plain",)), "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plain WSGI app with a new database."""
    monkeypatch.syspath_prepend(str(CONTRACT.parent))
    monkeypatch.setenv("SGIBENCH_DATA", str(tmp_path))
    importlib.import_module("contract").items.cache_clear()
    return importlib.import_module("wsgi_plain").app


def exchange(path: str = "/plaintext", expected: bytes | None = b"Hello, World!", **more: Any) -> Exchange:
    fields: dict[str, Any] = {"method": "GET", "headers": (), "body": b"", "status": 200, **more}
    return Exchange(name=path, path=path, expected_body=expected, **fields)


def scenario(*exchanges: Exchange, name: str = "plaintext") -> Scenario:
    return Scenario(
        id=name, summary="", path=Path(f"{name}.py"), exchanges=exchanges, floor_s=0, interfaces=("wsgi", "asgi")
    )


# --- scenarios ------------------------------------------------------------------------------------------------------


def test_a_right_server_passes(plain: Any) -> None:
    asked = scenario(exchange(), exchange("/echo", b"ping", method="POST", body=b"ping"), exchange("/page", None))
    with wsgiref(plain) as port:
        verify.verify_scenario(HOST, port, asked, keep_alive=False)
    with speaking(saying(answer(), keep=True)) as port:
        verify.verify_scenario(HOST, port, scenario(exchange()), keep_alive=True)


@pytest.mark.parametrize(
    ("wire", "sentence"),
    [
        (answer(b"Hello, Wurld!"), "expected 13 bytes b'Hello, World!', but 13 bytes b'Hello, Wurld!' came"),
        (answer(b"Hello, World"), "expected 13 bytes b'Hello, World!', but 12 bytes b'Hello, World' came"),
        (answer(b"no", status="500 Oh"), "expected status 200, but 500 came with 2 bytes b'no'"),
        (answer(b"Hello, World!", "Server: x"), "expected a Content-Type, but none came"),
        (answer()[:-1], "expected an HTTP/1.1 answer, but peer closed connection"),
        (answer() + b"!!", "expected nothing after the answer's end, but 2 bytes more came: b'!!'"),
        (answer(b"", f"X: {'x' * 400_000}"), "expected a head, or a line of framing, of at most 64 KiB, but "),
        (b"", "expected an answer, but the connection was closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "expected an HTTP/1.1 answer, but illegal status line"),
        (answer(b"x", "Content-Length: 5"), "expected an HTTP/1.1 answer, but conflicting Content-Length headers"),
    ],
)
def test_a_wrong_answer_is_told_in_one_sentence(wire: bytes, sentence: str) -> None:
    with speaking(saying(wire)) as port, pytest.raises(ServerError) as caught:
        verify.verify_scenario(HOST, port, scenario(exchange()), keep_alive=False)
    assert caught.value.reason == "wrong-answer"
    assert caught.value.detail.startswith("GET /plaintext: ")
    assert sentence in caught.value.detail


def test_an_answer_may_come_in_chunks_or_end_with_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n6\r\nHello,\r\n7\r\n World!\r\n0\r\n\r\n"
    until_closed = head + b"\r\nHello, World!"
    for wire in (chunked, until_closed):
        with speaking(saying(wire)) as port:
            verify.verify_scenario(HOST, port, scenario(exchange()), keep_alive=False)


def test_a_connection_that_is_not_kept_as_declared_is_wrong() -> None:
    for wire in (answer(b"Hello, World!", "Content-Type: a/b", "Connection: close"), answer()):
        with speaking(saying(wire)) as port, pytest.raises(ServerError, match="connection"):
            verify.verify_scenario(HOST, port, scenario(exchange()), keep_alive=True)


def test_a_connection_that_is_kept_though_declared_closed_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "CLOSE_WITHIN_S", 0.1)
    with speaking(saying(answer(), keep=True)) as port, pytest.raises(ServerError, match="but it keeps it"):
        verify.verify_scenario(HOST, port, scenario(exchange()), keep_alive=False)


def test_a_scenario_that_asks_for_the_end_of_each_connection_may_get_it() -> None:
    asked = scenario(exchange(headers=(("Connection", "close"),)))
    with speaking(saying(answer(b"Hello, World!", "Content-Type: a/b", "Connection: close"))) as port:
        verify.verify_scenario(HOST, port, asked, keep_alive=True)


def test_a_server_that_is_gone_is_told_so() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServerError, match=r"crashed: GET /plaintext: no connection \(Connection refused\)"):
        verify.verify_scenario(HOST, port, scenario(exchange()), keep_alive=True)


def test_a_server_that_hangs_or_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ANSWER_TIMEOUT_S <= 5
    monkeypatch.setattr(client, "ANSWER_TIMEOUT_S", 0.3)

    def hang(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    def trickle(connection: socket.socket) -> None:
        for byte in answer(b"x" * 1000):
            connection.sendall(bytes([byte]))
            time.sleep(0.01)

    for converse in (hang, trickle):
        with (
            speaking(converse) as port,
            pytest.raises(ServerError, match="hung: GET /plaintext: no whole answer within"),
        ):
            verify.verify_scenario(HOST, port, scenario(exchange()), keep_alive=True)


def test_an_answer_that_comes_before_its_time_is_wrong() -> None:
    with (
        speaking(saying(answer(b"queried 400 ms"))) as port,
        pytest.raises(ServerError, match="an answer after 400 ms"),
    ):
        verify.verify_scenario(HOST, port, scenario(exchange(expected=b"queried 400 ms", least_s=0.4)), keep_alive=True)


# --- scenarios of tasks ---------------------------------------------------------------------------------------------


def test_a_scenario_of_tasks_is_checked_by_its_part_of_the_contract(plain: Any) -> None:
    with wsgiref(plain) as port:
        verify.verify_scenario(HOST, port, scenario(name="crud"), keep_alive=False)
    with wsgiref(mangling(plain, "/items")) as port, pytest.raises(ServerError, match=r"wrong-answer: .*/items"):
        verify.verify_scenario(HOST, port, scenario(name="crud"), keep_alive=False)


def test_a_scenario_of_tasks_that_the_contract_does_not_know_is_left_to_itself() -> None:
    with speaking(saying(answer(b"an app of the user's own"))) as port:
        verify.verify_scenario(HOST, port, scenario(name="checkout"), keep_alive=False)


# --- the whole contract ---------------------------------------------------------------------------------------------


def mangling(app: Any, prefix: str) -> Callable[..., list[bytes]]:
    """Wrap an app so that every answer under that prefix has one byte changed, and nothing else."""

    def mangled(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = b"".join(app(environ, start_response))
        if environ["PATH_INFO"].startswith(prefix) and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        return [body]

    return mangled


def wrong(port: int, only: list[str] | None = None) -> list[str]:
    """Names of the checks that found something wrong."""
    problems = verify.verify_contract(HOST, port, "wsgi", CONTRACT, only, keep_alive=False)
    return [problem.check for problem in problems if problem.severity == "wrong"]


def test_the_contract_holds_on_the_reference_server(plain: Any) -> None:
    with wsgiref(plain) as port:
        assert wrong(port) == []


@pytest.mark.parametrize(
    ("check", "prefix"),
    [
        *((name, f"/{name}") for name in ("plaintext", "json", "bytes", "echo", "upload", "wait", "cpu", "page")),
        *((name, f"/{name}") for name in ("static", "items", "stream")),
        ("pid", "/pid"),
        ("unknown", "/nothing"),
    ],
)
def test_one_wrong_byte_is_found(plain: Any, check: str, prefix: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if prefix == "/pid" and environ["PATH_INFO"] == "/pid":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"my process"]
        return mangling(plain, prefix)(environ, start_response)

    with wsgiref(app) as port:
        assert set(wrong(port, [check])) == {check}


@pytest.mark.parametrize("lost", ["Content-Type", "Content-Length", "Location", "Allow"])
def test_a_lost_header_is_found(plain: Any, lost: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        def without(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [header for header in headers if header[0] != lost], *more)

        # Two pieces, because wsgiref adds the length of a single one by itself.
        return [*plain(environ, without), b""]

    with wsgiref(app) as port:
        problems = verify.verify_contract(HOST, port, "wsgi", CONTRACT, ["plaintext", "items"], keep_alive=False)
    assert any(f"expected {lost}: " in problem.detail and "none came" in problem.detail for problem in problems)


def test_an_answer_before_its_time_is_found(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("contract")
    honest = module.PREFIXED["/wait"]["GET"]
    hasty = {"GET": lambda *asked: honest(*asked)._replace(wait_s=0)}
    monkeypatch.setitem(module.PREFIXED, "/wait", hasty)
    with wsgiref(plain) as port:
        problems = verify.verify_contract(HOST, port, "wsgi", CONTRACT, ["wait"], keep_alive=False)
    assert [problem.severity for problem in problems] == ["wrong"]
    assert "expected an answer after 40 ms at the earliest" in problems[0].detail


def test_a_stream_that_comes_all_at_once_is_worth_a_note(plain: Any) -> None:
    def hoarding(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return [b"".join(plain(environ, start_response))]

    for app, severities in ((plain, []), (hoarding, ["note"])):
        with wsgiref(app) as port:
            problems = verify.verify_contract(HOST, port, "wsgi", CONTRACT, ["stream"], keep_alive=False)
        events = [problem for problem in problems if "50 ms apart" in problem.detail]
        assert [problem.severity for problem in events] == severities


def test_a_file_from_outside_is_found(plain: Any) -> None:
    def leaking(environ: dict[str, Any], start_response: Any) -> Any:
        if ".." in environ["PATH_INFO"]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"secret"]
        return plain(environ, start_response)

    with wsgiref(leaking) as port:
        assert wrong(port, ["static"])


def test_a_chunked_body_that_wsgi_cannot_read_is_only_a_note(plain: Any) -> None:
    with wsgiref(plain) as port:
        problems = verify.verify_contract(HOST, port, "wsgi", CONTRACT, ["chunked"], keep_alive=False)
    assert [problem.severity for problem in problems] == ["note"]


def test_a_lost_exception_is_found(plain: Any) -> None:
    def forgiving(environ: dict[str, Any], start_response: Any) -> Any:
        try:
            return plain(environ, start_response)
        except RuntimeError:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"all is well"]

    with wsgiref(forgiving) as port:
        assert wrong(port, ["error"]) == ["error"]


def test_a_connection_policy_other_than_declared_is_found(plain: Any) -> None:
    with wsgiref(plain) as port:
        problems = verify.verify_contract(HOST, port, "wsgi", CONTRACT, ["keep-alive"], keep_alive=True)
    assert [problem.detail for problem in problems] == [
        "GET /plaintext: expected the connection to be kept, but it was closed"
    ]


def test_a_dead_server_is_a_problem_of_every_check_and_no_crash() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    assert set(wrong(port)) == set(verify.CHECKS) - {"websocket", "broadcast"}


# --- WebSocket ------------------------------------------------------------------------------------------------------


def echoing(reply: Callable[[str | bytes], str | bytes | None]) -> Callable[[socket.socket], None]:
    """Speak WebSocket as a server and answer each message with `reply`; None for not at all."""

    def converse(connection: socket.socket) -> None:
        protocol = WSConnection(ConnectionType.SERVER)
        message: str | bytes = ""
        while data := connection.recv(65536):
            protocol.receive_data(data)
            for event in protocol.events():
                if isinstance(event, ws.Request):
                    connection.sendall(protocol.send(ws.AcceptConnection()))
                    connection.sendall(protocol.send(ws.Ping(payload=b"still there?")))
                elif isinstance(event, ws.CloseConnection):
                    connection.sendall(protocol.send(event.response()))
                    return
                elif isinstance(event, (ws.TextMessage, ws.BytesMessage)):
                    piece = event.data if isinstance(event, ws.TextMessage) else bytes(event.data)
                    message = message + piece if message else piece  # type: ignore[operator]
                    if event.message_finished:
                        told, message = reply(message), ""
                        if told is None:
                            continue
                        sent = ws.TextMessage(data=told) if isinstance(told, str) else ws.BytesMessage(data=told)
                        connection.sendall(protocol.send(sent))

    return converse


def test_a_websocket_echo_is_believed_and_a_wrong_one_found() -> None:
    for reply, found in (
        (lambda message: message, []),
        (lambda message: message[::-1], ["wrong", "wrong"]),
        (lambda message: message.encode() if isinstance(message, str) else message, ["wrong", "wrong", "note"]),
    ):
        with speaking(echoing(reply)) as port:
            problems = verify.verify_contract(HOST, port, "asgi", CONTRACT, ["websocket"])
        assert [problem.severity for problem in problems] == found


def test_a_message_without_an_answer_is_named() -> None:
    with speaking(echoing(lambda message: message or None)) as port:
        (problem,) = verify.verify_contract(HOST, port, "asgi", CONTRACT, ["websocket"])
    assert problem.severity == "note"
    assert problem.detail == "WebSocket /ws, an empty message: no whole answer within 5 s"


def test_a_refused_websocket_is_told_with_its_status() -> None:
    with speaking(saying(answer(b"", status="404 Not Found"))) as port:
        problems = verify.verify_contract(HOST, port, "asgi", CONTRACT, ["websocket"])
    assert problems[0].detail == "WebSocket /ws: expected status 101, but 404 came"


# --- wrong use ------------------------------------------------------------------------------------------------------


def test_an_unknown_check_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown check 'jsn': there are plaintext, json"):
        verify.verify_contract(HOST, 1, "wsgi", CONTRACT, ["jsn"])


def test_a_missing_contract_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="there is no such file"):
        verify.verify_contract(HOST, 1, "wsgi", tmp_path / "contract.py")


# --- answers that nobody should give ----------------------------------------------------------------------------------

ODD_BODIES = (
    b"[1,2]", b"[[],[]]", b"null", b"5", b'"text"', b"{}", b'{"id":[]}', b'{"id":"a b\\r\\nc"}', b'{"id":"\\ud800"}',
    b'{"id":"' + b"x" * 5000 + b'"}', b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b'{"id":' + b"9" * 5000 + b"}",
    b"NaN", b"\xff\xfe", b"", b'[{"id":1,"name":"a","quantity":2},5]', b'{"listeners":1}',
)  # fmt: skip


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted"])
@pytest.mark.parametrize("body", ODD_BODIES, ids=lambda body: str(body[:12]))
def test_whatever_a_server_answers_is_a_finding_and_no_crash(body: bytes, status: str) -> None:
    """One that ended the verifier would end the run, and with it the trials of all others."""
    given = written(body, status, "Content-Type: application/json")
    with serving(always(given)) as server:
        asked = ("items", "raise", "jobs", "pid")
        found = [*verify.verify_contract(HOST, server.port, "wsgi", CONTRACT, asked, keep_alive=True)]
        assert isinstance(ask_pid(server.port), str) or body == b"5"
    assert any(problem.severity == "wrong" for problem in found)
    assert all("\n" not in str(problem) for problem in found)


def test_headers_that_are_no_ascii_are_asked_and_those_that_can_not_be_are_told() -> None:
    with serving(always(written(b"ok"))) as server, client.Client(HOST, server.port) as asking:
        told = asking.ask(client.Question(method="GET", path="/", headers=(("X", "caf\xe9"),)))
        assert told.body == b"ok"
        with pytest.raises(ServerError, match="can't be asked with these headers"):
            asking.ask(client.Question(method="POST", path="/", body=b"x", headers=(("Content-Length", "5"),)))


def test_an_answer_without_end_is_given_up_and_never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(talk: Talk) -> None:
        talk.request()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            talk.send(b"x" * 65536)

    monkeypatch.setattr(client, "MOST_BYTES", 1 << 20)
    with serving(endless) as server:
        with client.Client(HOST, server.port) as asking, pytest.raises(ServerError, match="and it goes on"):
            asking.ask(client.Question(method="GET", path="/"))
        assert "its answer does not end" in str(ask_pid(server.port, timeout_s=0.2))


def with_head(size: int) -> bytes:
    """A right answer whose head has so many bytes."""
    rest = len(written(b"ok", "200 OK", "X: ")) - len(b"ok")
    return written(b"ok", "200 OK", f"X: {'x' * (size - rest)}")


def with_line(size: int) -> bytes:
    """A right answer in chunks, one line of whose framing has so many bytes."""
    line = b"2;x=" + b"y" * (size - 6) + b"\r\n"
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + line + b"ok\r\n0\r\n\r\n"


@pytest.mark.parametrize("made", [with_head, with_line])
@pytest.mark.parametrize("size", [4097, MOST_HEAD_BYTES, MOST_HEAD_BYTES + 1, 2 * MOST_HEAD_BYTES - 1, 200_000])
def test_a_head_or_a_line_is_read_before_the_load_just_where_it_is_read_under_load(
    made: Callable[[int], bytes], size: int
) -> None:
    given, fits = made(size), size <= MOST_HEAD_BYTES
    limit = "expected a head, or a line of framing, of at most 64 KiB, but "
    for piece in (1 << 20, 1000):
        reader = Reader()
        pieces = [given[at : at + piece] for at in range(0, len(given), piece)]
        with contextlib.nullcontext() if fits else pytest.raises(WireError, match="of at most 64 KiB"):
            assert any(reader.feed(one) for one in pieces)
    with (
        serving(always(given)) as server,
        client.Client(HOST, server.port) as asking,
        contextlib.nullcontext() if fits else pytest.raises(ServerError, match=limit),
    ):
        assert asking.ask(client.Question(method="GET", path="/")).body == b"ok"
