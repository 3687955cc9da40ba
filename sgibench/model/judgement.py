"""What may be said about what was measured: intervals, verdicts, places, doubts."""

from __future__ import annotations

from dataclasses import dataclass

from sgibench.model.terms import Verdict


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its 95 % interval over blocks; None with fewer than two, or where all were put together."""

    value: float
    low: float | None
    high: float | None
    blocks: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Cell a against cell b: `ratio` = a / b with its interval, and what may be said about it."""

    ratio: float
    low: float | None
    high: float | None
    blocks: int
    verdict: Verdict
    more_blocks: int | None
    """For `unknown`: about how many further blocks would settle it."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One row of a ranking; rows with the same `place` are not told apart."""

    cell: str
    place: int
    """1 + the rows that stand before those that share it: 1, 1, 3."""
    estimate: Estimate
    best_place: int | None = None
    """The highest place that it may really have ..."""
    worst_place: int | None = None
    """... and the lowest: the interval of its rank."""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """A typed reason not to believe a trial or a comparison."""

    kind: str
    detail: str
    """The numbers that raised it."""
    advice: str
    """One sentence: what to do about it."""
