"""`sgibench report`: pages from stored runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console

from sgibench import report as reporting
from sgibench.cli.runs import read_all
from sgibench.cli.subjects import json_option, rank_option, reports_option, results_option
from sgibench.errors import ResultsError, in_line
from sgibench.model import Metric, Run
from sgibench.report import terminal
from sgibench.report.naming import computing, page_name
from sgibench.results import store


@click.command(epilog="Example: sgibench report latest")
@click.argument("runs", nargs=-1)
@results_option
@reports_option
@rank_option
@json_option
def report(runs: tuple[str, ...], results: Path, reports: Path, rank_by: Metric, *, as_json: bool) -> None:
    """Make the pages of RUNS again (names, folders, or "latest"; all runs when none is named)."""
    folders = [store.find_run(results, name) for name in runs]
    measured = [store.read_run(folder) for folder in folders] if runs else list(read_all(results))
    if not measured:
        store.read_run(store.find_run(results, None))
    made = list(_write_all(measured, reports, rank_by, named=bool(runs), summed=as_json))
    index = reporting.write_index(reports, measured if not runs else read_all(results) or measured)
    if as_json:
        written = [{"run": str(run.path), "report": str(page), "summary": said} for run, page, said in made]
        click.echo(json.dumps({"index": str(index), "runs": written}, allow_nan=False))
        return
    if len(made) == 1:
        terminal.ranking(made[0][0], Console(), rank_by)
    for _run, page, _said in made:
        click.echo(f"Report:  {page}")
    click.echo(f"All runs: {index}")


def _write_all(
    measured: Sequence[Run], reports: Path, rank_by: Metric, *, named: bool, summed: bool
) -> Iterator[tuple[Run, Path, Mapping[str, object]]]:
    """Write each page; a run that can't be shown stops the command when it was named, and is left out otherwise."""
    taken: set[str] = set()
    for run in measured:
        name = page_name(run)
        try:
            with computing(run):
                said = reporting.summary(run) if summed else {}
            yield run, reporting.write(run, reports, rank_by, apart=name in taken), said
        except ResultsError as error:
            if named:
                raise
            click.echo(in_line(f"left out: {error}"), err=True)
        taken.add(name)
