"""Run against run, as text: for a terminal, a pull request, another program, or a test report (pure)."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sgibench import units
from sgibench.errors import in_line, plain
from sgibench.model import Estimate, Metric
from sgibench.report import words
from sgibench.report.narrow import Column, Line
from sgibench.report.refuted import Refuted, few
from sgibench.results.codec import encode
from sgibench.stats import HIGHER_IS_BETTER, Gap
from sgibench.stats.runs import Change, RunComparison, worse_than

REFUTED = "refuted"
"""In place of a verdict, where the audit refutes a figure of the cell in one of the runs."""
VERDICT_STYLES = {"faster": "green", "slower": "bold red", "tie": "", "unknown": "dim", REFUTED: "bold red"}


def value(metric: Metric, estimate: Estimate) -> str:
    """Write a value in its unit."""
    return words.FORMS[metric](estimate.value)


def heading(found: Sequence[RunComparison], refuted: Sequence[Refuted]) -> list[str]:
    """Say first what differs between the runs, what the audit refutes, and what can't be compared; each once."""
    shown = {change.cell for one in found for change in one.changes}
    lines = list(found[0].differences) + few([one for one in refuted if one.cell in shown])
    lines += [gap_words(gap) for one in found for gap in one.gaps]
    return list(dict.fromkeys(lines + [told for one in found if (told := absent_words(one))]))


def absent_words(found: RunComparison) -> str:
    """Say which cells have the figure in neither run; nothing where all have it in one, or where a gap says more."""
    name = words.FIGURES[found.metric]
    if not found.absent:
        return "" if found.changes or found.gaps else f"{name}: nothing to compare, no cell has it in both runs"
    whole = {*(change.cell for change in found.changes), *(gap.cell for gap in found.gaps), *found.absent}
    of = f" in {len(found.absent)} of {units.many(len(whole), 'cell')}" if len(found.absent) < len(whole) else ""
    cell, why = next(iter(found.absent.items()))
    return f"{name}: nothing to compare{of}, as neither run has it ({cell}: {why})"


def verdict_of(change: Change, refuted: Sequence[Refuted]) -> str:
    """Give the verdict of a cell, or say that there can be none."""
    return REFUTED if any(one.cell == change.cell for one in refuted) else change.comparison.verdict


def gap_words(gap: Gap) -> str:
    """Say in one line what a cell lacks, and why."""
    return f"{gap.kind}: {gap.cell}: {gap.detail}"


COLUMNS = (
    Column(head="server", kind="name"),
    Column(head="first", kind="figure"),
    Column(head="second", kind="figure"),
    Column(head="ratio", kind="figure"),
    Column(head="verdict", kind="figure"),
)


def table(found: RunComparison, refuted: Sequence[Refuted]) -> list[Line]:
    """Lay it out for a terminal in COLUMNS: what was asked how, and below it the servers."""
    groups: dict[str, list[Change]] = {}
    for change in found.changes:
        groups.setdefault(_group(change.cell), []).append(change)
    apps: dict[str, set[str]] = {}
    for change in found.changes:
        server, app, *_rest = _parts(change.cell)
        apps.setdefault(server, set()).add(app)
    with_app = any(len(several) > 1 for several in apps.values())
    lines = []
    for group, changes in groups.items():
        if group:
            lines.append(Line(cells=(in_line(group), *[""] * (len(COLUMNS) - 1)), style="bold", title=True))
        for change in changes:
            cells = _row(found.metric, change, refuted)
            name = _server(change.cell, with_app=with_app)
            style = VERDICT_STYLES[cells[-1]]
            lines.append(Line(cells=tuple(map(in_line, (name, *cells[1:]))), style=style, gap=change is changes[-1]))
    return lines


PARTS = 5
"""Of a cell: server, app, scenario, load, settings; a server's name from a file may hold slashes itself."""


def _parts(cell: str) -> Sequence[str]:
    parts = cell.rsplit("/", PARTS - 1)
    return parts if len(parts) == PARTS else (cell, *[""] * (PARTS - 1))


def _group(cell: str) -> str:
    """What cells have in common that are compared with one another: scenario, load and settings."""
    return "/".join(filter(None, _parts(cell)[2:]))


def _server(cell: str, *, with_app: bool) -> str:
    server, app, *_rest = _parts(cell)
    return f"{server} {app}" if with_app and app else server


def markdown(found: RunComparison, refuted: Sequence[Refuted]) -> str:
    """Write it for a pull request."""
    name = words.FIGURES[found.metric]
    lines = [f"### {name[0].upper()}{name[1:]}: second run / first run", ""]
    lines += [f"- {_escape(line)}" for line in heading([found], refuted)]
    if not found.changes:
        return "\n".join(lines)
    lines += ["", "| cell | first | second | ratio | verdict |", "| --- | --- | --- | --- | --- |"]
    rows = [_row(found.metric, change, refuted) for change in found.changes]
    lines += [f"| {' | '.join(map(_escape, row))} |" for row in rows]
    if moved := moved_words(found):
        lines += ["", _escape(moved[0].upper() + moved[1:]) + "."]
    lines += ["", f"Ties are ratios whose 95 % interval lies inside ±{units.percent(found.delta)}."]
    return "\n".join(lines)


def moved_words(found: RunComparison) -> str:
    """Say how what is unchanged moved by itself, as that is taken out of the ratios; nothing where nothing is."""
    shifts = [change.machine_shift for change in found.changes if change.machine_shift is not None]
    if not shifts:
        return ""
    low, high = (f"{(shift - 1) * 100:+.1f}" for shift in (min(shifts), max(shifts)))
    span = f"{low} %" if low == high else f"{low} to {high} %"
    what = words.FIGURES[found.metric]
    return f"{what}: the unchanged servers moved by {span}, all together; that is taken out of the ratios"


