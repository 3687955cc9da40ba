"""The search for capacity: the highest open rate at which each server holds a latency limit without errors.

In each block all servers are started afresh and searched in turn, a step of each, so that what drifts drifts under all
of them. What to ask next is decided in `stats.capacity`; here it is only measured. Every step is a trial on disk.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sgibench import ending, units
from sgibench.bench.going_on import going_on, noting_nothing
from sgibench.bench.pilot import pilot_windows
from sgibench.bench.request import Request
from sgibench.bench.resuming import reopened
from sgibench.bench.run import Outcome, opened
from sgibench.bench.steps import USUAL_STEP_S, floor_of, queue_grows, rate_trial, step_windows
from sgibench.engine.contestant import Contestant, Key, key_of
from sgibench.engine.serving import serving
from sgibench.engine.stage import load_group
from sgibench.engine.trials import Draft, to_trial
from sgibench.engine.waking import with_truth
from sgibench.engine.workshop import Listener, Workshop
from sgibench.errors import LoadError, UsageError
from sgibench.model import Block, CapacityFound, CapacityRule, Cell, Group, Plan, Slo, Stage, Trial
from sgibench.model.failed import LOAD_LOST, is_lost
from sgibench.results import store
from sgibench.stats.capacity import (
    RESOLUTION,
    Ask,
    Capacity,
    RateTrial,
    Rule,
    decided,
    next_step,
    rule_for,
    step_verdict,
)

CEILING_SHARE = 0.7
"""Of the generator's calibrated ceiling: beyond, the generator would be measured (`GeneratorBound` begins at 0.8)."""
EXCUSES = 2
"""So often in a row a step is made again that failed on a disturbed machine."""
_SLO = re.compile(r"\s*p(?P<percent>[1-9]\d(?:\.\d+)?)\s*<\s*(?P<limit>.+)")


def parse_slo(text: str) -> Slo:
    """Read `p99<50ms`; raises UsageError with what was expected."""
    match = _SLO.fullmatch(text)
    try:
        limit_s = units.parse_seconds(match["limit"]) if match else 0.0
    except ValueError:
        limit_s = 0.0
    if match is None or limit_s <= 0:
        raise UsageError(f"--slo: expected a limit such as 'p99<50ms', got {text!r}")
    return Slo(quantile=float(match["percent"]) / 100, limit_us=limit_s * 1e6)


@dataclass(kw_only=True)
class Search:
    """One server's search in one block."""

    cell: Cell
    contestant: Contestant
    slo: Slo
    resolution: float
    highest_per_s: float
    """What the generator can offer; infinite where nobody knows."""
    block: int = 0
    first_per_s: float = 0.0
    rule: Rule = field(default_factory=lambda: rule_for(0.0, 0.0))
    """How steps are judged, the same in the searches of all servers."""
    heard: list[RateTrial] = field(default_factory=list)
    excused: int = 0
    """Steps in a row that failed on a disturbed machine and did not count."""
    found: Capacity | None = None

    def ask(self) -> Ask | None:
        """Say what to measure next; None when the search is over."""
        if self.found is not None or self.contestant.failure is not None:
            return None
        following = next_step(
            self.heard,
            first_rate_per_s=self.first_per_s,
            lowest_rate_per_s=floor_of(self.rule),
            highest_rate_per_s=self.highest_per_s,
            rule=self.rule,
            resolution=self.resolution,
        )
        if isinstance(following, Capacity):
            self.found = following
            return None
        return following

    def hear(self, trial: Trial, *, disturbed: bool, excuses: int) -> bool:
        """Take note of a step; whether it counts.

        One that failed while the machine or the generator was `disturbed` is asked again, `excuses` times in a row at
        most. One that held is not: it would hold all the more on a quiet machine.

        One whose load process was lost says nothing, and several such steps in a row end the search.
        """
        if is_lost(trial):
            self.excused += 1
            self.contestant.failure = trial.failure if self.excused > EXCUSES else None
            return False
        one = rate_trial(trial, self.slo)
        failed = step_verdict(one, self.rule) == "failed"
        if failed and disturbed and self.excused < excuses:
            self.excused += 1
            return False
        self.heard.append(one)
        self.excused = 0
        return True


def search_capacity(request: Request, slo: Slo, listener: Listener, resolution: float = RESOLUTION) -> Outcome:
    """Search for every chosen server and scenario; what was found stands in the run's `run.json`."""
    retries = EXCUSES if request.retries is None else request.retries
    with opened(replace(request, control=False, retries=retries), listener, profile="capacity") as road:
        plan = without_copies(road.plan_of(road.cells))
        road.writer.write_info(
            replace(road.writer.info, plan=plan, slo=slo, resolution=resolution, retries=road.workshop.retries)
        )
        return _search(road.workshop, road.writer, slo, ())


