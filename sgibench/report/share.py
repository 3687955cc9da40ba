"""One share of a request's CPU, and how it is said: as exactly as it is known, and no more exactly than that (pure).

A bound ("at most 3 %", "less than 1 %") is said only where there is an interval. Without one, a share is told as "about
10 %", and one that is near to nothing is told as not known: it may as well be a tenth.

The interval over blocks holds what differs from block to block. What the comparison itself is off by is the same in all
of them, so it is added at both ends (`Exactness`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sgibench import stats

LEAST_US = 0.1
"""Nothing costs nothing, and logarithms want it so."""
ONE_AT_A_TIME_US, WAKING = 500.0, 0.5
"""Requests that take so long are asked one at a time, so that the server sleeps before each; about half of what it adds
then may be being woken (under uvicorn 40 µs of 80 for a request of 1 ms)."""
NEAR_NOTHING = 0.05
"""Without an interval, a share below this is not told from nothing."""
ONE_PERCENT = 0.01

Pair = tuple[float, float]
"""CPU per request in µs: of the app alone, and under the server."""


@dataclass(frozen=True, kw_only=True)
class Exactness:
    """What comparing the app alone with the app under a server is off by, whatever the number of blocks."""

    of_app: float
    """A part of the app's CPU."""
    of_rest: float
    """And a part of what the server adds."""

    def share(self, pairs: Sequence[Pair]) -> float:
        """Give it as a share of the whole."""
        each = [(self.of_app * alone + self.of_rest * max(0.0, whole - alone)) / whole for alone, whole in pairs]
        return sum(each) / len(each)


def waking(pairs: Sequence[Pair]) -> float:
    """Give by how much a share may be smaller under load, because there the server is not woken for each request."""
    each = [WAKING * max(0.0, whole - alone) / whole if alone >= ONE_AT_A_TIME_US else 0.0 for alone, whole in pairs]
    return sum(each) / len(each)


INSIDE = Exactness(of_app=0.003, of_rest=0.05)
"""The app is called in the server's own process, in the thread or loop that serves requests. It is given other objects
than the server gives it, and the server's code finds the caches colder beside an app than beside one that does nothing.
"""
ELSEWHERE = Exactness(of_app=0.25, of_rest=0.05)
"""The app is called in a process of its own. There the same code takes another time than in a server's thread, because
its memory lies otherwise: with an app of 20 ms, 2 to 16 % less, the same way in each of six blocks; and a loop of 1 ms
took 0.84 ms in one process and 1.07 ms in another of the same interpreter."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """Of CPU, what is not the app's own; 0 to 1."""

    value: float
    low: float | None = None
    """Of its 95 % interval over blocks, with what the comparison is off by; None with one block."""
    high: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is an interval: only then can a bound be said."""
        return self.low is not None and self.high is not None

    @property
    def is_bound(self) -> bool:
        """Whether it can't be told from nothing, or from what is less than 1 %, so that only `most` is said."""
        return self.low is not None and self.high is not None and (self.low <= 0 or self.value < ONE_PERCENT)

    @property
    def is_guess(self) -> bool:
        """Whether not even its size is known: it has no interval, and may as well be nothing."""
        return not self.is_known and self.value < NEAR_NOTHING

    @property
    def most(self) -> float | None:
        """So much it is at most; None where that is not known."""
        return self.high if self.is_known else None


def share_of(pairs: Iterable[Pair], exactness: Exactness) -> Share:
    """Judge pairs, one a block: one minus a ratio, so it has an interval like every ratio."""
    pairs = [(max(alone, LEAST_US), total) for alone, total in pairs]
    found = stats.estimate([alone / total for alone, total in pairs])
    if found is None:
        raise AssertionError("a share of nothing was asked for")
    off = exactness.share(pairs)
    low = None if found.high is None else 1 - found.high - off - waking(pairs)
    high = None if found.low is None else min(1.0, 1 - found.low + off)
    return Share(value=max(0.0, 1 - found.value), low=low, high=high)


# --- words -----------------------------------------------------------------------------------------------------------


def percent(share: float) -> str:
    """A share in whole percent, never nothing at all, and never less than it is: fit for a bound."""
    return "less than 1 %" if share < ONE_PERCENT else f"{math.ceil(min(share, 1) * 100 - 1e-9)} %"


def rounded(share: float) -> str:
    """A share in whole percent, and never nothing at all."""
    return f"{max(1, round(min(share, 1) * 100))} %"


def at_most(share: float) -> str:
    """Write an upper bound."""
    return percent(share) if share < ONE_PERCENT else f"at most {percent(share)}"


def said(share: Share) -> str:
    """Write a share: a figure, a bound, or what is known without an interval, which is never a bound."""
    if share.most is None:
        return "not known" if share.is_guess else f"about {rounded(share.value)}"
    return at_most(share.most) if share.is_bound else rounded(share.value)


def told(share: Share) -> str:
    """Write a share with its interval, for a table."""
    if share.low is None or share.high is None or share.low <= 0:
        return said(share)
    return f"{share.value * 100:.1f} % ({share.low * 100:.1f} to {share.high * 100:.1f})"
