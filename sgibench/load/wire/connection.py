"""One connection: its socket, what it is asked now, and how far the answer has come.

It moves bytes and keeps its own state; it never decides what is asked next, what counts, or whether to try again:
that is the target's. A request is sent once: when it fails the socket is closed, and opening a new one is the next
thing that happens to it, not a second try.
"""

from __future__ import annotations

import _socket  # the plain socket: gevent replaces socket.socket by one that switches greenlets
import errno
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from sgibench.load.wire.answer import Answer, WireError
from sgibench.load.wire.frames import FrameReader
from sgibench.load.wire.poller import READ, WRITE, Poller
from sgibench.load.wire.reader import Reader
from sgibench.load.wire.tls import PENDING, TlsSocket
from sgibench.model.kinds import ErrorKind

if TYPE_CHECKING:
    from greenlet import greenlet  # type: ignore[import-untyped]

    from sgibench.load.request import Ask
    from sgibench.load.steps import Walk

ROOM = 65536
"""Bytes asked of one recv; more would make malloc map and unmap memory each time."""

_KINDS: dict[int, ErrorKind] = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.ETIMEDOUT: "timeout",
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM),
        "client",
    ),
}
_NOW = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close by reset."""


def not_yet(_most: int) -> bytes:
    """What a connection receives while TLS is being agreed on."""
    raise BlockingIOError(errno.EAGAIN, "TLS is not agreed on yet")


def kind_of(error: OSError, otherwise: ErrorKind) -> ErrorKind:
    """Name the kind of an operating system's error."""
    return _KINDS.get(error.errno or 0, otherwise)


