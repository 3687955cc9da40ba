"""What a run with `--until settled` may say: each server against the baseline, with all its looks counted."""

from __future__ import annotations

from dataclasses import dataclass

from sgibench.model import Run
from sgibench.report import words
from sgibench.report.charts.chart import Table
from sgibench.report.standings import printable
from sgibench.stats.settling import comparisons_at

SAID = {
    "faster": "needs less CPU than {}",
    "slower": "needs more CPU than {}",
    "tie": "tied with {}",
    "unknown": "not told apart from {}",
}


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
    found = comparisons_at(seen, rule, at)
    baseline = printable(rule.baseline)
    first = {trial.cell: trial for trial in seen}
    rows = tuple(
        (
            printable(first[cell].server),
            printable(f"{first[cell].scenario}, {first[cell].load.id}, {first[cell].settings.id}"),
            words.ratio(compared),
            SAID[compared.verdict].format(baseline),
        )
        for cell, compared in found.items()
    )
    if not rows:
        return None
    headers = ("server", "where", f"CPU per request over {baseline}", "verdict")
    return Settled(baseline=baseline, blocks=at, most=rule.looks[-1], table=Table(headers=headers, rows=rows))
