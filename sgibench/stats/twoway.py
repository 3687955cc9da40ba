"""A two-way table, servers by frameworks: whether what sets servers apart depends on the framework above them.

Two questions, which are not the same. *Distance*: is a / b under one framework what it is under another? That is an
interaction: a contrast of four cells inside blocks, and all of a table's are corrected together (Holm). Where the costs
of server and framework add up, distances shrink by arithmetic alone, so an interaction is the rule. *Order*: is a ahead
of b under one framework and behind it under another? That is a crossing (a qualitative interaction: Gail and Simon,
Biometrics 41, 1985), and it takes both verdicts; they are the ranking's own, which holds all of its table's verdicts at
once, so that no sentence here contradicts a place there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from sgibench.model import Comparison
from sgibench.stats.intervals import CONFIDENCE, DELTA, holm
from sgibench.stats.moderation import Table
from sgibench.stats.ranking import Ranking

Cells = Mapping[tuple[str, str], str]
"""(Server, framework) -> cell; where something was not measured there is none."""


@dataclass(frozen=True, kw_only=True, order=True)
class Contrast:
    """Two servers under two frameworks."""

    servers: tuple[str, str]
    frameworks: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class TwoWay:
    """What a table of servers by frameworks says."""

    servers: tuple[str, ...]
    frameworks: tuple[str, ...]
    distances: Mapping[Contrast, Comparison]
    """(a / b under the first framework) over (a / b under the second): `tie` where distances are alike, `faster` or
    `slower` where they surely differ; all corrected together."""
    crossings: tuple[Contrast, ...]
    """The first server is surely ahead under the first framework, and surely behind under the second."""
    steady: tuple[tuple[str, str], ...]
    """Pairs of servers of which the first is surely ahead of the second under every framework that has both."""
    unsettled: tuple[tuple[str, str], ...]
    """Pairs that do not cross, and are not told apart under some framework."""

    @property
    def moved(self) -> tuple[Contrast, ...]:
        """Contrasts in which the distance surely differs, the greatest first."""
        sure = [one for one, found in self.distances.items() if found.verdict in {"faster", "slower"}]
        return tuple(sorted(sure, key=lambda one: (-_size(self.distances[one]), one)))

    @property
    def alike(self) -> bool:
        """Whether all distances are surely alike."""
        return bool(self.distances) and all(found.verdict == "tie" for found in self.distances.values())


def two_way(
    cells: Cells, table: Table, ranking: Ranking, *, delta: float = DELTA, confidence: float = CONFIDENCE
) -> TwoWay | None:
    """Judge a table; None when it does not have two servers under two frameworks."""
    servers = tuple(dict.fromkeys(server for server, _ in cells))
    frameworks = tuple(dict.fromkeys(framework for _, framework in cells))
    found = {}
    for pair in combinations(servers, 2):
        common = [one for one in frameworks if all((server, one) in cells for server in pair)]
        for both in combinations(common, 2):
            first, second = (((cells[pair[0], one]), cells[pair[1], one]) for one in both)
            if all(cell in table.cells for cell in (*first, *second)):
                contrast = table.contrast(first, second)
                if contrast is not None:
                    found[Contrast(servers=pair, frameworks=both)] = contrast
    if not found:
        return None
    orders = _orders(cells, ranking, servers, frameworks)
    crossings = _crossings(orders)
    crossed = {frozenset(one.servers) for one in crossings}
    return TwoWay(
        servers=servers,
        frameworks=frameworks,
        distances=holm(found, delta=delta, confidence=confidence, higher_is_better=False),
        crossings=crossings,
        steady=tuple(pair for pair, known in orders.items() if len(known) > 1 and set(known.values()) == {1}),
        unsettled=tuple(
            pair
            for pair, known in orders.items()
            if frozenset(pair) not in crossed and len(known) > 1 and 0 in known.values()
        ),
    )


def _orders(
    cells: Cells, ranking: Ranking, servers: Sequence[str], frameworks: Sequence[str]
) -> dict[tuple[str, str], dict[str, int]]:
    """Pair of servers -> framework -> 1 where the first is surely ahead, -1 where it is behind, else 0.

    The pair is turned so that the first verdict that is sure is a 1.
    """
    signs = {"faster": 1, "slower": -1}
    found = {}
    for a, b in combinations(servers, 2):
        known = {}
        for framework in frameworks:
            if (a, framework) in cells and (b, framework) in cells:
                between = ranking.between(cells[a, framework], cells[b, framework])
                if between is not None:
                    known[framework] = signs.get(between.verdict, 0)
        first = next((sign for sign in known.values() if sign), 1)
        found[(a, b) if first > 0 else (b, a)] = {framework: sign * first for framework, sign in known.items()}
    return found


def _crossings(orders: Mapping[tuple[str, str], Mapping[str, int]]) -> tuple[Contrast, ...]:
    """Find pairs that change places: one example for each pair and framework under which they stand the other way."""
    crossings = []
    for pair, known in orders.items():
        ahead = [framework for framework, sign in known.items() if sign > 0]
        behind = [framework for framework, sign in known.items() if sign < 0]
        crossings += [Contrast(servers=pair, frameworks=(ahead[0], framework)) for framework in behind if ahead]
    return tuple(crossings)


def _size(found: Comparison) -> float:
    return max(found.ratio, 1 / found.ratio)
