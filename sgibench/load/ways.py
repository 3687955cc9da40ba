"""How a group's windows are made: in slices, in turns or unbroken; decided from what the warm-up showed (pure).

A visit begins with all connections free, so it must be long beside the slowest answers: else those that it cuts off
are the rule. What counts is not how often answers are slow but how much of the time they fill: at a random moment the
request in flight goes on for E[L²] / 2E[L] on average (the mean residual life of a renewal process; Cox, Renewal
Theory, 1962, section 5.2), and that over the visit's length is the share by which the visit's rate is wrong. All
servers of a group are measured in the same way; where one needs long visits, the others are visited several times in
the time of one, so that they stay as close together in time as each of them allows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low, pvariance

from sgibench.histogram import Histogram
from sgibench.load.orders import MeasureOrder
from sgibench.model import Visits
from sgibench.units import percent, seconds

TIMES_P99 = 10.0
"""A visit lasts at least so many times the p99 of the warm-up."""
TIMES_RESIDUAL = 20.0
"""And so many times the mean residual life: its rate is then wrong by at most 5 %, before settling."""
MOST_OF_WINDOW = 0.5
"""A visit longer than this share of the window is not worth alternating."""
LEAST_IN_TURN = 20
"""Requests that a turn of an open loop holds at least."""
TURN_SHARE = 0.02
"""Of its window: a server that stops in one turn is late with all of it, which p99 must see."""
THINK_SHARE = 0.05
"""Users busy with something else than waiting for an answer for more of their time than this think."""
EARLY_ROUNDS, EARLY_EXCESS, LATE_EXCESS = 5, 0.10, 0.03
"""Slices are given up when connections were busy for so much longer than was counted: after some rounds, at the end."""
OPEN_EARLY_EXCESS, OPEN_LATE_EXCESS = 0.20, 0.10
"""Turns are given up when so much more of what their requests took came after a turn's end than before its beginning.
An open loop is busy for little of its time, so that a disturbance of the machine near an edge weighs more in it."""
TOGETHER_FLOOR_S = 0.02
"""Servers are driven at once only where each answer takes at least so long, by the scenario: they wait then."""
TOGETHER_CPU = 0.5
"""And only if all of them together need at most so much of a CPU, and the load process of its own: what they wait for
one another is then far below what their answers take."""
LEAST_PARTY = 2
"""Fewer servers at once are no party: they go in turns."""
TOGETHER_CONNECTIONS = 256
"""Over so many at once servers are warmed up together: some hundreds, as one of them may have in a load of its own."""
GROWN_SHARE, GROWN_ERRORS, LEAST_GROWING = 0.01, 4.0, 4
"""A queue grows where more waits at the end of turns than at their beginning: by more than so much of what is due, so
many standard errors (twice as many over the fewest turns), over so many turns."""
SHORTEST_TIMEOUT_S = 5.0
TIMEOUT_FLOORS, TIMEOUT_P99 = 10.0, 20.0
"""A time-out is at least so many times the scenario's floor, and the warm-up's p99."""


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """What the warm-up showed of one target."""

    median_s: float = 0.0
    p99_s: float = 0.0
    residual_s: float = 0.0
    """How long the request that is in flight at a random moment still takes, on average."""
    think_s: float = 0.0
    """Longest wait between tasks that a user was told to make."""
    round_s: float = 0.0
    """About how long a user takes from one task to the next, as far as that was seen; 0 without tasks."""
    think_share: float = 0.0
    """Share of their time in which users waited for no answer."""

    @property
    def thinks(self) -> bool:
        """Whether users do something else than wait for answers."""
        return self.think_s > 0 or self.think_share > THINK_SHARE

    @property
    def needed_s(self) -> float:
        """How long a visit must be to be sound."""
        return max(TIMES_P99 * self.p99_s, TIMES_RESIDUAL * self.residual_s)


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the windows of a group are made."""

    visits: Visits
    length_s: float
    """Of a visit's counted part, where answers are slowest."""
    why: str
    visits_in_round: Mapping[str, int] = field(default_factory=dict)
    """Target -> visits in the time of one to the slowest, of those that may be left sooner."""

    def visits_to(self, target: str) -> int:
        """How often it is visited in a round: as often as whole visits of its own fit into the slowest one's."""
        return self.visits_in_round.get(target, 1)


