"""Whether a server is ready: asked over the wire, and believed only when every worker has answered.

Each question is asked on a new connection, so that another worker may take it; log lines are not believed.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field

from sgibench.model import OwnApp
from sgibench.model.own import WITHIN, WITHIN_DONE, WITHIN_DOOR
from sgibench.model.terms import Protocol
from sgibench.serve.getting import get
from sgibench.serve.process.ports import HOST

WITHIN_S = 5.0
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


def ask_pid(port: int, timeout_s: float = 1.0, *, protocol: Protocol = "http") -> int | str:
    """Ask `GET /pid` on a new connection: the worker's pid, or what went wrong in a few words."""
    came = get((HOST, port), "/pid", timeout_s, protocol)
    if isinstance(came, str):
        return came
    status, body = came
    right = status == http.client.OK and body.isdigit() and len(body) <= LONGEST_PID
    return int(body) if right else f"GET /pid answered {status} {body[:60]!r}"


def ask_ready(port: int, own: OwnApp, timeout_s: float = 10.0, *, protocol: Protocol = "http") -> int | str:
    """Ask an app of the user's whether it is ready: 0 for yes, or what is wrong in a few words.

    The path that the user named must be answered with a status under 400, any other one with one under 500.
    """
    path, limit = (own.first, 500) if own.ready is None else (own.ready, 400)
    came = get((HOST, port), path, timeout_s, protocol)
    if isinstance(came, str):
        return came
    status, body = came
    return 0 if status < limit else f"GET {path} answered {status} {body[:60]!r}"


def calls_within(port: int, *, protocol: Protocol = "http") -> bool:
    """Ask a server whether it can be asked to call its app within its own process; this loads nothing into it."""
    came = get((HOST, port), f"{WITHIN}?{WITHIN_DOOR}", WITHIN_S, protocol)
    return came == (http.client.OK, WITHIN_DONE)
