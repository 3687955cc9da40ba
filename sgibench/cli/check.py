"""`sgibench check`: the whole contract, asked of live servers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from sgibench import bench, catalogue, machine, verify
from sgibench.bench.choosing import choose_servers, unspoken
from sgibench.bench.profiles import PROFILES
from sgibench.bench.services import POSTGRESQL, refuse_unknown
from sgibench.cli.own import Own, own_request
from sgibench.cli.subjects import Apps, Size, Spoken, json_option, one, takes
from sgibench.engine.progress import listener_for
from sgibench.engine.services import Used, use
from sgibench.engine.workshop import folder_name
from sgibench.errors import EnvsError, ServerError, UsageError, plain
from sgibench.model import App, Protocol, ServerEntry, Settings
from sgibench.model.catalogue import WITH
from sgibench.secrets import hidden
from sgibench.serve import needs
from sgibench.serve.own.preparing import folded
from sgibench.serve.process import HOST, ServerProcess, ServerSpec
from sgibench.serve.scratch import scratch_folder
from sgibench.serve.services import House, missing, usual_cpus

AT_ONCE = 4
"""So many servers are asked at once at most, and no more than there are CPUs and one."""
Pair = tuple[ServerEntry, App]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came of one server with one app."""

    server: str
    app: str
    status: str
    """`ok`, `failed` or `skipped`."""
    problems: tuple[str, ...] = ()
    """What is wrong, and what is only noted."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How servers are started to be checked."""

    settings: Settings
    protocol: Protocol