def without_copies(plan: Plan) -> Plan:
    """Leave out further copies of a reference: what a search finds is compared with nothing measured beside it."""

    def kept(group: Group) -> Group:
        return replace(group, cells=tuple(cell for cell in group.cells if not cell.again))

    blocks = [
        replace(block, stages=tuple(replace(stage, groups=tuple(map(kept, stage.groups))) for stage in block.stages))
        for block in plan.blocks
    ]
    return replace(plan, blocks=tuple(blocks))


def resume_capacity(
    folder: Path, catalogues: Sequence[Path], listener: Listener, request: Request | None = None
) -> Outcome:
    """Go on with a search that was broken off: what was found stays, and the steps on disk count as heard."""
    with store.RunWriter.reopen(folder) as (writer, broken_off):
        slo = broken_off.info.slo
        if slo is None:
            raise UsageError(f"{folder.name} is no search for capacity: sgibench run --resume {folder.name}")
        with (
            noting_nothing(lambda: writer.appended),
            reopened(writer, broken_off, catalogues, listener, request) as workshop,
        ):
            return _search(workshop, writer, slo, broken_off.steps)


def _search(workshop: Workshop, writer: store.RunWriter, slo: Slo, before: Sequence[Trial]) -> Outcome:
    again = partial(going_on, "capacity", writer.info, workshop.services)
    ended_by = None
    under_way: list[Search] = []
    try:
        for block in writer.info.plan.blocks:
            for number, stage in enumerate(block.stages):
                _search_stage(workshop, writer, (block, number, stage), slo, before, under_way)
    except KeyboardInterrupt as interrupt:
        ended_by = ending.signal_of(interrupt)
        workshop.listener.say(f"stopped{ending.by(ended_by)}; what was found is kept: {again()}")
    except LoadError as error:
        raise LoadError(f"{error}. What was found is kept: {again()}") from None
    ended = datetime.now(UTC).isoformat(timespec="seconds") if ended_by is None else None
    services = workshop.services.infos(workshop.cpus.servers) if workshop.services else {}
    host = with_truth(writer.info.machine, workshop.told, waited=True)
    writer.write_info(
        replace(writer.info, finished_at=ended, machine=host, services={**writer.info.services, **services})
    )
    return Outcome(folder=writer.folder, ended_by=ended_by, unfinished=tuple(map(so_far, under_way)))


def _search_stage(  # noqa: PLR0917 - one call site
    workshop: Workshop,
    writer: store.RunWriter,
    place: tuple[Block, int, Stage],
    slo: Slo,
    before: Sequence[Trial],
    under_way: list[Search],
) -> None:
    """Serve a stage's servers, let them take turns until each search is over, and store what was found.

    `under_way` holds the searches until then.
    """
    block, number, stage = place
    cells = [cell for group in stage.groups for cell in group.cells]
    known = {_subject(one) for one in writer.info.capacity if one.block == block.index}
    if all(_subject_of(cell) in known for cell in cells):
        return
    ceilings, unknown = writer.info.ceilings_rps, dict.fromkeys(writer.info.uncalibrated, math.inf)
    dice = random.Random(block.seed + number)
    with serving(workshop, stage) as contestants:
        searches = [
            Search(
                cell=cell,
                contestant=contestants[key_of(cell)],
                slo=slo,
                resolution=writer.info.resolution or RESOLUTION,
                highest_per_s={**unknown, **ceilings}[cell.scenario] * CEILING_SHARE,
                block=block.index,
            )
            for cell in cells
        ]
        under_way += searches
        _find_first_rates(workshop, stage, block.seed, contestants, searches)
        _agree_on_rule(writer, searches, slo)
        step = _recall(workshop, searches, [trial for trial in before if trial.block == block.index])
        while asked := [(search, ask) for search in searches if (ask := search.ask()) is not None]:
            dice.shuffle(asked)
            for search, ask in asked:
                step += 1
                draft = _measure_step(workshop, search, ask, block.seed + step, contestants)
                trial = to_trial(draft, block.index, retries=search.excused, step=step)
                writer.append(trial)
                counts = _hear(workshop, search, trial)
                _tell(workshop.listener, search, ask, trial, counts=counts)
    found = tuple(_outcome(search, block.index, slo) for search in searches)
    writer.write_info(replace(writer.info, capacity=(*writer.info.capacity, *found)))
    under_way.clear()
    for one in found:
        rate = units.rate(one.rate_per_s) if one.rate_per_s else "nothing"
        workshop.listener.say(f"block {block.index + 1}: {one.server} ({one.app}) holds {slo.id} up to {rate}")


def so_far(search: Search) -> str:
    """Say what is known of a search that was broken off: rates that two steps agreed on."""
    held, failed = decided(search.heard, search.rule)
    known = [f"{units.rate(rate)} {what}" for rate, what in ((held, "held"), (failed, "failed")) if rate is not None]
    cell = search.cell
    told = ", ".join(known) or f"no rate is decided after {units.many(len(search.heard), 'step')}"
    return f"{cell.server} ({cell.app}), {cell.scenario}, block {search.block + 1}: {told}"


Subject = tuple[str, str, str, int, int, int]
"""Server, app, scenario, connections, workers, threads: what one search in a block is about."""


