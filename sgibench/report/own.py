"""Where the time of a request goes when the app is the user's own: the app's CPU, and what each server adds.

The app was called without a server after each block, so its share is a ratio inside blocks, like every comparison. The
app can't cost more than the whole: where noise says so, the cheapest server's whole stands for it. Therefore no two
servers differ by more than the largest share said here, and no verdict can contradict it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sgibench import stats, units
from sgibench.model import AppCost, Estimate, OwnInfo, Run
from sgibench.report import words
from sgibench.report.panels import Panel, Row, View

SMALL_SHARE = 0.1
"""A server that is less of the request is not worth changing for its CPU."""
LEAST_WAIT_US = 1000.0
"""A request that waits for less, or for less than it computes, is not said to wait."""
NOISY_SHARE = 0.03
"""Blocks whose shares differ by more are said to."""
DIFFERS = 1.25
"""What differs by less between the extremes is not told."""


@dataclass(frozen=True, kw_only=True)
class RequestCost:
    """One request, without a server."""

    request: str
    weight: int
    cpu_us: Estimate
    wait_us: float
    """How long it waits, neither computing nor queueing for a CPU."""


@dataclass(frozen=True, kw_only=True)
class ServerShare:
    """What one server adds to the app's CPU."""

    label: str
    total_us: float
    """CPU per request of the whole process tree under load."""
    share: float
    """Of it, what is not the app's own."""
    give_or_take: float | None = None
    """Half of the share's 95 % interval over blocks; None with one block."""


@dataclass(frozen=True, kw_only=True)
class OwnShare:
    """Where the time goes, for one app in one comparison."""

    app: str
    panel: str
    """Key of the comparison."""
    app_us: float
    """CPU of the app per request, in proportion to the requests' weights."""
    requests: tuple[RequestCost, ...]
    servers: tuple[ServerShare, ...]
    """Smallest share first."""
    text: str
    """The sentence that the report opens with."""
    beside: str
    """What does differ between the servers, or nothing."""


def own_shares(view: View) -> tuple[OwnShare, ...]:
    """Say it for each app of the user's, in each comparison at saturation."""
    own = view.run.info.own
    if own is None:
        return ()
    found = [_share(own, app, panel) for panel in view.panels if panel.saturated for app in own.apps]
    return tuple(one for one in found if one is not None)


def requests_of(run: Run, app: str) -> tuple[RequestCost, ...]:
    """Sum up what each request of an app costs without a server."""
    own = run.info.own
    return () if own is None else _requests(_costs(own, app))


def _costs(own: OwnInfo, app: str) -> list[AppCost]:
    """Costs after the blocks; from before the first one when the run ended within it."""
    mine = [cost for cost in own.costs if cost.app == app]
    return [cost for cost in mine if cost.block >= 0] or mine


def _requests(costs: Sequence[AppCost]) -> tuple[RequestCost, ...]:
    found: dict[str, list[AppCost]] = defaultdict(list)
    for cost in costs:
        found[cost.request].append(cost)
    return tuple(
        RequestCost(
            request=request,
            weight=mine[0].weight,
            cpu_us=stats.estimate([max(cost.cpu_us, LEAST_US) for cost in mine])
            or Estimate(value=mine[0].cpu_us, low=None, high=None, blocks=1),
            wait_us=sum(cost.wait_us for cost in mine) / len(mine),
        )
        for request, mine in found.items()
    )


LEAST_US = 0.1
"""Nothing costs nothing, and logarithms want it so."""


def _mix(costs: Sequence[AppCost], figure: str) -> dict[int, float]:
    """Block -> the mean over the requests, weighted as they are asked."""
    sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for cost in costs:
        sums[cost.block][0] += cost.weight * (cost.cpu_us if figure == "cpu" else cost.wait_us)
        sums[cost.block][1] += cost.weight
    return {block: max(total / weight, LEAST_US) for block, (total, weight) in sums.items()}


def _share(own: OwnInfo, app: str, panel: Panel) -> OwnShare | None:
    costs = _costs(own, app)
    rows = [row for row in panel.rows if row.entry.app == app and row.entry.cpu_us is not None]
    if not costs or not rows:
        return None
    totals = {row.label: _totals(row) for row in rows}
    alone = _never_more_than_whole(_mix(costs, "cpu"), totals)
    servers = [_server(label, blocks, alone) for label, blocks in totals.items()]
    servers.sort(key=lambda one: one.share)
    app_us = _geometric([*alone.values()])
    waits_us = [*_mix(costs, "wait").values()]
    return OwnShare(
        app=app,
        panel=panel.key,
        app_us=app_us,
        requests=_requests(costs),
        servers=tuple(servers),
        text=_sentence(app_us, sum(waits_us) / len(waits_us), servers),
        beside=_beside(panel, rows, servers),
    )


