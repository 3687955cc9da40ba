"""`sgibench ui`: the Locust web UI, from which servers are chosen, loaded and compared."""

from __future__ import annotations

import re
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import click
from rich.console import Console

from sgibench import bench, catalogue, ending, secrets
from sgibench.bench import serving
from sgibench.bench.choice import (
    LEAST_RATE,
    MOST_RATE,
    PLAIN,
    Preset,
    app_chosen,
    options_of,
    server_named,
    split,
)
from sgibench.bench.served import Address
from sgibench.bench.services import EMBEDDED, Database, parse_database, refuse_unreachable
from sgibench.bench.ui_run import UiRun
from sgibench.bench.workshop import load_process
from sgibench.cli.options import Number
from sgibench.cli.own import Own, own_request
from sgibench.cli.refusing import refuse_unwritable
from sgibench.cli.subjects import Folders, Size, What, again, catalogue_option, option, takes
from sgibench.engine.orders import LoadProcess
from sgibench.engine.progress import listener_for
from sgibench.errors import LoadError, UsageError, shown
from sgibench.machine import plan_cpus
from sgibench.model import Configuration
from sgibench.results.asked import write_asked
from sgibench.serve.process import HOST
from sgibench.serve.scratch import scratch_folder
from sgibench.serve.services import House

FIRST = ("uvicorn-httptools", "gunicorn-gthread")
"""What the form begins with: the first that runs the app."""

HTTP_PORT = 80
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the form holds at first, and where it is."""

    server: str | None = option(
        "--server", metavar="NAME", help="A server, or FRONT+SERVER. [default: uvicorn-httptools]"
    )
    app: str = option(
        "--app", default=PLAIN, show_default=True, metavar="NAME", help="plain: without a framework; or your own."
    )
    database: str | None = again(What, "database")
    scenario: str | None = option("--scenario", metavar="NAME", help="[default: json, or your requests]")
    load: str = option("--load", type=click.Choice(["closed", "open"]), default="closed", show_default=True)
    rate: float = option(
        "--rate",
        type=Number(LEAST_RATE, MOST_RATE),
        default=1000.0,
        show_default=True,
        help="Requests per second of an open load.",
    )
    configuration: Configuration = option(
        "--configuration",
        type=click.Choice(get_args(Configuration)),
        default="equal",
        show_default=True,
        help="Whose settings.",
    )
    port: int = option(
        "--port", type=click.IntRange(1, 65535), default=8089, show_default=True, help="Port of the web UI."
    )
    target: str | None = option(
        "--target", metavar="URL", help="Load this server of your own instead of one that sgibench starts."
    )


@click.command(epilog="Example: sgibench ui --server granian-asgi --scenario wait")
@takes(form=Form, own=Own, size=Size, folders=Folders)
@catalogue_option
def ui(form: Form, own: Own, size: Size, folders: Folders, catalogues: tuple[Path, ...]) -> None:
    """Open the Locust web UI on 127.0.0.1: choose a server there, start it, load it, stop it, choose another.

    The options are what its form holds at first. No server runs before Start is pressed; Ctrl-C ends everything.
    """
    refuse_unwritable(folders)
    found = catalogue.load(catalogues)
    own_target = None if form.target is None else address_of(form.target)
    if form.server is not None:
        server_named(found, *split(form.server))
    database = parse_database(form.database)
    with House(found.services, existing=database.existing) as house:
        refuse_unreachable(house)
    argv = secrets.hidden_words(("sgibench", *sys.argv[1:]))
    session = UiRun(folders.results, folders.reports, argv, catalogues)
    looked = _look(form, own)
    with scratch_folder() as mine, load_process(plan_cpus(1)) as (process, scratch):
        if looked is not None:
            path = write_asked(mine, looked.scenario)
            found = replace(found, apps=(*looked.apps, *found.apps), scenario_paths=(path, *found.scenario_paths))
        preset = _preset(found, form, size, looked, database)
        engine = serving.Serving(found, process, scratch, session, own_target, existing=database.existing)
        with engine:
            _refuse_unput(engine, preset)
            _attend(process, engine, _order(found, preset, form, own_target), form, session)


def _look(form: Form, own: Own) -> bench.Looked | None:
    """Look at the user's own app, if the form begins with one."""
    request = bench.Request(results=Path(), argv=(), apps=(form.app,), own=own_request(own))
    with listener_for(Console(stderr=True), quiet=False) as listener:
        return bench.look(request, listener)


