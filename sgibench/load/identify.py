"""Which process of a server answered how many requests: each connection is asked for the pid that serves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from time import monotonic_ns

from sgibench.load.paces import IdlePace
from sgibench.load.request import Request
from sgibench.load.target import Target
from sgibench.load.wire.answer import Answer
from sgibench.load.wire.connection import Connection

IDENTIFY_S = 2.0
LONGEST = 20
"""Bytes of an answer that is a process id."""
ASKING = "asking which process answers"
"""Why these requests are in no window."""


class PidPace(IdlePace):
    """Collects the process ids that answer."""

    def __init__(self) -> None:
        self.pids: dict[int, str] = {}

    def answered(self, conn: Connection, answer: Answer | None, now_ns: int, *, owned: bool) -> None:  # noqa: ARG002
        """Note who answered."""
        if answer is not None and len(answer.body) <= LONGEST and answer.body.strip().isdigit():
            self.pids[conn.index] = str(int(answer.body))


def identify(target: Target, counts: Mapping[int, int]) -> dict[str, int] | None:
    """Attribute the requests of each connection, by its index, to a pid; None when one that counted can't say.

    Asked outside counted time; the gate must be closed.
    """
    target.enter(ASKING)

    def note(_took_ns: int) -> None:
        target.uncounted[ASKING] += 1

    ask = target.program.apart(Request(method="GET", path="/pid"), note)
    pace, target.pace = target.pace, (asking := PidPace())
    target.borrowed = True
    target.attach()
    try:
        for conn in list(target.connections):
            if conn.stands and not conn.since:
                target.begin(conn, ask, monotonic_ns())
        target.wait_until(lambda: not target.in_flight, IDENTIFY_S)
        target.give_up_rest()
    finally:
        target.borrowed = False
        target.detach()
        target.pace = pace
    by_pid: Counter[str] = Counter()
    for index, count in counts.items():
        if count and index not in asking.pids:
            return None
        if count:
            by_pid[asking.pids[index]] += count
    return dict(by_pid)
