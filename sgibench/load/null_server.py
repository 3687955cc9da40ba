"""A server that does nothing but send prepared answers: what the generator is calibrated against.

Each connection walks the list of answers of a request line in turn, so a session of dependent steps gets what it
expects. It does no HTTP beyond finding where a request ends, and imports only the standard library.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

Answers = Mapping[str, Sequence[bytes]]
"""Request line without version, e.g. "GET /json" -> whole answers, given in turn on each connection."""

ROOM = 1 << 18
"""Bytes read at once: a message of 64 KiB and its frame come in one piece, where the system has them."""
KNOWN = 65536
"""So many requests are remembered with their answers."""
NO_CONTENT, NOT_MODIFIED = 204, 304
ITSELF = "null.invalid"
"""In exact requests it stands for the server's own host and port, which are not known before it runs."""


def whole_answer(status: int, body: bytes, content_type: str | None = "text/plain", *, of_head: bool = False) -> bytes:
    """Write an answer as a plain server would; `of_head` when it answers a HEAD request."""
    head = f"HTTP/1.1 {status} OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: null\r\n"
    if content_type is not None:
        head += f"Content-Type: {content_type}\r\n"
    if status == NO_CONTENT:  # may have no length
        return (head + "\r\n").encode("latin-1")
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + (b"" if of_head or status == NOT_MODIFIED else body)


class Peer:
    """One connection of the null server."""

    __slots__ = ("answers", "data", "needs", "recv", "send", "sock", "turns")

    def __init__(self, sock: socket.socket, answers: Mapping[bytes, Sequence[bytes]]) -> None:
        self.sock = sock
        self.recv = sock.recv
        self.send = sock.send
        self.answers = answers
        self.turns: dict[bytes, int] = {}
        self.data = bytearray()
        """What has come of a request that is not whole."""
        self.needs = 0
        """Bytes of that request, where its head says so."""

    def answer_to(self, line: bytes) -> bytes:
        """Give the next answer for a request line."""
        answers = self.answers.get(line) or self.answers.get(family_of(line))
        if not answers:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        turn = self.turns.get(line, 0)
        self.turns[line] = (turn + 1) % len(answers)
        return answers[turn]


def family_of(line: bytes) -> bytes:
    """Under this line stand the answers to all requests that differ in the last segment of their path alone."""
    return line.rpartition(b"/")[0] + b"/*"


def whole_request(data: bytes) -> int:
    """Length of the first request in `data`, which may be more than there is yet; 0 where its head is not whole."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:  # noqa: PLR2004 - not found
        return 0
    head = data[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        return end
    return end + int(head[at + 17 : head.index(b"\r\n", at + 2)])


def serve(listener: socket.socket, answers: Mapping[bytes, Sequence[bytes]], known: dict[bytes, bytes]) -> None:
    """Answer for ever; ends when stdin does. `known` has the only answers to exact bytes, and grows."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    selector.register(0, selectors.EVENT_READ, "stdin")
    while True:
        for key, _ in selector.select():
            peer = key.data
            if peer is None:
                sock, _ = listener.accept()
                sock.settimeout(0)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(sock, selectors.EVENT_READ, Peer(sock, answers))
            elif peer == "stdin":
                return
            elif not _answer(peer, known):
                selector.unregister(peer.sock)
                peer.sock.close()


def _answer(peer: Peer, known: dict[bytes, bytes]) -> bool:
    """Answer what has come; whether the connection goes on."""
    try:
        data = peer.recv(ROOM)
        if not data:
            return False
        if peer.data:
            peer.data += data
            if len(peer.data) < peer.needs:
                return True
            data = bytes(peer.data)
            peer.data.clear()
        answer = known.get(data)
        if answer is not None:
            return _send(peer, answer)
        while 0 < (size := whole_request(data)) <= len(data):
            line = data[: data.index(b" HTTP/")]
            answer = peer.answer_to(line)
            if size == len(data) and len(peer.answers.get(line, ())) == 1 and len(known) < KNOWN:
                known[data] = answer
            data = data[size:]
            if not _send(peer, answer):
                return False
        peer.data += data
        peer.needs = size
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def _send(peer: Peer, answer: bytes) -> bool:
    """Send all of an answer; waits when the client is slow to read."""
    sent = peer.send(answer)
    if sent != len(answer):
        peer.sock.settimeout(None)
        peer.sock.sendall(answer[sent:])
        peer.sock.settimeout(0)
    return True


@contextmanager
def null_server(answers: Answers, exact: Mapping[bytes, bytes] | None = None) -> Iterator[tuple[str, int, int]]:
    """Run one in a process of its own, on CPUs that this process does not use if there are any; host, port, pid."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "sgibench.load.null_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        cpus = sorted(set(range(os.cpu_count() or 1)) - set(os.sched_getaffinity(0))) if _pins() else []
        config = {
            "cpus": cpus,
            "exact": [[b64encode(part).decode() for part in pair] for pair in (exact or {}).items()],
            "answers": {line: [b64encode(each).decode() for each in given] for line, given in answers.items()},
        }
        process.stdin.write(json.dumps(config).encode() + b"\n")
        process.stdin.flush()
        port = process.stdout.readline()
        if not port:
            raise OSError("the server of prepared answers ended before it listened")
        yield "127.0.0.1", int(port), process.pid
    finally:
        process.kill()
        process.communicate()


def _pins() -> bool:
    return hasattr(os, "sched_setaffinity")


def main() -> None:
    """Read what to answer from the first line of stdin, say the port, serve."""
    config: dict[str, Any] = json.loads(_first_line())
    if config["cpus"] and _pins():
        with suppress(OSError):  # a container may allow fewer CPUs than the machine has
            os.sched_setaffinity(0, config["cpus"])
    answers = {line.encode("latin-1"): [b64decode(each) for each in given] for line, given in config["answers"].items()}
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        port = listener.getsockname()[1]
        os.write(1, b"%d\n" % port)
        itself, host = ITSELF.encode(), b"127.0.0.1:%d" % port
        exact = {b64decode(asked).replace(itself, host, 1): b64decode(answer) for asked, answer in config["exact"]}
        serve(listener, answers, exact)


def _first_line() -> bytes:
    """Read one line from stdin without reading ahead."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, ROOM)
        if not piece:
            break
        line += piece
    return line


if __name__ == "__main__":
    main()
