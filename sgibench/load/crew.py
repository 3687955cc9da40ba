"""Many load processes as one: Locust's master here, Locust's workers on the local CPUs, one order carried out together.

Users are spread over the workers by Locust's own distributed mode; orders, agreements and what was counted travel as
Locust's custom messages. The master counts nothing itself: it passes on what each worker says, adds the common moment
on the host's monotonic clock, and merges shares and histograms in the end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import Any

import gevent
import psutil
from gevent.event import Event
from locust import runners
from locust.env import Environment

from sgibench.errors import LoadError, LoadLostError
from sgibench.load.loading import load_scenario
from sgibench.load.measure import answer_of
from sgibench.load.orders import MeasureOrder

JOIN_S = 120.0
"""Longest time for workers to start, and to get ready for an order; a busy machine takes half a minute."""
GO_NS = 5_000_000
"""How far ahead the common moment is set, so that the message is there before it."""
LOOK_S = 0.2
STOPPED_S = 5.0
"""A worker that has been stopped for so long is not waited for."""
SILENT_S = 30
"""One that is not heard of for so long is stuck. Locust counts beats, one a second, and takes a worker for missing
after three: on a busy machine, where a beat may come after five seconds, it would send all users to the others."""
runners.HEARTBEAT_LIVENESS = SILENT_S


def cpu_of_worker(index: int) -> set[int] | None:
    """CPUs for one worker: one of this process's own for each, in turn; None where there is no pinning."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    own = sorted(os.sched_getaffinity(0))
    return {own[index % len(own)]} if len(own) > 1 else set(own)


