"""Places that the data carry: cells in order of their estimate, in tie groups, never a strict order by itself.

All pairs of a table are compared inside blocks and corrected together (Holm), so with 95 % confidence every "surely
ahead" of the table is true at once. Whoever quotes two of its cells takes their comparison from here: cells looked up
because they stand first and last differ by chance more often than two cells named beforehand. Rule: in order of the
levels, a new place starts only where a cell is told apart from one that stands before it, and two cells that are told
apart never share a place; a place is 1 + the number of cells before those that share it (1, 1, 3). Levels are those
over all blocks (`levels`), so that a cell is not better for the blocks that it lacks, and a cell that is surely ahead
of another stands before it whatever the levels say. `best_place` counts the cells that are surely ahead (of two that
share the first place perhaps one), `worst_place` those that are surely behind; the two are the confidence interval of
the rank (Mogstad, Romano, Shaikh, Wilhelm, Inference for Ranks, Review of Economic Studies, 2024).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from sgibench.model import Comparison, Estimate, Ranked, Verdict
from sgibench.stats.intervals import CONFIDENCE, DELTA, LogRatio, Values, estimate, factor, holm, judge
from sgibench.stats.levels import levels_of
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
    """Each row against each that stands after it; all corrected together. One without a block follows from others."""
    unranked: tuple[str, ...]
    """Cells without a single measured block: they failed, which is no number and no place."""
    table: Table
    """The values that were judged, and how much each cell scatters."""

    def between(self, first: str, second: str) -> Comparison | None:
        """Compare two cells, first / second, as the table does; None when they share no block."""
        return _between(self.verdicts, first, second)

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
    levels = levels_of(table)
    by_level = sorted(known, key=lambda cell: (levels[cell] * (-1 if higher_is_better else 1), cell))
    ratios = {(a, b): ratio for a, b in combinations(by_level, 2) if (ratio := table.ratio(a, b)) is not None}
    judged = holm(ratios, delta=delta, confidence=confidence, higher_is_better=higher_is_better)
    if table.disturbed:
        judged = {pair: replace(found, more_blocks=None) for pair, found in judged.items()}
    judged = _with_what_follows(judged, {cell: levels[cell] for cell in by_level}, higher_is_better=higher_is_better)
    ahead = _ahead(by_level, judged)
    order = _in_order(by_level, ahead)
    verdicts = {pair: found for pair in combinations(order, 2) if (found := _between(judged, *pair)) is not None}
    return Ranking(
        rows=_places(order, known, ahead),
        delta=delta,
        noise_floor=None if aa is None else judge(aa, delta=delta, higher_is_better=higher_is_better),
        noise=aa,
        verdicts=verdicts,
        unranked=tuple(cell for cell, found in estimates.items() if found is None),
        table=table,
    )


def _ahead(cells: Sequence[str], verdicts: Mapping[tuple[str, str], Comparison]) -> Mapping[str, frozenset[str]]:
    """Cell -> the cells that are surely ahead of it."""
    sure = {"faster": lambda a, b: (a, b), "slower": lambda a, b: (b, a)}
    pairs = [sure[found.verdict](a, b) for (a, b), found in verdicts.items() if found.verdict in sure]
    return {cell: frozenset(first for first, second in pairs if second == cell) for cell in cells}


def _with_what_follows(
    verdicts: Mapping[tuple[str, str], Comparison], levels: Mapping[str, float], *, higher_is_better: bool
) -> dict[tuple[str, str], Comparison]:
    """Add what follows: who is surely ahead of one that is surely ahead of a third is ahead of that, too.

    All verdicts of a table hold at once, so this takes no further error. Pairs that share no block get the ratio of
    their levels, without an interval. Nothing follows from a circle, nor against what a pair shows by itself.
    """
    known, sense = dict(verdicts), 1 if higher_is_better else -1
    direct_ones = _ahead(list(levels), verdicts)
    ahead = {cell: _closed(cell, direct_ones) for cell in levels}
    for cell, others in ahead.items():
        for better in others - {cell}:
            direct = _between(verdicts, better, cell)
            seen = levels[better] - levels[cell] if direct is None else math.log(direct.ratio)
            if cell in ahead[better] or seen * sense <= 0:
                continue
            if direct is None:
                known[better, cell] = Comparison(
                    ratio=factor(seen), low=None, high=None, blocks=0, verdict="faster", more_blocks=None
                )
            elif direct.verdict == "unknown":
                known.pop((cell, better), None)
                known[better, cell] = replace(direct, verdict="faster", more_blocks=None)
    return known


def _closed(cell: str, ahead: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """All that are ahead of a cell, directly or through others."""
    found: set[str] = set()
    waiting = set(ahead[cell])
    while waiting:
        found |= waiting
        waiting = {other for one in waiting for other in ahead[one]} - found
    return frozenset(found)


def _in_order(cells: Sequence[str], ahead: Mapping[str, frozenset[str]]) -> list[str]:
    """Put cells behind all that are surely ahead of them, otherwise as they come.

    Verdicts over different blocks may go round in a circle; then the first of it stands first.
    """
    order: list[str] = []
    left = list(cells)
    while left:
        following = next((cell for cell in left if not ahead[cell] & set(left)), left[0])
        order.append(following)
        left.remove(following)
    return order


def _places(
    order: Sequence[str], known: Mapping[str, Estimate], ahead: Mapping[str, frozenset[str]]
) -> tuple[Ranked, ...]:
    steps: dict[str, int] = {}
    places: dict[str, int] = {}
    for before, cell in enumerate(order):
        last = order[before - 1] if before else cell
        apart = [other for other in steps if other in ahead[cell] or cell in ahead[other]]
        steps[cell] = max(steps.get(last, 1), 1 + len(ahead[cell]), *(steps[other] + 1 for other in apart))
        places[cell] = places[last] if before and steps[cell] == steps[last] else 1 + before
    surely_behind = Counter(cell for others in ahead.values() for cell in others)
    return tuple(
        Ranked(
            cell=cell,
            place=places[cell],
            estimate=known[cell],
            best_place=1 + len(ahead[cell]),
            worst_place=max(places[cell], len(order) - surely_behind[cell]),
        )
        for cell in order
    )


def _between(verdicts: Mapping[tuple[str, str], Comparison], first: str, second: str) -> Comparison | None:
    """Look a comparison up, whichever way round it was made."""
    if (first, second) in verdicts:
        return verdicts[first, second]
    turned = verdicts.get((second, first))
    return None if turned is None else _reversed(turned)


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
