"""`sgibench compare`: one run against another, and a check that can say no."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console

from sgibench import report, units
from sgibench.cli.subjects import reports_option, results_option
from sgibench.errors import UsageError
from sgibench.model import Run
from sgibench.report import comparison, words
from sgibench.results import store
from sgibench.stats import compare_runs, worse_than
from sgibench.stats.runs import Change, Metric, RunComparison


class FailOn(click.ParamType[float]):
    """`slower`, or `slower:5%`; gives the share of loss that is tolerated."""

    name = "slower[:N%]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or say what was expected."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"slower(?::(?P<percent>\d+(?:\.\d+)?)%)?", str(value))
        if match is None:
            self.fail(f"expected slower or slower:5%, got {value!r}", param, ctx)
        return float(match["percent"] or 0) / 100


@click.command(epilog="Example: sgibench compare BEFORE AFTER --fail-on slower:5% --format markdown")
@click.argument("first")
@click.argument("second")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    type=click.Choice(get_args(Metric)),
    default=("cpu_us_per_request", "rps"),
    show_default=True,
    help="What to compare. Repeatable.",
)
@click.option("--fail-on", type=FailOn(), help="Exit 1 when a cell is slower in the second run (by more than N%).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "json", "junit", "html"]),
    default="table",
    show_default=True,
)
@click.option("--across-machines", is_flag=True, help="Compare although the machines differ.")
@results_option
@reports_option
def compare(  # noqa: PLR0917 - click calls it by name
    first: str,
    second: str,
    metrics: tuple[Metric, ...],
    fail_on: float | None,
    form: str,
    results: Path,
    reports: Path,
    *,
    across_machines: bool,
) -> None:
    """Compare the cells that runs FIRST and SECOND have in common.

    Runs differ from one another by themselves, and the intervals know it. Two versions measured inside one run are
    compared more sharply.
    """
    old, new = (store.read_run(store.find_run(results, name)) for name in (first, second))
    found = [compare_runs(old, new, metric=metric) for metric in dict.fromkeys(metrics)]
    _refuse_other_machines(old, new, found[0], across_machines=across_machines)
    if not any(one.changes for one in found):
        raise UsageError(f"{old.info.run} and {new.info.run} have no cell with a result in common")
    tolerated = 0.0 if fail_on is None else fail_on
    worse = [(one.metric, change) for one in found for change in worse_than(one, tolerated)]
    if form == "html":
        click.echo(f"Comparison: {report.write_comparison(old, new, found, reports)}")
    elif form == "json":
        click.echo(json.dumps(comparison.for_machines(found), allow_nan=False))
    elif form == "junit":
        click.echo(comparison.junit(found, worse if fail_on is not None else ()))
    elif form == "markdown":
        click.echo("\n\n".join(comparison.markdown(one) for one in found))
    else:
        _show(found, Console())
    if fail_on is not None and worse:
        _complain(worse)
        sys.exit(1)


def _refuse_other_machines(old: Run, new: Run, found: RunComparison, *, across_machines: bool) -> None:
    if not found.same_machine and not across_machines:
        raise UsageError(
            f"the runs are of different machines ({_machine(old)}; {_machine(new)}): "
            "pass --across-machines to compare them anyway"
        )


def _machine(run: Run) -> str:
    return f"{run.info.machine.cpu_model}, {run.info.machine.cores} cores, {run.info.machine.kernel}"


def _show(found: list[RunComparison], console: Console) -> None:
    for line in comparison.heading(found[0]):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for one in found:
        console.print()
        console.print(comparison.table(one))
        console.print(f"tie: inside ±{units.percent(one.delta)}", highlight=False)


def _complain(worse: list[tuple[Metric, Change]]) -> None:
    for metric, change in worse:
        told = f"{change.cell}: {comparison.METRIC_NAMES[metric]} {words.ratio(change.comparison)}"
        click.echo(f"slower: {told}", err=True)