def blind_words(found: Sequence[RunComparison], tolerated: float) -> str:
    """Say where a check could not have seen the loss that it is to find; nothing where it could."""
    blind = [
        (one.metric, change)
        for one in found
        for change in one.changes
        if change.comparison.verdict == "unknown" and _worst(one, change) > max(tolerated, one.delta)
    ]
    if not blind:
        return ""
    metric, change = max(blind, key=lambda each: _width(each[1]))
    total = units.many(sum(len(one.changes) for one in found), "comparison")
    return (
        f"--fail-on: {len(blind)} of {total} could not have shown a loss of "
        f"{units.percent(max(tolerated, found[0].delta))}, as their intervals hold more; the widest: "
        f"{change.cell}: {words.FIGURES[metric]} {words.ratio(change.comparison)}. "
        "More blocks, or both versions inside one run, narrow them"
    )


def _width(change: Change) -> float:
    low, high = change.comparison.low, change.comparison.high
    return math.inf if low is None or high is None else math.log(high / low)


def _worst(found: RunComparison, change: Change) -> float:
    """The largest loss that the interval of a change holds, as a share; endless without an interval."""
    low, high = change.comparison.low, change.comparison.high
    if low is None or high is None:
        return math.inf
    return 1 / low - 1 if HIGHER_IS_BETTER[found.metric] else high - 1


def _row(metric: Metric, change: Change, refuted: Sequence[Refuted]) -> Sequence[str]:
    return (
        change.cell,
        value(metric, change.old),
        value(metric, change.new),
        words.ratio(change.comparison),
        verdict_of(change, refuted),
    )


SPEAKS_MARKDOWN = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")
"""Signs that Markdown would take for its own; an underscore inside a word is none."""


def _escape(text: str) -> str:
    shown = plain(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;")
    return SPEAKS_MARKDOWN.sub(r"\\\g<0>", shown)


def for_machines(found: Sequence[RunComparison], refuted: Sequence[Refuted]) -> list[dict[str, Any]]:
    """Everything, as JSON-ready values; no verdict where a figure is refuted."""
    told = []
    for one in found:
        encoded = encode(one)
        for change, known in zip(encoded["changes"], one.changes, strict=True):
            change["comparison"]["verdict"] = verdict_of(known, refuted)
        shown = {change.cell for change in one.changes}
        told.append({**encoded, "refuted": [encode(each) for each in refuted if each.cell in shown]})
    return told


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a check says no about one cell and figure."""

    metric: Metric
    cell: str
    text: str


def faults_of(
    found: Sequence[RunComparison],
    refuted: Sequence[Refuted] = (),
    *,
    tolerated: float,
    allow_missing: bool,
    judged: bool = True,
) -> tuple[Fault, ...]:
    """Find what fails a check: cells that are slower by more than is tolerated, broke, have no match or are refuted.

    Without `judged` only what broke and what is refuted counts: nobody said which loss would be too much.
    """
    faults = []
    for one in found:
        shown = {change.cell for change in one.changes}
        faults += [Fault(metric=one.metric, cell=each.cell, text=each.text) for each in refuted if each.cell in shown]
        faults += [
            Fault(metric=one.metric, cell=gap.cell, text=gap_words(gap))
            for gap in one.gaps
            if not gap.allowable or (judged and not allow_missing)
        ]
        faults += [
            Fault(
                metric=one.metric,
                cell=change.cell,
                text=f"slower: {change.cell}: {words.FIGURES[one.metric]} {words.ratio(change.comparison)}",
            )
            for change in (worse_than(one, tolerated) if judged else ())
            if verdict_of(change, refuted) != REFUTED
        ]
    return tuple(faults)


def junit(found: Sequence[RunComparison], refuted: Sequence[Refuted], faults: Sequence[Fault]) -> str:
    """Write one test case a cell and figure; those with a fault are failures, gaps and what no run has are skipped."""
    said: dict[tuple[Metric, str], list[str]] = {}
    for fault in faults:
        said.setdefault((fault.metric, fault.cell), []).append(fault.text)
    suites = ET.Element("testsuites", name="sgibench compare")
    for one in found:
        gaps = {gap.cell: gap for gap in one.gaps}
        changes = {change.cell: change for change in one.changes}
        failed = {cell: "; ".join(texts) for (metric, cell), texts in said.items() if metric == one.metric}
        lacking = {cell: gap_words(gap) for cell, gap in gaps.items()}
        lacking |= {cell: f"neither run has it: {why}" for cell, why in one.absent.items()}
        skipped = [cell for cell in lacking if cell not in changes and cell not in failed]
        cells = dict.fromkeys((*changes, *lacking))
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=words.FIGURES[one.metric],
            tests=str(len(cells)),
            failures=str(len(failed)),
            skipped=str(len(skipped)),
        )
        if told := "; ".join(filter(None, (absent_words(one), moved_words(one)))):
            ET.SubElement(suite, "system-out").text = _xml(told)
        for cell in cells:
            case = ET.SubElement(suite, "testcase", classname=one.metric, name=_xml(cell))
            if cell in failed:
                ET.SubElement(case, "failure", message=_xml(failed[cell]))
            elif cell in skipped:
                ET.SubElement(case, "skipped", message=_xml(lacking[cell]))
            if cell in changes:
                change = changes[cell]
                out = [f"{verdict_of(change, refuted)}, ratio {words.ratio(change.comparison)}"]
                out += [lacking[cell]] if cell in lacking else []
                ET.SubElement(case, "system-out").text = _xml("; ".join(out))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True)


def _xml(text: str) -> str:
    """Replace what XML can't hold."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
