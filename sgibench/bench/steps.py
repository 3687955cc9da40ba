"""A step of a search for capacity: how long one rate is offered, and what its trial says of that rate (pure)."""

from __future__ import annotations

from dataclasses import replace

from sgibench.engine.windows import SHORT_WARMUP_S
from sgibench.histogram import Histogram
from sgibench.model import Slo, Trial, Windows
from sgibench.stats.capacity import RateTrial, Rule
from sgibench.stats.queues import growth
from sgibench.stats.rates import rate_kept

LEAST_STEP_S = 1.0
"""Fast servers are watched longer than their answers need: a pause must have a chance to fall into a step."""
USUAL_STEP_S = 5.0
"""What a step may take at the slowest server's first rate decides how many answers the steps of all servers need."""
LONGEST_STEP_S = 120.0
"""At lower rates a step brings too few answers: there the search ends."""
SPARE = 1.01
"""Steps are planned for so many times the answers that they need."""
NO_ANSWER = frozenset({"timeout", "unanswered", "unsent"})
"""Errors of requests that got no answer: over any limit."""


def floor_of(rule: Rule) -> float:
    """The lowest rate at which a step of the longest kind brings the answers that it needs."""
    return rule.answers * SPARE / LONGEST_STEP_S


def step_windows(windows: Windows, rate_per_s: float, rule: Rule) -> Windows:
    """Make a step long enough for the answers that it needs, unbroken, and never too short to see a pause."""
    needed_s = rule.answers * SPARE / rate_per_s
    window_s = min(LONGEST_STEP_S * SPARE, max(LEAST_STEP_S, needed_s))
    return replace(
        windows,
        slice_s=None,
        turn_s=None,
        window_s=window_s,
        open_window_s=None,
        warmup_s=SHORT_WARMUP_S,
        own_s={},
    )


def rate_trial(trial: Trial, slo: Slo) -> RateTrial:
    """Read a step: how many requests it was about, how many were too late or never answered, and what went wrong."""
    rate_per_s, histogram = trial.load.rate_per_s or 0.0, trial.intended_histogram_us
    if trial.status != "ok" or histogram is None or trial.requests is None:
        return RateTrial(rate_per_s=rate_per_s, answers=0, over=0, errors=1)
    latencies, nothing = Histogram.from_data(histogram), sum(trial.errors.get(kind, 0) for kind in NO_ANSWER)
    return RateTrial(
        rate_per_s=rate_per_s,
        answers=trial.requests + nothing,
        over=min(latencies.above(slo.limit_us) + nothing - _above_twice(trial, slo), trial.requests + nothing),
        errors=sum(trial.errors.values()) - nothing,
        kept_up=rate_kept(trial) and not queue_grows(trial),
    )


def _above_twice(trial: Trial, slo: Slo) -> int:
    """How many requests that got no answer stand among the latencies over the limit as well: those that waited longer.

    Where some were given up before the limit, none is taken for one that was not: that would be too kind.
    """
    window = trial.window
    if window is None or window.censored_from_us is None or window.censored_from_us <= slo.limit_us:
        return 0
    return window.censored


def queue_grows(trial: Trial) -> bool:
    """Whether more jobs were handed in than were done: at such a rate the answers come soon and the jobs never."""
    return trial.jobs is not None and growth([trial.jobs]) > 0
