"""A group that was measured in parts, because its servers did not fit into memory together (pure).

Each part holds the same reference server, run afresh. A part's figures are given as if it had been measured where the
reference was first: times what the reference did there over what it did here, in the same block. So every ratio between
two servers goes over the reference, and what differed between the parts is taken out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sgibench.model import Latency, Load, Trial
from sgibench.stats.pace import at_one_pace

Place = tuple[str, Load, int, int, str, int]
"""Scenario, load, workers, threads, configuration, block: what a reference is looked up by."""


def levelled(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Give the trials at one pace of their CPUs, and all parts brought to the level of the first.

    The reference's further copies are left out. A trial whose part's reference has no figure keeps none: there is
    nothing to compare it by.
    """
    known = at_one_pace(trials)
    again = {(_place(trial), trial.part): trial for trial in known if trial.again}
    if not again:
        return known
    references = {(trial.server, trial.app) for trial in again.values()}
    originals = [one for one in known if not one.again and not one.control and (one.server, one.app) in references]
    first = {_place(one): one for one in originals}
    begun = {one.part for one in originals}
    return tuple(
        trial if trial.part in begun else _over(trial, first.get(_place(trial)), again.get((_place(trial), trial.part)))
        for trial in known
        if not trial.again
    )


def _place(trial: Trial) -> Place:
    return trial.scenario, trial.load, trial.workers, trial.threads, trial.configuration, trial.block


def _over(trial: Trial, first: Trial | None, here: Trial | None) -> Trial:
    """Bring a trial of a further part to the first part's level."""
    cost, rate = _ratio(first, here, "cpu_us_per_request"), _ratio(first, here, "rps")
    return replace(
        trial,
        cpu_us_per_request=_times(trial.cpu_us_per_request, cost),
        rps=trial.rps if trial.load.kind == "open" else _times(trial.rps, rate),
        latency_us=_latency(trial, first, here),
    )


def _ratio(first: Trial | None, here: Trial | None, figure: str) -> float | None:
    values: list[float | None] = [None if one is None else getattr(one, figure) for one in (first, here)]
    return values[0] / values[1] if values[0] and values[1] else None


def _times(value: float | None, factor: float | None) -> float | None:
    return None if value is None or factor is None else value * factor


def _latency(trial: Trial, first: Trial | None, here: Trial | None) -> Latency | None:
    """Scale each percentile by the reference's own."""
    latencies = [None if one is None else one.latency_us for one in (trial, first, here)]
    if latencies[0] is None:
        return None

    def scaled(read: str) -> float | None:
        mine, there, back = (None if one is None else getattr(one, read) for one in latencies)
        return mine * there / back if mine and there and back else None

    names: Mapping[str, float | None] = {name: scaled(name) for name in ("mean", "p50", "p90", "p99", "p999", "max")}
    return Latency(**names)
