"""A server that does exactly what a test says, byte by byte, and counts the requests it received."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

Script = Callable[["Talk"], None]
"""Called once for each connection, in a thread of its own; may raise OSError when the client goes away."""


class Talk:
    """One connection as its script sees it."""

    def __init__(self, server: ScriptedServer, sock: socket.socket, number: int) -> None:
        self._server = server
        self.sock = sock
        self.number = number
        """0 for the server's first connection, then 1, 2, …"""
        self._data = b""

    def request(self) -> bytes | None:
        """Read one whole request, head and body; None when the client closed the connection."""
        while (size := self._whole()) == 0:
            piece = self.sock.recv(1 << 20)
            if not piece:
                return None
            self._data += piece
        request, self._data = self._data[:size], self._data[size:]
        self._server.note_request()
        return request

    def _whole(self) -> int:
        end = self._data.find(b"\r\n\r\n") + 4
        if end < 4:
            return 0
        length = 0
        for line in self._data[:end].lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return end + length if len(self._data) >= end + length else 0

    def send(self, *pieces: bytes, pause_s: float = 0.001) -> None:
        """Send pieces so that they arrive one by one."""
        for index, piece in enumerate(pieces):
            if index:
                time.sleep(pause_s)
            self.sock.sendall(piece)

    def reset(self) -> None:
        """Close with a reset instead of a proper end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class ScriptedServer:
    """Listens on the loopback interface until the test is over."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.host, self.port = self._listener.getsockname()
        self._lock = threading.Lock()
        self.requests = 0
        self.connections = 0
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def note_request(self) -> None:
        with self._lock:
            self.requests += 1

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                talk = Talk(self, sock, self.connections)
                with self._lock:
                    self.connections += 1
                    self._open.add(sock)
                threading.Thread(target=self._serve, args=(talk,), daemon=True).start()

    def _serve(self, talk: Talk) -> None:
        with contextlib.suppress(OSError):
            self._script(talk)
        talk.sock.close()
        with self._lock:
            self._open.discard(talk.sock)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends the accept that the other thread is in
        self._listener.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving(script: Script) -> Iterator[ScriptedServer]:
    """Run a scripted server for as long as the block lasts."""
    server = ScriptedServer(script)
    try:
        yield server
    finally:
        server.close()


def always(*pieces: bytes) -> Script:
    """A script that gives every request the same answer."""

    def script(talk: Talk) -> None:
        while talk.request() is not None:
            talk.send(*pieces)

    return script


def answer(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    """Write a plain answer with a Content-Length."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body
