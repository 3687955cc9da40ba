"""`sgibench compare`: one run against another, and a check that can say no."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console

from sgibench import report, units
from sgibench.cli.options import Delta
from sgibench.cli.subjects import reports_option, results_option
from sgibench.errors import UsageError, in_line
from sgibench.model import Metric, Run
from sgibench.report import comparison, words
from sgibench.report.narrow import show
from sgibench.report.refuted import Refuted, refuted_of
from sgibench.report.terminal import written
from sgibench.results import store
from sgibench.stats import compare_runs
from sgibench.stats.runs import RunComparison


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
    default=("cpu_us_per_request", "rps", "p50_us", "p99_us"),
    show_default=True,
    help="What to compare. Repeatable.",
)
@click.option(
    "--fail-on",
    type=FailOn(),
    help="Exit 1 when a cell is slower in the second run (by more than N%), broke there, has no match, "
    "or has a figure that the audit refutes.",
)
@click.option("--allow-missing", is_flag=True, help="Let cells pass that were measured in one of the runs only.")
@click.option(
    "--delta", type=Delta(), help="Ratios within it make no difference, e.g. 2%.  [default: the larger of the runs']"
)
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
    delta: float | None,
    form: str,
    results: Path,
    reports: Path,
    *,
    allow_missing: bool,
    across_machines: bool,
) -> None:
    """Compare the cells that runs FIRST and SECOND have in common.

    Runs differ from one another by themselves, and the intervals know it. Two versions measured inside one run are
    compared more sharply. Latency at a fixed rate is compared where both runs had the same rate (run --rate-of FIRST).
    What the audit refutes in either run is named, and has no verdict.
    """
    old, new = (store.read_run(store.find_run(results, name)) for name in (first, second))
    _refuse_one_run(old, new)
    limit = max(old.info.delta, new.info.delta) if delta is None else delta
    found = [compare_runs(old, new, metric=metric, delta=limit) for metric in dict.fromkeys(metrics)]
    _refuse_other_machines(old, new, found[0], across_machines=across_machines)
    if not any(one.changes or any(not gap.allowable for gap in one.gaps) for one in found):
        absent = "; ".join(comparison.absent_words(one) for one in found if one.absent)
        raise UsageError(absent or f"{old.info.run} and {new.info.run} have no cell with a result in common")
    refuted = refuted_of(old, new, (change.cell for one in found for change in one.changes))
    faults = comparison.faults_of(
        found, refuted, tolerated=fail_on or 0.0, allow_missing=allow_missing, judged=fail_on is not None
    )
    if form == "html":
        click.echo(f"Comparison: {report.write_comparison(old, new, found, refuted, reports)}")
    elif form == "json":
        click.echo(json.dumps(comparison.for_machines(found, refuted), allow_nan=False))
    elif form == "junit":
        click.echo(comparison.junit(found, refuted, faults))
    elif form == "markdown":
        click.echo("\n\n".join(comparison.markdown(one, refuted) for one in found))
    else:
        _show(found, refuted, Console())
    if fail_on is not None and not faults and not any(_told(one) for one in found):
        blocks = ", ".join(f"{run.info.run} has {_blocks(run)}" for run in (old, new))
        raise UsageError(
            "--fail-on: nothing can be said to be slower, because no cell has two blocks in both runs "
            f"({blocks}): measure with --blocks 3 or more"
        )
    if fail_on is not None and (blind := comparison.blind_words(found, fail_on)):
        click.echo(in_line(blind), err=True)
    if fail_on is not None and faults:
        for text in dict.fromkeys(fault.text for fault in faults):
            click.echo(in_line(text), err=True)
        sys.exit(1)


def _told(found: RunComparison) -> bool:
    """Whether any comparison has an interval: without one there is no verdict, whatever the figures are."""
    return any(change.comparison.low is not None for change in found.changes)


def _blocks(run: Run) -> str:
    return units.many(len({trial.block for trial in run.trials}), "block")


def _refuse_one_run(old: Run, new: Run) -> None:
    """A run beside itself, or beside a copy, holds nothing to compare, and a check of it could never fail."""
    if old.info.run == new.info.run and old.trials == new.trials:
        folders = " and ".join(dict.fromkeys(str(run.path) for run in (old, new)))
        raise UsageError(f"both are the same run, {old.info.run} ({folders}): name another one to compare with")


def _refuse_other_machines(old: Run, new: Run, found: RunComparison, *, across_machines: bool) -> None:
    if not found.same_machine and not across_machines:
        raise UsageError(
            f"the runs are of different machines ({_machine(old)}; {_machine(new)}): "
            "pass --across-machines to compare them anyway"
        )


def _machine(run: Run) -> str:
    return f"{run.info.machine.cpu_model}, {run.info.machine.cores} cores, {run.info.machine.kernel}"


def _show(found: list[RunComparison], refuted: Sequence[Refuted], console: Console) -> None:
    ascii_only = console.options.ascii_only

    def say(text: str, style: str = "") -> None:
        console.print(written(text, ascii_only=ascii_only), style=style, highlight=False, markup=False, soft_wrap=True)

    for line in comparison.heading(found, refuted):
        say(in_line(line))
    for one in found:
        if one.changes:
            say(f"\n{words.FIGURES[one.metric]}, second run / first run", "bold")
            rows = [
                replace(row, cells=tuple(written(cell, ascii_only=ascii_only) for cell in row.cells))
                for row in comparison.table(one, refuted)
            ]
            show(console, comparison.COLUMNS, rows, ascii_only=ascii_only)
    for one in found:
        if moved := comparison.moved_words(one):
            say(moved)
    say(f"tie: inside ±{units.percent(found[0].delta)}")
