"""What apps cost without a server, measured after each block beside their servers: what layers are taken apart with.

On the servers' CPUs while no server runs, each app once a block, so that a block has all figures of one hour. Only
where layers can be told: a framework's app and the plain app of its interface on one server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sgibench.bench.choice import PLAIN
from sgibench.engine.workshop import Workshop, environment_key
from sgibench.errors import ServerError
from sgibench.model import AloneCost, App, Cell, Scenario
from sgibench.results import store
from sgibench.serve.alone import call_alone, can_be_called

SECONDS = 0.45
"""Of calls for the mix, beside a third as long to warm up, and as much again for the app that does nothing."""


def is_plain(app: App) -> bool:
    """Whether an app is the one without a framework, which all others of its interface are compared with."""
    return app.id == f"{app.interface}_{PLAIN}"


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One app to be called for one scenario, in the environment of one cell."""

    app: App
    scenario: Scenario
    cell: Cell


def jobs_of(cells: Iterable[Cell], apps: Iterable[App], scenarios: Iterable[Scenario]) -> tuple[_Job, ...]:
    """Choose what has to be called: apps that share a server with the plain app, and that app, for each scenario."""
    known, asked = {app.id: app for app in apps}, {scenario.id: scenario for scenario in scenarios}
    served: dict[tuple[str, str], dict[str, Cell]] = defaultdict(dict)
    for cell in cells:
        if cell.app in known and can_be_called(known[cell.app], asked[cell.scenario]):
            served[cell.scenario, cell.server].setdefault(cell.app, cell)
    found: dict[tuple[str, str], _Job] = {}
    for (scenario, _), by_app in served.items():
        plain = [app for app in by_app if is_plain(known[app])]
        if plain and len(by_app) > 1:
            for app, cell in by_app.items():
                found.setdefault((scenario, app), _Job(app=known[app], scenario=asked[scenario], cell=cell))
    return tuple(found.values())


class AloneCosts:
    """Adds to the run, after each block, what each app costs without a server."""

    def __init__(self, jobs: Iterable[_Job], writer: store.RunWriter, workshop: Workshop) -> None:
        self._jobs = tuple(jobs)
        self._writer = writer
        self._workshop = workshop

    def __call__(self, block: int) -> None:
        """Measure and store; a block that has its costs already is left alone."""
        info = self._writer.info
        if self._jobs and not any(cost.block == block for cost in info.alone):
            self._writer.write_info(replace(info, alone=(*info.alone, *self._measured(block))))

    def _measured(self, block: int) -> Iterator[AloneCost]:
        workshop = self._workshop
        for job in self._jobs:
            cpu_us, failure, calls = None, None, 0
            try:
                alone = call_alone(
                    job.app,
                    workshop.environments[environment_key(job.cell)],
                    job.scenario,
                    workshop.scratch,
                    cpus=workshop.cpus.servers,
                    seconds=SECONDS,
                )
                cpu_us, calls = alone.cpu_us, alone.calls
            except ServerError as error:
                failure = error.detail
                workshop.listener.say(f"without a server: {error.detail}")
            yield AloneCost(
                app=job.app.id,
                scenario=job.scenario.id,
                block=block,
                plain=is_plain(job.app),
                cpu_us=cpu_us,
                calls=calls,
                failure=failure,
            )