@click.command(
    epilog="Example: sgibench check 'gunicorn-*'; sgibench check 'nginx+*'; sgibench check --protocol h2 --all"
)
@click.argument("servers", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Check every server of the catalogue.")
@takes(what=Apps, own=Own)
@one(Size, "workers")
@one(Spoken, "protocol")
@json_option
def check(
    servers: tuple[str, ...], what: Apps, own: Own, workers: int, protocol: Protocol, *, every: bool, as_json: bool
) -> None:
    """Start SERVERS (names or globs; FRONT+SERVER) and ask each for the whole contract, or your app for your requests.

    Over --protocol the whole contract is asked again; a server that does not speak it is skipped by name. What fails is
    told with its reason, and docs/protocols.md has what each server is known to do.

    With --app and without SERVERS each app of the catalogue is asked behind one server of its interface. Exit 1 when
    one doesn't hold it, 2 when all were skipped.
    """
    console = Console(stderr=as_json)
    mine = bench.own_apps(what.apps)
    if not servers and not every and not what.apps:
        raise UsageError("name the servers or apps (--app) to check, or pass --all; sgibench list shows what there is")
    found = catalogue.load(what.catalogues)
    chosen, _ = choose_servers(found, servers if servers and not every else ("*",))
    request = bench.Request(results=Path(), argv=(), apps=what.apps, own=own_request(own))
    with listener_for(Console(stderr=True), quiet=as_json) as listener:
        looked = bench.look(request, listener)
    apps = looked.apps if looked else on_databases(found, what.apps or bench.DEFAULT_APPS)
    asked = Asked(settings=Settings(workers=workers, threads=bench.DEFAULT_THREADS), protocol=protocol)
    if servers or every or mine:
        pairs = [(server, app) for server in chosen for app in _apps_for(server, apps, found, named=bool(what.apps))]
    else:
        pairs = [(server, app) for app in apps if (server := typical_for(app, found)) is not None]
    services = House(found.services, usual_cpus(machine.plan_cpus(workers)))
    with scratch_folder() as scratch, services:
        alive: set[ServerProcess] = set()

        def check_one(pair: Pair) -> Checked:
            return _check(found, pair, asked, scratch, looked, alive, services)

        results = side_by_side(check_one, pairs, console, alive)
    if as_json:
        click.echo(json.dumps([vars(result) for result in results]))
    if not pairs:
        raise UsageError("none of the chosen apps speaks the interface of a chosen server")
    if all(result.status == "skipped" for result in results):
        raise UsageError(
            f"nothing was checked: {'; '.join(f'{one.server}: {why}' for one in results for why in one.problems)}"
        )
    sys.exit(1 if any(result.status == "failed" for result in results) else 0)


def typical_for(app: App, found: catalogue.Catalogue) -> ServerEntry | None:
    """Choose one server to ask an app behind: of those that can run it, the first of the quick profile, else any."""
    usual = {server: place for place, server in enumerate(PROFILES["quick"].servers)}
    able = [server for server in found.servers if server.runs(app)]
    return min(able, key=lambda one: (usual.get(one.id, len(usual)), one.variant.optional is not None), default=None)


def side_by_side(
    check: Callable[[Pair], Checked], pairs: Sequence[Pair], console: Console, alive: Collection[ServerProcess]
) -> list[Checked]:
    """Check several at a time, most of whose time is waiting, and show each as soon as those before it are shown.

    Whatever ends this early ends the servers that are `alive`, too.
    """
    results = []
    with ThreadPoolExecutor(max(1, min(AT_ONCE, len(machine.usable_cpus()) + 1))) as pool:
        waiting = [pool.submit(check, pair) for pair in pairs]
        try:
            for one in waiting:
                results.append(one.result())
                _show(results[-1], console)
        except BaseException:
            for one in waiting:
                one.cancel()
            for process in tuple(alive):
                process.kill()
            raise
    return results


def on_databases(found: catalogue.Catalogue, patterns: Sequence[str]) -> list[App]:
    """Find the apps; a glob means them on PostgreSQL, too, where they can use it."""
    chosen = catalogue.select_apps(found.apps, patterns)
    globbed = [pattern for pattern in patterns if set(pattern) & set("*?[") and WITH not in pattern]
    also = catalogue.select_apps(found.apps, globbed) if globbed else []
    both = [*chosen, *(app.on(POSTGRESQL) for app in also if POSTGRESQL in app.services)]
    return sorted({app.id: app for app in both}.values(), key=lambda app: app.id)


def lacking_of(found: catalogue.Catalogue, app: App) -> str | None:
    """Say which service that an app uses is not there."""
    refuse_unknown(found, [app], ())
    lacking = {name: missing(found.service(name).service) for name in app.uses}
    return "; ".join(f"{name}: {why}" for name, why in lacking.items() if why) or None


def _apps_for(server: ServerEntry, chosen: Sequence[App], found: catalogue.Catalogue, *, named: bool) -> list[App]:
    """Those of the chosen apps that a server can run; when none were named, the first that it can run."""
    fitting = [app for app in chosen if server.runs(app)]
    return fitting or ([] if named else [app for app in found.apps if server.runs(app)][:1])


def _check(  # noqa: PLR0917 - what a check consists of; called in several threads
    found: catalogue.Catalogue,
    pair: Pair,
    asked: Asked,
    scratch: Path,
    looked: bench.Looked | None,
    alive: set[ServerProcess],
    services: House,
) -> Checked:
    server, app = pair
    lacking = needs.missing(server.variant.needs) or unspoken(server, asked.protocol) or lacking_of(found, app)
    if lacking:
        return Checked(server=server.id, app=app.id, status="skipped", problems=(lacking,))
    try:
        environment = bench.environment_of(server, app)
    except EnvsError as error:
        return Checked(server=server.id, app=app.id, status="skipped", problems=(str(error),))
    name = folder_name(f"{server.id}-{app.id}")
    try:
        used = use(services, app, name, scratch / name, asked.settings.threads)
    except ServerError as error:
        return Checked(server=server.id, app=app.id, status="failed", problems=(hidden(str(error)),))
    spec = ServerSpec(
        variables=used.variables,
        entry=server,
        app=app,
        settings=asked.settings,
        protocol=asked.protocol,
        bin=environment.bin,
        versions=environment.versions,
        python=environment.info.python,
        cpus=machine.plan_cpus(asked.settings.workers).servers,
        scratch=scratch / name,
    )
    told: tuple[str, ...]
    try:
        with ServerProcess(spec) as process:
            alive.add(process)
            process.wait_ready()
            problems = _problems(found, process, server, looked, used)
            process.stop()
    except ServerError as error:
        told, wrong = (f"{error}{folded(error.log_tail)}",), True
    else:
        told, wrong = tuple(map(str, problems)), any(problem.severity == "wrong" for problem in problems)
    out_of_use = used.out_of_use() if wrong else None
    used.drop()
    told = told if out_of_use is None else (f"{out_of_use.reason}: {out_of_use.detail}",)
    return Checked(server=server.id, app=app.id, status="failed" if wrong else "ok", problems=tuple(map(hidden, told)))


def _problems(
    found: catalogue.Catalogue, process: ServerProcess, server: ServerEntry, looked: bench.Looked | None, used: Used
) -> list[verify.Problem]:
    """Ask for the whole contract and look for its items, or ask for what the user's app answered without a server."""
    keep_alive, protocol = server.variant.keep_alive, process.spec.protocol
    if looked is not None:
        scenario = bench.scenario_of(looked.scenario)
        verify.verify_scenario(HOST, process.port, scenario, keep_alive=keep_alive, protocol=protocol)
        return []
    interface = process.spec.app.interface
    problems = verify.verify_contract(
        HOST, process.port, interface, found.contract, keep_alive=keep_alive, protocol=protocol
    )
    if not any(problem.check == "items" and problem.severity == "wrong" for problem in problems):
        problems += _not_kept(process, used)
    return verify.excuse(problems, {**server.variant.lacks, **process.spec.app.lacks})


def _not_kept(process: ServerProcess, used: Used) -> list[verify.Problem]:
    """Say that the app's items are not in the database that it was given."""
    try:
        verify.verify_kept(HOST, process.port, used.rows, protocol=process.spec.protocol)
    except ServerError as error:
        return [verify.Problem(check="items", severity="wrong", detail=error.detail)]
    return []


def _show(result: Checked, console: Console) -> None:
    style = {"ok": "green", "failed": "bold red", "skipped": "yellow"}[result.status]
    console.print(Text.assemble((f"{result.status:8}", style), f"{result.server} with {result.app}"))
    for problem in result.problems:
        console.print(Text(plain(f"        {problem}")), soft_wrap=True)
