"""`sgibench capacity`: the highest rate that holds a limit on latency."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from sgibench import bench, report
from sgibench.bench.plan import PROFILES
from sgibench.cli.options import Share, catalogue_option, json_option, reports_option, results_option
from sgibench.cli.runs import read_all
from sgibench.engine.progress import listener_for
from sgibench.errors import UsageError
from sgibench.report import terminal
from sgibench.results import store
from sgibench.results.codec import encode

INTERRUPTED = 130


@click.command(epilog="Example: sgibench capacity --slo 'p99<50ms' --server 'uvicorn-*' --scenario json")
@click.option("--slo", metavar="LIMIT", help="The limit that must hold, e.g. 'p99<50ms'. Needed, unless resuming.")
@click.option("--server", "servers", multiple=True, metavar="NAME", help="Server or glob. Repeatable.")
@click.option("--app", "apps", multiple=True, metavar="NAME", help="App or glob. Repeatable.")
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Scenario or glob. Repeatable.")
@click.option("--blocks", type=click.IntRange(min=1), default=3, show_default=True, help="Searches for each server.")
@click.option(
    "--precision",
    type=Share(),
    default="5%",
    show_default=True,
    help="A search ends when the rate that fails is this little above the one that holds.",
)
@click.option("--connections", type=click.IntRange(1, 60000), default=bench.DEFAULT_CONNECTIONS, show_default=True)
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(1, 1024), default=bench.DEFAULT_THREADS, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), help="Repeat the random order of an earlier search.")
@click.option("--resume", metavar="RUN", help="Go on with a search that was broken off: its name, folder, or latest.")
@catalogue_option
@results_option
@reports_option
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def capacity(  # noqa: PLR0917 - click calls it by name
    slo: str | None,
    servers: tuple[str, ...],
    apps: tuple[str, ...],
    scenarios: tuple[str, ...],
    blocks: int,
    precision: float,
    connections: int,
    workers: int,
    threads: int,
    seed: int | None,
    resume: str | None,
    catalogues: tuple[Path, ...],
    results: Path,
    reports: Path,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find the highest rate at which each server holds a limit on latency, without an error.

    Rates are found by geometric bisection; at each, two of three trials must agree, and the last one is confirmed.
    """
    if resume is None and slo is None:
        raise UsageError("expected a limit, got none: sgibench capacity --slo 'p99<50ms'")
    request = bench.Request(
        results=results,
        argv=("sgibench", *sys.argv[1:]),
        servers=servers,
        apps=apps,
        scenarios=scenarios or PROFILES["quick"].scenarios[:1],
        blocks=blocks,
        connections=(connections,),
        workers=(workers,),
        threads=(threads,),
        seed=seed,
        catalogues=catalogues,
    )
    with listener_for(Console(stderr=True), quiet=quiet) as listener:
        outcome = (
            bench.resume_capacity(store.find_run(results, resume), listener)
            if resume is not None
            else bench.search_capacity(request, bench.parse_slo(slo or ""), listener, 1 + precision)
        )
    found = store.read_run(outcome.folder)
    page = report.write(found, reports)
    report.write_index(reports, read_all(results))
    if as_json:
        rows = [encode(one) for one in found.info.capacity]
        click.echo(json.dumps({"run": str(outcome.folder), "report": str(page), "capacity": rows}, allow_nan=False))
    else:
        console = Console()
        terminal.capacity(found, console)
        console.print(f"Results: {found.path}\nReport:  {page}", highlight=False, soft_wrap=True)
    if not outcome.finished:
        sys.exit(INTERRUPTED)
    if not any(one.rate_per_s for one in found.info.capacity):
        sys.exit(1)
