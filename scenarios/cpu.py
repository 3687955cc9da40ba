"""Pure Python work for each request: what is left of a server's speed when the app itself is busy."""

from __future__ import annotations

from sgibench.load.user import BenchUser, get

ROUNDS = 2000
_MASK = 2**64 - 1


def digest(rounds: int) -> bytes:
    """Work out the answer that the contract gives for /cpu/{rounds}."""
    state = 0x5367696265_6E6368 & _MASK
    for _ in range(rounds):
        state = (state * 6364136223846793005 + 1442695040888963407) & _MASK
        state ^= state >> 29
    return b"%016x" % state


class Cpu(BenchUser):
    """Pure Python work for each request: what is left of a server's speed when the app itself is busy."""

    requests = (get(f"/cpu/{ROUNDS}", expect=digest(ROUNDS)),)
