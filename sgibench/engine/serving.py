"""The servers of one stage from their start to their burial: started afresh, verified, known to be idle, stopped.

A server that fails takes only its own trials with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from sgibench import verify
from sgibench.engine.contestant import Contestant, Key, key_of
from sgibench.engine.services import shows_items, use
from sgibench.engine.workshop import Workshop, environment_key, folder_name
from sgibench.errors import ServerError
from sgibench.model import (
    Cell,
    Stage,
)
from sgibench.paths import remove
from sgibench.serve.guarded import NotStartedError
from sgibench.serve.own.driving import Beside
from sgibench.serve.process import HOST, ServerProcess, ServerSpec, calls_within, idle_cpu

IDLE_CHECK_S = 0.3

AT_ONCE = 8
"""Most servers that are started at the same time: on one CPU each takes as many times as long."""


@contextlib.contextmanager
def serving(workshop: Workshop, stage: Stage, *, apart: bool = True) -> Iterator[dict[Key, Contestant]]:
    """Serve all servers of a stage: ready, verified and known to be idle; afterwards they have been stopped.

    `apart`: they are started one after the other, so that the time each takes is its own and is known; those of the
    user's own apps and of apps that use services always are, since what they do when they start is theirs. How a server
    stops belongs to what was measured on it; that is known after the context.
    """
    contestants: dict[Key, Contestant] = {}
    with contextlib.ExitStack() as alive:
        try:
            workshop.laps.to("starting")
            _start_all(workshop, stage, alive, contestants, apart=apart)
            workshop.laps.to("verifying")
            _verify(workshop, stage, contestants)
            _find_within(stage, contestants)
            _check_idle(contestants.values())
            yield contestants
        except BaseException:
            for contestant in contestants.values():
                contestant.process.let_go()  # all at once; leaving the context waits for each
            raise
        workshop.laps.to("stopping")
        for contestant in contestants.values():
            contestant.process.ask_to_stop()
        for key, cell in _first_cells(stage).items():
            workshop.listener.step(cell, "stopping", 0)
            _stop(workshop, contestants[key])
            contestants[key].used.drop()


def _first_cells(stage: Stage) -> dict[Key, Cell]:
    """One cell for each process that the stage needs."""
    cells = [cell for group in stage.groups for cell in group.cells]
    return {key_of(cell): cell for cell in reversed(cells)}


def _start_all(
    workshop: Workshop, stage: Stage, alive: contextlib.ExitStack, contestants: dict[Key, Contestant], *, apart: bool
) -> None:
    """Start the servers of a stage, one after the other or a few at once, and wait until they are ready."""
    alone = _beside(workshop, stage, alive)
    cells = [*_first_cells(stage).items()]
    apps = [workshop.catalogue.app(cell.app) for _key, cell in cells]
    apart = apart or any(app.own is not None or app.uses for app in apps)
    each = 1 if apart else AT_ONCE
    for some in (cells[first : first + each] for first in range(0, len(cells), each)):
        for key, cell in some:
            contestants[key] = _start(workshop, cell, alive, asks_within=cell.app in alone)
            contestants[key].beside = alone.get(cell.app)
        for key, _cell in some:
            _await_ready(contestants[key])
            if not apart:
                contestants[key].process.startup_s = None  # it is no time of its own


def _await_ready(contestant: Contestant) -> None:
    """Wait until a server that could be started is ready."""
    if contestant.failure is not None:
        return
    try:
        contestant.process.wait_ready()
    except ServerError as error:
        contestant.fail(error)
        contestant.fail_with_services()
        contestant.process.kill()


def _beside(workshop: Workshop, stage: Stage, alive: contextlib.ExitStack) -> dict[str, Beside]:
    """Start the user's apps without a server, where requests are to be asked singly; one that can't be is said to be.

    They start before the servers, so that what `--prepare` does for them is not done under a server that is ready.
    """
    if not workshop.singly or not workshop.windows.singly_s or all(g.load.kind == "open" for g in stage.groups):
        return {}
    found = {}
    for app in dict.fromkeys(cell.app for group in stage.groups for cell in group.cells):
        scratch = workshop.scratch / folder_name(f"beside-{app}")
        try:
            beside = Beside(workshop.catalogue.app(app), workshop.asked, scratch, workshop.cpus.servers)
            found[app] = alive.enter_context(beside)
        except (ServerError, NotStartedError) as error:
            workshop.listener.say(f"{error}, so in this block nothing is said about the servers' share of a request")
    return found


def _start(workshop: Workshop, cell: Cell, alive: contextlib.ExitStack, *, asks_within: bool = False) -> Contestant:
    """Start one server; `asks_within`: the user's app is to be called within it, unless each request has a process."""
    workshop.listener.step(cell, "starting", 0)
    entry = workshop.catalogue.server(cell.server)
    asks_within = asks_within and entry.variant.script is None
    environment = workshop.environments[environment_key(cell)]
    app = workshop.catalogue.app(cell.app)
    name = folder_name(f"{cell.server}-{cell.app}{'-control' if cell.control else ''}")
    spec = ServerSpec(
        entry=entry,
        app=app,
        settings=cell.settings,
        protocol=cell.load.protocol,
        bin=environment.bin,
        versions=environment.versions,
        python=environment.info.python,
        cpus=workshop.cpus.servers,
        scratch=workshop.scratch / name,
        asked=workshop.asked if asks_within else (),
    )
    try:
        used = use(workshop.services, app, name, spec.scratch, workshop.pool or cell.settings.threads)
    except ServerError as error:
        contestant = Contestant(entry=entry, process=ServerProcess(spec))
        contestant.fail(error)
        return contestant
    process = ServerProcess(replace(spec, variables=used.variables))
    contestant = Contestant(entry=entry, process=process, used=used)
    try:
        alive.enter_context(process)
    except ServerError as error:
        contestant.fail(error)
        contestant.fail_with_services()
        process.kill()
    return contestant


