"""What a run with `--until settled` may say: each server against the baseline, with all its looks counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sgibench.model import Metric, Run, Verdict
from sgibench.report import words
from sgibench.report.charts.chart import Table
from sgibench.report.standings import printable
from sgibench.stats.settling import comparisons_at

SAID: Mapping[Metric, tuple[str, str]] = {
    "cpu_us_per_request": ("needs less CPU than {}", "needs more CPU than {}"),
    "rps": ("serves more than {}", "serves less than {}"),
    "p50_us": ("answers sooner than {}", "answers later than {}"),
    "p99_us": ("has a shorter p99 than {}", "has a longer p99 than {}"),
    "p999_us": ("has a shorter p99.9 than {}", "has a longer p99.9 than {}"),
}
"""What `faster` and `slower` mean for each figure."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The comparisons at the last look that was taken."""

    baseline: str
    blocks: int
    """In how many blocks they rest."""
    most: int
    """How many there could have been."""
    table: Table


def settled_of(run: Run) -> Settled | None:
    """Compare with the baseline at the last look; None for a run without that rule, or before its first look."""
    rule = run.info.until
    if rule is None:
        return None
    done = max((trial.block + 1 for trial in run.trials), default=0)
    at = max((look for look in rule.looks if look <= done), default=None)
    if at is None:
        return None
    seen = [trial for trial in run.trials if trial.block < at]
    found = comparisons_at(seen, rule, at, run.info.delta)
    baseline = printable(rule.baseline)
    first = {trial.cell: trial for trial in seen}
    rows = tuple(
        (
            printable(first[cell].server),
            printable(f"{first[cell].scenario}, {first[cell].load.id}, {first[cell].settings.id}"),
            words.FIGURES[metric],
            words.ratio(compared),
            _said(metric, compared.verdict).format(baseline),
        )
        for (metric, cell), compared in found.items()
    )
    if not rows:
        return None
    headers = ("server", "where", "figure", f"ratio to {baseline}", "verdict")
    return Settled(baseline=baseline, blocks=at, most=rule.looks[-1], table=Table(headers=headers, rows=rows))


def _said(metric: Metric, verdict: Verdict) -> str:
    plain = {"tie": "tied with {}", "unknown": "not told apart from {}"}
    return plain[verdict] if verdict in plain else SAID[metric][verdict == "slower"]
