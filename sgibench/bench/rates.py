"""From saturation to rates: what open loads ask, of all servers alike and of each at shares of its own (pure).

A rate comes from a pilot's figures and has two digits, so that the same rate comes out where the figures hardly differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from sgibench.model import Cell, Connection, PilotRate, Trial

CLASS_GAP = 4.0
"""Servers whose saturation lies so many times above the next slower one's are another class: threads that wait and
event loops, for example. Noise and ordinary differences are far from it."""

USUAL_SHARE = 0.25
"""Of the slowest server's saturation. The busier a server, the more of its requests wait when the machine stops it for
a moment: at half of it p99 of servers that are slow tells how often that happened (docs/method.md has both measured).
"""
SLOW_SHARE = 0.5
"""Where a quarter would bring too few answers for a p99."""
TIMES_COUNTED = 2.0
"""What a warm-up shows is believed up to so many times what was counted: a quarter of it is half of that at most."""

FEWEST_ROUNDS = 4
"""Answers a connection in a window, below which counting them tells no rate: of answers that take longer than it there
are none in it, or as many as came at once."""


def with_most_connections(cells: Sequence[Cell]) -> list[Cell]:
    """Keep, of a scenario's closed loads, those with the most connections: open loads are derived from them."""
    most: dict[str, int] = defaultdict(int)
    for cell in cells:
        most[cell.scenario] = max(most[cell.scenario], cell.load.connections)
    return [cell for cell in cells if cell.load.connections == most[cell.scenario]]


def with_rates(cells: Sequence[Cell], rates: Sequence[PilotRate]) -> list[Cell]:
    """Add to each closed cell the open ones at its group's common rate and at its class's own, where there are such."""
    by_group: dict[tuple[str, Connection, int, int], list[PilotRate]] = defaultdict(list)
    for rate in rates:
        by_group[rate.scenario, rate.connection, rate.workers, rate.threads].append(rate)
    extra = [
        replace(cell, load=replace(cell.load, kind="open", rate_per_s=rate.rate_per_s))
        for cell in with_most_connections(cells)
        if cell.load.kind == "closed"
        for rate in by_group[cell.scenario, cell.load.connection, cell.settings.workers, cell.settings.threads]
        if not rate.servers or cell.server in rate.servers
    ]
    return [*cells, *extra]


def common_rates(
    pilot: Sequence[Trial],
    share: float | None = None,
    *,
    enough: Callable[[float], bool] = lambda _rate_per_s: True,
    classes: bool = False,
) -> list[PilotRate]:
    """Choose the rate of each group from the pilot block: a share of the slowest server's saturation, two digits.

    Without a `share` it is a quarter, or half where a quarter is not `enough` for a p99, and what a server can do is
    told by its warm-up, too. With `classes`, those that are many times as fast get a rate of their own besides, by the
    slowest of their class. A group in which no server gave a result gets no rate.
    """

    def rate_by(slowest: Trial, servers: Iterable[str] = ()) -> PilotRate:
        if share is not None:
            return _rate_by(slowest, share, servers)
        usual = _rate_by(slowest, USUAL_SHARE, servers)
        return usual if enough(usual.rate_per_s) else _rate_by(slowest, SLOW_SHARE, servers)

    groups: dict[tuple[str, Connection, int, int], list[Trial]] = defaultdict(list)
    for trial in map(_by_latency if share is not None else _at_best, pilot):
        if trial.rps:
            groups[trial.scenario, trial.load.connection, trial.workers, trial.threads].append(trial)
    rates = []
    for trials in groups.values():
        everybody, *faster = classes_of(trials)
        rates.append(rate_by(everybody[0]))
        if classes:
            rates += [rate_by(some[0], [trial.server for trial in some]) for some in faster]
    return rates


def _by_latency(trial: Trial) -> Trial:
    """Tell a closed load's rate by how long its answers take, where too few fell into its window to be counted.

    Connections that never pause have as many answers a second as fit into it (Little's law).
    """
    mean_us, window = trial.latency_us.mean if trial.latency_us else None, trial.window
    pauses = trial.load.kind != "closed" or trial.unit != "request" or (window is not None and window.thinks)
    if not trial.rps or not mean_us or not trial.window_s or pauses:
        return trial
    mean_s = mean_us / 1e6
    if mean_s * FEWEST_ROUNDS <= trial.window_s:
        return trial
    return replace(trial, rps=trial.load.places / mean_s, warmup_rps=None)


def _at_best(trial: Trial) -> Trial:
    """Take what a server did in the warm-up for what it can do, if that is more than was counted.

    The two are some seconds apart, and a pilot's windows are short: the machine may be slow for all of one.
    """
    trial = _by_latency(trial)
    if not trial.rps or not trial.warmup_rps or trial.unit != "request":
        return trial
    return replace(trial, rps=max(trial.rps, min(trial.warmup_rps, TIMES_COUNTED * trial.rps)))


def classes_of(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Sort servers by saturation into classes, the slowest first; there is a gap between one class and the next."""
    ordered = sorted(trials, key=lambda trial: trial.rps or 0.0)
    found = [ordered[:1]]
    for before, trial in pairwise(ordered):
        if (trial.rps or 0.0) >= CLASS_GAP * (before.rps or 0.0):
            found.append([])
        found[-1].append(trial)
    return found


def _rate_by(slowest: Trial, share: float, servers: Iterable[str]) -> PilotRate:
    rps = slowest.rps or 0.0
    return PilotRate(
        scenario=slowest.scenario,
        connection=slowest.load.connection,
        workers=slowest.workers,
        threads=slowest.threads,
        slowest=slowest.server,
        slowest_rps=rps,
        rate_per_s=float(f"{rps * share:.2g}"),
        servers=tuple(dict.fromkeys(servers)),
    )


CURVE_SHARES = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
"""Loads of the curve of latency, as shares of a server's own saturation."""


def curve_cells(cells: Sequence[Cell], pilot: Sequence[Trial]) -> list[Cell]:
    """Make the cells of latency against load: each server at shares of its own saturation, two digits each."""
    saturation = {trial.cell: trial.rps for trial in map(_by_latency, pilot) if trial.rps is not None}

    def at(cell: Cell, share: float) -> Cell:
        rate = float(f"{share * saturation[cell.id]:.2g}")
        return replace(cell, load=replace(cell.load, kind="open", rate_per_s=rate, share=share))

    return [at(cell, share) for cell in cells if cell.id in saturation for share in CURVE_SHARES]
