"""A target that loads a scripted server from this process, and the books that must balance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sgibench.load.paces import ClosedPace
from sgibench.load.request import Program, Request
from sgibench.load.target import Target
from tests.scripted_server import ScriptedServer


@contextmanager
def target_of(
    server: ScriptedServer, *requests: Request, timeout_s: float = 5.0, keep_alive: bool = True
) -> Iterator[Target]:
    program = Program(requests=requests, host=f"{server.host}:{server.port}", keep_alive=keep_alive)
    target = Target(server.host, server.port, program, timeout_s=timeout_s)
    target.pace = ClosedPace(target)
    try:
        yield target
    finally:
        target.close()


def play(target: Target, enough: Callable[[], bool], connections: int = 1) -> None:
    """Load the target until `enough`, then drain it."""
    target.attach()
    for _ in range(connections):
        target.add()
    target.begin_count()
    target.open_gate()
    assert target.wait_until(folded(target, enough), 60), "it never was enough"
    target.close_gate()
    assert target.wait_until(lambda: not target.in_flight, 60), "it was never drained"
    target.end_count()


def folded(target: Target, enough: Callable[[], bool]) -> Callable[[], bool]:
    """Look only at what is folded."""

    def look() -> bool:
        target.fold()
        return enough()

    return look


def answered(target: Target, count: int) -> Callable[[], bool]:
    return lambda: target.tally.requests >= count


def assert_accounted(target: Target, server: ScriptedServer) -> None:
    """Every request that the server received is a right answer or an error of the client, and nothing else is."""
    sent = target.tally.sent + target.uncounted.total()
    target.wait_until(lambda: server.requests >= sent, 10)  # a busy machine may not have read what timed out
    assert server.requests == sent
    assert target.tally.histogram.count == target.tally.requests


def assert_opened(target: Target, server: ScriptedServer, connections: int) -> None:
    """The server has seen so many connections, of which the last may still have to be opened."""
    target.wait_until(lambda: server.connections >= connections, 60)
    assert server.connections == connections


def answers_read(target: Target) -> int:
    """How many answers were read in full; the others were compared with one that had been."""
    return sum(sizes.read for sizes in target.answer_sizes.values())