def _verify(workshop: Workshop, stage: Stage, contestants: Mapping[Key, Contestant]) -> None:
    """Ask every server for the answers of each scenario before it is loaded."""
    asked = {(key_of(cell), cell.scenario): cell for group in reversed(stage.groups) for cell in group.cells}
    for (key, _scenario), cell in asked.items():
        contestant = contestants[key]
        if contestant.failure is not None:
            continue
        workshop.listener.step(cell, "verifying", 0)
        try:
            verify.verify_scenario(
                HOST,
                contestant.process.port,
                workshop.scenarios[cell.scenario],
                keep_alive=contestant.entry.variant.keep_alive,
                protocol=cell.load.protocol,
            )
            if shows_items(workshop.scenarios[cell.scenario], contestant.process.spec.app):
                port, protocol = contestant.process.port, cell.load.protocol
                verify.verify_kept(HOST, port, contestant.used.rows, protocol=protocol)
        except ServerError as error:
            stopped = contestant.process.stopped()
            error = error if stopped is None else ServerError("stopped", f"{stopped} when it was asked: {error.detail}")
            contestant.fail(ServerError(error.reason, error.detail, contestant.process.log_tail()))
            contestant.fail_with_services()
            if stopped is not None:
                contestant.process.kill()  # it would not hear that it is to stop, and be waited for


def _find_within(stage: Stage, contestants: Mapping[Key, Contestant]) -> None:
    """Find out in which servers the user's app can be called within."""
    for key, cell in _first_cells(stage).items():
        contestant = contestants[key]
        if contestant.process.spec.asked and contestant.failure is None:
            contestant.within = calls_within(contestant.process.port, protocol=cell.load.protocol)


def _check_idle(contestants: Collection[Contestant]) -> None:
    """Find servers that burn CPU while nothing is asked of them: they would be paid for by their neighbours."""
    running = [contestant for contestant in contestants if contestant.failure is None]
    burned = idle_cpu([contestant.process for contestant in running], IDLE_CHECK_S)
    for contestant, cpus in zip(running, burned, strict=True):
        contestant.idle_cpu = cpus


def _stop(workshop: Workshop, contestant: Contestant) -> None:
    """End a server; one that has to be killed fails all that was measured on it."""
    try:
        contestant.process.stop()
    except ServerError as error:
        failed_before = contestant.failure is not None
        contestant.fail(error)
        contestant.stop_failure = contestant.failure
        if not failed_before:
            workshop.listener.say(f"{contestant.entry.id}: {error}; what was measured on it counts for nothing")
    remove(contestant.process.data)
