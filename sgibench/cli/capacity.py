"""`sgibench capacity`: the highest rate that holds a limit on latency."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import click
from rich.console import Console
from rich.text import Text

from sgibench import bench, ending, machine, report, secrets
from sgibench.bench.profiles import PROFILES
from sgibench.cli.options import Share
from sgibench.cli.own import Own, own_request
from sgibench.cli.refusing import refuse_beside_resume, refuse_unwritable
from sgibench.cli.runs import read_all
from sgibench.cli.subjects import Care, Chosen, Cpus, Output, Size, What, again, option, takes
from sgibench.engine.progress import listener_for
from sgibench.errors import UsageError, plain
from sgibench.report import terminal
from sgibench.results import store
from sgibench.results.codec import encode


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched for, and how carefully."""

    slo: str | None = option(
        "--slo", metavar="LIMIT", help="The limit that must hold, e.g. 'p99<50ms'. Needed, unless resuming."
    )
    blocks: int = option(
        "--blocks", type=click.IntRange(min=1), default=3, show_default=True, help="Searches for each server."
    )
    precision: float = option(
        "--precision",
        type=Share(),
        default="5%",
        show_default=True,
        help="A search ends when the rate that fails is this little above the one that holds.",
    )
    retries: int = again(
        Care,
        "retries",
        default=bench.EXCUSES,
        show_default=True,
        help="How often in a row a rate is tried again that failed on a disturbed machine.",
    )
    seed: int | None = again(Care, "seed")
    resume: str | None = again(Care, "resume")
    awake: bool | None = again(Cpus, "awake")


@dataclass(frozen=True, kw_only=True)
class Stored(Chosen):
    """Which servers, apps and scenarios, and where their items stand."""

    database: str | None = again(What, "database")
    pool: int | None = again(What, "pool")
    service_cpus: str | None = again(Cpus, "service_cpus")


@click.command(epilog="Example: sgibench capacity --slo 'p99<50ms' --server 'uvicorn-*' --scenario json")
@takes(search=Search, what=Stored, own=Own, size=Size, output=Output)
def capacity(search: Search, what: Stored, own: Own, size: Size, output: Output) -> None:
    """Find the highest rate at which each server holds a limit on latency, without an error.

    Rates are found by geometric bisection; at each, two of three trials must agree, and the last one is confirmed.
    A trial lasts until enough requests were due to judge the limit, at low rates up to two minutes.
    """
    if search.resume is None and search.slo is None:
        raise UsageError("expected a limit, got none: sgibench capacity --slo 'p99<50ms'")
    if search.resume is not None:
        refuse_beside_resume()
    refuse_unwritable(output)
    request = bench.Request(
        results=output.results,
        argv=secrets.hidden_words(("sgibench", *sys.argv[1:])),
        servers=what.servers,
        apps=what.apps,
        scenarios=what.scenarios or (() if bench.own_apps(what.apps) else PROFILES["quick"].scenarios[:1]),
        blocks=search.blocks,
        connections=(size.connections,),
        workers=(size.workers,),
        threads=(size.threads,),
        seed=search.seed,
        retries=search.retries,
        awake=search.awake,
        catalogues=what.catalogues,
        own=own_request(own),
        database=what.database,
        pool=what.pool,
        service_cpus=machine.parse_cpus(what.service_cpus) if what.service_cpus else None,
    )
    with listener_for(Console(stderr=True), quiet=output.quiet) as listener:
        outcome = (
            bench.resume_capacity(store.find_run(output.results, search.resume), what.catalogues, listener, request)
            if search.resume is not None
            else bench.search_capacity(request, bench.parse_slo(search.slo or ""), listener, 1 + search.precision)
        )
    found = store.read_run(outcome.folder)
    page = report.write(found, output.reports)
    report.write_index(output.reports, read_all(output.results))
    if output.as_json:
        rows = [encode(one) for one in found.info.capacity]
        click.echo(json.dumps({"run": str(outcome.folder), "report": str(page), "capacity": rows}, allow_nan=False))
        terminal.unfinished(outcome.unfinished, found, Console(stderr=True))
    else:
        console = Console()
        terminal.capacity(found, console, outcome.unfinished)
        console.print(Text(plain(f"Results: {found.path}\nReport:  {page}")), soft_wrap=True)
    if outcome.ended_by is not None:
        sys.exit(ending.status_of(outcome.ended_by))
    if not any(one.rate_per_s for one in found.info.capacity):
        sys.exit(1)
