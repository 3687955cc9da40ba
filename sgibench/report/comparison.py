"""Run against run, as text: for a terminal, a pull request, another program, or a test report (pure)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from sgibench import units
from sgibench.model import Estimate
from sgibench.report import words
from sgibench.results.codec import encode
from sgibench.stats.runs import Change, Metric, RunComparison

METRIC_NAMES: dict[Metric, str] = {
    "cpu_us_per_request": "CPU per request",
    "rps": "requests per second",
    "p50_us": "p50",
    "p99_us": "p99",
}
VERDICT_STYLES = {"faster": "green", "slower": "bold red", "tie": "", "unknown": "dim"}


def value(metric: Metric, estimate: Estimate) -> str:
    """Write a value in its unit."""
    return units.rate(estimate.value) if metric == "rps" else units.microseconds(estimate.value)


def heading(found: RunComparison) -> list[str]:
    """Say first what differs between the runs, and what can't be compared."""
    lines = list(found.differences)
    lines += [f"only in the first run: {cell}" for cell in found.only_in_old]
    lines += [f"only in the second run: {cell}" for cell in found.only_in_new]
    return lines


def table(found: RunComparison) -> Table:
    """Lay it out for a terminal."""
    laid_out = Table(box=None, pad_edge=False, title=f"{METRIC_NAMES[found.metric]}, second run / first run")
    for name in ("cell", "first", "second", "ratio", "verdict"):
        laid_out.add_column(name, overflow="fold")
    for change in found.changes:
        verdict = change.comparison.verdict
        laid_out.add_row(*_row(found.metric, change)[:-1], Text(verdict, style=VERDICT_STYLES[verdict]))
    return laid_out


def markdown(found: RunComparison) -> str:
    """Write it for a pull request."""
    lines = [f"### {METRIC_NAMES[found.metric].capitalize()}: second run / first run", ""]
    lines += [f"- {line}" for line in heading(found)]
    lines += ["", "| cell | first | second | ratio | verdict |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(_escape(part) for part in _row(found.metric, change))} |" for change in found.changes]
    lines += ["", f"Ties are ratios whose 95 % interval lies inside ±{units.percent(found.delta)}."]
    return "\n".join(lines)


def _row(metric: Metric, change: Change) -> Sequence[str]:
    return (
        change.cell,
        value(metric, change.old),
        value(metric, change.new),
        words.ratio(change.comparison),
        change.comparison.verdict,
    )


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def for_machines(found: Sequence[RunComparison]) -> list[dict[str, Any]]:
    """Everything, as JSON-ready values."""
    return [encode(one) for one in found]


def junit(found: Sequence[RunComparison], worse: Sequence[tuple[Metric, Change]]) -> str:
    """Write one test case a cell and metric; those in `worse` are failures."""
    failed = {(metric, change.cell) for metric, change in worse}
    suites = ET.Element("testsuites", name="sgibench compare")
    for one in found:
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=METRIC_NAMES[one.metric],
            tests=str(len(one.changes)),
            failures=str(sum((one.metric, change.cell) in failed for change in one.changes)),
        )
        for change in one.changes:
            case = ET.SubElement(suite, "testcase", classname=one.metric, name=change.cell)
            told = f"{change.comparison.verdict}, ratio {words.ratio(change.comparison)}"
            if (one.metric, change.cell) in failed:
                ET.SubElement(case, "failure", message=told)
            else:
                ET.SubElement(case, "system-out").text = told
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True)
