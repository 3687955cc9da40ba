"""`sgibench run`: measure, then say what came out and where the report is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import get_args

import click
from rich.console import Console

from sgibench import bench, machine, report, units
from sgibench.bench.plan import PROFILES
from sgibench.catalogue.reading import nearest
from sgibench.cli.options import (
    Counts,
    Duration,
    Rate,
    SliceLength,
    catalogue_option,
    json_option,
    reports_option,
    results_option,
)
from sgibench.cli.runs import read_all
from sgibench.engine.progress import listener_for
from sgibench.errors import UsageError
from sgibench.model import Configuration, Run
from sgibench.report import terminal
from sgibench.results import store

INTERRUPTED = 130


@click.command(
    epilog="Example: sgibench run --server 'uvicorn-*' --server granian-asgi --scenario json --blocks 6",
)
@click.option("--profile", default="quick", show_default=True, help=f"One of {', '.join(PROFILES)}.")
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="NAME",
    help="Server or glob; NAME@VERSION for another version. Repeatable.",
)
@click.option("--app", "apps", multiple=True, metavar="NAME", help="App or glob. Repeatable.")
@click.option(
    "--configuration",
    "configurations",
    multiple=True,
    type=click.Choice(get_args(Configuration)),
    default=("equal",),
    show_default=True,
    help="As installed, all alike, or as the server's documentation advises. Repeatable.",
)
@click.option(
    "--python", "pythons", metavar="X.Y[,X.Y]", default="", help="Interpreters for the servers, e.g. 3.11,3.12."
)
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Scenario or glob. Repeatable.")
@click.option("--blocks", type=click.IntRange(min=1), help="How often everything is repeated afresh.")
@click.option("--window", type=Duration(), help="Counted time of each trial, e.g. 3s.")
@click.option(
    "--slice",
    "slice_s",
    type=SliceLength(),
    default="100ms",
    show_default=True,
    help="Length of a visit when servers are visited in turn, or none.",
)
@click.option(
    "--connections",
    type=Counts(60000),
    default=str(bench.DEFAULT_CONNECTIONS),
    show_default=True,
    help="Connections that are kept busy; several (1,4,16,64) make a curve.",
)
@click.option(
    "--workers", type=Counts(256), default="1", show_default=True, help="Processes of a server; several make a curve."
)
@click.option(
    "--threads",
    type=Counts(1024),
    default=str(bench.DEFAULT_THREADS),
    show_default=True,
    help="Threads of each process, for servers that have a pool; several make a curve.",
)
@click.option(
    "--rate",
    metavar="RATE|half|none",
    type=Rate(),
    default="half",
    show_default=True,
    help="Requests/s of the fixed-rate loads: a number, half of the slowest server's saturation, or none.",
)
@click.option("--curve", is_flag=True, help="Also measure latency at 20 to 95 % of each server's own saturation.")
@click.option("--control/--no-control", default=True, show_default=True, help="Run one cell twice, as the noise floor.")
@click.option("--retries", type=click.IntRange(0, 2), help="How often a group in doubt is measured again in its block.")
@click.option("--seed", type=click.IntRange(min=0), help="Repeat the random order of an earlier run.")
@click.option(
    "--until",
    type=click.Choice(["settled"]),
    help="End after the block in which every comparison with the baseline has a verdict; --blocks is the most.",
)
@click.option("--baseline", metavar="NAME", help="The server that --until settled compares with; the first by default.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was broken off: its name, folder, or latest.")
@click.option(
    "--load-workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that drive the load, each on a CPU of its own.",
)
@click.option("--server-cpus", metavar="LIST", help="CPUs for the servers, e.g. 0,2-3. The rest is for the load.")
@catalogue_option
@results_option
@reports_option
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def run(  # noqa: PLR0917 - click calls it by name
    profile: str,
    servers: tuple[str, ...],
    apps: tuple[str, ...],
    configurations: tuple[Configuration, ...],
    pythons: str,
    scenarios: tuple[str, ...],
    blocks: int | None,
    window: float | None,
    slice_s: float,
    connections: tuple[int, ...],
    workers: tuple[int, ...],
    threads: tuple[int, ...],
    rate: float,
    retries: int | None,
    seed: int | None,
    until: str | None,
    baseline: str | None,
    resume: str | None,
    load_workers: int,
    server_cpus: str | None,
    catalogues: tuple[Path, ...],
    results: Path,
    reports: Path,
    *,
    curve: bool,
    control: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure servers side by side and write a report.

    Every trial starts its server afresh, checks its answers, and is stored as it ends. Ctrl-C stops early and keeps
    what was measured.
    """
    if profile not in PROFILES:
        raise UsageError(f"unknown profile {profile!r}: {nearest(profile, PROFILES)}")
    request = bench.Request(
        results=results,
        argv=("sgibench", *sys.argv[1:]),
        profile=profile,
        servers=servers,
        apps=apps,
        configurations=configurations,
        pythons=tuple(part.strip() for part in pythons.split(",") if part.strip()),
        scenarios=scenarios,
        blocks=blocks,
        window_s=window,
        slice_s=slice_s or None,
        connections=connections,
        workers=workers,
        threads=threads,
        seed=seed,
        control=control,
        curve=curve,
        retries=retries,
        until_settled=until == "settled",
        baseline=baseline,
        rate_per_s=None if rate < 0 else rate,
        load_workers=load_workers,
        catalogues=catalogues,
        server_cpus=machine.parse_cpus(server_cpus) if server_cpus else None,
    )
    with listener_for(Console(stderr=True), quiet=quiet) as listener:
        outcome = bench.resume(store.find_run(results, resume), listener) if resume else bench.run(request, listener)
    measured = store.read_run(outcome.folder)
    page = report.write(measured, reports)
    report.write_index(reports, read_all(results))
    if as_json:
        click.echo(
            json.dumps(
                {"run": str(outcome.folder), "report": str(page), "summary": report.summary(measured)}, allow_nan=False
            )
        )
    else:
        _conclude(measured, page)
    if not outcome.finished:
        sys.exit(INTERRUPTED)
    if not any(trial.status == "ok" for trial in measured.trials):
        sys.exit(1)


def _conclude(measured: Run, page: Path) -> None:
    console = Console()
    terminal.ranking(measured, console)
    share = units.percent(measured.info.measuring_share)
    console.print(f"Inside measuring windows: {share} of the run", highlight=False)
    console.print(f"Results: {measured.path}", highlight=False, soft_wrap=True)
    console.print(f"Report:  {page}", highlight=False, soft_wrap=True)
