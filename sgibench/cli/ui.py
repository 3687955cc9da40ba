"""`sgibench ui`: one server, and the Locust web UI against it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from sgibench import bench, catalogue, envs, machine, verify
from sgibench.cli.options import catalogue_option
from sgibench.errors import LoadError, ServerError, UsageError
from sgibench.model import App, ServerEntry, Settings
from sgibench.orders import LoadProcess
from sgibench.process import HOST, ServerProcess, ServerSpec


@click.command(epilog="Example: sgibench ui --server granian-asgi --scenario json")
@click.option("--server", default="uvicorn-httptools", show_default=True, metavar="NAME")
@click.option("--app", "app_name", metavar="NAME", help="App; by default the plain one of the server's interface.")
@click.option("--scenario", default="json", show_default=True, metavar="NAME")
@click.option("--connections", type=click.IntRange(1, 60000), default=bench.DEFAULT_CONNECTIONS, show_default=True)
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(1, 1024), default=bench.DEFAULT_THREADS, show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8089, show_default=True, help="Port of the web UI.")
@catalogue_option
def ui(  # noqa: PLR0917 - click calls it by name
    server: str,
    app_name: str | None,
    scenario: str,
    connections: int,
    workers: int,
    threads: int,
    port: int,
    catalogues: tuple[Path, ...],
) -> None:
    """Start one server and open the Locust web UI against it, on 127.0.0.1. Ctrl-C ends both."""
    found = catalogue.load(catalogues)
    entry = _one(catalogue.select("server", found.servers, [server]), server)
    app = _app_for(entry, found, app_name)
    cpus = machine.plan_cpus(workers)
    environment = envs.ensure((*entry.variant.packages, *app.packages))
    settings = Settings(workers=workers, threads=threads)
    with tempfile.TemporaryDirectory(prefix="sgibench-") as folder, bench.ending_on_sigterm():
        scratch = Path(folder)
        spec = ServerSpec(
            entry=entry, app=app, settings=settings, bin=environment.bin, cpus=cpus.servers, scratch=scratch / "server"
        )
        with LoadProcess(cpus.load, scratch / "load.log") as load_process, ServerProcess(spec) as process:
            chosen = load_process.describe(bench.select_scenarios(found, [scenario]))[0]
            process.wait_ready()
            verify.verify_scenario(HOST, process.port, chosen, keep_alive=entry.variant.keep_alive)
            order = {
                "scenario": str(chosen.path),
                "host": HOST,
                "port": process.port,
                "connections": connections,
                "web_host": HOST,
                "web_port": port,
            }
            click.echo(f"{entry.id} serves {app.id} on http://{HOST}:{process.port}")
            click.echo(f"Locust web UI: {load_process.ui(order)}   (Ctrl-C ends it)")
            _wait(process, load_process)


def _one(chosen: list[ServerEntry], name: str) -> ServerEntry:
    if len(chosen) != 1:
        raise UsageError(f"--server {name}: expected one server, {len(chosen)} match")
    return chosen[0]


def _app_for(entry: ServerEntry, found: catalogue.Catalogue, name: str | None) -> App:
    interface = entry.variant.interface
    app = catalogue.select("app", found.apps, [name or f"{interface}_plain"])[0]
    if app.interface != interface:
        raise UsageError(f"{entry.id} serves {interface} apps, {app.id} is {app.interface}")
    return app


def _wait(process: ServerProcess, load_process: LoadProcess) -> None:
    try:
        while True:
            time.sleep(0.5)
            if not process.alive():
                status = process.exit_status
                raise ServerError("crashed", f"the server ended with status {status}", process.log_tail())
            if not load_process.alive():
                raise LoadError("the load process ended")
    except KeyboardInterrupt:
        click.echo("\nstopped")
