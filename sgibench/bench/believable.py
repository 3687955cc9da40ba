"""What a stored plan may ask for: nothing that no command line could have asked for (pure).

A results folder may be a stranger's. Its numbers become processes, connections and hours, so each is held against the
limits of the options that it would have come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sgibench.errors import ResultsError
from sgibench.model import Cell, RunInfo, Windows

MOST_TRIALS = 1_000_000
"""Loads at fixed rates and curves included."""
DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One number of a plan, and between what it has to lie, ends included."""

    name: str
    value: float | None
    least: float
    most: float

    @property
    def holds(self) -> bool:
        """Whether it does; what is not said holds."""
        return self.value is None or self.least <= self.value <= self.most


WINDOWS = {
    "window_s": (0.001, DAY_S),
    "open_window_s": (0.001, DAY_S),
    "slice_s": (1e-9, DAY_S),
    "turn_s": (0.001, DAY_S),
    "settle_s": (0.0, 60.0),
    "warmup_s": (0.0, 600.0),
    "singly_s": (0.0, DAY_S),
    "timeout_s": (0.001, 600.0),
    "least_answers": (0, 1e7),
    "longest_open_s": (0.001, DAY_S),
    "own_percentile_s": (0.0, DAY_S),
}
"""Seconds and answers of a plan's windows -> least and most."""


def refuse_unbelievable(info: RunInfo, cells: Sequence[Cell], cpus: Sequence[int]) -> None:
    """Refuse to go on with a plan that nobody can have asked for here; raises ResultsError in one line.

    `cpus` are those that this process may use.
    """
    for bound in (*_of_run(info, cells, cpus), *_of_windows(info.plan.windows), *_of_cells(cells)):
        if not bound.holds:
            raise ResultsError(
                f"{info.run}: its plan can't have been made here: expected {bound.name} from {bound.least:g} to "
                f"{bound.most:g}, got {bound.value:g}"
            )
    if elsewhere := sorted({*info.service_cpus} - {*cpus}):
        raise ResultsError(f"{info.run}: its services ran on CPUs that this process may not use ({elsewhere[0]})")
    if info.slo is not None and (
        unknown := sorted({cell.scenario for cell in cells} - info.ceilings_rps.keys() - info.uncalibrated.keys())
    ):
        raise ResultsError(f"{info.run}: it has no ceiling of the generator for {unknown[0]}: start a new search")


def _of_run(info: RunInfo, cells: Sequence[Cell], cpus: Sequence[int]) -> Iterator[Bound]:
    trials = len(cells) * len(info.plan.blocks)
    yield Bound(name="trials", value=trials, least=1, most=MOST_TRIALS)
    yield Bound(name="load workers", value=info.load_workers, least=1, most=max(1, len(cpus)))
    yield Bound(name="retries", value=info.retries, least=0, most=2)
    yield Bound(name="delta", value=info.delta, least=1e-6, most=0.5)
    yield Bound(name="pool", value=info.pool, least=1, most=1000)
    yield Bound(name="resolution", value=info.resolution, least=1.00005, most=2)
    if info.slo is not None:
        yield Bound(name="quantile", value=info.slo.quantile, least=0.01, most=0.99999)
        yield Bound(name="limit in µs", value=info.slo.limit_us, least=1, most=DAY_S * 1e6)
    for rule in info.rules:
        yield Bound(name="answers of a step", value=rule.answers, least=1, most=1e7)
        yield Bound(name="late answers of a step", value=rule.over, least=0, most=rule.answers)
    for look in info.until.looks if info.until else ():
        yield Bound(name="blocks before a look", value=look, least=1, most=MOST_TRIALS)
    for one in info.calibration:
        yield Bound(name="ceiling in requests/s", value=one.rps_per_core, least=0.001, most=1e9)


def _of_windows(windows: Windows) -> Iterator[Bound]:
    for name, (least, most) in WINDOWS.items():
        yield Bound(name=name, value=getattr(windows, name), least=least, most=most)
    for scenario, seconds in (*windows.own_s.items(), *windows.watched_s.items()):
        yield Bound(name=f"window of {scenario}", value=seconds, least=0.001, most=DAY_S)


def _of_cells(cells: Sequence[Cell]) -> Iterator[Bound]:
    for cell in cells:
        load, settings = cell.load, cell.settings
        yield Bound(name="connections", value=load.connections, least=1, most=60_000)
        yield Bound(name="streams", value=load.streams, least=1, most=1000)
        rate = load.rate_per_s if load.kind == "closed" else load.rate_per_s or 0.0
        yield Bound(name="requests/s", value=rate, least=1e-6, most=1e9)
        yield Bound(name="workers", value=settings.workers, least=1, most=256)
        yield Bound(name="threads", value=settings.threads, least=1, most=1024)
        yield Bound(name="backlog", value=settings.backlog, least=1, most=65_535)
        yield Bound(name="keep-alive in s", value=settings.keep_alive_s, least=1, most=DAY_S)
