"""Servers that go wrong once in very many times: each fault has its name, and the books of both sides agree."""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from sgibench.engine.orders import Measured
from sgibench.engine.trials import judge
from sgibench.load.broadcast import BroadcastPace, Fanned, OpenBroadcastPace
from sgibench.load.choir import Choir
from sgibench.load.request import Program, Request, get, post
from sgibench.load.target import Target
from sgibench.load.wire.frames import ACCEPT, HANDSHAKE, accepted
from sgibench.load.wire.h2.frames import Type, frame
from sgibench.model import Held
from tests.h2_server import Asked, Reference
from tests.loaded_target import assert_accounted, folded, play, target_of
from tests.scripted_server import Script, Talk, answer, serving
from tests.test_load_multiplexed import multiplexed

# --- a broadcast ------------------------------------------------------------------------------------------------------

LISTENERS = 64
AT = 10_003
"""Which delivery goes wrong, of messages that all of them hear."""
SIZE = 64


PATH = "/ws/broadcast"
OPENING = Request(method="GET", path=PATH, headers=HANDSHAKE, status=101, expect=accepted)


class Hall(threading.Thread):
    """A server of one broadcast in one thread, without any library: it knows what it owed, and to whom."""

    def __init__(self, wrong: dict[int, str]) -> None:
        """`wrong` says which deliveries go wrong, and how."""
        super().__init__(daemon=True)
        self.wrong = wrong
        self.owed = 0
        """Deliveries that an honest server would have made."""
        self.right = 0
        """Those that it made as it should, to listeners of which none had gone wrong before."""
        self._spoilt: set[socket.socket] = set()
        self.listeners: list[socket.socket] = []
        self.late: dict[socket.socket, bytes] = {}
        self._sockets = selectors.DefaultSelector()
        self._door = socket.create_server(("127.0.0.1", 0), backlog=4 * LISTENERS)
        self._door.settimeout(5)
        self.host, self.port = self._door.getsockname()
        self._heard: dict[socket.socket, bytes] = {}
        self._ends = threading.Event()
        self._sockets.register(self._door, selectors.EVENT_READ)
        self.start()

    def run(self) -> None:
        while not self._ends.is_set():
            for key, _ in self._sockets.select(0.05):
                if key.fileobj is self._door:
                    sock, _ = self._door.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.settimeout(0)  # what is sent is small, and is read
                    self._heard[sock] = b""
                    self._sockets.register(sock, selectors.EVENT_READ)
                elif key.fileobj in self._heard:
                    try:
                        self._read(key.fileobj)
                    except OSError:
                        self._leave(key.fileobj)

    def close(self) -> None:
        self._ends.set()
        self.join(20)
        assert not self.is_alive()
        for sock in [*self._heard, self._door]:
            sock.close()

    def _read(self, sock: socket.socket) -> None:
        data = sock.recv(1 << 16)
        if not data:
            self._leave(sock)
            return
        heard = self._heard[sock] + data
        if sock not in self.listeners:
            if b"\r\n\r\n" not in heard:
                self._heard[sock] = heard
                return
            heard = heard.partition(b"\r\n\r\n")[2]
            sock.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n\r\n\x81\x06joined"
            )
            self.listeners.append(sock)
        while len(heard) >= SIZE + 6:  # two bytes of head and four of the mask
            message, heard = heard[: SIZE + 6], heard[SIZE + 6 :]
            mask = message[2:6] * (SIZE // 4)
            self._send_on(bytes(a ^ b for a, b in zip(message[6:], mask, strict=True)))
        self._heard[sock] = heard

    def _leave(self, sock: socket.socket) -> None:
        self._sockets.unregister(sock)
        self._heard.pop(sock)
        self.late.pop(sock, None)
        if sock in self.listeners:
            self.listeners.remove(sock)
        sock.close()

    def _send_on(self, body: bytes) -> None:
        for sock in tuple(self.listeners):
            if self._gone(sock):
                self._leave(sock)
                continue
            self.owed += 1
            data = b"\x82%c" % len(body) + body
            late = self.late.pop(sock, b"")
            how = self.wrong.get(self.owed, "")
            self.right += sock not in self._spoilt and how in {"", "doubled"}
            if how:
                self._spoilt.add(sock)
            with suppress(OSError):
                self._deliver(sock, data, how)
                if late:
                    sock.sendall(late)

    @staticmethod
    def _gone(sock: socket.socket) -> bool:
        try:
            return sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _deliver(self, sock: socket.socket, data: bytes, how: str) -> None:
        if how == "reordered":
            self.late[sock] = data
        elif how == "cut":
            sock.sendall(data[: SIZE // 2])
            sock.shutdown(socket.SHUT_RDWR)
        elif how != "dropped":
            sock.sendall(
                {
                    "doubled": data * 2,
                    "truncated": b"\x82%c" % (SIZE - 1) + data[2:-1],
                    "another byte": data[:-1] + b"\xff",
                    "as text": b"\x81" + data[1:],
                    "a bad frame": b"\xf2" + data[1:],
                    "masked": b"\x82%c" % (SIZE | 0x80) + bytes(4) + data[2:],
                }.get(how, data)
            )


@contextmanager
def listening_to(hall: Hall, *, rate_per_s: float | None = None, timeout_s: float = 1.0) -> Iterator[Target]:
    said = Request(method="WS", path=PATH, body=bytes(SIZE), name=PATH)
    program = Program(requests=(said,), host=f"{hall.host}:{hall.port}", handshake=OPENING)
    target = Target(hall.host, hall.port, program, timeout_s=timeout_s)
    choir = Choir(target, text=False, deflate=False)
    target.pace = BroadcastPace(choir)
    try:
        target.attach()
        for _ in range(LISTENERS):
            target.add()
        assert target.wait_until(lambda: len(hall.listeners) == LISTENERS, 20)
        target.begin_count()
        if rate_per_s is not None:
            target.detach()
            schedule = Fanned(rate_per_s, "uniform", 1, time.monotonic_ns(), fan=LISTENERS)
            target.pace = OpenBroadcastPace(choir, schedule)
            target.attach()
        target.open_gate()
        yield target
    finally:
        target.close()
        hall.close()


def hear(target: Target, enough: int) -> None:
    """Go on until so many deliveries were right, and all that is owed is heard or given up."""
    assert target.wait_until(folded(target, lambda: target.tally.requests >= enough), 120), dict(target.tally.errors)
    target.close_gate()
    target.wait_until(lambda: target.drained, 30)
    target.give_up_rest()
    target.end_count()


def assert_owed(hall: Hall, target: Target) -> None:
    """What the server owed is accounted for; a message may have left before either knew that a listener had gone."""
    left = target.tally.sent + target.uncounted.total() - hall.owed
    assert 0 <= left <= (target.tally.errors + target.outside.errors)["leftover"]


ONCE: dict[str, tuple[str, str]] = {
    # what a server does to one delivery of ten thousand: what that counts as, and words of the example
    "dropped": ("timeout", "did not hear the message in time"),
    "doubled": ("leftover", "came again"),
    "truncated": ("body", "expected message"),
    "another byte": ("body", "expected message"),
    "as text": ("protocol", ""),  # its number is no UTF-8
    "a bad frame": ("protocol", ""),
    "masked": ("protocol", ""),
    "cut": ("closed", "ended before it heard"),
    "reordered": ("body", "those between are lost"),
}


@pytest.mark.parametrize("how", ONCE)
def test_one_wrong_delivery_in_ten_thousand_is_found_and_no_other_is_lost(how: str) -> None:
    kind, words = ONCE[how]
    # A closed loop has one message under way, so only an open one can be told in another order.
    at, rate_per_s = (AT, None) if how != "reordered" else (1003, 3200.0)
    hall = Hall({at: how})
    with listening_to(hall, rate_per_s=rate_per_s, timeout_s=1.0 if how == "dropped" else 20.0) as target:
        hear(target, at + 100)
        errors = target.tally.errors + target.outside.errors
        assert hall.right == target.tally.requests + target.outside.requests
        assert set(errors) <= {kind, "closed"}  # what was under way to the listener then is lost with its connection
        assert errors[kind] == 1
        assert words in str({**target.outside.samples, **target.tally.samples})
        if rate_per_s is None:
            assert target.tally.failures <= 1
            assert_owed(hall, target)


def test_the_books_balance_whatever_goes_wrong_wherever() -> None:
    dice = random.Random(16)
    kinds = [how for how in ONCE if how not in {"dropped", "reordered"}]
    hall = Hall({at: dice.choice(kinds) for at in dice.sample(range(20, 3000), 60)})
    with listening_to(hall, timeout_s=20.0) as target:
        hear(target, 3000)
        assert hall.right == target.tally.requests + target.outside.requests
        assert_owed(hall, target)
        errors = target.tally.errors + target.outside.errors
        assert "timeout" not in errors
        assert errors.total() >= 60


# --- HTTP/1.1 ---------------------------------------------------------------------------------------------------------

BODY = bytes(range(256)) * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = answer(BODY)


def cut(data: bytes) -> Callable[[Talk], None]:
    return lambda talk: talk.send(data)


def reset(talk: Talk) -> None:
    talk.send(WHOLE[:5000])
    time.sleep(0.05)  # let it be read: what waits unread is lost with a reset
    talk.reset()


def stalled(data: bytes) -> Callable[[Talk], None]:
    def script(talk: Talk) -> None:
        talk.send(data)
        talk.sock.recv(1)  # until the client hangs up

    return script


ONE_BAD: dict[str, tuple[Callable[[Talk], None], str]] = {
    "cut short": (cut(WHOLE[:100_000]), "closed"),
    "cut short in its head": (cut(WHOLE[:20]), "closed"),
    "chunks cut short": (cut(CHUNKED + b"ffff\r\n" + BODY[:1000]), "closed"),
    "reset": (reset, "reset"),
    "a bad chunk": (cut(CHUNKED + b"10\r\n" + BODY[:16] + b"\r\nzz\r\n"), "protocol"),
    "a chunk too long": (cut(CHUNKED + b"10\r\n" + BODY[:17] + b"\r\n0\r\n\r\n"), "protocol"),
    "no chunk any more": (stalled(CHUNKED + b"10\r\n" + BODY[:16] + b"\r\n"), "timeout"),
    "nothing any more": (stalled(WHOLE[:100_000]), "timeout"),
    "another byte": (cut(answer(BODY[:-1] + b"!")), "body"),
    "a byte less": (cut(answer(BODY[:-1])), "length"),
    "a byte more": (cut(WHOLE + b"!"), "leftover"),
    "no HTTP": (cut(b"\x15\x03\x01\x00\x02\x02\x46"), "protocol"),
}


def bad_once(bad: Callable[[Talk], None], at: int) -> Script:
    """Answer all requests but one, however many connections they come on."""
    count = 0
    lock = threading.Lock()

    def script(talk: Talk) -> None:
        nonlocal count
        while talk.request() is not None:
            with lock:
                count += 1
                mine = count == at
            if mine:
                bad(talk)
                return
            talk.send(WHOLE)

    return script


@pytest.mark.parametrize("name", ONE_BAD)
def test_one_download_gone_wrong_is_one_error_of_its_name(name: str) -> None:
    bad, kind = ONE_BAD[name]
    with (
        serving(bad_once(bad, 101)) as server,
        target_of(server, get("/", expect=BODY), timeout_s=1.0 if kind == "timeout" else 20.0) as target,
    ):
        play(target, lambda: target.tally.requests >= 150 and server.connections >= 5, connections=4)
        assert dict(target.tally.errors) == {kind: 1}
        assert_accounted(target, server)
        assert server.connections == 5


UPLOAD = post("/", body=bytes(16 << 20), expect=b"ok")
"""More than sockets hold."""
TCP_CLOSE = 7


@pytest.mark.parametrize(
    ("said", "errors"),
    [
        (answer(b"ok"), {}),
        (answer(b"", "413 Content Too Large"), {"status": 1}),
        (answer(b"no"), {"body": 1}),
        (b"", {"closed": 1}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", {"closed": 1}),
    ],
    ids=["right", "refused", "wrong", "nothing", "half"],
)
def test_an_upload_that_is_answered_before_it_was_read_is_judged_by_its_answer(
    said: bytes, errors: dict[str, int]
) -> None:
    early: list[int] = []

    def script(talk: Talk) -> None:
        if talk.number == 1:
            talk.sock.recv(1000)
            early.append(talk.number)
            talk._server.note_request()
            talk.send(said)
            if "closed" in errors:
                talk.sock.shutdown(socket.SHUT_WR)
            while talk.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_CLOSE:
                time.sleep(0.002)  # the client sends no more of it, and hangs up
            return
        while talk.request() is not None:
            talk.send(answer(b"ok"))

    with serving(script) as server, target_of(server, UPLOAD, timeout_s=20.0) as target:
        play(target, lambda: target.tally.requests >= 6 and server.connections >= 3, connections=2)
        assert dict(target.tally.errors) == errors
        assert_accounted(target, server)
        assert len(early) == 1
        assert server.connections == 3


# --- HTTP/2 -----------------------------------------------------------------------------------------------------------

HELLO = b"Hello, World!"


def first_connection(bad: Callable[[Reference, Asked, Talk], bool], after: int = 100) -> Callable[[Any], Script]:
    """Answer; on the first connection, what comes after so many requests is `bad`'s, until it says that it is over."""

    def script_for(box: list[Any]) -> Script:
        def script(talk: Talk) -> None:
            server = Reference()
            talk.sock.sendall(server.out())
            asked_here = 0
            while data := talk.sock.recv(1 << 16):
                for asked in server.feed(data):
                    asked_here += 1
                    box[0].note_request()
                    if talk.number == 0 and asked_here > after:
                        if bad(server, asked, talk):
                            hang_up_softly(talk)
                            return
                    else:
                        server.answer(asked.stream, HELLO)
                talk.sock.sendall(server.out())

        return script

    return script_for


def hang_up_softly(talk: Talk) -> None:
    """Say no more, and listen until the client has gone: what is not read would reset the connection."""
    talk.sock.shutdown(socket.SHUT_WR)
    while talk.sock.recv(1 << 16):
        pass


def head_and_half(asked: Asked) -> bytes:
    key = asked.stream.to_bytes(4, "big")
    return frame(Type.HEADERS, 4, key, b"\x88") + frame(Type.DATA, 0, key, HELLO[:5])


def grows_a_window_too_far(server: Reference, asked: Asked, talk: Talk) -> bool:
    """Break flow control; DATA past a window is named by tests of the session, since here each piece opens it anew."""
    key = asked.stream.to_bytes(4, "big")
    more = frame(Type.WINDOW_UPDATE, 0, key, b"\x7f\xff\xff\xff")
    talk.sock.sendall(server.out() + head_and_half(asked) + more)
    return True


def goes_away_in_the_middle(server: Reference, asked: Asked, talk: Talk) -> bool:
    last = asked.stream.to_bytes(4, "big")
    talk.sock.sendall(server.out() + head_and_half(asked) + frame(Type.GOAWAY, 0, b"\0" * 4, last + b"\0\0\0\x02bug"))
    return True


def a_bad_frame(server: Reference, asked: Asked, talk: Talk) -> bool:
    talk.sock.sendall(server.out() + head_and_half(asked) + b"\xff\xff\xff\x00\x00" + asked.stream.to_bytes(4, "big"))
    return True


def resets_in_the_middle(server: Reference, asked: Asked, talk: Talk) -> bool:
    key = asked.stream.to_bytes(4, "big")
    talk.sock.sendall(server.out() + head_and_half(asked) + frame(Type.RST_STREAM, 0, key, b"\0\0\0\x0b"))
    return True


def only_pings(server: Reference, asked: Asked, talk: Talk) -> bool:
    del asked
    with suppress(OSError):
        while True:
            talk.sock.sendall(server.out() + frame(Type.PING, 0, b"\0" * 4, b"12345678"))
            time.sleep(0.05)
    return True


H2_BAD: dict[str, tuple[Callable[[Reference, Asked, Talk], bool], set[str], str]] = {
    "grows a window too far": (grows_a_window_too_far, {"protocol"}, "FLOW_CONTROL_ERROR"),
    "goes away in the middle": (goes_away_in_the_middle, {"closed"}, "INTERNAL_ERROR b'bug'"),
    "a bad frame": (a_bad_frame, {"protocol"}, "FRAME_SIZE_ERROR"),
    "resets in the middle": (resets_in_the_middle, {"reset", "closed"}, "ENHANCE_YOUR_CALM"),
    "only pings": (only_pings, {"timeout"}, "no whole answer within"),
}


@pytest.mark.parametrize("name", H2_BAD)
def test_http2_gone_wrong_in_the_middle_has_its_name_and_costs_what_was_in_flight(name: str) -> None:
    bad, kinds, words = H2_BAD[name]
    box: list[Any] = []
    with (
        serving(first_connection(bad)(box)) as server,
        multiplexed(server, get("/", expect=HELLO), streams=4, timeout_s=1.0 if "timeout" in kinds else 20.0) as target,
    ):
        box.append(server)
        wanted = 100 if name == "only pings" else 150  # a connection that is alive, if only just, is kept
        play(target, lambda: target.tally.requests >= wanted and target.tally.errors.total() >= 1, connections=4)
        errors = target.tally.errors
        assert set(errors) <= kinds
        # Of the four streams, as many were in flight as the server had not answered together with what is wrong.
        assert target.tally.sent == target.tally.requests + errors.total()
        assert words in str(target.tally.samples)
        # What the server had not read when it broke is an error of the client's, and unknown to the server.
        assert 0 <= target.tally.sent + target.uncounted.total() - server.requests <= errors.total()


def test_an_upload_over_http2_whose_window_never_opens_is_a_time_out_that_says_so() -> None:
    begun: list[int] = []

    def script(talk: Talk) -> None:
        server = Reference()
        server.h2.acknowledge_received_data = lambda *_: None  # type: ignore[method-assign]
        talk.sock.sendall(server.out())
        with suppress(OSError):
            while data := talk.sock.recv(1 << 16):
                before = len(server.asked)
                server.feed(data)
                begun.extend([talk.number] * (len(server.asked) - before))
                talk.sock.sendall(server.out())

    with serving(script) as server, multiplexed(server, UPLOAD, streams=2, timeout_s=2.0) as target:
        play(target, lambda: target.tally.errors.total() >= 4, connections=2)
        assert set(target.tally.errors) == {"timeout"}
        assert "window is shut for the last" in target.tally.samples["timeout"]
        assert target.tally.requests == 0
        assert len(begun) == target.tally.sent + target.uncounted.total()


# --- held beside ------------------------------------------------------------------------------------------------------


def test_what_is_wrong_on_a_connection_that_is_held_fails_the_trial() -> None:
    held = Held(wanted=64, stood=64, stood_end=64, closed=0, answers=500)
    fine = Measured(id="it", window_s=1.0, requests=1000, held=held)
    assert judge(fine, "") is None
    for errors, reason in (({"body": 1}, "wrong-answer"), ({"timeout": 6}, "not-held"), ({"timeout": 5}, None)):
        spoilt = Measured(
            id="it",
            window_s=1.0,
            requests=1000,
            held=Held(wanted=64, stood=64, stood_end=64, closed=0, answers=500, errors=errors),
            error_samples=dict.fromkeys(errors, "/stream: what came"),
        )
        failure = judge(spoilt, "")
        assert (failure and failure.reason) == reason
        assert failure is None or "/stream: what came" in failure.detail
