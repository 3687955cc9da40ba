"""`sgibench doctor`: what this machine can and can't measure."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sgibench.bench.doctor import Finding, examine
from sgibench.cli.subjects import json_option, results_option
from sgibench.results.codec import encode

STYLES = {"fine": "green", "limited": "yellow", "broken": "bold red"}


@click.command(epilog="Example: sgibench doctor")
@results_option
@json_option
def doctor(results: Path, *, as_json: bool) -> None:
    """Say what this machine can and can't measure, and why. Exit 1 when it can measure nothing."""
    findings = examine(results)
    if as_json:
        click.echo(json.dumps([encode(finding) for finding in findings], indent=1))
    else:
        _show(findings, Console())
    sys.exit(1 if any(finding.state == "broken" for finding in findings) else 0)


def _show(findings: list[Finding], console: Console) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        advice = f"\n-> {finding.advice}" if finding.advice else ""
        table.add_row(
            Text(finding.state, style=STYLES[finding.state]),
            Text(finding.name, style="bold"),
            Text(finding.detail + advice),
        )
    console.print(table)
