"""`sgibench calibrate`: how many requests the load generator itself can make on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sgibench import bench, units
from sgibench.cli.options import Duration
from sgibench.cli.subjects import catalogue_option, json_option
from sgibench.engine.progress import listener_for
from sgibench.errors import CeilingError
from sgibench.model import Calibration
from sgibench.results.codec import encode


@click.command(epilog="Example: sgibench calibrate --scenario json --scenario page")
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Scenario or glob; all by default.")
@click.option("--window", type=Duration(), default="2s", show_default=True, help="Counted time of each repeat.")
@click.option("--repeats", type=click.IntRange(1, 99), default=3, show_default=True, help="The median is told.")
@catalogue_option
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def calibrate(
    scenarios: tuple[str, ...],
    window: float,
    repeats: int,
    catalogues: tuple[Path, ...],
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find the load generator's ceiling: requests per second of its CPU, for each scenario on this machine.

    Every answer is checked as in a run, but comes from a server that only sends prepared bytes. A server that comes
    near its scenario's ceiling measures the generator; give the load more CPUs then (--load-workers). Where a ceiling
    can't be told, the exit code is 1.
    """
    with listener_for(Console(stderr=True), quiet=quiet) as listener:
        ceilings = bench.find_ceilings(scenarios or ("*",), catalogues, window, repeats, listener)
    if as_json:
        click.echo(json.dumps([encode(one) for one in ceilings.found], indent=1, allow_nan=False))
    elif ceilings.found:
        _show(ceilings.found, Console())
    if ceilings.unknown:
        raise CeilingError("; ".join(f"no ceiling for {name}: {why}" for name, why in ceilings.unknown.items()))


def _show(found: Sequence[Calibration], console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("scenario", style="bold", no_wrap=True)
    for name in ("requests/CPU-s", "CPU/request", "generator busy"):
        table.add_column(name, justify="right")
    for one in found:
        busy = "" if one.utilisation is None else units.percent(one.utilisation)
        table.add_row(Text(one.scenario), f"{one.rps_per_core:,.0f}", f"{1e6 / one.rps_per_core:.1f} µs", busy)
    console.print(table)
    console.print("Against a server that only sends prepared bytes; every answer was checked.", highlight=False)
