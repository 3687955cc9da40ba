"""`sgibench run`: measure, then say what came out and where the report is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console
from rich.text import Text

from sgibench import bench, ending, machine, report, secrets, units
from sgibench.bench.profiles import PROFILES
from sgibench.catalogue.reading import nearest
from sgibench.cli.options import AskedRate
from sgibench.cli.own import Own, own_request
from sgibench.cli.refusing import refuse_beside_resume, refuse_unwritable
from sgibench.cli.runs import read_all
from sgibench.cli.subjects import Care, Cpus, Load, Output, What, takes
from sgibench.engine.progress import listener_for
from sgibench.errors import UsageError, plain
from sgibench.model import Metric, PilotRate, Run
from sgibench.model.terms import MULTIPLEXED
from sgibench.report import terminal
from sgibench.results import store

LEAST_TOLD_S = 0.5
"""Phases shorter than this are not named."""


@click.command(
    epilog="Example: sgibench run --server 'uvicorn-*' --server granian-asgi --scenario json --blocks 6",
)
@takes(what=What, own=Own, load=Load, care=Care, cpus=Cpus, output=Output)
def run(  # noqa: PLR0917 - one argument a subject
    what: What, own: Own, load: Load, care: Care, cpus: Cpus, output: Output
) -> None:
    """Measure servers side by side and write a report.

    Every trial starts its server afresh, checks its answers, and is stored as it ends. Ctrl-C stops early and keeps
    what was measured.
    """
    if care.resume is not None:
        refuse_beside_resume()
    request = _request(what, own, load, care, cpus, output.results)
    refuse_unwritable(output)
    with listener_for(Console(stderr=True), quiet=output.quiet) as listener:
        if care.resume is not None:
            outcome = bench.resume(store.find_run(output.results, care.resume), what.catalogues, listener, request)
        else:
            outcome = bench.run(request, listener)
    measured = store.read_run(outcome.folder)
    page = report.write(measured, output.reports, output.rank_by)
    report.write_index(output.reports, read_all(output.results))
    if output.as_json:
        click.echo(
            json.dumps(
                {"run": str(outcome.folder), "report": str(page), "summary": report.summary(measured)}, allow_nan=False
            )
        )
    else:
        _conclude(measured, page, output.rank_by)
    if outcome.ended_by is not None:
        sys.exit(ending.status_of(outcome.ended_by))
    if not any(trial.status == "ok" for trial in measured.trials):
        sys.exit(1)


def _request(  # noqa: PLR0917 - one argument a subject
    what: What, own: Own, load: Load, care: Care, cpus: Cpus, results: Path
) -> bench.Request:
    """Say what the words mean; raises UsageError."""
    if care.profile not in PROFILES:
        raise UsageError(f"unknown profile {care.profile!r}: {nearest(care.profile, PROFILES)}")
    if _typed("streams") and not MULTIPLEXED & {*load.protocols}:
        raise UsageError(
            f"--streams {load.streams}: over {', '.join(load.protocols)} a connection carries one request at a time: "
            "add --protocol h2c or h2"
        )
    return bench.Request(
        results=results,
        argv=secrets.hidden_words(("sgibench", *sys.argv[1:])),
        profile=care.profile,
        servers=what.servers,
        apps=what.apps,
        configurations=what.configurations,
        pythons=tuple(part.strip() for part in what.pythons.split(",") if part.strip()),
        scenarios=what.scenarios,
        catalogues=what.catalogues,
        own=own_request(own),
        protocols=load.protocols,
        streams=load.streams,
        connections=load.connections,
        connections_named=_named("connections"),
        workers=load.workers,
        backends=load.backends,
        threads=load.threads,
        rate_per_s=load.rate.per_s,
        rate_share=load.rate.share,
        rates=rates_of(results, load) if load.rate_of else (),
        curve=load.curve,
        blocks=care.blocks,
        window_s=care.window,
        slice_s=care.slice_s or None,
        control=care.control,
        layers=care.layers,
        retries=care.retries,
        seed=care.seed,
        until_settled=bool(care.until),
        settle=care.until or ("cpu_us_per_request",),
        delta=care.delta,
        baseline=care.baseline,
        load_workers=cpus.load_workers,
        awake=cpus.awake,
        server_cpus=machine.parse_cpus(cpus.server_cpus) if cpus.server_cpus else None,
        service_cpus=machine.parse_cpus(cpus.service_cpus) if cpus.service_cpus else None,
        database=what.database,
        pool=what.pool,
    )


def _named(option: str) -> bool:
    """Whether the user gave an option, and it is not what is usual."""
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


def _typed(option: str) -> bool:
    """Whether it stands in the command line, and not only in the project's file."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def rates_of(results: Path, load: Load) -> tuple[PilotRate, ...]:
    """Take the fixed rates of the run that --rate-of names; raises UsageError when it has none."""
    if load.rate != AskedRate():
        raise UsageError("--rate and --rate-of name the rate twice: pass one of them")
    info = store.read_run(store.find_run(results, load.rate_of)).info
    if not info.pilot:
        raise UsageError(f"--rate-of: {info.run} has no fixed rates")
    return info.pilot


def _told_spent(measured: Run) -> str:
    """Say where the time went, the longest first."""
    spent = sorted(measured.info.spent_s.items(), key=lambda item: -item[1])
    told = ", ".join(f"{phase} {units.seconds(seconds)}" for phase, seconds in spent if seconds >= LEAST_TOLD_S)
    return f" ({told})" if told else ""


def _conclude(measured: Run, page: Path, rank_by: Metric) -> None:
    console = Console()
    terminal.ranking(measured, console, rank_by)
    share = units.percent(measured.info.measuring_share)
    console.print(f"Inside measuring windows: {share} of the run{_told_spent(measured)}", highlight=False)
    console.print(Text(plain(f"Results: {measured.path}")), soft_wrap=True)
    console.print(Text(plain(f"Report:  {page}")), soft_wrap=True)
