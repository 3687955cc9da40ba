"""What is read from the system about a server is what the server really does, seen on sockets made for the purpose."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from sgibench.model import Effective, Expected
from sgibench.serve import effective

HOST = "127.0.0.1"
pytestmark = pytest.mark.skipif(not effective.LINUX, reason="needs Linux: other systems tell less")


@contextlib.contextmanager
def listening(backlog: int = 7, *, nodelay: bool = False, reuse: bool = False, port: int = 0) -> Iterator[int]:
    """Listen in this process and answer one connection at a time until the end; yields the port."""
    with socket.socket() as listener:
        if nodelay:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if reuse:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((HOST, port))
        listener.listen(backlog)
        answering = threading.Thread(target=answer, args=(listener,), daemon=True)
        answering.start()
        yield int(listener.getsockname()[1])
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        answering.join()


def answer(listener: socket.socket) -> None:
    """Accept until the listener is shut down; read a request to its empty line, answer it, close."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            heard = b""
            while b"\r\n\r\n" not in heard and (words := connection.recv(4096)):
                heard += words
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_the_backlog_in_effect_is_read() -> None:
    with listening(backlog=7) as port:
        assert effective.backlogs(port) == (7,)


def test_a_backlog_above_the_systems_limit_is_read_as_the_limit() -> None:
    limit = effective.somaxconn()
    assert limit is not None
    with listening(backlog=limit + 1) as port:
        assert effective.backlogs(port) == (limit,)
        assert effective.differences(seen(backlogs=(limit,)), Expected(backlog=limit + 1)) == []


def test_every_socket_that_listens_on_the_port_is_found() -> None:
    with listening(backlog=5, reuse=True) as port, listening(backlog=9, reuse=True, port=port):
        assert sorted(effective.backlogs(port) or ()) == [5, 9]


def test_where_nothing_listens_there_is_no_backlog() -> None:
    with listening() as port:
        pass
    assert effective.backlogs(port) == ()


@pytest.mark.parametrize("nodelay", [True, False])
def test_tcp_nodelay_of_an_accepted_connection_is_read(*, nodelay: bool) -> None:
    with listening(nodelay=nodelay) as port:
        assert effective.read(HOST, port, [os.getpid()]).nodelay is nodelay


def test_a_connection_that_is_in_none_of_the_processes_is_not_guessed() -> None:
    with listening(nodelay=True) as port:
        assert effective.read(HOST, port, []).nodelay is None


def test_a_server_that_does_not_listen_is_not_guessed() -> None:
    with listening() as port:
        pass
    assert effective.read(HOST, port, []).nodelay is None


def test_processes_are_counted_and_the_most_threads_are_told() -> None:
    with listening() as port:
        found = effective.read(HOST, port, [os.getpid()])
    assert found.processes == 1
    assert found.threads is not None
    assert found.threads >= 2  # this test's own and the one that answers


def test_a_process_that_has_ended_is_not_counted() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    assert effective.read(HOST, free_port(), [child.pid]).processes is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def seen(
    *,
    backlogs: tuple[int, ...] | None = None,
    nodelay: bool | None = None,
    processes: int | None = None,
    threads: int | None = None,
) -> Effective:
    return Effective(backlogs=backlogs, nodelay=nodelay, processes=processes, threads=threads)


@pytest.mark.parametrize(
    ("found", "expected", "told"),
    [
        (seen(backlogs=(100,)), Expected(backlog=1024), ["backlog: declared 1024, in effect 100"]),
        (seen(backlogs=(5, 1024)), Expected(backlog=1024), ["backlog: declared 1024, in effect 5 and 1024"]),
        (seen(backlogs=()), Expected(backlog=5), ["backlog: declared 5, in effect none: nothing listens"]),
        (seen(backlogs=(1024, 1024)), Expected(backlog=1024), []),
        (seen(nodelay=False), Expected(nodelay=True), ["TCP_NODELAY: declared set, in effect not set"]),
        (seen(nodelay=True), Expected(nodelay=True), []),
        (seen(processes=2), Expected(processes=3), ["processes: declared 3, in effect 2"]),
        (seen(threads=9), Expected(threads=(1, 5)), ["threads of a process: declared 1 to 5, in effect 9"]),
        (seen(threads=1), Expected(threads=(5, 5)), ["threads of a process: declared 5, in effect 1"]),
        (seen(threads=5), Expected(threads=(1, 5)), []),
        (seen(), Expected(backlog=1024, nodelay=True, processes=1, threads=(1, 1)), []),
        (seen(backlogs=(3,), nodelay=False, processes=9, threads=9), Expected(), []),
    ],
)
def test_differences_are_told_and_what_was_not_read_or_declared_is_not(
    found: Effective, expected: Expected, told: list[str]
) -> None:
    assert effective.differences(found, expected) == told
