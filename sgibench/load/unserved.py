"""The user's app without a server, called in turn with the servers' visits: the near end of the line to `drive.py`.

Its CPU is read from outside, by the clock that reads the servers'; and it is asked like a server, a call for each
message, as many at once: a process that sleeps between two requests and is woken for the next finds its caches colder,
on a busy machine by a tenth and more. So both sides of a share are measured alike.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

from gevent import socket

from sgibench.load.cpu import TreeClock
from sgibench.load.orders import BesideOrder

HOST = "127.0.0.1"
PATIENCE_S = 90.0
"""One call may take this long; who is silent for longer is not asked again."""
CALL = struct.Struct("!H")
NOTHING, TELL = 0xFFFF, 0xFFFE
"""Calls of an app that does nothing, and the question how long its calls took (as in `drive.py`)."""
TOLD = struct.Struct("!dd")


@dataclass(frozen=True, kw_only=True)
class Burst:
    """Some calls of one request."""

    calls: int
    cpu_ns: int
    wall_s: float
    """Time in calls."""
    wait_s: float
    """Of that time, neither computing nor queueing for a CPU."""

    @property
    def each_s(self) -> float:
        """CPU of one call."""
        return self.cpu_ns / 1e9 / self.calls


class Unserved:
    """One app that lives beside the servers."""

    def __init__(self, order: BesideOrder) -> None:
        self._clock = TreeClock([order.pid])
        self._line: Any = None
        try:
            self._line = socket.create_connection((HOST, order.port), timeout=PATIENCE_S)
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.close()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._line is not None

    def close(self) -> None:
        """Ask it nothing more."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def burst(self, request: int | None, seconds: float, at_once: int) -> Burst | None:
        """Have it called with a request, or an app that does nothing, for so long; None when it can't be asked.

        As soon as one of the calls that are under way `at_once` has ended, the next is sent.
        """
        if self._line is None:
            return None
        try:
            before = self._times()
            self._clock.look()
            self._clock.start()
            calls = self._call(CALL.pack(NOTHING if request is None else request), seconds, at_once)
            cpu_ns = self._clock.stop()
            after = self._times()
        except OSError:
            self.close()
            return None
        if cpu_ns is None:
            self.close()
            return None
        wall_s, queued_s = after[0] - before[0], after[1] - before[1]
        return Burst(calls=calls, cpu_ns=cpu_ns, wall_s=wall_s, wait_s=max(0.0, wall_s - cpu_ns / 1e9 - queued_s))

    def _call(self, call: bytes, seconds: float, at_once: int) -> int:
        """Keep so many calls under way, until the time is over and all have ended; how many there were."""
        until_ns = monotonic_ns() + round(seconds * 1e9)
        sent, ended = at_once, 0
        self._line.sendall(call * at_once)
        while ended < sent:
            heard = self._line.recv(4096)
            if not heard:
                raise ConnectionResetError("the app's process ended")
            ended += len(heard)
            if monotonic_ns() < until_ns:
                self._line.sendall(call * len(heard))
                sent += len(heard)
        return ended

    def _times(self) -> tuple[float, float]:
        """Ask how long all of its calls took, and how long it queued for a CPU."""
        self._line.sendall(CALL.pack(TELL))
        told = b""
        while len(told) < TOLD.size:
            heard = self._line.recv(TOLD.size - len(told))
            if not heard:
                raise ConnectionResetError("the app's process ended")
            told += heard
        wall_s, queued_s = TOLD.unpack(told)
        return wall_s, queued_s
