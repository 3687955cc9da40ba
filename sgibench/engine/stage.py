"""One load on all servers of a group: loaded together, watched meanwhile, judged; what is seen becomes drafts.

`trials` turns those into what is stored. Nothing here decides what is measured next or writes a file of results.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sgibench import machine
from sgibench.engine import noted
from sgibench.engine.contestant import Contestant, Key, key_of
from sgibench.engine.directing import Directors
from sgibench.engine.jobs import unbroken, watching
from sgibench.engine.memory_watch import MemoryWatch
from sgibench.engine.orders import Measured, Step, Target
from sgibench.engine.services import Witness, families_of
from sgibench.engine.trials import TOO_LITTLE, Draft
from sgibench.engine.turned_out import draft_of, target_of
from sgibench.engine.watching import judge_load, watch_servers
from sgibench.engine.workshop import Workshop
from sgibench.errors import ServerError
from sgibench.model import (
    Group,
    Visits,
    Windows,
)
from sgibench.serve import place


def load_group(
    workshop: Workshop, windows: Windows, group: Group, seed: int, contestants: Mapping[Key, Contestant]
) -> list[Draft]:
    """Put one load on all servers of a group; keeps and returns a draft for each of its cells, in their order."""
    runners = {cell.id: contestants[key_of(cell)] for cell in group.cells}
    fit = {cell_id: contestant for cell_id, contestant in runners.items() if contestant.failure is None}
    targets = [target_of(cell_id, one) for cell_id, one in fit.items()]
    workshop.laps.to("loading")
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    pids = [pid for target in targets for pid in target.pids]
    memory = MemoryWatch({target.id: target.pids for target in targets}, workshop.cpus.load)
    used = {cell_id: one.used for cell_id, one in fit.items()}
    witness = Witness(workshop.scenarios[group.scenario], used)
    before = machine.snapshot(workshop.cpus.servers, pids, families_of(used.values()))
    measured = _loaded(workshop, windows, group, seed, targets, fit, memory, witness) if targets else {}
    disturbance = before.until(machine.snapshot(workshop.cpus.servers, pids, families_of(used.values())))
    workshop.laps.to("looking at servers")
    if any(target.spawns for target in targets) or any(one.did and one.did.worker for one in fit.values()):
        disturbance = replace(disturbance, foreign_cpu=None)  # their other processes look like somebody else's
    for target in targets:
        if target.id in measured:
            judge_load(fit[target.id], target, measured[target.id], witness)
    ours = place.read([os.getpid()])
    drafts = [
        replace(
            draft_of(cell, runners[cell.id], workshop.cpus.servers, ours),
            order=order,
            started_at=started_at,
            floor_s=workshop.scenarios[cell.scenario].floor_s,
            terms=workshop.scenarios[cell.scenario].terms,
            measured=(seen := measured.get(cell.id)),
            disturbance=disturbance,
            memory_looks=memory.looks_of(cell.id, _visits(seen, windows)),
            services=witness.uses_of(cell.id, seen),
            pool=runners[cell.id].used.pool,
        )
        for order, cell in enumerate(group.cells)
    ]
    for draft in drafts:
        runners[draft.cell.id].measured.append(draft.cell.id)
        if draft.failure is not None and draft.failure.reason == TOO_LITTLE:
            runners[draft.cell.id].failure = None  # it did nothing wrong, and takes part in what comes next
    return drafts


def _loaded(  # noqa: PLR0917 - as below
    workshop: Workshop,
    windows: Windows,
    group: Group,
    seed: int,
    targets: Sequence[Target],
    fit: Mapping[str, Contestant],
    memory: MemoryWatch,
    witness: Witness,
) -> dict[str, Measured]:
    """Load the targets together; those that are handed jobs one after the other, each beside its worker."""
    for one in fit.values():
        one.did = None
    if not workshop.scenarios[group.scenario].jobs:
        return _measured(workshop, windows, group, seed, targets, fit, memory, witness)
    found: dict[str, Measured] = {}
    for target in targets:
        contestant = fit[target.id]
        try:
            with watching(contestant.process) as contestant.jobs:
                alone = {target.id: contestant}
                found |= _measured(workshop, unbroken(windows), group, seed, [target], alone, memory, witness)
                contestant.did = contestant.jobs.end()
        except ServerError as error:
            contestant.fail(error)
        finally:
            contestant.jobs = None
    return found


def _measured(  # noqa: PLR0917 - what an order consists of
    workshop: Workshop,
    windows: Windows,
    group: Group,
    seed: int,
    targets: Sequence[Target],
    fit: Mapping[str, Contestant],
    memory: MemoryWatch,
    witness: Witness,
) -> dict[str, Measured]:
    """Have the load process load the targets, and watch the servers meanwhile."""
    cells = {cell.id: cell for cell in group.cells}
    begun: set[str] = set()

    scenario = workshop.scenarios[group.scenario]
    watched = scenario.watched
    windows = replace(windows, slice_s=None, turn_s=None) if watched.any else windows
    directors = Directors(watched, {name: one.process for name, one in fit.items()}, windows.window_s)

    def stepped(step: Step) -> None:
        if step.phase == "measure" and step.target not in begun:
            begun.add(step.target)
            if (handed := fit[step.target].jobs) is not None:
                handed.begin()  # before all else, which takes its time
        directors.stepped(step.target, step.phase, step.done)
        memory.stepped(step.target, step.phase)
        workshop.listener.step(cells[step.target], step.phase, step.done)

    def watch() -> dict[str, str]:
        memory.look()
        witness.look()
        directors.act()
        return watch_servers(fit)

    contract = all(one.process.spec.app.own is None for one in fit.values())
    seen = workshop.load.measure(
        scenario,
        targets,
        group.load,
        windows,
        seed,
        on_step=stepped,
        watch=watch,
        identify=contract and not watched.any,
        samples=watched.any,
        singly=workshop.singly if any(target.beside for target in targets) else (),
    )
    workshop.laps.shared(workshop.load.spent_s)
    _tell_way(workshop, windows, group, seen)
    for each in seen:
        one = fit[each.id]
        one.eventful = bool(watched.incidents)
        if each.gave_up_reason is None and (missed := directors.missed(each)) is not None:
            one.fail(missed)
    return {one.id: directors.seen(_as_seen_here(one, fit[one.id])) for one in seen}


def _as_seen_here(measured: Measured, contestant: Contestant) -> Measured:
    """Add what the load process can't know: the CPU of processes that served a request and ended; who answered."""
    process = contestant.process
    if contestant.entry.front is None:
        return measured
    measured = replace(measured, requests_by_pid=None)  # one connection to a front has answers of many
    if contestant.entry.variant.script is None:
        return measured
    spent_s = noted.spent_s(process.spec.scratch / "data", measured.edges_ns)
    whole = None if measured.cpu_s is None or spent_s is None else measured.cpu_s + spent_s
    return replace(measured, cpu_s=whole, slices=tuple(replace(one, cpu_s=None) for one in measured.slices))


def _tell_way(workshop: Workshop, windows: Windows, group: Group, seen: Sequence[Measured]) -> None:
    """Say once of each scenario and load when its windows were not made in visits of the usual kind."""
    asked = windows.turn_s if group.load.kind == "open" else windows.slice_s
    window = next((one.window for one in seen if one.window is not None), None)
    name = f"{group.scenario} {group.load.id}"
    if asked is not None and window is not None and window.visits == "unbroken" and name not in workshop.told:
        workshop.told.add(name)
        workshop.listener.say(f"{name}: one unbroken window for each server; {window.why}")


def _visits(measured: Measured | None, windows: Windows) -> Visits:
    """How the window was made."""
    if measured is not None and measured.window is not None:
        return measured.window.visits
    return "unbroken" if windows.slice_s is None else "sliced"