def middle_pulse(stretches: Sequence[Histogram]) -> dict[str, float]:
    """Read median, p99 and mean residual life of answers, in seconds, from stretches of a warm-up.

    Each is the lower median over the stretches that had answers, the first of them left out if there are others.
    """
    with_answers = [stretch for stretch in stretches if stretch.count]
    read = [_read(stretch) for stretch in with_answers[1:] or with_answers]
    if not read:
        return {"median_s": 0.0, "p99_s": 0.0, "residual_s": 0.0}
    return {name: median_low(each[name] for each in read) for name in read[0]}


def _read(histogram: Histogram) -> dict[str, float]:
    middles_us, counts = histogram.buckets()
    total_us = max(float((middles_us * counts).sum()), 1e-3)
    return {
        "median_s": (histogram.percentile_us(0.5) or 0.0) / 1e6,
        "p99_s": (histogram.percentile_us(0.99) or 0.0) / 1e6,
        "residual_s": float((middles_us**2 * counts).sum()) / (2 * total_us) / 1e6,
    }


def closed_way(slice_s: float | None, window_s: float, pulses: Mapping[str, Pulse]) -> Way:
    """Decide how closed loops are measured; `pulses` by target."""
    if slice_s is None:
        return Way(visits="unbroken", length_s=window_s, why="unbroken windows were asked for")
    return _alternated("sliced", slice_s, slice_s, window_s, pulses)


def surely_unbroken(order: MeasureOrder, floor_s: float) -> Way | None:
    """Say that a closed loop will be measured in unbroken windows whatever its warm-up shows; None if that is open.

    Then there is no need to drain what the warm-up left, and to come into stride again.
    """
    needed_s = TIMES_P99 * floor_s
    if order.load.kind == "open" or order.slice_s is None or needed_s <= MOST_OF_WINDOW * order.window_s:
        return None
    why = f"a visit would have to last {seconds(needed_s)}, as an answer takes at least {seconds(floor_s)}"
    return Way(visits="unbroken", length_s=order.window_s, why=why)


def open_way(turn_s: float | None, rate_per_s: float, window_s: float, pulses: Mapping[str, Pulse]) -> Way:
    """Decide how open loops are measured."""
    if turn_s is None:
        return Way(visits="unbroken", length_s=window_s, why="unbroken windows were asked for")
    least_s = max(turn_s, TURN_SHARE * window_s, LEAST_IN_TURN / rate_per_s)
    return _alternated("turns", turn_s, least_s, window_s, pulses)


def _alternated(visits: Visits, asked_s: float, least_s: float, window_s: float, pulses: Mapping[str, Pulse]) -> Way:
    """Visits in turn if they can be long enough, else an unbroken window for each."""
    if any(pulse.thinks for pulse in pulses.values()):
        return Way(visits="unbroken", length_s=window_s, why="users think between requests, and a visit would cut that")
    slowest, pulse = max(pulses.items(), key=lambda item: item[1].needed_s, default=("", Pulse()))
    needed_s = max(least_s, pulse.needed_s)
    fitting = {name: math.floor(needed_s / max(least_s, each.needed_s)) for name, each in pulses.items()}
    if least_s > MOST_OF_WINDOW * window_s:
        return Way(visits="unbroken", length_s=window_s, why=f"visits of {seconds(least_s)} would be the whole window")
    if needed_s <= least_s:
        told = f"{seconds(least_s)} are at least ten times the slowest p99, {seconds(pulse.p99_s)} ({slowest})"
        return Way(visits=visits, length_s=least_s, why=told)
    beside = (
        f"{seconds(needed_s)}, beside the answers of {slowest}: p99 {seconds(pulse.p99_s)}, and at a random moment "
        f"{seconds(pulse.residual_s)} still to go"
    )
    if needed_s > MOST_OF_WINDOW * window_s:
        return Way(visits="unbroken", length_s=window_s, why=f"a visit would have to last {beside}")
    return Way(
        visits=visits,
        length_s=needed_s,
        why=f"longer than the {seconds(asked_s)} asked for: up to {beside}",
        visits_in_round={name: often for name, often in fitting.items() if often > 1},
    )


def may_go_together(order: MeasureOrder, floor_s: float, *, alone: bool) -> bool:
    """Whether an open loop may be tried on all servers at once: their answers wait, and nothing else is asked of us."""
    return order.turn_s is not None and may_warm_together(order, floor_s, alone=alone)


def may_warm_together(order: MeasureOrder, floor_s: float, *, alone: bool) -> bool:
    """Whether servers may be asked at once before anything counts: their answers wait, and they share nothing."""
    load = order.load
    waits = floor_s >= TOGETHER_FLOOR_S and load.connection == "keep-alive" and load.protocol == "http"
    serviced = any(target.services for target in order.targets)  # whose CPU each of them reads would be everybody's
    return alone and waits and not serviced and len(order.targets) > 1


