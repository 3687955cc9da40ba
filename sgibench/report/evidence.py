"""Why a run may be trusted, or not: facts about the run as a whole, read from its trials, nothing estimated here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sgibench import audit, stats, units
from sgibench.model import Doubt, Failure, Trial
from sgibench.model.kinds import told
from sgibench.report.panels import View
from sgibench.report.standings import Entry

LONGER = "longer than"
"""How the reason of a slice begins that is longer than was asked for."""


@dataclass(frozen=True, kw_only=True)
class GeneratorUse:
    """How near a group came to the load generator's own limit."""

    group: str
    """Scenario and load."""
    ceiling_rps: float | None
    """Calibrated for this scenario: of one of the generator's CPUs, times the processes that drove the load."""
    highest_rps: float | None
    share: float | None
    """Highest rate over the ceiling."""
    utilisation: float | None
    """Highest share of its CPU that the generator used."""
    lag_us_p99: float | None
    """Highest."""


@dataclass(frozen=True, kw_only=True)
class WindowsMade:
    """How the windows of a group were made, and what is in none."""

    group: str
    """Scenario and load."""
    ways: tuple[tuple[str, str], ...]
    """(sliced, turns or unbroken; why it was so the first time), each once."""
    sent: int
    """Requests of all its windows that were sent."""
    sessions: int | None
    """Whole sessions of tasks; None where there are no tasks."""
    uncounted: tuple[tuple[str, int], ...]
    """Requests in no window: why, and how many."""
    outside: str
    """What went wrong there; empty when nothing did."""
    again: tuple[tuple[str, int], ...]
    """Who held a CPU in turns that were made again, and in how many."""


@dataclass(frozen=True, kw_only=True)
class Visited:
    """How often closed loads were measured in slices, and how often not."""

    groups: int
    """Those whose windows are known, but for scenarios with windows of their own length; 0 when none is."""
    sliced: int
    """So many of them in slices."""
    longer: bool
    """Whether slices of some had to be longer than was asked for."""


@dataclass(frozen=True, kw_only=True)
class FailedTrial:
    """What went wrong in a cell, the same way in one or more blocks."""

    trial: Trial
    """The first of them."""
    failure: Failure
    blocks: tuple[int, ...]
    """Counted from 1."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The run's own case."""

    trials: Mapping[str, int]
    """By status."""
    blocks: int
    """In which something was measured."""
    retries: int
    retried_trials: int
    retried_steps: int
    """Of a search: steps taken again because the one before failed on a disturbed machine."""
    steal: float | None
    """Highest share of the server CPUs that the hypervisor took in any trial; None = nobody could tell."""
    pressure: float | None
    throttled_s: float | None
    yard_us: tuple[float, float] | None
    """How long the same piece of work took on the servers' CPUs in slices, 5th and 95th percentile."""
    generator: tuple[GeneratorUse, ...]
    windows: tuple[WindowsMade, ...]
    usual: bool
    """Whether something was measured in a window of the usual length."""
    own: tuple[tuple[str, float, bool], ...]
    """Scenario, its own window in seconds, and whether that is so because of what is watched in it."""
    visited: Visited
    doubts: tuple[tuple[Doubt, int], ...]
    """Each kind once, with the number of rows (of a search: steps) it concerns; the most frequent first."""
    failures: tuple[FailedTrial, ...]


def evidence_of(view: View) -> Evidence:
    """Collect it."""
    trials, steps, windows = view.run.trials, view.run.steps, view.run.info.plan.windows
    own = (
        *((name, own_s, False) for name, own_s in windows.own_s.items() if name not in windows.watched_s),
        *((name, max(least_s, windows.window_s), True) for name, least_s in windows.watched_s.items()),
    )
    measured = (*trials, *steps)
    return Evidence(
        trials={status: sum(trial.status == status for trial in trials) for status in ("ok", "failed", "skipped")},
        blocks=len({trial.block for trial in measured}),
        retries=sum(trial.retries for trial in trials),
        retried_trials=sum(trial.retries > 0 for trial in trials),
        retried_steps=sum(step.retries > 0 for step in steps),
        steal=_highest(trial.steal for trial in measured),
        pressure=_highest(trial.pressure for trial in measured),
        throttled_s=_highest(trial.throttled_s for trial in measured),
        yard_us=stats.spread_us(trials),
        generator=tuple(_generator(view)),
        windows=tuple(_windows(view)),
        usual=not trials or any(trial.scenario not in {name for name, *_ in own} for trial in trials),
        own=own,
        visited=_visited(view),
        doubts=_doubts(view),
        failures=_failures(trials),
    )


def in_effect(entry: Entry) -> str | None:
    """Say what the server turned out to be when its last good trial ended; None when nobody could tell."""
    found = next((trial.effective for trial in reversed(entry.trials) if trial.effective is not None), None)
    if found is None:
        return None
    backlogs = sorted(set(found.backlogs or ()))
    parts = (
        f"backlog {', '.join(map(str, backlogs))}" if backlogs else None,
        None if found.nodelay is None else f"TCP_NODELAY {'set' if found.nodelay else 'not set'}",
        None if found.processes is None else units.many(found.processes, "process", "processes"),
        None if found.threads is None else f"{units.many(found.threads, 'thread')} in the process that has the most",
    )
    return ", ".join(part for part in parts if part) or None


