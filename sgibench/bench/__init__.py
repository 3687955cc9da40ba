"""Runs: what was asked for, what that means, and the road from there to the last trial on disk."""

from __future__ import annotations

from sgibench.bench.capacity import parse_slo, resume_capacity, search_capacity
from sgibench.bench.ceilings import find_ceilings
from sgibench.bench.own import OwnRequest
from sgibench.bench.request import (
    DEFAULT_APPS,
    DEFAULT_CONNECTIONS,
    DEFAULT_SLICE_S,
    DEFAULT_THREADS,
    Request,
    choose,
    select_scenarios,
)
from sgibench.bench.resuming import resume
from sgibench.bench.run import Outcome, run

__all__ = [
    "DEFAULT_APPS",
    "DEFAULT_CONNECTIONS",
    "DEFAULT_SLICE_S",
    "DEFAULT_THREADS",
    "Outcome",
    "OwnRequest",
    "Request",
    "choose",
    "find_ceilings",
    "parse_slo",
    "resume",
    "resume_capacity",
    "run",
    "search_capacity",
    "select_scenarios",
]
