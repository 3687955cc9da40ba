"""A load generator that shares no code with ours: one thread and one http.client connection for each user.

Slow, and right by being simple: a thread sends, waits, notes when it sent and for how long it waited, and sends again.
A window owns what was sent in it. Beside it, a server whose answers take the delays of a mix, dealt evenly, so that two
clients meet the same mix whatever the order is in which their requests arrive.
"""

from __future__ import annotations

import http.client
import math
import random
import threading
import time
from dataclasses import dataclass

from tests.scripted_server import Talk, answer

RIGHT = answer(b'{"message":"Hello, World!"}')
PERCENTILES = (0.5, 0.9, 0.99)
MARGINS = (0.1, 0.035, 0.006)
"""How far from each of them the border between two delays lies at least, as a share of the answers."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Delays of a server's answers, and how many connections ask."""

    delays_s: tuple[float, ...]
    shares: tuple[float, ...]
    """Of each delay, in the same order; their sum is 1."""
    connections: int

    @property
    def mean_s(self) -> float:
        """Mean delay."""
        return sum(delay * share for delay, share in zip(self.delays_s, self.shares, strict=True))


def random_mix(seed: int) -> Mix:
    """Two to four delays; none of the percentiles compared lies near the border between two of them."""
    rng = random.Random(f"mix/{seed}")
    while True:
        kinds = rng.randint(2, 4)
        delays = sorted(rng.uniform(0.015, 0.03) * 2 ** rng.uniform(0, 4) for _ in range(kinds))
        cuts = sorted(rng.random() for _ in range(kinds - 1))
        shares = [after - before for before, after in zip([0.0, *cuts], [*cuts, 1.0], strict=True)]
        borders_are_far = all(
            abs(cut - q) > margin for cut in cuts for q, margin in zip(PERCENTILES, MARGINS, strict=True)
        )
        if borders_are_far and min(shares) > 0.002:
            return Mix(delays_s=tuple(delays), shares=tuple(shares), connections=rng.randint(3, 10))


class MixedServer:
    """A script: each answer takes the next delay of an even deal (the golden ratio's sequence visits all shares)."""

    def __init__(self, mix: Mix) -> None:
        self.mix = mix
        self._lock = threading.Lock()
        self._place = 0.5

    def _next_s(self) -> float:
        with self._lock:
            self._place = (self._place + (math.sqrt(5) - 1) / 2) % 1
            place = self._place
        for delay, share in zip(self.mix.delays_s, self.mix.shares, strict=True):
            place -= share
            if place < 0:
                return delay
        return self.mix.delays_s[-1]

    def __call__(self, talk: Talk) -> None:
        """Serve one connection."""
        while (request := talk.request()) is not None:
            if request.startswith(b"GET /pid "):
                talk.send(answer(b"1"))
                continue
            time.sleep(self._next_s())
            talk.send(RIGHT)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a client saw."""

    rate_per_s: float
    percentiles_s: tuple[float, ...]


def measure(host: str, port: int, connections: int, settle_s: float, window_s: float) -> Seen:
    """Load in a closed loop, and report the requests that were sent in the window."""
    noted: list[tuple[float, float]] = []
    began = time.monotonic() + settle_s
    end = began + window_s

    def user() -> None:
        line = http.client.HTTPConnection(host, port, timeout=60)
        mine: list[tuple[float, float]] = []
        while (sent := time.monotonic()) < end:
            line.request("GET", "/json")
            line.getresponse().read()
            mine.append((sent, time.monotonic() - sent))
        line.close()
        noted.extend(mine)

    threads = [threading.Thread(target=user) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    owned = sorted(took for sent, took in noted if sent >= began)
    percentiles = tuple(owned[max(0, math.ceil(q * len(owned)) - 1)] for q in PERCENTILES)
    return Seen(rate_per_s=len(owned) / window_s, percentiles_s=percentiles)
