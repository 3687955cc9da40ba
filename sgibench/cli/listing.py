"""`sgibench list`: what the catalogue holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sgibench import catalogue
from sgibench.bench.profiles import PROFILES
from sgibench.catalogue.page import servers_page
from sgibench.cli.subjects import catalogue_option, json_option


@click.command("list", epilog="Example: sgibench list --json")
@catalogue_option
@json_option
@click.option("--markdown", is_flag=True, help="Print the page on all servers instead, as docs/servers.md holds it.")
def list_command(catalogues: tuple[Path, ...], *, as_json: bool, markdown: bool) -> None:
    """Show the servers, fronts, apps, services, scenarios and profiles there are."""
    found = catalogue.load(catalogues)
    if markdown:
        click.echo(servers_page(found.servers, found.fronts), nl=False)
    elif as_json:
        click.echo(json.dumps(_for_machines(found), indent=1))
    else:
        _menu(found, Console())


def _for_machines(found: catalogue.Catalogue) -> dict[str, Any]:
    return {
        "servers": [
            {
                "id": server.id,
                "interface": server.variant.interface,
                "family": server.family,
                "concurrency": server.variant.concurrency,
                "packages": list(server.variant.packages),
                "keep_alive": server.variant.keep_alive,
                "summary": server.variant.summary,
                "notes": list(server.notes),
                "homepage": server.homepage,
                "path": str(server.path),
            }
            for server in found.servers
        ],
        "fronts": [
            {
                "id": front.id,
                "family": front.family,
                "backends": front.variant.backends,
                "link": front.variant.link,
                "speech": front.variant.speech,
                "summary": front.variant.summary,
                "notes": list(front.notes),
                "homepage": front.homepage,
                "path": str(front.path),
            }
            for front in found.fronts
        ],
        "apps": [
            {"id": app.id, "interface": app.interface, "packages": list(app.packages), "summary": app.summary}
            for app in found.apps
        ],
        "scenarios": [
            {"id": path.stem, "summary": catalogue.summary_of(path), "path": str(path)} for path in found.scenario_paths
        ],
        "services": [
            {
                "id": one.id,
                "summary": one.service.summary,
                "programs": [list(group) for group in one.service.programs],
                "how": one.service.how,
                "path": str(one.path),
            }
            for one in found.services
        ],
        "profiles": [
            {"id": one.name, "blocks": one.blocks, "window_s": one.window_s, "promise": one.promise}
            for one in PROFILES.values()
        ],
    }


def _menu(found: catalogue.Catalogue, console: Console) -> None:
    for interface in ("wsgi", "asgi", "rsgi"):
        rows = [server for server in found.servers if server.variant.interface == interface]
        if rows:
            _section(
                console,
                f"{interface.upper()} servers",
                [(server.id, server.variant.concurrency, server.variant.summary) for server in rows],
            )
    _section(
        console,
        "Fronts, named before a server: nginx+waitress",
        [(front.id, front.variant.link, front.variant.summary) for front in found.fronts],
    )
    _section(console, "Apps", [(app.id, app.interface, app.summary) for app in found.apps])
    _section(console, "Services", [(one.id, "", one.service.summary) for one in found.services])
    _section(console, "Scenarios", [(path.stem, "", catalogue.summary_of(path)) for path in found.scenario_paths])
    _section(
        console,
        "Profiles",
        [(one.name, f"{one.blocks} x {one.window_s:g} s", one.promise) for one in PROFILES.values()],
    )
    console.print("\nMeasure some: sgibench run --server 'uvicorn-*' --server waitress --scenario json")


def _section(console: Console, title: str, rows: list[tuple[str, str, str]]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=18, no_wrap=True)
    table.add_column(min_width=10, no_wrap=True)
    table.add_column()
    for name, kind, summary in rows:
        table.add_row(Text(f"  {name}", style="bold"), Text(kind, style="cyan"), Text(summary))
    console.print(Text(f"\n{title}", style="bold underline"))
    console.print(table)
