"""The load on a group's servers: ordered of the load process, steered and watched while it lasts.

Servers are loaded together, but for those that are handed jobs: each of these is loaded beside its own worker, one
after the other, because a worker's CPU is nobody else's. What the load process can't know is added to what it saw.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sgibench.engine import noted
from sgibench.engine.contestant import Contestant
from sgibench.engine.directing import Directors
from sgibench.engine.following import follow
from sgibench.engine.jobs import JobWatch, unbroken, watching
from sgibench.engine.memory_watch import MemoryWatch
from sgibench.engine.orders import Measured, Step, Target
from sgibench.engine.services import Witness
from sgibench.engine.watching import watch_servers
from sgibench.engine.workshop import Workshop
from sgibench.errors import ServerError
from sgibench.model import Group, Scenario, Windows

WATCH_SERVERS_S = 0.4
"""How often it is looked, at most, whether servers live and what they log."""


@dataclass(frozen=True, kw_only=True)
class Loading:
    """One load on a group."""

    workshop: Workshop
    group: Group
    seed: int
    fit: Mapping[str, Contestant]
    """Cell -> its contestant, of those that can be loaded."""
    memory: MemoryWatch
    witness: Witness

    @property
    def _scenario(self) -> Scenario:
        return self.workshop.scenarios[self.group.scenario]

    def load(self, windows: Windows, targets: Sequence[Target]) -> dict[str, Measured]:
        """Load the targets together; those that are handed jobs one after the other, each beside its worker."""
        for one in self.fit.values():
            one.did = None
        if not self._scenario.jobs:
            return self._measured(windows, targets)
        found: dict[str, Measured] = {}
        for target in targets:
            contestant = self.fit[target.id]
            try:
                with watching(contestant.process, contestant.trouble) as watch:
                    self._prove(contestant, watch)
                    contestant.jobs = watch
                    found |= self._measured(unbroken(windows), [target])
                    contestant.did = watch.end()
                    if contestant.failure is None:
                        contestant.did = replace(contestant.did, unaccounted=watch.settle())
            except ServerError as error:
                contestant.fail(error)
                contestant.fail_with_services()
            finally:
                contestant.jobs = None
        return found

    def _prove(self, contestant: Contestant, watch: JobWatch) -> None:
        """Follow one job of whoever does them, a worker or the server, before the first that are counted."""
        scenario, process = self._scenario, contestant.process
        if process.spec.app.own is not None or (watch.worker is None and contestant.proved):
            return

        def trouble() -> ServerError | None:
            return watch.trouble() or contestant.trouble()

        if watch.worker is None:
            watch.settle()  # what the server was asked before is another job's
        path = next((one.path for one in scenario.exchanges if one.method == "POST"), "/jobs")
        follow(process, path, self.workshop.catalogue.contract, trouble)
        contestant.proved = True

    def _measured(self, windows: Windows, targets: Sequence[Target]) -> dict[str, Measured]:
        """Have the load process load these, and watch their servers meanwhile."""
        workshop, watched = self.workshop, self._scenario.watched
        fit = {target.id: self.fit[target.id] for target in targets}
        windows = replace(windows, slice_s=None, turn_s=None) if watched.any else windows
        directors = Directors(watched, {name: one.process for name, one in fit.items()}, windows.window_s)
        stepped = Steps(self, directors)

        lookout = Lookout(self, directors, fit)
        contract = all(one.process.spec.app.own is None for one in fit.values())
        seen = workshop.load.measure(
            self._scenario,
            targets,
            self.group.load,
            windows,
            self.seed,
            on_step=stepped,
            watch=lookout,
            identify=contract and not watched.any,
            samples=watched.any,
            singly=workshop.singly if any(target.beside for target in targets) else (),
        )
        workshop.laps.shared(workshop.load.spent_s)
        _tell_way(workshop, windows, self.group, seen)
        for each in seen:
            one = fit[each.id]
            one.eventful = bool(watched.incidents)
            if each.gave_up_reason is None and (missed := directors.missed(each)) is not None:
                one.fail(missed)
        return {one.id: directors.seen(_as_seen_here(one, fit[one.id])) for one in seen}


class Lookout:
    """Looks after everything while a load lasts, and names the targets that are gone, with the reason."""

    def __init__(self, loading: Loading, directors: Directors, fit: Mapping[str, Contestant]) -> None:
        self._loading = loading
        self._directors = directors
        self._fit = fit
        self._looked_s = -math.inf

    def __call__(self) -> dict[str, str]:
        """Have a look around; at the servers not each time."""
        self._loading.memory.look()
        self._loading.witness.look()
        self._directors.act()
        if (now_s := time.monotonic()) - self._looked_s < WATCH_SERVERS_S:
            return {}
        self._looked_s = now_s
        self._look_beside()
        return watch_servers(self._fit)

    def _look_beside(self) -> None:
        """Give up apps beside the servers that were stopped: each call of theirs would be waited for."""
        for beside in {one.beside for one in self._fit.values() if one.beside is not None}:
            if (told := beside.given_up()) is None:
                continue
            rest = "so in this block nothing more is said about the servers' share of a request"
            self._loading.workshop.listener.say(f"{told}, {rest}")
            for one in self._fit.values():
                one.beside = None if one.beside is beside else one.beside


class Steps:
    """What is done and told when the load process says how far it is."""

    def __init__(self, loading: Loading, directors: Directors) -> None:
        self._loading = loading
        self._directors = directors
        self._cells = {cell.id: cell for cell in loading.group.cells}
        self._begun: set[str] = set()

    def __call__(self, step: Step) -> None:
        """Pass one on."""
        loading = self._loading
        if step.phase == "measure" and step.target not in self._begun:
            self._begun.add(step.target)
            if (handed := loading.fit[step.target].jobs) is not None:
                handed.begin()  # before all else, which takes its time
        self._directors.stepped(step.target, step.phase, step.done)
        loading.memory.stepped(step.target, step.phase, alone=step.alone)
        loading.workshop.listener.step(self._cells[step.target], step.phase, step.done)


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
