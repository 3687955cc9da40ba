"""One GET on a new connection, in the protocol that a server was started for.

Over TLS it is asked in HTTP/1.1, which every server here offers beside HTTP/2. In clear text there is no such choice:
one that was told to speak HTTP/2 may speak nothing else.
"""

from __future__ import annotations

import http.client
import socket
import time

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from sgibench.model.terms import TLS, Protocol
from sgibench.serve import certificate

READ_BYTES = 65536
MOST_KEPT_BYTES = 1 << 16
"""Of an answer that only says whether a server is ready."""

Heard = tuple[int, bytes]
"""Status and body."""


def get(address: tuple[str, int], path: str, timeout_s: float, protocol: Protocol) -> Heard | str:
    """Ask for a path on a new connection: the answer, or what went wrong in a few words."""
    try:
        if protocol == "h2c":
            return _get_by_http2(address, path, timeout_s)
        return _get_by_http1(address, path, timeout_s, tls=protocol in TLS)
    except (OSError, http.client.HTTPException, ProtocolError) as error:
        return f"GET {path}: {str(error) or type(error).__name__}"


def _get_by_http1(address: tuple[str, int], path: str, timeout_s: float, *, tls: bool) -> Heard:
    connection = (
        http.client.HTTPSConnection(*address, timeout=timeout_s, context=certificate.trusting("http/1.1"))
        if tls
        else http.client.HTTPConnection(*address, timeout=timeout_s)
    )
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, _whole(response, timeout_s)
    finally:
        connection.close()


def _whole(response: http.client.HTTPResponse, timeout_s: float) -> bytes:
    """Read an answer to its end; one that never comes is not waited for, and none is kept that is too large."""
    deadline = time.monotonic() + timeout_s
    body = b""
    while part := response.read1(1 << 16):
        body = (body + part)[:MOST_KEPT_BYTES]
        if time.monotonic() > deadline:
            raise TimeoutError("its answer does not end")
    return body


def _get_by_http2(address: tuple[str, int], path: str, timeout_s: float) -> Heard:
    deadline_s = time.monotonic() + timeout_s
    with socket.create_connection(address, timeout_s) as sock:
        return by_http2(sock, path, deadline_s)


def by_http2(sock: socket.socket, path: str, deadline_s: float) -> Heard:
    """Ask on a new connection, beginning with HTTP/2; it stays open. Raises OSError, ProtocolError."""
    state = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
    state.initiate_connection()
    host, port = sock.getpeername()
    head = [(":method", "GET"), (":scheme", "http"), (":authority", f"{host}:{port}"), (":path", path)]
    state.send_headers(state.get_next_available_stream_id(), head, end_stream=True)
    status, body = 0, bytearray()
    while (left_s := deadline_s - time.monotonic()) > 0:
        sock.settimeout(left_s)
        sock.sendall(state.data_to_send())
        data = sock.recv(READ_BYTES)
        if not data or data.startswith(b"HTTP/"):
            raise ProtocolError(f"expected an answer over HTTP/2, but got {data[:60]!r}")
        for event in state.receive_data(data):
            if isinstance(event, ResponseReceived):
                status = next(int(value) for name, value in event.headers or () if str(name) == ":status")
            elif isinstance(event, DataReceived):
                body = (body + (event.data or b""))[:MOST_KEPT_BYTES]
                state.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            elif _is_the_end(event):
                return status, bytes(body)
    raise TimeoutError("timed out")


def _is_the_end(event: Event) -> bool:
    """Whether the answer is whole; raises ProtocolError where none will be."""
    if isinstance(event, (ConnectionTerminated, StreamReset)):
        raise ProtocolError(f"expected an answer, but {event} came")
    return isinstance(event, StreamEnded)
