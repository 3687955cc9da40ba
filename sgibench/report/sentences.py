"""The answer of a panel in sentences a person can quote, and what qualifies them.

A sentence claims only what a verdict carries: "less" needs `faster`, "tied" needs `tie`; what shares a place without
either is "not told apart". Servers are compared within their interface, because that is the choice people have, by
the verdicts of the whole table, so that a sentence and the places beside it never disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgibench import stats, units
from sgibench.model import Comparison, Interface
from sgibench.report import words
from sgibench.report.panels import Panel, Row

INTERFACES: tuple[Interface, ...] = ("wsgi", "asgi", "rsgi")
ABOUT = 1.05
"""Figures whose highest is within this factor of the lowest are given as one."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What can be said about the servers of one interface."""

    interface: str
    """`WSGI`, `ASGI`, ... or nothing when it is unknown."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a panel says."""

    said: tuple[Said, ...]
    qualifiers: tuple[str, ...]
    """What a reader must know before quoting; may be empty."""


def answer_of(panel: Panel) -> Answer:
    """Put a panel's judgement into words."""
    said = []
    for interface in (*INTERFACES, None):
        rows = [row for row in panel.rows if row.entry.interface == interface and row.entry.status == "ok"]
        if rows:
            said.append(Said(interface=(interface or "").upper(), text=_cost(panel, rows) + _throughput(panel, rows)))
    nothing = Said(interface="", text="No server gave a right answer: nothing to compare.")
    return Answer(said=tuple(said) or (nothing,), qualifiers=_qualifiers(panel))


def _cost(panel: Panel, rows: Sequence[Row]) -> str:
    """Say who needs the least CPU per request."""
    ranked = [row for row in rows if row.cost]
    if not ranked:
        return "CPU per request was not measured."
    best = ranked[0]
    figure = units.microseconds(best.entry.cpu_us.value if best.entry.cpu_us else None)
    if len(ranked) == 1:
        return f"{best.label} needs {figure} of CPU per request."
    found = {row.entry.cell: panel.main.cost.between(best.entry.cell, row.entry.cell) for row in ranked[1:]}
    against = {cell: one for cell, one in found.items() if one}
    ahead, beside, tied = _sides(ranked, against)
    if not beside:
        nearest, farthest = ahead[0], ahead[-1]
        return _lead(f"{best.label} needs the least CPU per request, {figure}", nearest, farthest, against)
    names = words.listed([best.label, *(row.label for row in beside)])
    together = "are tied for" if tied else "can’t be told apart for"
    start = f"{names} {together} the least CPU per request ({_about(beside, best)}){_settle(beside, against)}"
    if not ahead:
        return f"{start}."
    far = ahead[-1]
    return f"{start}; {far.label} needs {_ratio(against, far)}."


def _about(beside: Sequence[Row], best: Row) -> str:
    """Write the figure that rows share, or from where to where theirs go."""
    shown = [row.entry.cpu_us.value for row in (best, *beside) if row.entry.cpu_us]
    lowest, highest = min(shown), max(shown)
    if highest < lowest * ABOUT:
        return f"about {units.microseconds(lowest)}"
    return f"{units.microseconds(lowest)} to {units.microseconds(highest)}"


def _sides(ranked: Sequence[Row], against: Mapping[str, Comparison]) -> tuple[list[Row], list[Row], bool]:
    """Rows surely behind the best, rows not told apart from it, and whether those are proven ties."""
    behind, beside, tied = [], [], True
    for row in ranked[1:]:
        found = against.get(row.entry.cell)
        if found and found.verdict == "faster":
            behind.append(row)
        else:
            beside.append(row)
            tied = tied and found is not None and found.verdict == "tie"
    return behind, beside, tied


def _lead(start: str, nearest: Row, farthest: Row, against: Mapping[str, Comparison]) -> str:
    near = f"{nearest.label} needs {_ratio(against, nearest)}"
    if nearest is farthest:
        return f"{start}; {near}."
    return f"{start}; {near}, {farthest.label} {_ratio(against, farthest, '')}."


def _ratio(against: Mapping[str, Comparison], other: Row, thing: str = "as much") -> str:
    """How many times more the other needs; `against` holds best / other."""
    return words.times(1 / against[other.entry.cell].ratio, thing)


def _settle(beside: Sequence[Row], against: Mapping[str, Comparison]) -> str:
    """Say how many further blocks would settle what is unknown."""
    found = [against.get(row.entry.cell) for row in beside]
    missing = [one.more_blocks for one in found if one and one.verdict == "unknown" and one.more_blocks]
    return f", which about {max(missing)} more blocks would settle" if missing else ""


def _throughput(panel: Panel, rows: Sequence[Row]) -> str:
    """Say who serves the most, where that is not what the cost says already."""
    ranked = sorted(
        (row for row in rows if row.throughput), key=lambda row: -(row.entry.rps.value if row.entry.rps else 0)
    )
    if not panel.saturated or len(ranked) < 2:  # noqa: PLR2004 - a comparison takes two
        return ""
    best, last = ranked[0], ranked[-1]
    against = panel.main.throughput.between(best.entry.cell, last.entry.cell)
    top = units.rate(best.entry.rps.value if best.entry.rps else None)
    if against is None or against.verdict != "faster":
        return f" All serve about {top}." if against and against.verdict == "tie" else ""
    told = words.times(against.ratio, f"what {last.label} serves", f" than {last.label}")
    return f" At saturation {best.label} serves {top}, {told}."


def _qualifiers(panel: Panel) -> tuple[str, ...]:
    found = []
    blocks = max((len(row.entry.good) for row in panel.rows), default=0)
    if blocks == 1:
        found.append("Only one block: figures have no interval, and no two servers are told apart.")
    elif 0 < blocks < stats.CLAIM_BLOCKS:
        found.append(f"Only {blocks} blocks: clear differences count, ties are not claimed below {stats.CLAIM_BLOCKS}.")
    if panel.main.control is None:
        found.append("No A/A control was run, so the noise floor is assumed to be 2 %.")
    failed = [row.label for row in panel.rows if row.entry.status != "ok"]
    if failed:
        found.append(f"{words.listed(failed)} failed and {'are' if len(failed) > 1 else 'is'} not in the comparison.")
    found.extend(f"{doubt.kind}: {doubt.detail}. {doubt.advice}" for doubt in panel.doubts)
    kinds: dict[str, set[str]] = {}
    for row in panel.rows:
        for doubt in row.doubts:
            kinds.setdefault(doubt.kind, set()).add(row.label)
    found.extend(f"{kind} at {words.listed(sorted(names))}: see the rows." for kind, names in kinds.items())
    return tuple(found)