def _totals(row: Row) -> dict[int, float]:
    """Block -> CPU per request under a server."""
    found = {trial.block: trial.cpu_us_per_request for trial in row.entry.good}
    return {block: cpu_us for block, cpu_us in found.items() if cpu_us is not None and cpu_us > 0}


def _never_more_than_whole(alone: Mapping[int, float], totals: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Give the app's cost for each block that has totals; where none was taken in a block, the mean of the others."""
    elsewhere = _geometric([*alone.values()])
    blocks = sorted({block for one in totals.values() for block in one})
    least = {block: min(one[block] for one in totals.values() if block in one) for block in blocks}
    return {block: min(alone.get(block, elsewhere), least[block]) for block in blocks}


def _server(label: str, totals: Mapping[int, float], alone: Mapping[int, float]) -> ServerShare:
    ratios = [alone[block] / total for block, total in totals.items()]
    found = stats.estimate(ratios)
    half = None if found is None or found.low is None or found.high is None else (min(found.high, 1) - found.low) / 2
    share = 1 - _geometric(ratios)
    return ServerShare(label=label, total_us=_geometric([*totals.values()]), share=share, give_or_take=half)


def _geometric(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


# --- words ----------------------------------------------------------------------------------------------------------


def _sentence(app_us: float, waited_us: float, servers: Sequence[ServerShare]) -> str:
    """Say how much of the request is the server's, and so what changing it can win at most."""
    least, most = servers[0], servers[-1]
    if len(servers) == 1:
        who = f"{_percent(most.share)} of the CPU of your request ({most.label})"
    elif _percent(least.share) == _percent(most.share):
        who = f"{_percent(most.share)} of the CPU of your request"
    else:
        between = f"{_percent(least.share)} ({least.label}) to {_percent(most.share)} ({most.label})"
        who = f"{between} of the CPU of your request"
    win = _percent(most.share)
    text = f"The server is {who}; changing it can win {win if win.startswith('less') else f'at most {win}'}."
    text += f" Your app itself needs {units.microseconds(app_us)} of CPU."
    if most.give_or_take is not None and most.give_or_take > NOISY_SHARE:
        text += f" The machine was not quiet: give or take {_percent(most.give_or_take)} of the whole."
    if waited_us > max(LEAST_WAIT_US, app_us):
        text += (
            f" It waits {units.microseconds(waited_us)} besides: how many requests wait at the same time (workers, "
            "threads, an event loop) decides about requests per second, not the CPU of the server."
        )
    return text


def _percent(share: float) -> str:
    """A share in whole percent, and never nothing at all."""
    return "less than 1 %" if share < 0.01 else f"{math.ceil(share * 100 - 1e-9)} %"  # noqa: PLR2004 - one percent


def _beside(panel: Panel, rows: Sequence[Row], servers: Sequence[ServerShare]) -> str:
    """Say what differs where the CPU does not: memory, start-up, latency at the fixed rate."""
    if len(rows) < 2 or (servers[-1].share > SMALL_SHARE and _told_apart(panel, rows)):  # noqa: PLR2004 - a comparison
        return ""
    memory = {row.label: one.value for row in rows if (one := row.entry.pss_bytes or row.entry.uss_bytes)}
    startup = {row.label: row.entry.startup_s.value for row in rows if row.entry.startup_s}
    p99 = {row.label: tail for row in rows if (tail := _p99(row)) is not None}
    at = panel.fixed.key.load.rate_per_s if panel.fixed is not None else None
    ranges = [_range("memory", memory, units.size), _range("start-up", startup, units.seconds)]
    if at is not None:
        ranges.append(_range(f"p99 at {at:g}/s", p99, units.microseconds))
    differing = [one for one in ranges if one is not None]
    if not differing:
        return "Memory, start-up and latency are about the same, too: keep the server that you have."
    return f"What does differ: {words.listed(differing)}."


def _told_apart(panel: Panel, rows: Sequence[Row]) -> bool:
    """Whether the table tells any two of the servers apart by their CPU."""
    cells = [row.entry.cell for row in rows]
    return any(panel.main.cost.apart(first, second) for first in cells for second in cells if first < second)


def _p99(row: Row) -> float | None:
    found = row.fixed.figures.get("p99_us") if row.fixed is not None else None
    return None if found is None else found.value


def _range(what: str, values: Mapping[str, float], show: Callable[[float | None], str]) -> str | None:
    """Write a figure from its least to its most, with whose they are; None when they are alike."""
    if len(values) < 2:  # noqa: PLR2004 - a range has two ends
        return None
    low, high = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    if values[low] <= 0 or values[high] < DIFFERS * values[low]:
        return None
    return f"{what} {show(values[low])} ({low}) to {show(values[high])} ({high})"
