"""CPU per request and requests/s as they would have been had all servers found their CPUs equally fast (pure).

Servers are visited in turn, and a rented CPU is now fast, now slow, as its core's other thread is at work for somebody
else. By chance it is slow for one server more often than for another. A fixed piece of work beside each slice says how
slow (`Slice.yard_us`), and a server's own slices say how much that means to it: the slope b of ln(CPU per request) on
ln(yardstick), each trial's means taken out of both. A trial's figure is then told at the mean pace of its group in its
block, as x · (mean / own)^b. That is regression on a concomitant variable that no server moves (analysis of covariance;
Cochran, Biometrics 13, 1957); Lavenberg and Welch (Management Science 27, 1981) call it a control variate. What chance
gave to one server is taken away. What a whole block was slower by stays: where it means more to one server than to
another, their ratio is not the same at every pace, and the scatter of blocks must say so.

A slope from few slices is uncertain, and a wrong one puts the machine's moments where none were. So each is drawn to
the mean of its group by as much as it is uncertain beside how much slopes really differ (DerSimonian and Laird,
Controlled Clinical Trials 7, 1986, for that; Efron and Morris, JASA 70, 1975, for the drawing). Where the yardstick
explains nothing, because the CPUs are nobody else's, nothing is changed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from sgibench.model import Load, Slice, Trial

LEAST_DEGREES = 5
"""Slices of a server beyond one for each of its trials and one more, before it has a slope of its own."""
SURE = 3.0
"""Standard errors by which the slope of a group lies off 0, or there is none."""
LEAST, MOST = 1e-9, 1e9
"""What a slice's figures lie between, in seconds and microseconds; anything else in a file is no figure."""
FARTHEST = math.log(2.0)
"""Another thread takes half of a core at most: a yardstick that lies farther from those beside it measured no pace."""
STEEPEST = 1.5
"""Nothing slows down by more than this power of what the yardstick does, which has nothing to wait for."""

Place = tuple[str, Load, int, int, str]


@dataclass(frozen=True, kw_only=True)
class Slope:
    """By which power of the yardstick a figure moves."""

    value: float
    variance: float
    """Of its error."""


