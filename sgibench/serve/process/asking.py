"""Whether a server is ready: asked over the wire, and believed only when every worker has answered.

Each question is asked on a new connection, so that another worker may take it; log lines are not believed.
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass, field

from sgibench.model import OwnApp
from sgibench.model.own import WITHIN, WITHIN_DONE, WITHIN_DOOR
from sgibench.serve import certificate
from sgibench.serve.process.ports import HOST

WITHIN_S = 5.0
MOST_KEPT_BYTES = 1 << 16
"""Of an answer that only says whether a server is ready."""
LONGEST_PID = 10
"""Digits."""
STRAGGLERS_S = 2.0
"""A worker that has not started so long after another one answered is not waited for."""
TIMES_WORKERS = 8
"""A shared socket may give one worker nearly everything: after so many answers for each, the rest is taken as up."""


@dataclass(kw_only=True)
class RollCall:
    """Which workers have answered so far."""

    workers: int
    _seen: set[int] = field(default_factory=set)
    _answers: int = 0
    _first_s: float = 0.0

    def heard(self, pid: int, now_s: float) -> None:
        """Note that one has answered."""
        self._seen.add(pid)
        self._answers += 1
        self._first_s = self._first_s or now_s

    @property
    def full(self) -> bool:
        """Whether all of them have."""
        return len(self._seen) >= self.workers

    @property
    def asked_often(self) -> bool:
        """Whether there were so many answers that the rest may be taken as up, once they all run or had time to."""
        return self._answers >= TIMES_WORKERS * self.workers

    def waited(self, now_s: float) -> bool:
        """Whether there was ample time for all of them to be started."""
        return now_s > self._first_s + STRAGGLERS_S


def ask_pid(port: int, timeout_s: float = 1.0, *, tls: bool = False) -> int | str:
    """Ask `GET /pid` on a new connection, over HTTP/1.1: the worker's pid, or what went wrong in a few words."""
    came = _get(port, "/pid", timeout_s, tls=tls)
    if isinstance(came, str):
        return came
    status, body = came
    right = status == http.client.OK and body.isdigit() and len(body) <= LONGEST_PID
    return int(body) if right else f"GET /pid answered {status} {body[:60]!r}"


def ask_ready(port: int, own: OwnApp, timeout_s: float = 10.0, *, tls: bool = False) -> int | str:
    """Ask an app of the user's whether it is ready: 0 for yes, or what is wrong in a few words.

    The path that the user named must be answered with a status under 400, any other one with one under 500.
    """
    path, limit = (own.first, 500) if own.ready is None else (own.ready, 400)
    came = _get(port, path, timeout_s, tls=tls)
    if isinstance(came, str):
        return came
    status, body = came
    return 0 if status < limit else f"GET {path} answered {status} {body[:60]!r}"


def calls_within(port: int, *, tls: bool = False) -> bool:
    """Ask a server whether it can be asked to call its app within its own process; this loads nothing into it."""
    came = _get(port, f"{WITHIN}?{WITHIN_DOOR}", WITHIN_S, tls=tls)
    return came == (http.client.OK, WITHIN_DONE)


def _get(port: int, path: str, timeout_s: float, *, tls: bool) -> tuple[int, bytes] | str:
    """Ask on a new connection: status and body, or what went wrong in a few words."""
    connection = _connect(port, timeout_s, tls=tls)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, _whole(response, timeout_s)
    except (OSError, http.client.HTTPException) as error:
        return f"GET {path}: {str(error) or type(error).__name__}"
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


def _connect(port: int, timeout_s: float, *, tls: bool) -> http.client.HTTPConnection:
    """Make a connection over HTTP/1.1, which every server here speaks beside whatever it is asked in."""
    if not tls:
        return http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    return http.client.HTTPSConnection(HOST, port, timeout=timeout_s, context=certificate.trusting("http/1.1"))
