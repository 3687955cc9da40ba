"""Run against run as a page, in the style of the runs' own pages: what differs first, then every matched cell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgibench import units
from sgibench.model import Comparison, Metric, Run
from sgibench.report import comparison, words
from sgibench.report.naming import comparison_name, page_name
from sgibench.report.panels import Look, looks_of
from sgibench.report.refuted import Refuted
from sgibench.report.rendering import fill, save
from sgibench.report.standings import printable
from sgibench.stats.runs import Change, RunComparison

LARGEST = 2.0
"""Ratios beyond this, either way, are drawn at the edge."""
BETTER = {
    "faster": "better",
    "slower": "worse",
    "tie": "tie",
    "unknown": "unknown",
    comparison.REFUTED: comparison.REFUTED,
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One matched cell."""

    cell: str
    group: str
    """Scenario, load and settings."""
    server: str
    app: str
    look: Look
    before: str
    after: str
    ratio: str
    verdict: str
    centre: float
    """Where the ratio is drawn, 0 to 100, 50 = no difference, logarithmic."""
    ends: tuple[float, float] | None
    unchanged: bool
    shift: float | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """One metric."""

    key: str
    name: str
    said: str
    found: RunComparison
    band: tuple[float, float]
    """What counts as no difference, on the same scale."""
    groups: tuple[tuple[str, tuple[Line, ...]], ...]


def write_comparison(
    old: Run, new: Run, found: Sequence[RunComparison], refuted: Sequence[Refuted], folder: Path
) -> Path:
    """Write `compare-<old>-<new>.html` into `folder`; raises ResultsError when that can't be done."""
    html = fill(
        "comparison.html",
        title=f"{printable(old.info.run)} against {printable(new.info.run)}",
        old=old,
        new=new,
        old_page=page_name(old),
        new_page=page_name(new),
        differences=[printable(text) for text in (found[0].differences if found else ())],
        same_machine=all(one.same_machine for one in found),
        refuted=refuted,
        sections=[_section(index, one, refuted) for index, one in enumerate(found)],
    )
    return save(folder / comparison_name(old, new), html)


def _section(index: int, found: RunComparison, refuted: Sequence[Refuted]) -> Section:
    looks = looks_of(_parts(change.cell)[0] for change in found.changes)
    groups: dict[str, list[Line]] = {}
    for change in found.changes:
        line = _line(found.metric, change, looks, BETTER[comparison.verdict_of(change, refuted)])
        groups.setdefault(line.group, []).append(line)
    return Section(
        key=f"m{index}",
        name=words.FIGURES[found.metric][0].upper() + words.FIGURES[found.metric][1:],
        said=_said(found, refuted),
        found=found,
        band=(_place(1 / (1 + found.delta)), _place(1 + found.delta)),
        groups=tuple((name, tuple(lines)) for name, lines in sorted(groups.items())),
    )


def _parts(cell: str) -> tuple[str, str, str]:
    """Server, app and the rest of a cell's id."""
    server, _, rest = cell.partition("/")
    app, _, group = rest.partition("/")
    return server, app, group


def _line(metric: Metric, change: Change, looks: dict[str, Look], verdict: str) -> Line:
    server, app, group = _parts(change.cell)
    compared = change.comparison
    return Line(
        cell=change.cell,
        group=printable(group),
        server=printable(server),
        app=printable(app),
        look=looks[server],
        before=comparison.value(metric, change.old),
        after=comparison.value(metric, change.new),
        ratio=words.ratio(compared),
        verdict=verdict,
        centre=_place(compared.ratio),
        ends=_ends(compared),
        unchanged=change.unchanged,
        shift=change.machine_shift,
    )


def _ends(compared: Comparison) -> tuple[float, float] | None:
    if compared.low is None or compared.high is None:
        return None
    return _place(compared.low), _place(compared.high)


def _place(ratio: float) -> float:
    """Lay a ratio on a logarithmic scale from 1/LARGEST (0) to LARGEST (100)."""
    share = math.log(max(ratio, 1e-9)) / math.log(LARGEST)
    return 50 + 50 * min(max(share, -1.0), 1.0)


def _said(found: RunComparison, refuted: Sequence[Refuted]) -> str:
    """Sum a metric up in a sentence."""
    counts = Counter(BETTER[comparison.verdict_of(change, refuted)] for change in found.changes)
    broken = [gap for gap in found.gaps if not gap.allowable]
    lost = f" {units.many(len(broken), 'cell')} broke in the second run, in some blocks or in all." if broken else ""
    absent = printable(comparison.absent_words(found))
    if not found.changes:
        return f"{absent or 'No cell has this figure in both runs'}.{lost}"
    lost += f" {absent}." if absent else ""
    told = [f"{counts[verdict]} {verdict}" for verdict in ("better", "worse") if counts[verdict]]
    same = [f"{counts['tie']} tied"] if counts["tie"] else []
    open_ones = [f"{counts['unknown']} that can’t be told"] if counts["unknown"] else []
    open_ones += [f"{counts[comparison.REFUTED]} that the audit refutes"] if counts[comparison.REFUTED] else []
    cells = "cell" if len(found.changes) == 1 else "cells"
    return f"{len(found.changes)} {cells} in both runs: {', '.join(told + same + open_ones)}.{lost}"