def parties_needed(share: float) -> int:
    """How many parties servers should be asked in that used so much of a CPU at once, or made the load process use it.

    1: they may stay as they are.
    """
    return max(1, math.ceil(share / TOGETHER_CPU))


def together_way(window_s: float, shares: Sequence[float]) -> Way:
    """Say how servers are measured at once, all of them or in parties; `shares` has what each party used of a CPU."""
    of_them = f"{percent(max(shares))} of a CPU"
    if len(shares) == 1:
        why = f"all servers at the same time: their answers wait, and together they use {of_them}"
    else:
        why = (
            f"servers at the same time in {len(shares)} parties, one after the other: their answers wait, and a party "
            f"uses {of_them} at most"
        )
    return Way(visits="together", length_s=window_s, why=why)


def too_much(
    excess_s: float, spared_s: float, time_s: float, rounds: int, *, is_closed: bool, last: bool
) -> float | None:
    """Give the share of the time by which visits cut off more than they may, but for what is `spared_s`; else None.

    One stall of the machine is no property of the server; two are a pattern.
    """
    early, late = (EARLY_EXCESS, LATE_EXCESS) if is_closed else (OPEN_EARLY_EXCESS, OPEN_LATE_EXCESS)
    share = (excess_s - max(0.0, spared_s)) / time_s if time_s > 0 else 0.0
    limit = late if last else early if rounds >= EARLY_ROUNDS else math.inf
    return share if share > limit else None


def given_up(share: float, name: str, *, is_closed: bool) -> str:
    """Say why slices, or turns, were given up."""
    if not is_closed:
        return (
            f"turns were given up: {percent(share)} of the time that the requests of {name} took came after the turn "
            "that they were due in, so turns cut slow answers off"
        )
    return (
        f"slices were given up: the requests of {name} took {percent(share)} longer than was counted, so slices "
        "cut slow answers off"
    )


def never_caught_up(name: str, longer_s: float) -> str:
    """Say why turns were given up where a server falls behind its rate, turn after turn or for good."""
    return f"turns were given up: in {seconds(longer_s)} beyond its turns {name} did not catch up with what was due"


def queue_grows(growths: Sequence[int], due: float, waiting_start: float = 0) -> bool:
    """Whether turn after turn ends with more requests waiting than it began with.

    Each turn begins with a queue of its own, so a server that is a little too slow for its rate, or whose queue takes
    longer than a turn to fill, would seem to keep it. `growths` has what waited at the end of each turn and not at its
    beginning; `due` counts all requests, `waiting_start` those that waited at the beginning of any turn. The turn with
    the most growth may have a stop of the machine in it: that alone shows no queue, and hides none that others show.
    """
    but_one = sorted(growths)[:-1]
    return any(len(some) >= LEAST_GROWING and _grows(some, due, waiting_start) for some in (growths, but_one))


def _grows(growths: Sequence[int], due: float, waiting_start: float) -> bool:
    """Weigh the growth of some turns against chance: how it scatters, and at least as counts of requests do (Poisson).

    Few turns that happen to end with a request that is just being answered scatter little, and are no queue.
    """
    grown, turns = sum(growths), len(growths)
    if grown <= GROWN_SHARE * due:
        return False
    by_chance = math.sqrt(max(turns * pvariance(growths), 2 * waiting_start + grown))
    return grown > GROWN_ERRORS * (1 + LEAST_GROWING / turns) * by_chance


def queue_grew(name: str, each: float) -> str:
    """Say why turns were given up where a queue grows in all of them."""
    return (
        f"turns were given up: in each of them the queue of {name} grew, by {each:.2g} requests on average, and a turn "
        "begins without one"
    )


def slower_than_rehearsed(name: str) -> str:
    """Say why turns were given up where a server is never as far as its rehearsal says it should be."""
    return (
        f"turns were given up: {name} answers more slowly than in its rehearsal, and had not caught up as turns began, "
        "however long that was waited for"
    )


def waited_in_vain(name: str) -> str:
    """Say why visits were given up where answers fail to come."""
    return f"visits were given up: again and again {name} left a request without an answer until its time was out"


def fitting_timeout(longest_s: float, declared_s: float | None, window_s: float, floor_s: float, p99_s: float) -> float:
    """Give the time-out that fits: what the scenario declares, else the window's length, and ample for its answers."""
    if declared_s is not None:
        return declared_s
    return min(longest_s, max(window_s, SHORTEST_TIMEOUT_S, TIMEOUT_FLOORS * floor_s, TIMEOUT_P99 * p99_s))
