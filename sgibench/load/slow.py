"""Slow clients beside those that are measured: they read a large answer, or send a large body, a little at a time.

Each is a plain socket that is looked at twenty times a second and then takes or gives a few bytes, so that 64 of them
cost the load process next to nothing. What they get is not checked: they are there to be in the way. They speak
HTTP/1.1, over TLS where the requests that are measured do.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from dataclasses import dataclass
from typing import Any

import gevent

from sgibench.load.wire.tls import context
from sgibench.model.terms import TLS, Protocol

SPEAK: tuple[Protocol, ...] = ("http", "https")
"""What slow clients speak."""
TICK_S = 0.05
RECEIVE_BYTES = 4096
"""Their receive buffer: what a server sends stays with the server."""


@dataclass(frozen=True, kw_only=True)
class Slow:
    """Clients that are opened before a window and closed after it."""

    readers: int = 32
    writers: int = 32
    reads: str = "/bytes/4194304"
    """What readers ask for."""
    read_bytes: int = 1024
    """So much they take in each twentieth of a second."""
    writes: str = "/echo"
    """Where writers send a body to."""
    body_bytes: int = 262144
    write_bytes: int = 512
    """So much of it they send in each twentieth of a second."""

    def __post_init__(self) -> None:
        if min(self.readers, self.writers) < 0 or not self.count:
            raise ValueError(f"slow: expected at least one reader or writer, got {self!r}")

    @property
    def count(self) -> int:
        """All of them."""
        return self.readers + self.writers


class _Client:
    """One of them: it opens a connection, asks, goes on slowly, and begins anew when that came to an end."""

    def __init__(
        self, address: tuple[str, int], head: bytes, *, body: int, step: int, reads: bool, tls: bool = False
    ) -> None:
        self._address, self._head, self._body, self._step, self._reads = address, head, body, step, reads
        self._tls = tls
        self._sock: socket.socket | None = None
        self._unsent = b""
        self._left = 0
        self._shaking = False
        """Whether TLS's handshake is still to be made."""
        self.moved = 0
        """Bytes that it has read or written."""
        self.begun = 0
        """Connections that it has opened."""

    @property
    def stands(self) -> bool:
        """Whether it has a connection, over TLS one whose handshake is done."""
        return self._sock is not None and not self._shaking

    def tick(self) -> None:
        """Go on a little."""
        try:
            if self._sock is None:
                self._open()
            self._go_on()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self.close()

    def _open(self) -> None:
        self._sock = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        code = sock.connect_ex(self._address)
        if code not in {0, errno.EINPROGRESS}:
            raise OSError(code, "refused")
        self._unsent, self._left, self.begun = self._head, self._body, self.begun + 1
        self._shaking = self._tls

    def _shake_hands(self, sock: socket.socket) -> None:
        """Make TLS's handshake, as far as it goes now; the socket is TLS's from where it has connected."""
        if not isinstance(sock, ssl.SSLSocket):
            if failed := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(failed, "refused")
            try:
                sock.getpeername()
            except OSError:
                raise BlockingIOError(errno.EAGAIN, "not connected yet") from None
            self._sock = sock = context("http/1.1").wrap_socket(sock, do_handshake_on_connect=False)
        sock.do_handshake()
        self._shaking = False

    def _go_on(self) -> None:
        if self._sock is not None and self._shaking:
            self._shake_hands(self._sock)
        if self._sock is None:
            return
        if self._unsent:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        elif self._left:
            sent = self._sock.send(b"x" * min(self._step, self._left))
            self._left -= sent
            self.moved += 0 if self._reads else sent
        else:
            came = self._sock.recv(self._step if self._reads else 1 << 16)
            self.moved += len(came) if self._reads else 0
            if not came or not self._reads:
                self.close()

    def close(self) -> None:
        """Hang up."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.close()
        self._sock, self._shaking = None, False


class Crowd:
    """The slow clients of one target, in this process."""

    def __init__(
        self, slow: Slow, address: tuple[str, int], index: int = 0, of: int = 1, *, protocol: Protocol = "http"
    ) -> None:
        """Of several processes each has its share."""
        tls = protocol in TLS
        host = f"{address[0]}:{address[1]}"
        asked = f"GET {slow.reads} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        sent = (
            f"POST {slow.writes} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {slow.body_bytes}\r\n\r\n"
        ).encode()
        every = [
            *(_Client(address, asked, body=0, step=slow.read_bytes, reads=True, tls=tls) for _ in range(slow.readers)),
            *(
                _Client(address, sent, body=slow.body_bytes, step=slow.write_bytes, reads=False, tls=tls)
                for _ in range(slow.writers)
            ),
        ]
        self.clients = every[index::of]
        self._greenlet: Any = None

    def start(self) -> None:
        """Open them all, and let them be slow from here on."""
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            for client in self.clients:
                client.tick()
            gevent.sleep(TICK_S)

    def stop(self) -> None:
        """Hang up."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None
        for client in self.clients:
            client.close()

    @property
    def standing(self) -> int:
        """How many have a connection."""
        return sum(client.stands for client in self.clients)
