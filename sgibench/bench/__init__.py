"""Runs: what was asked for, what that means, and the road from there to the last trial on disk."""

from __future__ import annotations

from sgibench.bench.capacity import EXCUSES, parse_slo, resume_capacity, search_capacity
from sgibench.bench.ceilings import find_ceilings
from sgibench.bench.own import Looked, OwnRequest, changed, find_app, own_apps, scenario_of
from sgibench.bench.request import (
    DEFAULT_APPS,
    DEFAULT_CONNECTIONS,
    DEFAULT_SLICE_S,
    DEFAULT_STREAMS,
    DEFAULT_THREADS,
    Request,
    choose,
    is_scenario_file,
    select_scenarios,
)
from sgibench.bench.resuming import resume
from sgibench.bench.run import Outcome, look, run
from sgibench.bench.unaskable import refusal
from sgibench.bench.workshop import environment_of

__all__ = [
    "DEFAULT_APPS",
    "DEFAULT_CONNECTIONS",
    "DEFAULT_SLICE_S",
    "DEFAULT_STREAMS",
    "DEFAULT_THREADS",
    "EXCUSES",
    "Looked",
    "Outcome",
    "OwnRequest",
    "Request",
    "changed",
    "choose",
    "environment_of",
    "find_app",
    "find_ceilings",
    "is_scenario_file",
    "look",
    "own_apps",
    "parse_slo",
    "refusal",
    "resume",
    "resume_capacity",
    "run",
    "scenario_of",
    "search_capacity",
    "select_scenarios",
]
