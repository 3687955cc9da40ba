"""Places that the data carry: cells in order of their estimate, in tie groups, never a strict order by itself.

All pairs of a table are compared inside blocks and corrected together (Holm), so with 95 % confidence every "surely
ahead" of the table is true at once. Whoever quotes two of its cells takes their comparison from here: cells looked up
because they stand first and last differ by chance more often than two cells named beforehand. Rule: a cell's place is
1 + the number of cells surely ahead of it; in order of the estimates, a new place starts only where a cell is told
apart from one that stands before it, and two cells that are told apart never share a place. `worst_place` counts the
cells that are surely behind; the two are the confidence interval of the rank (Mogstad, Romano, Shaikh, Wilhelm,
Inference for Ranks, Review of Economic Studies, 2024).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from sgibench.model import Comparison, Estimate, Ranked, Verdict
from sgibench.stats.intervals import CONFIDENCE, DELTA, LogRatio, Values, estimate, holm, judge
from sgibench.stats.moderation import Table, table_of


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """One table's judgement."""

    rows: tuple[Ranked, ...]
    """Best first; the control's second copy is not among them."""
    delta: float
    """Ratios from 1 / (1 + delta) to 1 + delta make no difference; fixed before anything was measured."""
    noise_floor: Comparison | None
    """The A/A control: the copy against its cell; None when it was not measured."""
    noise: LogRatio | None
    """The same in log space, with its error."""
    verdicts: Mapping[tuple[str, str], Comparison]
    """Each row against each that stands after it; all corrected together."""
    unranked: tuple[str, ...]
    """Cells without a single measured block: they failed, which is no number and no place."""
    table: Table
    """The values that were judged, and how much each cell scatters."""

    def between(self, first: str, second: str) -> Comparison | None:
        """Compare two cells, first / second, as the table does; None when they share no block."""
        found = self.verdicts.get((first, second))
        if found is not None:
            return found
        turned = self.verdicts.get((second, first))
        return None if turned is None else _reversed(turned)

    def apart(self, first: str, second: str) -> bool:
        """Whether the table tells two cells apart."""
        found = self.between(first, second)
        return found is not None and found.verdict in {"faster", "slower"}

    @property
    def versus_best(self) -> Mapping[str, Comparison]:
        """Each other cell against the first row, by cell."""
        return {b: _reversed(found) for (a, b), found in self.verdicts.items() if a == self.rows[0].cell}

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Cells that share a place, best first."""
        places = sorted({row.place for row in self.rows})
        return tuple(tuple(row.cell for row in self.rows if row.place == place) for place in places)


def rank(
    cells: Mapping[str, Values],
    *,
    higher_is_better: bool,
    control: tuple[str, str] | None,
    delta: float = DELTA,
    confidence: float = CONFIDENCE,
) -> Ranking:
    """Rank the cells of one table: cell -> block -> value; `control` names the cell that ran twice and its copy.

    The copy helps to know how much cells scatter (`moderation`), and is no row.
    """
    table = table_of(cells)
    copy = control[1] if control else None
    aa = table.ratio(control[1], control[0]) if control and control[0] in cells and control[1] in cells else None
    estimates = {cell: estimate(list(values.values())) for cell, values in cells.items() if cell != copy}
    known = {cell: found for cell, found in estimates.items() if found is not None}
    order = sorted(known, key=lambda cell: (known[cell].value * (-1 if higher_is_better else 1), cell))
    ratios = {(a, b): ratio for a, b in combinations(order, 2) if (ratio := table.ratio(a, b)) is not None}
    verdicts = holm(ratios, delta=delta, confidence=confidence, higher_is_better=higher_is_better)
    return Ranking(
        rows=_places(order, known, verdicts),
        delta=delta,
        noise_floor=None if aa is None else judge(aa, delta=delta, higher_is_better=higher_is_better),
        noise=aa,
        verdicts=verdicts,
        unranked=tuple(cell for cell, found in estimates.items() if found is None),
        table=table,
    )


def _places(
    order: list[str], known: Mapping[str, Estimate], verdicts: Mapping[tuple[str, str], Comparison]
) -> tuple[Ranked, ...]:
    apart = [pair for pair, found in verdicts.items() if found.verdict in ("faster", "slower")]
    places: dict[str, int] = {}
    reached = 1
    for cell in order:
        ahead = [first for first, second in apart if second == cell]
        reached = max(reached, 1 + len(ahead), *(places[first] + 1 for first in ahead))
        places[cell] = reached
    surely_behind = Counter(first for first, _second in apart)
    return tuple(
        Ranked(
            cell=cell,
            place=places[cell],
            estimate=known[cell],
            worst_place=max(places[cell], len(order) - surely_behind[cell]),
        )
        for cell in order
    )


def _reversed(found: Comparison) -> Comparison:
    """Turn a / b into b / a."""
    swapped: dict[Verdict, Verdict] = {"faster": "slower", "slower": "faster"}
    return replace(
        found,
        ratio=1 / found.ratio,
        low=None if found.high is None else 1 / found.high,
        high=None if found.low is None else 1 / found.low,
        verdict=swapped.get(found.verdict, found.verdict),
    )
