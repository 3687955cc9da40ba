"""How much a cell scatters beside the others of its table, known better than its own few blocks could tell.

Three blocks leave two degrees of freedom, on which a correction for many pairs finds next to nothing. The cells of a
table share a machine and an hour, so each variance borrows from the others: an empirical-Bayes shrinkage after Smyth
(Linear models and empirical Bayes methods, Statistical Applications in Genetics and Molecular Biology 3, 2004) with a
fixed prior weight, because one that is estimated from six cells is trusted too much. A variance is only ever raised;
one above the common one keeps its own, with few degrees of freedom. What the cells share in a block is taken out first,
with weights, so that one wild cell spoils its own interval and no other (`benchmarks/judgement_simulation.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from sgibench.stats.intervals import LogRatio, Values, log_ratio, measured

PRIOR_DEGREES = 4.0
"""Weight of what the table says about one cell's variance, in degrees of freedom."""
UNLIKE = 2.0
"""Times as much scatter of variances as their degrees and that weight explain, before the weight is given up."""
OWN_DEGREES = 4.0
"""With fewer behind each variance, they scatter so much by chance that nothing refutes the weight."""
LEAST_CELLS = 4
"""With fewer, the variances of single cells can't be told from one another: the paired t of two cells is used."""
OUTLYING = 12.0
"""A variance above so many medians counts as this many in the common one (robust hyperparameters: Phipson, Lee,
Majewski, Alexander and Smyth, Annals of Applied Statistics 10, 2016)."""
HEAVIEST = 0.4
"""Largest share of one cell in what all have in common; at a half, its own variance could not be told any more."""
ROUNDS = 2
"""Weights by the scatter around medians, then by the variances found with them."""
WITHIN = 4.0
"""A variance is at least this part of what the residuals show by themselves, and at most so many times it."""
STANDING_OUT = 0.05
"""In so many tables whose noise is normal a block is said to stand out from the others of its cell."""
SHOWING = 6
"""Blocks of a cell from which one can be seen to stand out."""
DUST = 1e-12
"""Standard deviations below this (log space) are rounding, not scatter."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How much one cell's blocks scatter beside the table's others (log space)."""

    variance: float
    """Of one block's value."""
    degrees: float
    """Degrees of freedom behind it."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The cells that are compared with one another, the control's copy included, by one figure."""

    cells: Mapping[str, Values]
    spreads: Mapping[str, Spread]
    """Of the cells with two blocks or more; empty where each pair has to speak for itself."""
    most_degrees: float
    """Of the whole table's residuals: no pair can know more."""
    disturbed: bool = False
    """Whether single blocks stand out from the scatter of all others: what the next ones bring can't be told then."""

    def ratio(self, a: str, b: str) -> LogRatio | None:
        """Summarise ln(a / b) over the blocks that both have; None when there is none.

        Of two cells with a spread: error² = (variance a + variance b) / blocks, degrees after Satterthwaite (Biometrics
        Bulletin 2, 1946). Otherwise the paired t.
        """
        return self._known_better(log_ratio(self.cells[a], self.cells[b]), (a, b))

    def contrast(self, first: tuple[str, str], second: tuple[str, str]) -> LogRatio | None:
        """Summarise ln((a / b) / (c / d)) over the blocks that all four have, of four different cells.

        Each block's value is the contrast itself, so that what slows all four down cancels, and what slows down the
        two of a ratio, too; its variance is the sum of theirs.
        """
        (a, b), (c, d) = first, second
        ratios = [self._ratios(a, b), self._ratios(c, d)]
        return self._known_better(log_ratio(*ratios), (a, b, c, d))

    def _ratios(self, a: str, b: str) -> Values:
        """Block -> a / b."""
        one, other = self.cells[a], self.cells[b]
        return {block: one[block] / other[block] for block in one.keys() & other.keys()}

    def _known_better(self, own: LogRatio | None, cells: Sequence[str]) -> LogRatio | None:
        """Give a mean over blocks the error that the spreads of its cells say it has, where these are known."""
        spreads = [spread for cell in cells if (spread := self.spreads.get(cell)) is not None]
        if own is None or own.error is None or len(spreads) < len(cells):
            return own
        variance = sum(spread.variance for spread in spreads)
        if variance <= DUST**2:
            return own
        weight = sum(spread.variance**2 / spread.degrees for spread in spreads)
        degrees = min(variance**2 / weight, self.most_degrees)
        return LogRatio(mean=own.mean, error=math.sqrt(variance / own.blocks), degrees=degrees, blocks=own.blocks)


