"""Servers by frameworks: what is said about order and distance, on tables whose truth is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench import stats

SERVERS = ("a", "b", "c")
FRAMEWORKS = ("f", "g", "h", "k")


def judged(
    truth: Mapping[tuple[str, str], float],
    *,
    blocks: int = 6,
    scatter: float = 0.01,
    seed: int = 1,
    delta: float = 0.02,
    framework_scatter: float = 0.0,
) -> stats.TwoWay:
    """Judge a table of true costs that scatter: each by itself, all of a block, and all of a framework in it."""
    random = np.random.default_rng(seed)
    shared = random.normal(0, 0.05, blocks)
    apart = {framework: random.normal(0, framework_scatter, blocks) for _, framework in truth}
    values = {
        f"{server}/{framework}": {
            block: cost * math.exp(shared[block] + apart[framework][block] + random.normal(0, scatter))
            for block in range(blocks)
        }
        for (server, framework), cost in truth.items()
    }
    ranking = stats.rank(values, higher_is_better=False, control=None, delta=delta)
    found = stats.two_way({place: "/".join(place) for place in truth}, ranking.table, ranking, delta=delta)
    assert found is not None
    return found


def multiplied(servers: Mapping[str, float], frameworks: Mapping[str, float]) -> dict[tuple[str, str], float]:
    return {(s, f): x * y for (s, x), (f, y) in itertools.product(servers.items(), frameworks.items())}


def test_servers_that_change_places_are_named_with_where_they_do() -> None:
    truth = {("a", "f"): 50.0, ("b", "f"): 60.0, ("a", "g"): 300.0, ("b", "g"): 250.0}
    found = judged(truth)
    (crossing,) = found.crossings
    assert (crossing.servers, crossing.frameworks) == (("a", "b"), ("f", "g"))
    assert found.steady == found.unsettled == ()
    assert found.moved[0] == crossing
    assert found.distances[crossing].ratio == pytest.approx((50 / 60) / (300 / 250), rel=0.03)


def test_costs_that_add_up_keep_the_order_and_shrink_the_distance() -> None:
    own = {"a": 30.0, "b": 60.0}
    truth = {(s, f): x + y for (s, x), (f, y) in itertools.product(own.items(), {"f": 10.0, "g": 900.0}.items())}
    found = judged(truth)
    assert found.crossings == ()
    assert found.steady == (("a", "b"),)
    (moved,) = found.moved
    assert found.distances[moved].ratio == pytest.approx((40 / 70) / (930 / 960), rel=0.03)
    assert not found.alike


def test_distances_that_are_alike_are_said_to_be_when_enough_blocks_say_so() -> None:
    truth = multiplied({"a": 1.0, "b": 1.5}, {"f": 100.0, "g": 400.0})
    assert judged(truth, blocks=20, scatter=0.005).alike
    few = judged(truth, blocks=2)
    assert not few.alike  # ties are not claimed of two blocks
    assert few.moved == ()


def test_without_an_interaction_a_whole_table_finds_one_in_at_most_one_of_twenty() -> None:
    """Eighteen contrasts each time; a difference of any size counts, so only the correction keeps them from it."""
    truth = multiplied({"a": 1.0, "b": 1.3, "c": 1.31}, {"f": 50.0, "g": 80.0, "h": 300.0, "k": 310.0})
    runs = 120
    for framework_scatter in (0.0, 0.03):
        false = sum(
            bool(judged(truth, seed=seed, scatter=0.03, delta=1e-9, framework_scatter=framework_scatter).moved)
            for seed in range(runs)
        )
        assert false <= 0.05 * runs + 3 * math.sqrt(0.05 * 0.95 * runs)
    found = judged(truth)
    assert len(found.distances) == 3 * 6
    assert not any(judged(truth, seed=seed, scatter=0.03).crossings for seed in range(40))


def test_a_framework_whose_servers_scatter_says_nothing_about_the_others() -> None:
    truth = multiplied({"a": 1.0, "b": 1.2}, {"f": 50.0, "g": 80.0, "h": 300.0, "k": 500.0})
    random = np.random.default_rng(3)
    values = {
        f"{s}/{f}": {n: cost * math.exp(random.normal(0, 0.5 if f == "k" else 0.004)) for n in range(8)}
        for (s, f), cost in truth.items()
    }
    ranking = stats.rank(values, higher_is_better=False, control=None)
    found = stats.two_way({place: "/".join(place) for place in truth}, ranking.table, ranking)
    assert found is not None
    verdicts = {one.frameworks: seen.verdict for one, seen in found.distances.items()}
    assert verdicts["f", "g"] == verdicts["f", "h"] == "tie"
    assert {verdicts[pair] for pair in verdicts if "k" in pair} == {"unknown"}
    assert found.unsettled == (("a", "b"),)


def test_what_was_not_measured_is_in_no_contrast() -> None:
    truth = multiplied({"a": 1.0, "b": 1.3, "c": 1.6}, {"f": 50.0, "g": 80.0})
    del truth["c", "g"]
    found = judged(truth)
    assert {one.servers for one in found.distances} == {("a", "b")}
    values = {"a/f": {0: 1.0}}
    ranking = stats.rank(values, higher_is_better=False, control=None)
    assert stats.two_way({("a", "f"): "a/f", ("b", "f"): "b/f"}, ranking.table, ranking) is None


@given(st.dictionaries(st.sampled_from([*itertools.product(SERVERS, FRAMEWORKS)]), st.floats(20, 900), min_size=4))
@settings(max_examples=40, deadline=None)
def test_no_sentence_contradicts_a_place(truth: dict[tuple[str, str], float]) -> None:
    random = np.random.default_rng(5)
    values = {
        "/".join(place): {n: cost * math.exp(random.normal(0, 0.02)) for n in range(4)} for place, cost in truth.items()
    }
    ranking = stats.rank(values, higher_is_better=False, control=None)
    found = stats.two_way({place: "/".join(place) for place in truth}, ranking.table, ranking)
    if found is None:
        return
    for one in found.crossings:
        for framework, verdict in zip(one.frameworks, ("faster", "slower"), strict=True):
            seen = ranking.between(*(f"{server}/{framework}" for server in one.servers))
            assert seen is not None
            assert seen.verdict == verdict
    for a, b in found.steady:
        both = [f for f in FRAMEWORKS if (a, f) in truth and (b, f) in truth]
        assert all(ranking.apart(f"{a}/{f}", f"{b}/{f}") for f in both)
    crossed = {frozenset(one.servers) for one in found.crossings}
    assert not crossed & {frozenset(pair) for pair in (*found.steady, *found.unsettled)}
