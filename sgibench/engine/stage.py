"""One load on all servers of a group: loaded together, watched meanwhile, judged; what is seen becomes drafts.

`trials` turns those into what is stored. Nothing here decides what is measured next or writes a file of results.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sgibench import machine
from sgibench.engine.contestant import Contestant, Key, key_of
from sgibench.engine.loading import Loading
from sgibench.engine.memory_watch import MemoryWatch
from sgibench.engine.orders import Measured
from sgibench.engine.services import Witness, families_of
from sgibench.engine.trials import TOO_LITTLE, Draft
from sgibench.engine.turned_out import draft_of, target_of
from sgibench.engine.waking import APART, BROKEN_OFF, goes_first, kept_awake, wakeful_cpus
from sgibench.engine.watching import judge_load
from sgibench.engine.workshop import Workshop
from sgibench.engine.yardstick import watched_cpu, yardstick
from sgibench.errors import LoadLostError
from sgibench.model import (
    Failure,
    Group,
    Visits,
    Windows,
)
from sgibench.model.failed import LOAD_LOST
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
    loading = Loading(workshop=workshop, group=group, seed=seed, fit=fit, memory=memory, witness=witness)
    scenario = workshop.scenarios[group.scenario]
    wakeful = _wakeful(workshop, group, _at_work(fit.values()))
    with yardstick(watched_cpu(workshop.cpus, group, scenario, windows)) as yard, kept_awake(wakeful) as wakers:
        pids += (*yard.pids, *wakers.pids)
        before = machine.snapshot(workshop.cpus.servers, pids, families_of(used.values()))
        measured: dict[str, Measured] = {}
        lost: Failure | None = None
        try:
            measured = yard.told(loading.load(windows, targets)) if targets else {}
        except LoadLostError as error:
            lost = Failure(reason=LOAD_LOST, detail=str(error))
            workshop.listener.say(f"{error}: what it loaded has failed, and the run goes on with a new one")
        disturbance = before.until(machine.snapshot(workshop.cpus.servers, pids, families_of(used.values())))
        if wakeful and not (wakers.at_work and goes_first(_at_work(fit.values()), wakeful)):
            workshop.say_once(BROKEN_OFF)
    workshop.laps.to("looking at servers")
    if wakeful:
        disturbance = replace(disturbance, pressure=None)  # what keeps CPUs awake waits for them all the time
    if any(target.spawns for target in targets) or any(one.did and one.did.worker for one in fit.values()):
        disturbance = replace(disturbance, foreign_cpu=None)  # their other processes look like somebody else's
    for target in targets:
        if target.id in measured:
            judge_load(fit[target.id], target, measured[target.id], witness)
    ours = place.read([os.getpid()])
    drafts = [
        replace(
            draft_of(cell, runners[cell.id], workshop.cpus.servers, ours),
            failure=_told(runners[cell.id], asked=cell.id in fit) or lost,
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
        if lost is not None and scenario.watched.incidents and runners[draft.cell.id].failure is None:
            runners[draft.cell.id].failure = lost  # nobody knows what had been done to it, and what not yet
    return drafts


def _at_work(fit: Iterable[Contestant]) -> list[int]:
    """All processes of servers, and of services that no other command uses, as they are now."""
    servers = [pid for one in fit for pids in one.process.lasting_by_part().values() for pid in pids]
    return [*servers, *(pid for family in families_of(one.used for one in fit) for pid in family)]


def _wakeful(workshop: Workshop, group: Group, pids: Sequence[int]) -> tuple[int, ...]:
    """CPUs that are kept awake; none where what runs there could not displace that."""
    cpus = wakeful_cpus(workshop.cpus, group, workshop.scenarios[group.scenario])
    if not cpus or goes_first([os.getpid(), *pids], cpus):
        return cpus
    workshop.say_once(APART)
    return ()


def _told(contestant: Contestant, *, asked: bool) -> Failure | None:
    """Give what went wrong; what did so under an earlier load is told as that, and is no finding about this one."""
    found = contestant.failure
    if found is None or asked or not contestant.measured:
        return found
    return replace(found, detail=f"not asked at this load, after it failed at another: {found.detail}")


def _visits(measured: Measured | None, windows: Windows) -> Visits:
    """How the window was made."""
    if measured is not None and measured.window is not None:
        return measured.window.visits
    return "unbroken" if windows.slice_s is None else "sliced"
