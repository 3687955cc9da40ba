"""Levels that can be put in order although cells lack blocks: what each would have over all blocks of its table.

A server that failed while the machine was slow has a mean of the fast blocks alone, which says nothing about how it
stands beside the others. So a cell's level is a + b averaged over all blocks, with a for the cell and b for the block
from least squares, weighted as for the spreads (`moderation`). Where no block lacks it is the mean of the cell's own
logarithms. Cells that share no block, not even through others, are on levels of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sgibench.stats.intervals import Values
from sgibench.stats.moderation import Table, weighed


def levels_of(table: Table) -> dict[str, float]:
    """Give the logarithm of each cell's level; cells without a value have none."""
    cells = {cell: values for cell, values in table.cells.items() if values}
    if len({frozenset(values) for values in cells.values()}) <= 1:
        return {cell: math.fsum(map(math.log, values.values())) / len(values) for cell, values in cells.items()}
    names, blocks = list(cells), sorted({block for values in cells.values() for block in values})
    entries = [(row, blocks.index(block)) for row, cell in enumerate(names) for block in cells[cell]]
    rows, columns = np.array(entries).T
    logs = np.array([math.log(value) for cell in names for value in cells[cell].values()])
    design = np.hstack([np.eye(len(names))[rows], np.eye(len(blocks))[columns]])
    root = np.sqrt(_weights(table, names)[rows])
    effects = np.linalg.lstsq(design * root[:, None], logs * root, rcond=None)[0]
    of_cell, of_block = effects[: len(names)], effects[len(names) :]
    return {
        cell: float(of_cell[row] + np.mean([of_block[blocks.index(block)] for block in _reached(cells, cell)]))
        for row, cell in enumerate(names)
    }


def _weights(table: Table, names: list[str]) -> NDArray[np.float64]:
    """How much each cell says about the blocks; one whose scatter is not known counts like a middle one."""
    known = {cell: spread.variance for cell, spread in table.spreads.items()}
    if not known:
        return np.ones(len(names))
    middle = float(np.median(list(known.values())))
    return weighed([known.get(cell, middle) for cell in names])


def _reached(cells: Mapping[str, Values], start: str) -> set[int]:
    """Find the blocks that a cell is compared over, directly or through others."""
    reached, size = set(cells[start]), 0
    while len(reached) > size:
        size = len(reached)
        for values in cells.values():
            if reached & values.keys():
                reached |= values.keys()
    return reached