def not_as_declared(entry: Entry) -> tuple[str, ...]:
    """Say where that differed from the server's declaration, each difference once."""
    return tuple(dict.fromkeys(told for trial in entry.trials for told in trial.not_as_declared))


def _failures(trials: Iterable[Trial]) -> tuple[FailedTrial, ...]:
    alike: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in trials:
        if trial.failure is not None:
            alike.setdefault((trial.cell, trial.failure.reason, trial.failure.detail), []).append(trial)
    return tuple(
        FailedTrial(trial=some[0], failure=failure, blocks=tuple(trial.block + 1 for trial in some))
        for some in alike.values()
        if (failure := some[0].failure) is not None
    )


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _generator(view: View) -> Iterator[GeneratorUse]:
    """Say it for each group, and for each scenario of a search."""
    for standing in view.standings:
        good = [trial for entry in standing.entries.values() for trial in entry.good]
        yield _use(view, f"{standing.key.scenario}, {standing.key.load.id}", standing.key.scenario, good)
    for scenario in dict.fromkeys(step.scenario for step in view.run.steps):
        good = [step for step in view.run.steps if step.scenario == scenario and step.status == "ok"]
        yield _use(view, f"{scenario}, search", scenario, good)


def _use(view: View, group: str, scenario: str, good: Sequence[Trial]) -> GeneratorUse:
    known = [trial.generator for trial in good if trial.generator]
    ceiling = view.run.info.ceilings_rps.get(scenario)
    highest = _highest(trial.rps for trial in good)
    return GeneratorUse(
        group=group,
        ceiling_rps=ceiling,
        highest_rps=highest,
        share=highest / ceiling if highest and ceiling else None,
        utilisation=_highest(one.utilisation for one in known),
        lag_us_p99=_highest(one.lag_us_p99 for one in known),
    )


def _windows(view: View) -> Iterator[WindowsMade]:
    """Say it for each group whose trials tell."""
    for standing in view.standings:
        trials = [trial for entry in standing.entries.values() for trial in entry.trials]
        known = [trial.window for trial in trials if trial.window is not None]
        uncounted: Counter[str] = Counter()
        outside: Counter[str] = Counter()
        again: Counter[str] = Counter()
        for window in known:
            uncounted.update(window.uncounted)
            outside.update(window.errors_outside)
            again.update(window.set_aside)
        sessions = [window.sessions for window in known if window.sessions is not None]
        ways: dict[str, str] = {}
        for window in known:
            ways.setdefault(window.visits, window.why)
        if known:
            yield WindowsMade(
                group=f"{standing.key.scenario}, {standing.key.load.id}",
                ways=tuple(ways.items()),
                sent=sum(window.sent or 0 for window in known),
                sessions=sum(sessions) if sessions else None,
                uncounted=tuple(sorted(uncounted.items())),
                outside=told(outside),
                again=tuple(again.most_common()),
            )


def _visited(view: View) -> Visited:
    """Say it of all groups together."""
    own = view.run.info.plan.windows.watched_s
    groups = sliced = 0
    longer = False
    for standing in view.standings:
        known = [
            trial.window for entry in standing.entries.values() for trial in entry.good if trial.window is not None
        ]
        if not known or standing.key.load.kind != "closed" or standing.key.scenario in own:
            continue
        cut = [window for window in known if window.visits != "unbroken"]
        groups, sliced = groups + 1, sliced + bool(cut)
        longer = longer or any(window.why.startswith(LONGER) for window in cut)
    return Visited(groups=groups, sliced=sliced, longer=longer)


def _doubts(view: View) -> tuple[tuple[Doubt, int], ...]:
    """Count the doubts of rows and groups; of a search's steps, which are no results, only those about the machine."""
    concerned: list[Iterable[Doubt]] = [row.doubts for panel in view.panels for row in panel.rows]
    concerned += [panel.doubts for panel in view.panels]
    around = audit.surroundings_of(view.run)
    limit_us = view.run.info.slo.limit_us if view.run.info.slo else 0.0
    for step in view.run.steps:
        lag_us = step.generator.lag_us_p99 if step.generator else None
        about = {*audit.MACHINE_KINDS, "CeilingUnknown"}
        if lag_us is not None and lag_us <= audit.LAG_SHARE * limit_us:
            about -= {"GeneratorLag"}  # late for the median perhaps, but not for the limit that the step was about
        concerned.append([one for one in audit.trial_doubts(step, around) if one.kind in about])
    first: dict[str, Doubt] = {}
    counts: Counter[str] = Counter()
    for doubts in concerned:
        kinds = {doubt.kind: doubt for doubt in doubts}
        counts.update(kinds.keys())
        first = kinds | first
    return tuple((first[kind], count) for kind, count in counts.most_common())