def table_of(cells: Mapping[str, Values]) -> Table:
    """Find the spread of each cell: cell -> block -> value; what is no positive, finite number counts as missing."""
    known = {
        cell: {block: value for block, value in values.items() if measured([value])} for cell, values in cells.items()
    }
    kept = _connected(known)
    if len(kept) < LEAST_CELLS:
        return Table(cells=known, spreads={}, most_degrees=math.inf)
    names = list(kept)
    entries = [(row, block) for row, cell in enumerate(names) for block in sorted(kept[cell])]
    logs = np.array([math.log(kept[names[row]][block]) for row, block in entries])
    rows = np.array([row for row, _block in entries])
    places = {block: place for place, block in enumerate(sorted({block for _row, block in entries}))}
    columns = np.array([places[block] for _row, block in entries])
    spreads, most = _spreads(logs, rows, columns, len(names))
    return Table(
        cells=known,
        spreads=dict(zip(names, spreads, strict=True)),
        most_degrees=most,
        disturbed=_disturbed(logs, rows, columns),
    )


def _connected(cells: Mapping[str, Values]) -> dict[str, Values]:
    """Keep blocks that two cells share and cells with two such blocks: nothing else says how much a cell scatters."""
    kept: dict[str, Values] = dict(cells)
    while True:
        shared: dict[int, int] = {}
        for values in kept.values():
            for block in values:
                shared[block] = shared.get(block, 0) + 1
        shorter = {
            cell: {block: value for block, value in values.items() if shared[block] > 1}
            for cell, values in kept.items()
        }
        left: dict[str, Values] = {cell: values for cell, values in shorter.items() if len(values) > 1}
        if left == kept:
            return left
        kept = left


def _spreads(
    logs: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64], count: int
) -> tuple[list[Spread], float]:
    """Moderate the variances of `count` cells from their values in a two-way layout that may have holes.

    With residuals r = M x and M the residual maker of (weighted) least squares on cells and blocks, E r² = M² v where
    M² is element by element; summed over each cell this is a linear system for the variances v (Rao's MINQUE, Journal
    of the American Statistical Association 65, 1970). With all blocks there and equal weights 1 / S it says
    v = (q - Σq / (S (S - 1))) / (1 - 2 / S).
    """
    cells = np.eye(count)[rows]
    design = np.hstack([cells, np.eye(int(columns.max()) + 1)[columns]])
    degrees = cells.sum(axis=0) - 1
    rank = int(np.linalg.matrix_rank(design))
    weights = _first_weights(_maker(design, np.ones(len(logs))) @ logs, rows, columns, degrees)
    spreads: list[Spread] = []
    for _round in range(ROUNDS):
        maker = _maker(design, weights[rows])
        squares = cells.T @ (maker @ logs) ** 2
        system = cells.T @ maker**2 @ cells
        own = squares / degrees
        variances = np.clip(np.linalg.lstsq(system, squares, rcond=None)[0], own / WITHIN, own * WITHIN)
        spreads = moderate(variances.tolist(), degrees.tolist())
        weights = weighed([spread.variance for spread in spreads])
    return spreads, float(max(len(logs) - rank, 1))


def _maker(design: Floats, weights: Floats) -> Floats:
    """Make the matrix that turns values into residuals of weighted least squares."""
    weighted = design.T * weights
    return np.asarray(np.eye(len(design)) - design @ np.linalg.pinv(weighted @ design) @ weighted)


def _first_weights(residuals: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64], degrees: Floats) -> Floats:
    """Weigh cells by how much they scatter around medians, which a few wild values do not move."""
    beside = _beside(residuals, rows, columns)
    own = np.bincount(rows, weights=beside**2) / degrees
    return weighed([spread.variance for spread in moderate(own.tolist(), degrees.tolist())])


