"""The workshop of a run: load process, environments and scenarios, opened together and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgibench import audit, catalogue, machine
from sgibench.bench.choosing import refusals
from sgibench.bench.own import Looked, dearest, scenario_of, wanted_of
from sgibench.engine.orders import LoadProcess
from sgibench.engine.workshop import Listener, Workshop, environment_key
from sgibench.errors import CeilingError, EnvsError, UsageError
from sgibench.later import DRAWS_AND_WRITES, imported_meanwhile
from sgibench.model import App, Calibration, Cell, EnvironmentInfo, Run, RunInfo, Scenario, ServerEntry, Terms, Trial
from sgibench.results.asked import write_asked
from sgibench.serve import envs
from sgibench.serve.own.overlay import ensure_overlay, ensure_overlays, yours
from sgibench.serve.scratch import scratch_folder
from sgibench.serve.services import House

CALIBRATION_S = 0.5


@contextlib.contextmanager
def load_process(cpus: machine.CpuPlan, workers: int = 1) -> Iterator[tuple[LoadProcess, Path]]:
    """Start the load process with a scratch folder beside it."""
    with (
        scratch_folder() as scratch,
        LoadProcess(cpus.load, scratch / "load.log", workers, awake=cpus.load_alone(workers)) as process,
    ):
        yield process, scratch


def described(process: LoadProcess, paths: Sequence[Path], looked: Looked | None, scratch: Path) -> list[Scenario]:
    """Describe the scenarios: those of the files, and when there are none, the user's own requests."""
    if paths or looked is None:
        return process.describe(paths)
    path = write_asked(scratch, looked.scenario)
    process.describe([path])  # a request that can't be sent is refused there
    return [scenario_of(looked.scenario, path)]


def terms_of(scenarios: Sequence[Scenario]) -> dict[str, Terms]:
    """What scenarios leave no choice about, by name."""
    return {scenario.id: scenario.terms for scenario in scenarios}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Environments for the cells that can be measured."""

    cells: tuple[Cell, ...]
    environments: Mapping[str, envs.Environment]
    skipped: Mapping[str, str]
    """Server -> why it can't take part."""


def prepare(
    cells: Sequence[Cell],
    servers: Sequence[ServerEntry],
    apps: Sequence[App],
    listener: Listener,
    scenarios: Sequence[Scenario] = (),
) -> Prepared:
    """Make what the cells need; a server that can't take part is skipped by name, and none left is an error."""
    listener.say("preparing the servers' environments")
    entries = {server.id: server for server in servers}
    refused = refusals(cells, entries, terms_of(scenarios))
    fit = [cell for cell in cells if cell not in refused]
    skipped = by_name(refused, fit)
    with imported_meanwhile(*DRAWS_AND_WRITES):
        ready, unmade = environments(fit, entries, {app.id: app for app in apps}, listener)
    skipped |= {cell.server: unmade[environment_key(cell)] for cell in fit if environment_key(cell) in unmade}
    for server, reason in skipped.items():
        listener.say(f"skipped {server}: {reason}")
    left = tuple(cell for cell in fit if environment_key(cell) in ready)
    if not left and unmade:
        reason = next(iter(unmade.values()))
        raise EnvsError(f"not one environment could be made, so there is nothing to measure; {reason}")
    if not left:
        raise UsageError("nothing is left to measure: " + "; ".join(f"{name}: {why}" for name, why in skipped.items()))
    return Prepared(cells=left, environments=ready, skipped=skipped)


def by_name(refused: Mapping[Cell, str], fit: Sequence[Cell]) -> dict[str, str]:
    """Name what is left out: a server, or `SERVER in SCENARIO` where the reason does not hold in all its scenarios."""
    scenarios: dict[str, set[str]] = {}
    for cell in (*refused, *fit):
        scenarios.setdefault(cell.server, set()).add(cell.scenario)
    where: dict[tuple[str, str], set[str]] = {}
    for cell, reason in refused.items():
        where.setdefault((cell.server, reason), set()).add(cell.scenario)
    named: dict[str, list[str]] = {}
    for (server, reason), some in where.items():
        for name in [server] if some == scenarios[server] else [f"{server} in {scenario}" for scenario in sorted(some)]:
            named.setdefault(name, []).append(reason)
    return {name: "; ".join(found) for name, found in named.items()}


