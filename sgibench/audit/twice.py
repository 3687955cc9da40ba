"""What a trial tells twice: its sums and percentiles, and what its slices and histograms make of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sgibench.audit.figures import Twice
from sgibench.histogram import Histogram
from sgibench.model import Trial
from sgibench.units import microseconds, seconds

SAME = 1e-3
"""Sums of many floats, and the middle of a histogram's bucket, lie far closer to what they stand for."""


def told_twice(trial: Trial) -> Iterator[Twice]:
    """Work out again what can be, of a trial that has figures."""
    if trial.requests is None or trial.status != "ok":
        return
    yield from _slices(trial, trial.requests)
    yield from _histogram(trial, trial.requests)
    if trial.cpu_s is not None and trial.requests and trial.cpu_us_per_request is not None:
        each_us = 1e6 * trial.cpu_s / trial.requests
        yield Twice(
            told=f"{microseconds(trial.cpu_us_per_request)} of CPU per request",
            parts=f"{seconds(trial.cpu_s)} for {trial.requests:,} are {microseconds(each_us)}",
            agree=_same(each_us, trial.cpu_us_per_request),
        )


def _slices(trial: Trial, requests: int) -> Iterator[Twice]:
    if not trial.slices:
        return
    inside, window_s = sum(one.requests for one in trial.slices), math.fsum(one.window_s for one in trial.slices)
    yield Twice(told=f"{requests:,} right answers", parts=f"{inside:,} in its slices", agree=inside == requests)
    if trial.window_s is not None:
        yield Twice(
            told=f"a window of {seconds(trial.window_s)}",
            parts=f"{seconds(window_s)} of slices",
            agree=_same(window_s, trial.window_s),
        )
    known = [one.cpu_s for one in trial.slices if one.cpu_s is not None]
    if trial.cpu_s is not None and len(known) == len(trial.slices):
        used_s = math.fsum(known)
        yield Twice(
            told=f"{seconds(trial.cpu_s)} of CPU",
            parts=f"{seconds(used_s)} in its slices",
            agree=_same(used_s, trial.cpu_s),
        )


def _histogram(trial: Trial, requests: int) -> Iterator[Twice]:
    data = trial.intended_histogram_us or trial.histogram_us
    if data is None:
        return
    histogram = Histogram.from_data(data)
    yield Twice(
        told=f"{requests:,} right answers",
        parts=f"{histogram.count:,} in its histogram",
        agree=histogram.count == requests,
    )
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        told_us = getattr(trial.latency_us, name, None)
        drawn_us = histogram.percentile_us(share)
        if told_us is not None and drawn_us is not None:
            yield Twice(
                told=f"{name} {microseconds(told_us)}",
                parts=f"{microseconds(drawn_us)} in its histogram",
                agree=_same(drawn_us, told_us),
            )


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=SAME, abs_tol=1e-6)