class Crew:
    """A master and its workers, kept from order to order."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._environment: Any = Environment(user_classes=[])
        self._master: Any = self._environment.create_master_runner("127.0.0.1", 0)
        self._ids: dict[str, int] = {}
        """Worker -> its index in the order under way."""
        self._said: dict[int, dict[str, Any]] = {}
        self._here: set[str] = set()
        """Workers that hear what they are told. Locust takes a worker for ready before that, and a worker throws away
        what it does not know yet: an order would be lost."""
        self._ready: dict[int, int] = {}
        self._sending: gevent.Greenlet | None = None
        """Has Locust spawn the users of the order under way."""
        self._shares: dict[int, list[dict[str, Any]]] = {}
        self._failure: dict[str, Any] | None = None
        self._done = Event()
        self._say: Callable[[dict[str, Any]], None] = lambda _: None
        self._stopping: gevent.Greenlet | None = None
        self._held_ns: dict[int, int] = {}
        """Since when a worker (by pid) has been stopped; monotonic ns."""
        for name, listener in (
            ("sgi_here", self._on_here),
            ("sgi_say", self._on_say),
            ("sgi_agree", self._on_agree),
            ("sgi_recruit", self._on_recruit),
            ("sgi_shares", self._on_shares),
            ("sgi_failed", self._on_failed),
        ):
            self._master.register_message(name, listener)
        self._workers = [self._start(index) for index in range(size)]
        try:
            self._await("start", lambda: len(self._here) == len(self._master.clients.ready) == size)
        except BaseException:
            self.close()  # one that is late would stand beside those of the next crew
            raise

    def _start(self, index: int) -> subprocess.Popen[bytes]:
        """Start one worker process."""
        port, parent = str(self._master.server.port), str(os.getpid())
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "sgibench.load.worker", port, parent], stdin=subprocess.DEVNULL
        )
        cpus = cpu_of_worker(index)
        if cpus:
            os.sched_setaffinity(process.pid, cpus)
        return process

    def _await(self, what: str, happened: Callable[[], bool]) -> None:
        """Wait for the workers; raises LoadError when one is gone or it takes too long."""
        deadline = monotonic_ns() + round(JOIN_S * 1e9)
        while not happened():
            self._check(what)
            if monotonic_ns() > deadline:
                raise LoadError(f"the load workers did not {what} within {JOIN_S:g} s")
            gevent.sleep(0.01)

    def _check(self, what: str) -> None:
        """Raise LoadError when a worker has ended, has been stopped, or is not heard of any more."""
        for process in self._workers:
            if process.poll() is not None:
                raise LoadLostError(f"a load worker ended (pid {process.pid}, {_how(process)}) when it was to {what}")
            if self._since(process.pid, holds=_is_stopped(process.pid)) > STOPPED_S:
                raise self._lost(f"a load worker (pid {process.pid}) was stopped from outside (SIGSTOP)")
        if self._master.clients.missing:
            raise self._lost(f"a load worker has not been heard of for {SILENT_S} s; it was to {what}")

    def _since(self, key: int, *, holds: bool) -> float:
        """For how many seconds something has been seen to hold."""
        if not holds:
            self._held_ns.pop(key, None)
            return 0.0
        return (monotonic_ns() - self._held_ns.setdefault(key, monotonic_ns())) / 1e9

    def _lost(self, message: str) -> LoadLostError:
        """Give up this crew, which waits for somebody who will not come."""
        self._failure = {"message": message, "traceback": ""}
        return LoadLostError(message)

    def measure(
        self, order: dict[str, Any], read: MeasureOrder, say: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Carry a measure order out together; gives its answer."""
        if self._stopping is not None:
            self._stopping.join()
        self._await("be ready", lambda: len(self._master.clients.ready) == self.size)
        self._say = say
        self._failure = None
        self._said.clear()
        self._ready.clear()
        self._shares.clear()
        self._done.clear()
        self._ids = {client.id: index for index, client in enumerate(self._master.clients.ready)}
        self._environment.user_classes = [load_scenario(read.scenario)]
        for worker, index in self._ids.items():
            self._send("sgi_order", {"order": order, "index": index, "of": self.size}, worker)
        began_ns = monotonic_ns()
        while not self._done.wait(LOOK_S):
            self._check("measure")
            if len(self._ready) < self.size and monotonic_ns() - began_ns > JOIN_S * 1e9:
                lacking = f"{self.size - len(self._ready)} of {self.size} load workers"
                raise self._lost(f"{lacking} did not get ready for an order within {JOIN_S:g} s")
        if self._sending is not None:
            self._sending.kill()
        self._stopping = gevent.spawn(self._master.stop)
        if self._failure is not None:
            raise LoadError(f"{self._failure['message']}\n{self._failure['traceback']}".strip())
        shares = [self._shares[index] for index in range(self.size)]
        aborted = any(share["aborted"] for of_worker in shares for share in of_worker[:1])
        return answer_of(read, shares, aborted=aborted)

    def abort(self) -> None:
        """End the order under way soon."""
        self._send("sgi_abort", {})

    def drop(self, target: str, reason: str) -> None:
        """Visit a target no more."""
        self._send("sgi_drop", {"target": target, "reason": reason})

    def close(self) -> None:
        """End the workers."""
        for process in self._workers:
            process.kill()
            process.wait()
        self._master.greenlet.kill(block=False)

    def _send(self, name: str, data: dict[str, Any], worker: str | None = None) -> None:
        self._master.send_message(name, data, worker)

    # --- what workers say ------------------------------------------------------------------------------------------

    def _index(self, msg: Any) -> int:
        return self._ids.get(msg.node_id, -1)

    def _on_here(self, msg: Any, **_: Any) -> None:
        self._here.add(msg.node_id)

    def _on_say(self, msg: Any, **_: Any) -> None:
        self._say(msg.data)

    def _on_agree(self, msg: Any, **_: Any) -> None:
        """When all have come to the same point, everybody hears what everybody said."""
        self._said[self._index(msg)] = msg.data["said"]
        if len(self._said) == self.size:
            said = in_order(self._said)
            self._said.clear()
            self._send("sgi_agreed", {"said": said, "at_ns": monotonic_ns() + GO_NS})

    def _on_recruit(self, msg: Any, **_: Any) -> None:
        """When all have their places ready, Locust spawns as many users on each as the fullest has places.

        Those for whom there is no place do nothing.
        """
        self._ready[self._index(msg)] = msg.data["places"]
        if len(self._ready) == self.size:
            users = max(self._ready.values()) * self.size
            self._sending = gevent.spawn(self._master.start, users, spawn_rate=users)

    def _on_shares(self, msg: Any, **_: Any) -> None:
        self._shares[self._index(msg)] = msg.data["shares"]
        if len(self._shares) == self.size:
            self._done.set()

    def _on_failed(self, msg: Any, **_: Any) -> None:
        """A bug in one worker ends the order; the crew can't be used again."""
        self._failure = msg.data
        self._done.set()

    @property
    def broken(self) -> bool:
        """Whether it must be started anew before the next order."""
        return self._failure is not None or any(process.poll() is not None for process in self._workers)


def _is_stopped(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def _how(process: subprocess.Popen[bytes]) -> str:
    """Say how a process ended."""
    status = process.returncode
    if status >= 0:
        return f"status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def in_order(by_index: dict[int, Any]) -> Sequence[Any]:
    """Values by ascending index."""
    return [by_index[index] for index in sorted(by_index)]