def environments(
    cells: Sequence[Cell], entries: Mapping[str, ServerEntry], apps: Mapping[str, App], listener: Listener
) -> tuple[dict[str, envs.Environment], dict[str, str]]:
    """Make an environment for each server and app: isolated ones, or laid over that of the user's app."""
    own = {app.own.base.said: app.own.base for app in apps.values() if app.own is not None}
    if not own:
        return envs.ensure_all(
            {
                environment_key(cell): (*entries[cell.server].variant.packages, *apps[cell.app].packages)
                for cell in cells
            },
            {environment_key(cell): entries[cell.server].python for cell in cells},
        )
    (base,) = own.values()
    wanted = {environment_key(cell): wanted_of(entries[cell.server]) for cell in cells}
    for server in dict.fromkeys(cell.server for cell in cells):
        if version := yours(base, wanted_of(entries[server])):
            listener.say(f"{server}: {wanted_of(entries[server]).names[0]} {version} (yours)")
    return ensure_overlays(base, wanted)


def environment_of(server: ServerEntry, app: App) -> envs.Environment:
    """Make the environment of one server with one app; raises EnvsError."""
    if app.own is None:
        return envs.ensure((*server.variant.packages, *app.packages), server.python)
    return ensure_overlay(app.own.base, wanted_of(server))


def recorded(environments: Mapping[str, envs.Environment], apps: Sequence[App]) -> dict[str, EnvironmentInfo]:
    """Name the environments as run.json does: by the server alone where an app adds nothing to what it needs.

    In the web UI a server may have the user's own app in one test and one of the catalogue in another.
    """
    bare = {app.id for app in apps if not app.packages}
    named: dict[str, EnvironmentInfo] = {}
    for key, environment in sorted(environments.items()):
        server, _, app = key.partition(" ")
        shared = app in bare and named.get(server, environment.info) == environment.info
        named[server if shared else key] = environment.info
    return named


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What the generator can do at most, as far as that could be found out."""

    found: tuple[Calibration, ...]
    unknown: Mapping[str, str]
    """Scenario -> why there is none."""


def calibrated(process: LoadProcess, scenarios: Sequence[Scenario], listener: Listener) -> Ceilings:
    """Find the generator's ceiling for each scenario that a server of prepared answers can answer.

    What is measured does not depend on it: where it can't be found out, that is said and stored.
    """
    listener.say("calibrating the load generator")
    found, unknown = [], {}
    for scenario in scenarios:
        if scenario.terms.calibrated:
            try:
                found.append(process.calibrate(scenario, CALIBRATION_S))
            except CeilingError as error:
                unknown[scenario.id] = str(error)
                listener.say(without_ceiling(scenario.id, str(error)))
    return Ceilings(found=tuple(found), unknown=unknown)


def without_ceiling(scenario: str, why: str) -> str:
    """Say that a scenario is measured although the generator's ceiling for it is not known."""
    return f"{scenario} is measured without a ceiling of the load generator, and doubted for it (CeilingUnknown): {why}"


def repeater(info: RunInfo) -> Callable[[Trial], bool]:
    """Make the question whether the machine or the generator, not the server, spoilt a trial."""
    around = audit.surroundings_of(Run(path=Path(info.run), info=info, trials=()))
    return lambda trial: audit.worth_repeating(trial, around)


def equip(  # noqa: PLR0917 - one call site for a run, one for its resumption
    info: RunInfo,
    found: catalogue.Catalogue,
    environments: Mapping[str, envs.Environment],
    scenarios: Sequence[Scenario],
    process: LoadProcess,
    scratch: Path,
    listener: Listener,
    services: House | None = None,
    looked: Looked | None = None,
) -> Workshop:
    """Put together what trials need; requests of the user's are asked singly, too, where they make the scenario."""
    ours = looked is not None and any(scenario.id == looked.scenario.id for scenario in scenarios)
    return Workshop(
        catalogue=found,
        environments=environments,
        scenarios={scenario.id: scenario for scenario in scenarios},
        load=process,
        cpus=machine.plan_of(info.machine),
        windows=info.plan.windows,
        listener=listener,
        worth_repeating=repeater(info),
        retries=info.retries,
        asked=looked.scenario.requests if looked is not None and ours else (),
        singly=dearest(looked) if looked is not None and ours else (),
        scratch=scratch,
        services=services,
        pool=info.pool,
    )