def at_one_pace(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Give the trials with cost and throughput of closed loops told at the mean pace of their group and block.

    Trials without a yardstick and failed ones stay as they are, and so do latencies and open loops.
    """
    known = tuple(trials)
    groups: dict[Place, dict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in known:
        if trial.status == "ok" and _slices(trial):
            groups[_place(trial)][trial.cell].append(trial)
    factors: dict[int, tuple[float, float]] = {}
    for cells in groups.values():
        paces = {id(trial): _pace(_slices(trial)) for members in cells.values() for trial in members}
        blocks: dict[int, list[float]] = defaultdict(list)
        for members in cells.values():
            for trial in members:
                blocks[trial.block].append(paces[id(trial)])
        if any(abs(pace - fmean(each)) > FARTHEST for each in blocks.values() for pace in each):
            continue
        costs, rates = slopes(cells)
        for cell, members in cells.items():
            for trial in members:
                slower = paces[id(trial)] - fmean(blocks[trial.block])
                factors[id(trial)] = math.exp(-costs[cell] * slower), math.exp(-rates[cell] * slower)
    return tuple(_told(trial, *factors[id(trial)]) if id(trial) in factors else trial for trial in known)


def slopes(cells: Mapping[str, Sequence[Trial]]) -> tuple[dict[str, float], dict[str, float]]:
    """Give the powers of the yardstick by which a group's CPU per request and requests/s move, by cell."""
    costs: dict[str, Slope] = {}
    rates: dict[str, Slope] = {}
    for cell, trials in cells.items():
        yards: list[float] = []
        cost: list[float] = []
        rate: list[float] = []
        for slices in map(_slices, trials):
            yards += _centred([math.log(one.yard_us or 1.0) for one in slices])
            cost += _centred([math.log(one.cpu_s or 1.0) - math.log(one.requests) for one in slices])
            rate += _centred([math.log(one.requests) - math.log(one.window_s) for one in slices])
        degrees = len(yards) - len(trials) - 1
        if degrees >= LEAST_DEGREES:
            costs |= {cell: each} if (each := _slope(yards, cost, degrees)) else {}
            rates |= {cell: each} if (each := _slope(yards, rate, degrees)) else {}
    return _drawn(costs, cells, 0.0, STEEPEST), _drawn(rates, cells, -STEEPEST, 0.0)


def _drawn(found: Mapping[str, Slope], cells: Iterable[str], low: float, high: float) -> dict[str, float]:
    """Draw each slope to the group's mean; a cell without one has the mean, and all have 0 where that may be 0."""
    if not found:
        return dict.fromkeys(cells, 0.0)
    weights = {cell: 1 / slope.variance for cell, slope in found.items()}
    total = math.fsum(weights.values())
    mean = math.fsum(weight * found[cell].value for cell, weight in weights.items()) / total
    if abs(mean) < SURE / math.sqrt(total):
        return dict.fromkeys(cells, 0.0)
    spread = math.fsum(weight * (found[cell].value - mean) ** 2 for cell, weight in weights.items())
    scale = total - math.fsum(weight**2 for weight in weights.values()) / total
    between = max(0.0, (spread - (len(found) - 1)) / scale) if len(found) > 1 else 0.0

    def drawn(slope: Slope | None) -> float:
        own = 0.0 if slope is None else between / (between + slope.variance)
        return max(low, min(high, mean if slope is None else mean + own * (slope.value - mean)))

    return {cell: drawn(found.get(cell)) for cell in cells}


def spread_us(trials: Iterable[Trial]) -> tuple[float, float] | None:
    """5th and 95th percentile of what the yardstick took in slices, in microseconds; None where nobody looked."""
    took = sorted(one.yard_us for trial in trials for one in _slices(trial) if one.yard_us)
    return (took[len(took) // 20], took[-1 - len(took) // 20]) if took else None


def _place(trial: Trial) -> Place:
    return trial.scenario, trial.load, trial.workers, trial.threads, trial.configuration


def _slices(trial: Trial) -> list[Slice]:
    """Slices of a closed loop, if all have what it takes and they are the whole of the trial."""
    whole = sum(one.requests for one in trial.slices) == trial.requests and trial.load.kind == "closed"
    known = all(_are_figures(one.yard_us, one.cpu_s, one.window_s, one.requests) for one in trial.slices)
    return list(trial.slices) if whole and known else []


def _are_figures(*values: float | None) -> bool:
    return all(value is not None and LEAST < value < MOST for value in values)


def _pace(slices: Sequence[Slice]) -> float:
    """Ln of the yardstick over a trial's counted time."""
    weighted = math.fsum(one.window_s * math.log(one.yard_us or 1.0) for one in slices)
    return weighted / math.fsum(one.window_s for one in slices)


def _centred(values: Sequence[float]) -> list[float]:
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def _slope(yards: Sequence[float], figures: Sequence[float], degrees: int) -> Slope | None:
    """Least squares; None where the yardstick never moved."""
    xx = math.fsum(x * x for x in yards)
    if xx <= 0:
        return None
    value = math.fsum(x * y for x, y in zip(yards, figures, strict=True)) / xx
    left = math.fsum((y - value * x) ** 2 for x, y in zip(yards, figures, strict=True)) / degrees
    return Slope(value=value, variance=max(left / xx, 1e-12))


def _told(trial: Trial, cost: float, rate: float) -> Trial:
    return replace(
        trial,
        cpu_us_per_request=None if trial.cpu_us_per_request is None else trial.cpu_us_per_request * cost,
        rps=None if trial.rps is None else trial.rps * rate,
    )