def _beside(values: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
    """How far values lie from the medians of their block, and then of their cell."""
    found = values - _medians(values, columns)[columns]
    return np.asarray(found - _medians(found, rows)[rows])


def _disturbed(logs: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> bool:
    """Whether a block of any cell stands out from the cell's others.

    Each block is held against the others of its cell by the externally studentised residual, t with n - 2 degrees, and
    the chances of all blocks together by Bonferroni (Cook and Weisberg, Residuals and Influence in Regression, 1982).
    """
    level = logs - _medians(logs, rows)[rows]
    beside = level - (np.bincount(columns, weights=level) / np.bincount(columns))[columns]
    chances = [_chance_of_the_farthest(beside[rows == row]) for row in range(int(rows.max()) + 1)]
    return min(chances) * len(logs) < STANDING_OUT


def _chance_of_the_farthest(values: Floats) -> float:
    """How likely it is that the value farthest from the others lies so far by chance; 1 where too few can tell."""
    count = len(values)
    if count < SHOWING:
        return 1.0
    farthest = int(np.argmax(np.abs(values - values.mean())))
    others = np.delete(values, farthest)
    scatter = float(others.std(ddof=1))
    if scatter <= DUST:
        return 1.0
    distance = abs(float(values[farthest] - others.mean())) / (scatter * math.sqrt(1 + 1 / (count - 1)))
    return float(2 * scipy.special.stdtr(count - 2, -distance))


def _medians(values: Floats, places: NDArray[np.int64]) -> Floats:
    return np.array([np.median(values[places == place]) for place in range(int(places.max()) + 1)])


def moderate(variances: Sequence[float], degrees: Sequence[float]) -> list[Spread]:
    """Raise each variance towards what all have in common, and say how well it is known then.

    s0² = mean of v, those above OUTLYING medians counting as that many; v' = max(v, (w s0² + d v) / (w + d)); degrees
    d + w min(1, s0² / v'): what stands above the common variance owes little to it. The weight w is PRIOR_DEGREES,
    unless the variances refute that they have that much in common (`_prior`).
    """
    found = np.where(np.asarray(variances) > DUST**2, variances, 0.0)
    weight, common = _prior(found, np.asarray(degrees))
    spreads = []
    for variance, own in zip(found.tolist(), degrees, strict=True):
        raised = max(variance, (weight * common + own * variance) / (weight + own))
        borrowed = weight * min(1.0, common / raised) if raised > 0 else weight
        spreads.append(Spread(variance=raised, degrees=own + borrowed))
    return spreads


def _prior(variances: Floats, degrees: Floats) -> tuple[float, float]:
    """Give the weight of what the table says about one cell's variance, and what it says.

    Logarithms of variances from d degrees scatter by trigamma(d / 2), and by trigamma(w / 2) more where the true ones
    scatter as a prior of weight w has it. Where they scatter UNLIKE times as much as PRIOR_DEGREES explains, some cells
    are calm and others wild, and the calm ones owe the wild ones nothing: then weight and common variance are Smyth's
    own estimates (his section 6.2), the weight far below PRIOR_DEGREES.
    """
    common = float(np.minimum(variances, OUTLYING * np.median(variances)).mean())
    known = variances > 0
    if np.count_nonzero(known) < LEAST_CELLS or degrees[known].min() < OWN_DEGREES:
        return PRIOR_DEGREES, common
    half = degrees[known] / 2
    levels = np.log(variances[known]) - scipy.special.digamma(half) + np.log(half)
    by_chance = float(scipy.special.polygamma(1, half).mean())
    scatter = float(levels.var(ddof=1))
    if scatter <= UNLIKE * (by_chance + float(scipy.special.polygamma(1, PRIOR_DEGREES / 2))):
        return PRIOR_DEGREES, common
    weight = 2 * _inverse_trigamma(scatter - by_chance)
    log = float(levels.mean()) + float(scipy.special.digamma(weight / 2)) - math.log(weight / 2)
    return weight, min(common, math.exp(max(log, -700.0)))


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method, which converges from this side (Smyth, appendix)."""
    found = 0.5 + 1 / value
    for _step in range(50):
        trigamma = float(scipy.special.polygamma(1, found))
        change = trigamma * (1 - trigamma / value) / float(scipy.special.polygamma(2, found))
        found += change
        if -change / found < 1e-8:  # noqa: PLR2004 - far below any sampling error
            break
    return found


def weighed(variances: Sequence[float]) -> Floats:
    """Weigh cells by how little they scatter, none by more than HEAVIEST; equally where nothing scatters."""
    least = max(variances) * 1e-6
    if least <= 0:
        return np.full(len(variances), 1.0 / len(variances))
    weights: Floats = 1.0 / np.maximum(variances, least)
    weights /= weights.sum()
    for _step in range(len(variances)):
        weights = np.minimum(weights, HEAVIEST)
        weights /= weights.sum()
        if weights.max() <= HEAVIEST * 1.001:
            break
    return weights
