"""Capacity: the highest open rate that holds a latency limit without errors, found by search. Pure decisions.

A step passes when so few answers were over the limit that the share beyond it is below 1 - q with confidence (the
binomial bound that MLPerf's inference rules use for early stopping). A request without an answer is over the limit. How
many answers a step needs and how many may be over is fixed before a search and is the same for all of its rates, so
slow servers are judged no more strictly than fast ones; a step with too few answers decides nothing. Rates are bisected
geometrically; at each rate two of three trials must agree; the rate that comes out is confirmed by one more trial. The
caller runs the trials and asks `next_step` again with all it has; servers take turns between steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import scipy

from sgibench.stats.intervals import CONFIDENCE

RESOLUTION = 1.05
"""The search ends when the lowest rate that failed is within this factor of the highest that held."""
VOTES = 2
"""Trials that must agree at a rate."""
GROWTH = 2.0
"""Step up while nothing failed, and down while nothing held."""

PATIENCE = 3
"""Trials at one rate that bring too few answers before the search gives up on deciding."""
OVERS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 400)
"""Numbers of late answers that a step may be planned for. Never 0: one odd answer would decide, and more answers could
not make up for it."""
MOST_BEYOND = 30
"""Answers beyond the quantile that are expected at the limit itself: more make a step no fairer, only longer."""
MOST_ANSWERS = 3000
"""Likewise, for quantiles below p99."""

StepVerdict = Literal["held", "failed", "too-few"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a step is judged, the same at all rates of a search."""

    answers: int
    """A step needs so many: `least_answers(over)`."""
    over: int
    """So many of them may be over the limit; of k times as many answers, k times as many."""

    def allowed(self, answers: int) -> int:
        """How many of so many answers may be over the limit: the same share at any rate."""
        return self.over * max(answers, self.answers) // self.answers


@dataclass(frozen=True, kw_only=True)
class RateTrial:
    """One trial at one rate."""

    rate_per_s: float
    answers: int
    """Requests whose time is known, right answers and those that were given up; timed from when they were due."""
    over: int
    """Of these, how many took longer than the limit, or were never answered."""
    errors: int = 0
    """Wrong answers and lost connections: one is enough to fail."""
    kept_up: bool = True
    """Whether the server kept the rate (`stats.rates`); False fails the step: a queue only grows."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The search's result: the true capacity lies in [rate_per_s, failed_at_per_s)."""

    rate_per_s: float | None
    """Highest rate that held and was confirmed; None when not even the lowest rate asked held."""
    failed_at_per_s: float | None
    """Lowest rate above it that failed; None when the highest rate that could be asked still held."""
    trials: int
    too_few_at_per_s: float | None = None
    """The rate at which too few answers came, again and again: nothing was decided."""


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
    while scipy.special.bdtr(over, high, 1 - q) > 1 - confidence:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if scipy.special.bdtr(over, middle, 1 - q) <= 1 - confidence else (middle, high)
    return high


def rule_for(slowest_per_s: float, step_s: float, q: float = 0.99, confidence: float = CONFIDENCE) -> Rule:
    """Choose how steps are judged: as many answers as the slowest server's first rate brings in `step_s`.

    Never fewer than one late answer can decide, however long that takes.
    """
    most = min(slowest_per_s * step_s, max(MOST_ANSWERS, MOST_BEYOND / (1 - q)))
    fitting = [over for over in OVERS if least_answers(over, q, confidence) <= most]
    over = max(fitting, default=OVERS[0])
    return Rule(answers=least_answers(over, q, confidence), over=over)


def step_verdict(trial: RateTrial, rule: Rule) -> StepVerdict:
    """Say whether a trial held the limit.

    failed: an error, a rate that was not kept, or more over the limit than may be, however many answers came. too-few:
    nothing of that, and fewer answers than it takes to say more.
    """
    if trial.errors or not trial.kept_up or trial.over > rule.allowed(trial.answers):
        return "failed"
    return "held" if trial.answers >= rule.answers else "too-few"


def next_step(
    trials: Sequence[RateTrial],
    *,
    first_rate_per_s: float,
    lowest_rate_per_s: float,
    highest_rate_per_s: float,
    rule: Rule,
    resolution: float = RESOLUTION,
) -> Ask | Capacity:
    """Decide from all trials so far, in order, what to measure next, or what the capacity is.

    `highest_rate_per_s` is what the generator can offer. A rate is asked until two trials agree; one with too few
    answers is no vote. A rate that held but is not confirmed counts as failed.
    """
    lowest_rate_per_s = _neat(lowest_rate_per_s)
    heard = _votes(trials, rule)
    undecided = next((rate for rate, votes in heard.items() if _outcome(votes) is None), None)
    if undecided is not None:
        if _too_few(trials, rule, undecided) < PATIENCE:
            return Ask(rate_per_s=undecided)
        return Capacity(rate_per_s=None, failed_at_per_s=None, trials=len(trials), too_few_at_per_s=undecided)
    failed = [rate for rate, votes in heard.items() if not _outcome(votes)]
    held = heard.keys() - failed
    top = min(failed, default=math.inf)
    best = max((rate for rate in held if rate < top), default=None)
    if best is None:
        if top <= lowest_rate_per_s:
            return Capacity(rate_per_s=None, failed_at_per_s=top, trials=len(trials))
        lower = top / GROWTH if top != math.inf else min(first_rate_per_s, highest_rate_per_s)
        return Ask(rate_per_s=_neat(max(lower, lowest_rate_per_s)))
    if top == math.inf and best < highest_rate_per_s:
        return Ask(rate_per_s=_neat(min(best * GROWTH, highest_rate_per_s)))
    between = _neat(math.sqrt(best * top)) if top != math.inf else best
    if top <= best * resolution or not best < between < top:
        if len(heard[best]) == _deciding(heard[best]):
            return Ask(rate_per_s=best, confirming=True)
        return Capacity(rate_per_s=best, failed_at_per_s=None if top == math.inf else top, trials=len(trials))
    return Ask(rate_per_s=between)


def decided(trials: Sequence[RateTrial], rule: Rule) -> tuple[float | None, float | None]:
    """Give the highest rate that held below all that failed, and the lowest that failed, of those that are decided."""
    outcomes = {rate: _outcome(votes) for rate, votes in _votes(trials, rule).items()}
    failed = min((rate for rate, held in outcomes.items() if held is False), default=None)
    below = (rate for rate, held in outcomes.items() if held and (failed is None or rate < failed))
    return max(below, default=None), failed


def _votes(trials: Sequence[RateTrial], rule: Rule) -> dict[float, list[bool]]:
    """Rate -> whether each of its trials held; one with too few answers is no vote, but its rate was asked."""
    heard: dict[float, list[bool]] = {}
    for trial in trials:
        votes, verdict = heard.setdefault(trial.rate_per_s, []), step_verdict(trial, rule)
        if verdict != "too-few":
            votes.append(verdict == "held")
    return heard


def _too_few(trials: Sequence[RateTrial], rule: Rule, rate_per_s: float) -> int:
    return sum(one.rate_per_s == rate_per_s and step_verdict(one, rule) == "too-few" for one in trials)


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
