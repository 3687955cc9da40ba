"""Reading several runs for a command: what can't be read is said on stderr and left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from sgibench.errors import ResultsError, in_line
from sgibench.model import Run
from sgibench.results import store


def read_all(results: Path) -> Sequence[Run]:
    """Read the runs of a folder that can be read, newest first."""
    runs = []
    for folder in store.list_runs(results):
        try:
            runs.append(store.read_run(folder))
        except ResultsError as error:
            click.echo(in_line(f"left out: {error}"), err=True)
    return runs
