"""What apps cost without a server, measured after each block beside their servers: what layers are taken apart with.

On the servers' CPUs while no server runs, each app once a block for all servers that call it alike, so that a block has
all figures of one hour. Only where layers can be told: a framework's app and the plain app of its interface, on the
same services, on one server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from sgibench.bench.border import behind_borders
from sgibench.bench.choice import PLAIN
from sgibench.engine.services import SQLITE, use
from sgibench.engine.workshop import Workshop, environment_key, folder_name
from sgibench.errors import ServerError
from sgibench.model import AloneCost, App, Cell, Scenario
from sgibench.model.catalogue import WITH
from sgibench.results import store
from sgibench.serve.alone import Alone, Manner, Place, call_alone, can_be_called, manner_of

SECONDS = 0.6
"""Of calls for the mix, beside a third as long to warm up, and two thirds of that for the app that does nothing."""


def is_plain(app: App) -> bool:
    """Whether an app is the one without a framework, which all others of its interface are compared with."""
    return app.id.partition(WITH)[0] == f"{app.interface}_{PLAIN}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One app to be called for one scenario in one manner."""

    app: App
    scenario: Scenario
    manner: Manner
    cells: tuple[Cell, ...]
    """Of all servers that call it so; the first one's environment is called in."""

    @property
    def servers(self) -> tuple[str, ...]:
        """Their servers."""
        return tuple(cell.server for cell in self.cells)


def jobs_of(
    cells: Iterable[Cell],
    apps: Iterable[App],
    scenarios: Iterable[Scenario],
    manner_of_cell: Callable[[Cell], Manner],
) -> tuple[Job, ...]:
    """Choose what has to be called: apps that share a server with the plain app, and that app, for each scenario."""
    known, asked = {app.id: app for app in apps}, {scenario.id: scenario for scenario in scenarios}
    served: dict[tuple[str, str, tuple[str, ...]], dict[str, Cell]] = defaultdict(dict)
    for cell in cells:
        if cell.app in known and cell.load.kind == "closed" and can_be_called(known[cell.app], asked[cell.scenario]):
            served[cell.scenario, cell.server, known[cell.app].uses].setdefault(cell.app, cell)
    found: dict[tuple[str, str, Manner], Job] = {}
    for (scenario, _, _), by_app in served.items():
        if len(by_app) < 2 or not any(is_plain(known[app]) for app in by_app):  # noqa: PLR2004 - it and another
            continue
        for app, cell in by_app.items():
            manner = manner_of_cell(cell)
            new = Job(app=known[app], scenario=asked[scenario], manner=manner, cells=())
            job = found.get((scenario, app, manner), new)
            found[scenario, app, manner] = replace(job, cells=(*job.cells, cell))
    return tuple(found.values())


class AloneCosts:
    """Adds to the run, after each block, what each app costs without a server, and behind its border under each."""

    def __init__(self, cells: Iterable[Cell], apps: Iterable[App], writer: store.RunWriter, workshop: Workshop) -> None:
        def manner_of_cell(cell: Cell) -> Manner:
            environment = workshop.environments[environment_key(cell)]
            return manner_of(workshop.catalogue.server(cell.server), cell, environment)

        self._jobs = jobs_of(cells, apps, workshop.scenarios.values(), manner_of_cell)
        self._writer = writer
        self._workshop = workshop

    def __call__(self, block: int) -> None:
        """Measure and store; a block that has its costs already is left alone."""
        info = self._writer.info
        if not self._jobs or any(cost.block == block for cost in info.alone):
            return
        alone = tuple(self._measured(block))
        cells = [cell for job in self._jobs for cell in job.cells]
        borders = tuple(behind_borders(self._workshop, cells, block, info.plan.seed + block))
        self._writer.write_info(replace(info, alone=(*info.alone, *alone), borders=(*info.borders, *borders)))

    def _measured(self, block: int) -> Iterator[AloneCost]:
        for job in self._jobs:
            alone, failure = None, None
            try:
                alone = self._called(job)
            except ServerError as error:
                failure = error.detail
                self._workshop.listener.say(f"without a server: {error.detail}")
            yield AloneCost(
                app=job.app.id,
                scenario=job.scenario.id,
                block=block,
                plain=is_plain(job.app),
                cpu_us=None if alone is None else alone.cpu_us,
                calls=0 if alone is None else alone.calls,
                servers=job.servers,
                failure=failure,
            )

    def _called(self, job: Job) -> Alone:
        """Call it, with shares of its services that are taken away afterwards; raises ServerError."""
        workshop = self._workshop
        place = Place(scratch=workshop.scratch, cpus=workshop.cpus.servers, asker_cpus=workshop.cpus.load)
        pool = workshop.pool or job.cells[0].settings.threads
        used = use(workshop.services, job.app, folder_name(f"alone-{job.app.id}"), place.scratch / SQLITE, pool)
        try:
            return call_alone(
                job.app,
                workshop.environments[environment_key(job.cells[0])],
                job.scenario,
                place,
                manner=job.manner,
                variables=used.variables,
                seconds=SECONDS,
            )
        finally:
            used.drop()
