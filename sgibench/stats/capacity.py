"""Capacity: the highest open rate that holds a latency limit without errors, found by search. Pure decisions.

A step passes when so few answers were over the limit that the share beyond it is below 1 - q with confidence (the
binomial bound that MLPerf's inference rules use for early stopping). Rates are bisected geometrically; at each rate two
of three trials must agree; the rate that comes out is confirmed by one more trial. The caller runs the trials and asks
`next_step` again with all it has; servers take turns between steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from scipy.special import bdtr

from sgibench.stats.intervals import CONFIDENCE

RESOLUTION = 1.05
"""The search ends when the lowest rate that failed is within this factor of the highest that held."""
VOTES = 2
"""Trials that must agree at a rate."""
GROWTH = 2.0
"""Step up while nothing failed, and down while nothing held."""

StepVerdict = Literal["held", "failed", "open"]


@dataclass(frozen=True, kw_only=True)
class RateTrial:
    """One trial at one rate."""

    rate_per_s: float
    answers: int
    """Right answers, timed from when they were due."""
    over: int
    """Of these, how many took longer than the limit."""
    errors: int = 0
    """Requests without a right answer: one is enough to fail."""
    kept_up: bool = True
    """Whether the generator offered the rate; False fails the step, and is a doubt about the generator."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The search's result: the true capacity lies in [rate_per_s, failed_at_per_s)."""

    rate_per_s: float | None
    """Highest rate that held and was confirmed; None when not even the lowest rate asked held."""
    failed_at_per_s: float | None
    """Lowest rate above it that failed; None when the highest rate that could be asked still held."""
    trials: int


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What to measure next."""

    rate_per_s: float
    confirming: bool = False
    """True for the last trial, which confirms the rate that was found."""


@lru_cache(maxsize=65536)
def least_answers(over: int, q: float = 0.99, confidence: float = CONFIDENCE) -> int:
    """Answers needed before `over` of them may lie beyond the limit of quantile q.

    The least n with P(Binomial(n, 1 - q) <= over) <= 1 - confidence: for p99 at 95 %, 299 (0 over), 473 (1), 628 (2).
    """
    low, high = over, max(64, 4 * over)
    while bdtr(over, high, 1 - q) > 1 - confidence:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if bdtr(over, middle, 1 - q) <= 1 - confidence else (middle, high)
    return high


def step_verdict(
    trial: RateTrial, *, planned_answers: int | None = None, q: float = 0.99, confidence: float = CONFIDENCE
) -> StepVerdict:
    """Say whether a trial held the limit; with `planned_answers` also while it still runs.

    held: enough answers for so few over the limit. failed: an error, a generator that could not keep up, or so many
    over that the planned window can't make up for them; at the window's end (`planned_answers` None) all that did not
    hold.
    """
    if trial.errors or not trial.kept_up:
        return "failed"
    needed = least_answers(trial.over, q, confidence)
    if trial.answers >= needed:
        return "held"
    return "open" if planned_answers is not None and needed <= planned_answers else "failed"


def next_step(
    trials: Sequence[RateTrial],
    *,
    first_rate_per_s: float,
    lowest_rate_per_s: float,
    highest_rate_per_s: float,
    q: float = 0.99,
    confidence: float = CONFIDENCE,
    resolution: float = RESOLUTION,
) -> Ask | Capacity:
    """Decide from all trials so far, in order, what to measure next, or what the capacity is.

    `highest_rate_per_s` is what the generator can offer. A rate is asked until two trials agree. A rate that held but
    is not confirmed counts as failed.
    """
    heard: dict[float, list[bool]] = {}
    for trial in trials:
        heard.setdefault(trial.rate_per_s, []).append(step_verdict(trial, q=q, confidence=confidence) == "held")
    held: list[float] = []
    failed: list[float] = []
    for rate, votes in heard.items():
        outcome = _outcome(votes)
        if outcome is None:
            return Ask(rate_per_s=rate)
        (held if outcome else failed).append(rate)
    top = min(failed, default=math.inf)
    best = max((rate for rate in held if rate < top), default=None)
    if best is None and top == math.inf:
        return Ask(rate_per_s=_neat(min(max(first_rate_per_s, lowest_rate_per_s), highest_rate_per_s)))
    if best is None:
        if top <= lowest_rate_per_s:
            return Capacity(rate_per_s=None, failed_at_per_s=top, trials=len(trials))
        return Ask(rate_per_s=_neat(max(top / GROWTH, lowest_rate_per_s)))
    if top == math.inf and best < highest_rate_per_s:
        return Ask(rate_per_s=_neat(min(best * GROWTH, highest_rate_per_s)))
    between = _neat(math.sqrt(best * top)) if top != math.inf else best
    if top <= best * resolution or not best < between < top:
        if len(heard[best]) == _deciding(heard[best]):
            return Ask(rate_per_s=best, confirming=True)
        return Capacity(rate_per_s=best, failed_at_per_s=None if top == math.inf else top, trials=len(trials))
    return Ask(rate_per_s=between)


def _deciding(votes: Sequence[bool]) -> int:
    """After how many votes two agreed; 0 while they have not."""
    for count in range(VOTES, len(votes) + 1):
        if VOTES in (votes[:count].count(True), votes[:count].count(False)):
            return count
    return 0


def _outcome(votes: Sequence[bool]) -> bool | None:
    """Two of three; a later vote is the confirmation, and one that fails takes the rate back."""
    count = _deciding(votes)
    return None if not count else votes[:count].count(True) == VOTES and all(votes[count:])


def _neat(rate: float) -> float:
    """Three significant digits: rates that a person can read, and the same ones in every server's search."""
    return float(f"{rate:.3g}")
