"""`sgibench ui`: the Locust web UI, from which servers are chosen, loaded and compared."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import click

from sgibench import bench, catalogue
from sgibench.bench import serving
from sgibench.bench.choice import (
    MOST_RATE,
    PLAIN,
    Preset,
    app_for,
    options_of,
    server_named,
)
from sgibench.bench.served import Address
from sgibench.bench.ui_run import UiRun
from sgibench.bench.workshop import load_process
from sgibench.cli.refusing import refuse_unwritable
from sgibench.cli.subjects import Folders, Size, catalogue_option, option, takes
from sgibench.errors import UsageError
from sgibench.machine import plan_cpus
from sgibench.model import Configuration
from sgibench.serve.process import HOST


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the form holds at first, and where it is."""

    server: str = option("--server", default="uvicorn-httptools", show_default=True, metavar="NAME")
    app: str = option("--app", default=PLAIN, show_default=True, metavar="NAME", help="plain: without a framework.")
    scenario: str = option("--scenario", default="json", show_default=True, metavar="NAME")
    load: str = option("--load", type=click.Choice(["closed", "open"]), default="closed", show_default=True)
    rate: float = option(
        "--rate",
        type=click.FloatRange(0, MOST_RATE, min_open=True),
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
@takes(form=Form, size=Size, folders=Folders)
@catalogue_option
def ui(form: Form, size: Size, folders: Folders, catalogues: tuple[Path, ...]) -> None:
    """Open the Locust web UI on 127.0.0.1: choose a server there, start it, load it, stop it, choose another.

    The options are what its form holds at first. No server runs before Start is pressed; Ctrl-C ends everything.
    """
    refuse_unwritable(folders)
    found = catalogue.load(catalogues)
    app_for(server_named(found, form.server), found, form.app)
    preset = Preset(
        server=form.server,
        app=form.app,
        scenario=bench.select_scenarios(found, [form.scenario])[0].stem,
        load=form.load,
        rate_per_s=form.rate,
        users=size.connections,
        workers=size.workers,
        threads=size.threads,
        configuration=form.configuration,
    )
    own_target = None if form.target is None else address_of(form.target)
    session = UiRun(folders.results, folders.reports, ("sgibench", *sys.argv[1:]), catalogues)
    with (
        load_process(plan_cpus(1)) as (process, scratch),
        serving.Serving(found, process, scratch, session, own_target) as engine,
    ):
        order = {
            "options": options_of(found, preset, own_target=own_target is not None),
            "users": size.connections,
            "target": None if own_target is None else own_target.url,
            "web_host": HOST,
            "web_port": form.port,
        }
        try:
            url, opened = process.ui(order)
            taken = f" (port {form.port} is taken)" if opened != form.port else ""
            click.echo(f"Locust web UI: {url}{taken}   Ctrl-C ends it")
            process.attend(engine.answer, engine.watch)
        except KeyboardInterrupt:
            unsaved = sum(1 for test in session.tests if test.cell is not None and not test.saved)
            click.echo(f"\nstopped; {unsaved} tests were not saved" if unsaved else "\nstopped")


def address_of(url: str) -> Address:
    """Read `--target`; raises UsageError."""
    parts = urlsplit(url)
    try:
        port = parts.port or 80
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or not port:
        raise UsageError(f"--target: expected an address such as http://127.0.0.1:8000, got {url!r}")
    return Address(host=parts.hostname, port=port)
