"""What part of a request's CPU is the server's: computed from turns in which both sides were measured (pure).

A share is one minus a ratio: the app's CPU, called without a server, over that of server and app, of the same turns of
the same block. So it has an interval over blocks like every ratio, and what drifts drifts on both sides. The app is
called inside the server's own process. Where that could not be done, and in runs of before it was, it was called in a
process of its own, where the same code costs otherwise; that is in the interval, too (`share.ELSEWHERE`). Runs of
before there were such turns have the app's CPU of after each block.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sgibench import stats
from sgibench.model import AppCost, Estimate, OwnInfo, RequestCpu, Trial
from sgibench.report.panels import Row
from sgibench.report.share import ELSEWHERE, INSIDE, LEAST_US, Exactness, Pair, Share, share_of


@dataclass(frozen=True, kw_only=True)
class RequestShare:
    """One request under one server."""

    label: str
    cpu_us: Estimate
    share: Share


@dataclass(frozen=True, kw_only=True)
class RequestCost:
    """One request, without a server and under each."""

    request: str
    weight: int
    cpu_us: Estimate
    """Of the app alone."""
    wait_us: float
    """How long it waits, neither computing nor queueing for a CPU."""
    under: tuple[RequestShare, ...] = ()
    """Smallest share of the whole first, like the servers; empty where it was not asked by itself."""


@dataclass(frozen=True, kw_only=True)
class ServerShare:
    """What one server adds to the app's CPU, all requests in proportion to their weights."""

    label: str
    total_us: float
    """CPU per request of the whole process tree."""
    app_us: float
    """Of it, as far as is known, the app's: what it costs called in that process, or else in one of its own."""
    share: Share
    crowding: Estimate | None = None
    """By what factor it is more with many requests at once; None where all were asked so, or one block was measured."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Of one app in one comparison."""

    app_us: float
    wait_us: float
    servers: tuple[ServerShare, ...]
    """Smallest share first."""
    requests: tuple[RequestCost, ...]
    in_turn: bool
    """Whether the app was called in turn with the servers' visits."""
    inside: bool
    """Whether it was called inside the servers' own processes."""
    missing: tuple[str, ...] = ()
    """Requests that were not asked by themselves; nothing of them is in the shares."""
    unknown: tuple[str, ...] = ()
    """Servers that were measured, but not in turn with the app."""


def shares_of(own: OwnInfo, app: str, rows: Sequence[Row]) -> Shares | None:
    """Find the shares of an app under the servers of a comparison; None when nothing was measured."""
    mine = [row for row in rows if row.entry.app == app and row.entry.good]
    weights = {cost.request: cost.weight for cost in own.costs if cost.app == app}
    turns = {row.label: _turns(row.entry.good) for row in mine}
    if any(turns.values()):
        return _in_turn(weights, {label: found for label, found in turns.items() if found}, mine)
    return _apart(own, app, mine)


