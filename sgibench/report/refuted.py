"""Figures of a comparison that the audit refutes (pure): by arithmetic alone, they can't all be true.

A ratio of such figures is no ratio of two measurements, so it is shown and has no verdict, whichever run they are in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sgibench.audit import REFUTING, audit_run
from sgibench.model import Doubt, Run

NAMED = 5
"""Cells that a terminal names, before the others are only counted."""


Side = Literal["first", "second"]


@dataclass(frozen=True, kw_only=True)
class Refuted:
    """A cell whose figures in one of the runs the audit refutes."""

    cell: str
    side: Side
    run: str
    doubts: tuple[Doubt, ...]
    """Those that refute, each kind once."""

    @property
    def text(self) -> str:
        """Say it in one line."""
        said = "; ".join(f"{doubt.kind}: {doubt.detail}" for doubt in self.doubts)
        return f"refuted: {self.cell}: {self.side} run: {said}"


def refuted_of(old: Run, new: Run, cells: Iterable[str]) -> tuple[Refuted, ...]:
    """Audit both runs, and give those of the cells that it refutes, in the order of the cells."""
    sides: tuple[Side, ...] = get_args(Side)
    audited = [(side, run.info.run, audit_run(run).cells) for side, run in zip(sides, (old, new), strict=True)]
    found = []
    for cell in dict.fromkeys(cells):
        for side, run, about in audited:
            doubts = tuple(doubt for doubt in about.get(cell, ()) if doubt.kind in REFUTING)
            if doubts:
                found.append(Refuted(cell=cell, side=side, run=run, doubts=doubts))
    return tuple(found)


def few(refuted: Sequence[Refuted]) -> list[str]:
    """Say it of the first, and of the others how many there are and where they are named."""
    lines = [one.text for one in refuted[:NAMED]]
    if others := refuted[NAMED:]:
        runs = " and ".join(dict.fromkeys(one.run for one in others))
        lines.append(f"refuted: {len(others)} more: sgibench audit names them, in {runs}")
    return lines
