"""A run that was broken off goes on: the same plan, the same conditions, and only what is not on disk yet.

What a results folder says is data. Which code is run, the installed catalogue and the command line decide.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sgibench import catalogue, machine
from sgibench.bench.believable import refuse_unbelievable
from sgibench.bench.budget import needs_of, refuse_too_much
from sgibench.bench.choosing import choose_servers
from sgibench.bench.going_on import noting_nothing
from sgibench.bench.learned import learn_answers
from sgibench.bench.own import Looked
from sgibench.bench.request import Request, is_scenario_file, select_scenarios
from sgibench.bench.run import Outcome, after_block, look, measure
from sgibench.bench.services import parse_database, refuse_unreachable
from sgibench.bench.workshop import described, equip, load_process, prepare, recorded
from sgibench.engine.workshop import Listener, Workshop
from sgibench.errors import EnvsError, ResultsError, UsageError
from sgibench.limits import room
from sgibench.model import App, Cell, EnvironmentInfo, Machine, OwnInfo, Plan, Run, ServerEntry
from sgibench.results import store
from sgibench.secrets import hidden
from sgibench.serve.services import House, usual_cpus


def resume(folder: Path, catalogues: Sequence[Path], listener: Listener, request: Request | None = None) -> Outcome:
    """Go on with a run that was broken off: the same plan, and only what is not on disk yet.

    Declarations come from the installed catalogue and from `catalogues`, never from where the folder says; an app of
    the user's is named again by `request`.
    """
    with store.RunWriter.reopen(folder) as (writer, broken_off):
        if broken_off.info.slo is not None:
            raise UsageError(f"{folder.name} is a search for capacity: sgibench capacity --resume {folder.name}")
        with (
            noting_nothing(lambda: writer.appended),
            reopened(writer, broken_off, catalogues, listener, request) as workshop,
        ):
            return measure(workshop, writer, (*broken_off.repeated, *broken_off.trials))


@contextlib.contextmanager
def reopened(
    writer: store.RunWriter,
    broken_off: Run,
    catalogues: Sequence[Path],
    listener: Listener,
    request: Request | None = None,
) -> Iterator[Workshop]:
    """Open the workshop of a run that was broken off, under the conditions it was begun in."""
    folder, info = broken_off.path, broken_off.info
    if info.finished_at is not None:
        raise UsageError(f"{folder.name} came to its end at {info.finished_at}: there is nothing to resume")
    _refuse_unnamed_catalogues(broken_off, catalogues)
    cells = cells_of(info.plan)
    refuse_unbelievable(info, cells, machine.usable_cpus())
    looked = look_again(broken_off, request, listener)
    installed = _with_files(catalogue.load(catalogues), request)
    found, servers, apps = _declared(broken_off, _with_own(installed, looked), cells, looked)
    wanted = {cell.scenario for cell in cells}
    paths = [path for path in found.scenario_paths if path.stem in wanted]
    cpus = machine.plan_of(info.machine)
    _refuse_another_machine(broken_off, machine.describe(cpus))
    refuse_too_much(needs_of(cells, info.load_workers, control=False), room())
    existing = parse_database(request.database if request else None).existing
    with (
        House(found.services, info.service_cpus or usual_cpus(cpus), existing) as house,
        load_process(cpus, info.load_workers) as (process, scratch),
    ):
        _refuse_other_services(broken_off, existing)
        refuse_unreachable(house)
        scenarios = described(process, paths, looked, scratch)
        ready = prepare(cells, servers, apps, listener, scenarios)
        _refuse_other_packages(broken_off, recorded(ready.environments, apps))
        if looked is not None and not paths:
            looked = learn_answers(
                looked, ready.cells, listener, found=found, environments=ready.environments, cpus=cpus, scratch=scratch
            ).looked
            scenarios = described(process, (), looked, scratch)
        workshop = equip(writer.info, found, ready.environments, scenarios, process, scratch, listener, house, looked)
        yield replace(workshop, after_block=after_block(ready.cells, apps, writer, workshop))


def look_again(broken_off: Run, request: Request | None, listener: Listener) -> Looked | None:
    """Look at the user's apps of a run that goes on; raises UsageError unless they are named as they were."""
    own = broken_off.info.own
    if own is None:
        return None
    named = " ".join(f"--app {shlex.quote(spec)}" for spec in own.apps.values())
    if request is None or tuple(map(hidden, request.apps)) != tuple(own.apps.values()):
        raise UsageError(f"{broken_off.path.name} measures an app of your own: name it again, with {named}")
    _refuse_other_conditions(broken_off, own, request)
    looked = look(request, listener)
    told = tuple(hidden(f"{one.weight} {one.name}") for one in looked.scenario.requests) if looked else ()
    if told != own.requests:
        raise UsageError(f"{broken_off.path.name} asked {', '.join(own.requests)}: name the same requests again")
    return looked