def _refuse_unput(engine: serving.Serving, preset: Preset) -> None:
    """Refuse a scenario that would only be refused when Start is pressed; raises UsageError."""
    try:
        engine.look_up(preset.scenario)
    except LoadError as error:
        raise UsageError(f"--scenario: {error}") from None


def _preset(
    found: catalogue.Catalogue, form: Form, size: Size, looked: bench.Looked | None, database: Database
) -> Preset:
    """Say what the form holds at first; raises UsageError for what there is not, or does not fit."""
    app = form.app if looked is None else looked.apps[0].id
    server, scenario = form.server, form.scenario
    if looked is not None:
        fitting = [entry.id for entry in found.servers if entry.runs(looked.apps[0])]
        server = server or next((name for name in (*FIRST, *fitting) if name in fitting), "")
        scenario = scenario or looked.scenario.id
    server, front = split(server or FIRST[0])
    path = bench.select_scenarios(found, [scenario or "json"])[0]
    if path.parent.name in catalogue.ONLY_NAMED:
        raise UsageError(f"--scenario: {path.stem} is put on by sgibench run alone")
    preset = Preset(
        server=server,
        front=front,
        app=app,
        database=database.service or EMBEDDED,
        scenario=path.stem,
        load=form.load,
        rate_per_s=form.rate,
        users=size.connections,
        workers=size.workers,
        threads=size.threads,
        configuration=form.configuration,
    )
    app_chosen(server_named(found, preset.server, preset.front), found, app, preset.database)
    return preset


def _order(found: catalogue.Catalogue, preset: Preset, form: Form, own_target: Address | None) -> dict[str, object]:
    """Say what the web UI is to show, and where."""
    return {
        "options": options_of(found, preset, own_target=own_target is not None),
        "users": preset.users,
        "target": None if own_target is None else own_target.url,
        "web_host": HOST,
        "web_port": form.port,
    }


def _attend(
    process: LoadProcess, engine: serving.Serving, order: dict[str, object], form: Form, session: UiRun
) -> None:
    """Answer the web UI until Ctrl-C, which is its usual end; another signal ends it as any command."""
    try:
        url, opened = process.ui(order)
        taken = f" (port {form.port} is taken)" if opened != form.port else ""
        click.echo(f"Locust web UI: {url}{taken}   Ctrl-C ends it")
        process.attend(engine.answer, engine.watch)
    except KeyboardInterrupt as interrupt:
        number, unsaved = ending.signal_of(interrupt), _unsaved(session)
        click.echo(f"\nstopped{ending.by(number)}" + (f"; {unsaved} tests were not saved" if unsaved else ""))
        if number is not signal.SIGINT:
            sys.exit(ending.status_of(number))
    except LoadError as error:  # it was killed, or hangs: nobody can press Save any more
        kept = f". The tests are kept: {engine.answer('save', {})['folder']}" if _unsaved(session) else ""
        raise LoadError(f"{error}{kept}") from None


def _unsaved(session: UiRun) -> int:
    return sum(1 for test in session.tests if test.cell is not None and not test.saved)


def address_of(url: str) -> Address:
    """Read `--target`; raises UsageError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", HTTP_PORT if parts.port is None else parts.port
        beside = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        fits = parts.scheme == "http" and not beside and port > 0 and _HOST.fullmatch(host) is not None
    except ValueError:
        fits = False
    if not fits:
        raise UsageError(f"--target: expected an address such as http://127.0.0.1:8000, got {shown(url)}")
    return Address(host=host, port=port)