class Connection:
    """State of one connection; the target's loop reads and writes these slots directly, for speed."""

    __slots__ = (
        "address",
        "alpn",
        "answer_began",
        "ask",
        "asked_since",
        "connecting",
        "count",
        "due",
        "family",
        "fast",
        "fd",
        "held_ns",
        "idle_since",
        "index",
        "next_ask",
        "outcome",
        "pending",
        "pieces",
        "poller",
        "reader",
        "reading",
        "recv",
        "resumes",
        "retired",
        "retry_at",
        "send",
        "since",
        "sock",
        "ticket",
        "tls",
        "took_ns",
        "unsent",
        "waiter",
        "walk",
        "went_on",
    )

    def __init__(self, index: int, address: tuple[str, int], family: int, poller: Poller) -> None:
        self.index = index
        self.address = address
        self.family = family
        self.poller = poller
        self.reader: Reader | FrameReader = Reader()
        self.sock: _socket.socket | None = None
        self.alpn: str | None = None
        """What to agree on over TLS; None for no TLS."""
        self.resumes = self.went_on = False
        """Whether the TLS session of one socket is offered for the next; whether the rest of the request followed
        `100 Continue`."""
        self.ticket: ssl.SSLSession | None = None
        self.tls: TlsSocket | None = None
        self.fd = -1
        self.recv: Callable[[int], bytes]
        self.send: Callable[[bytes | memoryview], int]
        self.next_ask: Callable[[], Ask] | None = None
        self.walk: Walk | None = None
        """Its way through a session, where requests depend on others."""
        self.ask: Ask | None = None
        self.fast: bytes | None = None
        """What completes a right answer to `ask`, byte for byte: at first all of it, later what has not come yet; None
        when none is known, or when the reader has to read this one."""
        self.since = 0
        """When the request in flight was sent, monotonic ns; 0 when none is in flight."""
        self.answer_began = 0
        """`since` of the request whose answer has begun to come in pieces."""
        self.reading = False
        """Whether the reader reads that answer; until then it is only compared with a known one."""
        self.pieces: list[bytes] = []
        """The pieces of that answer so far, while they are few."""
        self.due = 0
        """When the request in flight was due."""
        self.idle_since = self.asked_since = self.held_ns = 0
        """When the task asked for what it now waits for; behind a closed gate, when it was let go. For how long it was
        held there, since somebody looked."""
        self.took_ns = 0
        """How long the last answer took; not kept up to date by the hot loop."""
        self.count = 0
        """Right answers since the count began."""
        self.connecting = 0
        """When the connection attempt began; 0 when there is none."""
        self.retry_at = 0
        """When to open it again after a failed attempt; 0 for no wish."""
        self.retired = False
        """No longer wanted: close it once its answer is in."""
        self.unsent: memoryview | None = None
        self.waiter: greenlet | None = None
        """The task greenlet that waits for the answer."""
        self.pending: Ask | None = None
        """What that greenlet wants to ask, while it may not yet."""
        self.outcome: Answer | WireError | None = None
        """What came of it."""

    @property
    def stands(self) -> bool:
        """Whether it is connected."""
        return self.sock is not None and not self.connecting

    def open(self, now_ns: int) -> None:
        """Begin to connect; raises OSError when that fails at once."""
        sock = _socket.socket(self.family, _socket.SOCK_STREAM)
        self.sock = sock
        if not isinstance(self.reader, Reader):
            self.reader = Reader()  # the connection before was upgraded; this one speaks HTTP again
        self.fd = sock.fileno()
        sock.settimeout(0)
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.recv = sock.recv
        self.send = sock.send
        self.connecting = now_ns
        self.retry_at = 0
        failed = sock.connect_ex(self.address)
        if failed not in {0, errno.EINPROGRESS}:
            self.close()
            raise OSError(failed, os.strerror(failed))
        self.poller.watch(self.fd, WRITE)

    def opened(self) -> int | None:
        """The attempt moved on: raise OSError, give when it began, in monotonic ns, or None while TLS is agreed on."""
        if self.sock is None:
            raise AssertionError("no attempt under way")
        failed = self.sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if failed:
            self.close()
            raise OSError(failed, os.strerror(failed))
        if self.alpn is not None and not self._shake_hands(self.sock, self.alpn):
            return None
        began, self.connecting = self.connecting, 0
        self.poller.change(self.fd, READ)
        return began

    def _shake_hands(self, sock: _socket.socket, alpn: str) -> bool:
        """Agree on TLS; whether that is done. Raises OSError."""
        if self.tls is None:
            self.tls = TlsSocket(sock, alpn, self.ticket)
            self.recv = not_yet  # a loop that is in a hurry reads without asking what the connection is about
        try:
            done = self.tls.shake_hands()
        except OSError:
            self.close()
            raise
        if done:
            self.recv, self.send = self.tls.recv, self.tls.send
        else:
            self.poller.change(self.fd, READ)
        return done

    def start(self, ask: Ask, now_ns: int) -> None:
        """Send a request on an idle connection; raises WireError when the socket does not take it."""
        self.ask = ask
        self.fast = ask.whole
        self.since = now_ns
        self.went_on = False
        try:
            sent = self.send(ask.payload)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise WireError(kind_of(error, "reset"), f"sending failed: {error}") from error
        if sent != ask.size:
            self.sent_in_part(ask, sent)

    def sent_in_part(self, ask: Ask, sent: int) -> None:
        """Keep the rest of a request for when the socket is ready.

        Until it is sent, an answer is early and the reader's, however well known it is: its connection can't be used
        again, because the next request would be written into this one's body.
        """
        self.unsent = memoryview(ask.payload)[sent:] if sent != PENDING else memoryview(b"")
        self.fast = None
        self.poller.change(self.fd, READ | WRITE)

    def may_go_on(self) -> bool:
        """Whether the server has said `100 Continue`; said once for each request."""
        said = isinstance(self.reader, Reader) and self.reader.continued and not self.went_on
        self.went_on = self.went_on or said
        return said

    def hold_back(self, rest: memoryview) -> None:
        """Keep bytes that belong to no request for when the socket is ready."""
        self.unsent = rest
        self.poller.change(self.fd, READ | WRITE)

    def continues(self, data: bytes) -> bool:
        """Whether a known right answer may go on like this; if so, only its rest is expected from now on."""
        if self.answer_began != self.since:
            # Here, not when the request is sent: most answers come whole.
            self.answer_began = self.since
            self.reading = False
            self.pieces.clear()
        fast = self.fast
        if not fast or not data or not fast.startswith(data):
            return False
        self.fast = fast[len(data) :]
        self.pieces.append(data)
        return True

    def read(self, ask: Ask) -> None:
        """Let the reader read the answer to `ask`, from its beginning on."""
        self.reading = True
        self.fast = None
        self.reader.expect(is_head=ask.is_head)
        if ask.streams and isinstance(self.reader, Reader):
            self.reader.chunk_times_ns = []
        if self.pieces:
            self.reader.feed(b"".join(self.pieces))

    def forget(self) -> None:
        """Expect nothing known: the answer under way, and the next, are the reader's."""
        if self.ask is not None and self.answer_began == self.since and not self.reading:
            self.read(self.ask)
        self.fast = None

    def flush(self) -> None:
        """Send more of a request that did not fit; raises WireError."""
        if self.unsent is None:
            return
        try:
            sent = self.send(self.unsent)
        except BlockingIOError:
            return
        except OSError as error:
            raise WireError(kind_of(error, "reset"), f"sending failed: {error}") from error
        self.unsent = self.unsent[sent:] if sent != PENDING else memoryview(b"")
        if not self.unsent and sent != PENDING:
            self.unsent = None
            self.poller.change(self.fd, READ)
            if self.ask is not None and self.answer_began != self.since and not self.retired:
                self.fast = self.ask.whole

    def close(self, *, by_reset: bool = False) -> None:
        """Close the socket, if there is one; a reset lets go of a port at once and tells the server to stop."""
        sock, self.sock = self.sock, None
        if sock is None:
            return
        if by_reset:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _NOW)
        if self.resumes and self.tls is not None:
            self.ticket = self.tls.session
        self.tls = None
        sock.close()  # the poller forgets a closed descriptor by itself
        self.fd = -1
        self.connecting = 0
        self.since = 0
        self.fast = None
        self.ask = None
        self.unsent = None


def resolve(host: str, port: int) -> tuple[int, tuple[str, int]]:
    """Family and address of a host; raises OSError when it has none."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, (str(address[0]), int(address[1]))