def _refuse_other_conditions(broken_off: Run, own: OwnInfo, request: Request) -> None:
    """Refuse to mix trials of an app that is prepared otherwise into a run, before anything of it is started."""
    now = request.own
    for flag, before, given in (
        ("--prepare", own.prepare, tuple(map(hidden, now.prepare))),
        ("--env", own.variables, tuple(sorted(now.variables or {}))),
        ("--copy", own.copied, own.copied if now.copy is None else now.copy),
    ):
        if before != given:
            raise UsageError(
                f"{broken_off.path.name} was begun otherwise: expected {flag} as it was then ({_told(before)}), "
                f"got {_told(given)}"
            )


def _told(given: tuple[str, ...] | bool) -> str:  # noqa: FBT001 - what an option holds
    if isinstance(given, bool):
        return "yes" if given else "no"
    return ", ".join(map(repr, given)) or "none"


def _with_own(found: catalogue.Catalogue, looked: Looked | None) -> catalogue.Catalogue:
    return found if looked is None else replace(found, apps=(*found.apps, *looked.apps))


def _with_files(found: catalogue.Catalogue, request: Request | None) -> catalogue.Catalogue:
    """Add the scenarios that are named again by their files."""
    files = [name for name in (request.scenarios if request else ()) if is_scenario_file(name)]
    return replace(found, scenario_paths=(*found.scenario_paths, *select_scenarios(found, files)))


def _refuse_unnamed_catalogues(broken_off: Run, catalogues: Sequence[Path]) -> None:
    """A results folder never says which code is run: whoever resumes names the folders of declarations again."""
    used = broken_off.info.catalogues
    if len(catalogues) < len(used):
        named = " ".join(f"--catalogue {shlex.quote(name)}" for name in used)
        raise UsageError(
            f"{broken_off.path.name} used declarations of your own, and code is only run from folders that you name: "
            f"add {named}"
        )


def _declared(
    broken_off: Run, found: catalogue.Catalogue, cells: Sequence[Cell], looked: Looked | None
) -> tuple[catalogue.Catalogue, list[ServerEntry], list[App]]:
    """Look up what a stored plan names, by whole names; raises ResultsError for what is not there."""
    servers, missing = choose_servers(found, sorted({cell.server for cell in cells}))
    if missing:
        raise EnvsError("; ".join(missing.values()))
    found = replace(found, servers=tuple(servers))
    apps = catalogue.select_apps(found.apps, sorted({cell.app for cell in cells}))
    scenarios = {path.stem for path in found.scenario_paths} | ({looked.scenario.id} if looked else set())
    for what, wanted, known in (
        ("server", {cell.server for cell in cells}, {server.id for server in servers}),
        ("app", {cell.app for cell in cells}, {app.id for app in apps}),
        ("scenario", {cell.scenario for cell in cells}, scenarios),
    ):
        if wanted - known:
            again = "; a file of your own is named again: --scenario FILE" if what == "scenario" else ""
            raise ResultsError(f"{broken_off.path.name}: no {what} is called {min(wanted - known)!r}{again}")
    return found, servers, apps


def _refuse_another_machine(broken_off: Run, host: Machine) -> None:
    """Refuse to mix trials of another machine into a run."""
    before = broken_off.info.machine
    if (host.hostname_hash, host.cpu_model, host.cores) != (before.hostname_hash, before.cpu_model, before.cores):
        raise ResultsError(f"{broken_off.path.name} was begun on another machine ({before.cpu_model}): resume it there")
    gone = {*before.server_cpus, *before.load_cpus} - set(machine.usable_cpus())
    if gone:
        raise ResultsError(
            f"{broken_off.path.name} was begun on CPUs that this process may not use now "
            f"({', '.join(map(str, sorted(gone)))}): start a new run"
        )


def _refuse_other_services(broken_off: Run, existing: Mapping[str, str]) -> None:
    """An address is never stored, so an instance of the user's is named again; and a private one is not exchanged."""
    for service, info in broken_off.info.services.items():
        if info.private == (service in existing):
            how = "was private: leave --database out" if info.private else "was one of yours: name it with --database"
            raise UsageError(f"{broken_off.path.name}: its {service} {how}")


def _refuse_other_packages(broken_off: Run, environments: dict[str, EnvironmentInfo]) -> None:
    """Refuse to mix trials of other versions into a run."""
    for name, environment in broken_off.info.environments.items():
        if name in environments and environments[name].packages != environment.packages:
            changed = set(environments[name].packages) ^ set(environment.packages)
            raise ResultsError(f"{name} has other packages now ({', '.join(sorted(changed))}): start a new run")


def cells_of(plan: Plan) -> list[Cell]:
    """All cells of a plan, each once."""
    every = [cell for block in plan.blocks for stage in block.stages for group in stage.groups for cell in group.cells]
    return list(dict.fromkeys(every))