def _geometric(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


# --- in turn ---------------------------------------------------------------------------------------------------------

Turns = Mapping[int, Mapping[str, RequestCpu]]
"""Block -> request -> what its turns brought."""


def _turns(trials: Sequence[Trial]) -> Turns:
    found = {trial.block: {one.request: one for one in trial.singly if one.requests and one.calls} for trial in trials}
    return {block: each for block, each in found.items() if each}


def _pair(one: RequestCpu) -> Pair:
    return one.app_cpu_s / one.calls * 1e6, one.cpu_s / one.requests * 1e6


def _exactness(all_of_them: Iterable[RequestCpu]) -> Exactness:
    return INSIDE if all(one.inside for one in all_of_them) else ELSEWHERE


def _mix(each: Mapping[str, RequestCpu], weights: Mapping[str, int]) -> Pair:
    """Give the pair of all requests, in proportion to their weights."""
    pairs = [(weights.get(request, 1), *_pair(one)) for request, one in each.items()]
    total = sum(weight for weight, _, _ in pairs)
    return sum(w * alone for w, alone, _ in pairs) / total, sum(w * whole for w, _, whole in pairs) / total


def _crowding(blocks: Sequence[Mapping[str, RequestCpu]], weights: Mapping[str, int]) -> Estimate | None:
    """Compare many requests at once with a few; one that was asked only so counts alike on both sides."""
    ratios = []
    for each in blocks:
        calm = crowd = 0.0
        for request, one in each.items():
            few_us = one.cpu_s / one.requests
            calm += weights.get(request, 1) * few_us
            crowd += weights.get(request, 1) * (one.crowd_cpu_s / one.crowd_requests if one.crowd_requests else few_us)
        ratios.append(crowd / calm)
    if not any(one.crowd_requests for each in blocks for one in each.values()):
        return None
    return stats.estimate(ratios)


def _in_turn(weights: Mapping[str, int], turns: Mapping[str, Turns], rows: Sequence[Row]) -> Shares:
    """Only blocks in which all that was asked singly came to an end count for the mix."""
    asked = {request for found in turns.values() for each in found.values() for request in each}
    whole = {
        label: {block: _mix(each, weights) for block, each in found.items() if each.keys() == asked}
        for label, found in turns.items()
    }
    servers = sorted(
        (
            ServerShare(
                label=label,
                total_us=_geometric(whole for _, whole in pairs.values()),
                app_us=_geometric(max(alone, LEAST_US) for alone, _ in pairs.values()),
                share=share_of(
                    pairs.values(), _exactness(one for each in turns[label].values() for one in each.values())
                ),
                crowding=_crowding([turns[label][block] for block in pairs], weights),
            )
            for label, pairs in whole.items()
            if pairs
        ),
        key=lambda one: one.share.value,
    )
    order = [one.label for one in servers] or [row.label for row in rows if row.label in turns]
    requests = tuple(_request(request, weights, turns, order) for request in weights if request in asked)
    alone = [max(pair[0], LEAST_US) for pairs in whole.values() for pair in pairs.values()]
    total = sum(one.weight for one in requests)
    return Shares(
        app_us=_geometric(alone) if alone else sum(one.weight * one.cpu_us.value for one in requests) / total,
        wait_us=sum(one.weight * one.wait_us for one in requests) / total,
        servers=tuple(servers),
        requests=requests,
        in_turn=True,
        inside=all(one.inside for found in turns.values() for each in found.values() for one in each.values()),
        missing=tuple(request for request in weights if request not in asked),
        unknown=tuple(row.label for row in rows if not whole.get(row.label)),
    )


def _request(request: str, weights: Mapping[str, int], turns: Mapping[str, Turns], order: Sequence[str]) -> RequestCost:
    blocks: dict[int, list[RequestCpu]] = defaultdict(list)
    under = []
    for label in order:
        mine = {block: each[request] for block, each in turns[label].items() if request in each}
        for block, one in mine.items():
            blocks[block].append(one)
        pairs = [_pair(one) for one in mine.values()]
        cpu_us = stats.estimate([whole for _, whole in pairs])
        if cpu_us is not None:
            share = share_of(pairs, _exactness(mine.values()))
            under.append(RequestShare(label=label, cpu_us=cpu_us, share=share))
    alone = stats.estimate([_geometric(max(_pair(one)[0], LEAST_US) for one in several) for several in blocks.values()])
    if alone is None:
        raise AssertionError(f"{request} was said to be measured")
    waits = [one.app_wait_s / one.calls * 1e6 for several in blocks.values() for one in several]
    return RequestCost(
        request=request,
        weight=weights[request],
        cpu_us=alone,
        wait_us=sum(waits) / len(waits),
        under=tuple(under),
    )


# --- apart -----------------------------------------------------------------------------------------------------------


def requests_apart(own: OwnInfo, app: str) -> tuple[RequestCost, ...]:
    """Sum up what each request costs without a server, when only that was measured."""
    found: dict[str, list[AppCost]] = defaultdict(list)
    for cost in _costs(own, app):
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


def _costs(own: OwnInfo, app: str) -> list[AppCost]:
    """Costs after the blocks; from before the first one where there are no others."""
    mine = [cost for cost in own.costs if cost.app == app]
    return [cost for cost in mine if cost.block >= 0] or mine


def _apart(own: OwnInfo, app: str, rows: Sequence[Row]) -> Shares | None:
    costs = _costs(own, app)
    totals = {row.label: _totals(row) for row in rows if row.entry.cpu_us is not None}
    if not costs or not totals:
        return None
    early = all(cost.block < 0 for cost in costs)
    alone = _never_more_than_whole(_weighed(costs, lambda cost: cost.cpu_us), totals)
    servers = []
    for label, found in totals.items():
        share = share_of(((alone[block], total) for block, total in found.items()), ELSEWHERE)
        # One look before the run is no sample of blocks: what it was off by, it is off by in all of them.
        share = Share(value=share.value) if early else share
        app_us = _geometric(alone[block] for block in found)
        servers.append(ServerShare(label=label, total_us=_geometric(found.values()), app_us=app_us, share=share))
    waits_us = [*_weighed(costs, lambda cost: cost.wait_us).values()]
    return Shares(
        app_us=_geometric(alone.values()),
        wait_us=sum(waits_us) / len(waits_us),
        servers=tuple(sorted(servers, key=lambda one: one.share.value)),
        requests=requests_apart(own, app),
        in_turn=False,
        inside=False,
    )


def _totals(row: Row) -> dict[int, float]:
    """Block -> CPU per request under a server."""
    found = {trial.block: trial.cpu_us_per_request for trial in row.entry.good}
    return {block: cpu_us for block, cpu_us in found.items() if cpu_us is not None and cpu_us > 0}


def _weighed(costs: Sequence[AppCost], figure: Callable[[AppCost], float]) -> dict[int, float]:
    """Block -> the mean over the requests, weighted as they are asked."""
    sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for cost in costs:
        sums[cost.block][0] += cost.weight * figure(cost)
        sums[cost.block][1] += cost.weight
    return {block: max(total / weight, LEAST_US) for block, (total, weight) in sums.items()}


def _never_more_than_whole(alone: Mapping[int, float], totals: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Give the app's cost for each block that has totals; where none was taken in a block, the mean of the others."""
    elsewhere = _geometric(alone.values())
    blocks = sorted({block for one in totals.values() for block in one})
    least = {block: min(one[block] for one in totals.values() if block in one) for block in blocks}
    return {block: min(alone.get(block, elsewhere), least[block]) for block in blocks}