def _subject(one: CapacityFound | Trial) -> Subject:
    return one.server, one.app, one.scenario, one.connections, one.workers, one.threads


def _subject_of(cell: Cell) -> Subject:
    settings = cell.settings
    return cell.server, cell.app, cell.scenario, cell.load.connections, settings.workers, settings.threads


def _recall(workshop: Workshop, searches: Sequence[Search], stored: Sequence[Trial]) -> int:
    """Let searches know the steps of theirs that are on disk; gives the number of the last one."""
    last = 0
    for search in searches:
        mine = [trial for trial in stored if _subject(trial) == _subject_of(search.cell) and not is_lost(trial)]
        for trial in mine:
            _hear(workshop, search, trial)
        if mine:
            search.first_per_s = mine[0].load.rate_per_s or search.first_per_s
        last = max([last, *(trial.step or 0 for trial in mine)])
    return last


def _hear(workshop: Workshop, search: Search, trial: Trial) -> bool:
    return search.hear(trial, disturbed=workshop.worth_repeating(trial), excuses=workshop.retries)


def _find_first_rates(
    workshop: Workshop, stage: Stage, seed: int, contestants: dict[Key, Contestant], searches: Sequence[Search]
) -> None:
    """Begin each search at half of the server's saturation, which a short closed load finds."""
    for group in stage.groups:
        drafts = load_group(workshop, pilot_windows(workshop.windows), group, seed, contestants)
        if any(draft.failure is not None and draft.failure.reason == LOAD_LOST for draft in drafts):
            drafts = load_group(workshop, pilot_windows(workshop.windows), group, seed, contestants)
        rates = {
            draft.cell.id: draft.measured.requests / draft.measured.window_s
            for draft in drafts
            if draft.measured is not None and draft.measured.window_s
        }
        for search in searches:
            if search.cell.id in rates:
                search.first_per_s = rates[search.cell.id] / 2


def _agree_on_rule(writer: store.RunWriter, searches: Sequence[Search], slo: Slo) -> None:
    """Judge the steps of all servers, in all blocks, by one rule: the slowest server's first rate decides it, once."""
    cell = searches[0].cell
    key = CapacityRule(
        scenario=cell.scenario,
        connection=cell.load.connection,
        workers=cell.settings.workers,
        threads=cell.settings.threads,
        answers=0,
        over=0,
    )
    known = [one for one in writer.info.rules if replace(one, answers=0, over=0) == key]
    if not known:
        slowest_per_s = min((one.first_per_s for one in searches if one.first_per_s), default=0.0)
        rule = rule_for(slowest_per_s, USUAL_STEP_S, slo.quantile)
        known = [replace(key, answers=rule.answers, over=rule.over)]
        writer.write_info(replace(writer.info, rules=(*writer.info.rules, *known)))
    for search in searches:
        search.rule = Rule(answers=known[0].answers, over=known[0].over)


def _measure_step(workshop: Workshop, search: Search, ask: Ask, seed: int, contestants: dict[Key, Contestant]) -> Draft:
    """Offer one rate to one server."""
    load = replace(search.cell.load, kind="open", rate_per_s=ask.rate_per_s)
    cell = replace(search.cell, load=load)
    group = Group(scenario=cell.scenario, load=load, settings=cell.settings, cells=(cell,))
    windows = step_windows(workshop.windows, ask.rate_per_s, search.rule)
    draft = load_group(workshop, windows, group, seed, contestants)[0]
    if search.contestant.failure is not None and search.contestant.failure.reason == "errors":
        search.contestant.failure = (
            None  # it lost requests at a rate that was too much for it: a lower one is asked next
        )
    return draft


def _tell(listener: Listener, search: Search, ask: Ask, trial: Trial, *, counts: bool) -> None:
    one = rate_trial(trial, search.slo)
    late = f"{one.over} of {one.answers} answers over the limit" if trial.failure is None else trial.failure.reason
    if trial.failure is None:
        late += {"held": "", "failed": ": failed", "too-few": ": too few to decide"}[step_verdict(one, search.rule)]
    late += "; the queue of jobs grows" if queue_grows(trial) else ""
    why = " (confirming)" if ask.confirming else ""
    again = "" if counts else f"; {'' if is_lost(trial) else 'the machine was disturbed, so '}it does not count"
    listener.say(f"{search.cell.server} ({search.cell.app}): {units.rate(ask.rate_per_s)}{why}: {late}{again}")


def _outcome(search: Search, block: int, slo: Slo) -> CapacityFound:
    found = search.found
    cell = search.cell
    return CapacityFound(
        server=cell.server,
        app=cell.app,
        scenario=cell.scenario,
        connections=cell.load.connections,
        workers=cell.settings.workers,
        threads=cell.settings.threads,
        block=block,
        slo=slo,
        rate_per_s=found.rate_per_s if found else None,
        failed_at_per_s=found.failed_at_per_s if found else None,
        trials=len(search.heard),
        too_few_at_per_s=found.too_few_at_per_s if found else None,
        failure=search.contestant.failure,
    )
