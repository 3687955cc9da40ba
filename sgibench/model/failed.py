"""A failure is never a number: the one place that says what a trial keeps when it is one.

A list of what is kept, so that a figure which is added to trials tomorrow is dropped without a line changed here.
"""

from __future__ import annotations

from dataclasses import replace

from sgibench.model.terms import Status
from sgibench.model.trial import Failure, Trial

WHICH = (
    *("cell", "server", "app", "scenario", "load", "workers", "threads", "block", "order", "started_at"),
    *("control", "configuration", "retries", "step"),
)
"""Fields that say which trial it is; the plan holds them."""
KEPT = (
    *WHICH,
    "interface",
    "concurrency",
    "floor_s",
    "argv",
    "errors",
    "effective",
    "not_as_declared",
    "unit",
    "family",
)
"""What a failed trial keeps: which one it is, how it was launched, and what went wrong how often."""

LOAD_LOST = "load-lost"
"""The reason of a trial whose load process ended or was stopped: that says nothing about its server."""


def is_lost(trial: Trial) -> bool:
    """Whether its load process was lost, so that nothing is known of its server."""
    return trial.failure is not None and trial.failure.reason == LOAD_LOST


def as_failed(trial: Trial, failure: Failure | None, kept: tuple[str, ...] = KEPT) -> Trial:
    """Make the trial a failure; no figure that was measured on it is left."""
    status: Status = "skipped" if trial.status == "skipped" else "failed"
    front = replace(trial.front, cpu_s=None, memory=None) if trial.front and "argv" in kept else None
    return Trial(**{name: getattr(trial, name) for name in kept}, status=status, failure=failure, front=front)
