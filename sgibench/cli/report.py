"""`sgibench report`: pages from stored runs."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from sgibench import report as reporting
from sgibench.cli.runs import read_all
from sgibench.cli.subjects import json_option, reports_option, results_option
from sgibench.report import terminal
from sgibench.results import store


@click.command(epilog="Example: sgibench report latest")
@click.argument("runs", nargs=-1)
@results_option
@reports_option
@json_option
def report(runs: tuple[str, ...], results: Path, reports: Path, *, as_json: bool) -> None:
    """Make the pages of RUNS again (names, folders, or "latest"; all runs when none is named)."""
    folders = [store.find_run(results, name) for name in runs] or store.list_runs(results)
    if not folders:
        store.find_run(results, None)
    measured = [store.read_run(folder) for folder in folders]
    pages = [reporting.write(run, reports) for run in measured]
    index = reporting.write_index(reports, read_all(results) or measured)
    if as_json:
        written = [
            {"run": str(run.path), "report": str(page), "summary": reporting.summary(run)}
            for run, page in zip(measured, pages, strict=True)
        ]
        click.echo(json.dumps({"index": str(index), "runs": written}, allow_nan=False))
        return
    if len(measured) == 1:
        terminal.ranking(measured[0], Console())
    for page in pages:
        click.echo(f"Report:  {page}")
    click.echo(f"All runs: {index}")
