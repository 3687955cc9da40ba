"""Latency judged like throughput: disturbed machines, rates that were not kept, A/A pairs, and settling by it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sgibench import audit, stats
from sgibench.model import Run, Trial
from sgibench.stats.control import pooled
from sgibench.stats.settling import comparisons_at, make_rule
from tests.results_maker import QUICK, Making, make_run

RATE = 1500
VISIT_S = 0.2
VISITS = 5
SERVERS = {"a": 1000.0, "b": 1080.0, "c": 1400.0, "d": 2100.0, "e": 4200.0, "f": 4300.0, "a~control": 1000.0}
"""Their scale in microseconds: p99 is about 2.2 times as much."""


def p99s_of_block(rng: np.random.Generator, stall_s: float) -> dict[str, float]:
    """Visit all servers in turns at a fixed rate; for `stall_s` at some moment the machine serves nobody.

    What is due in a stall is answered after it, whichever server it is for.
    """
    order = [name for _round in range(VISITS) for name in rng.permutation(list(SERVERS)).tolist()]
    begins = rng.uniform(0, len(order) * VISIT_S - stall_s)
    latencies: dict[str, list[float]] = {name: [] for name in SERVERS}
    level = {name: float(np.exp(rng.normal(0, 0.04))) for name in SERVERS}
    for turn, name in enumerate(order):
        due = turn * VISIT_S + np.arange(int(RATE * VISIT_S)) / RATE
        own = SERVERS[name] * level[name] * np.exp(rng.normal(0, 0.35, len(due)))
        stalled = (due >= begins) & (due < begins + stall_s)
        latencies[name] += (own + stalled * (begins + stall_s - due) * 1e6).tolist()
    assert min(map(len, latencies.values())) >= 1000
    return {name: float(np.quantile(values, 0.99)) for name, values in latencies.items()}


def ranking(seed: int, blocks: int, *, stall_s: float) -> stats.Ranking:
    """Rank by p99; the machine is disturbed in the second block only."""
    rng = np.random.default_rng(seed)
    cells: dict[str, dict[int, float]] = {name: {} for name in SERVERS}
    for block in range(blocks):
        for name, value in p99s_of_block(np.random.default_rng([seed, block]), stall_s if block == 1 else 0.0).items():
            cells[name][block] = value
    del rng
    return stats.rank(cells, higher_is_better=False, control=("a", "a~control"))


def ahead(found: stats.Ranking) -> set[tuple[str, str]]:
    """Pairs of which the first surely has the shorter p99."""
    return {pair for pair, one in found.verdicts.items() if one.verdict == "faster"} | {
        (b, a) for (a, b), one in found.verdicts.items() if one.verdict == "slower"
    }


@pytest.mark.parametrize("blocks", [3, 6])
def test_a_machine_disturbed_for_300_ms_in_one_block_changes_the_order_of_no_p99(blocks: int) -> None:
    truth = {(x, y) for x in SERVERS for y in SERVERS if SERVERS[x] < SERVERS[y]}
    kept = clean = 0
    for seed in range(25):
        before, after = ranking(seed, blocks, stall_s=0.0), ranking(seed, blocks, stall_s=0.3)
        assert not {(b, a) for a, b in ahead(before)} & ahead(after), "nobody changes places"
        assert ahead(after) <= truth, "and nobody is told apart by the disturbance"
        clean += len(ahead(before))
        kept += len(ahead(before) & ahead(after))
    assert kept >= 0.25 * clean, "of fifteen pairs, six to ten are not hit, and most of those are told apart as before"


def with_open(seed: int = 1, **changes: object) -> Run:
    settings = {"seed": seed, "scenarios": ("json",), "rates": (300.0,), "blocks": 6, **changes}
    return make_run(Making(**settings))  # type: ignore[arg-type]


def test_latency_of_a_rate_that_was_not_kept_is_no_value_and_says_why() -> None:
    trial = next(one for one in with_open().trials if one.load.kind == "open")
    assert stats.value_of(trial, "p99_us") is not None
    assert trial.requests is not None
    late = replace(trial, requests=trial.requests // 2, rps=150.0)
    assert stats.value_of(late, "p50_us") is None
    assert stats.value_of(late, "cpu_us_per_request") is not None
    assert stats.lacking([late], "p99_us") == "the rate was not kept, so there is no latency"


@pytest.mark.parametrize(("samples", "known"), [(999, set()), (1_000, {"p99_us"}), (10_000, {"p99_us", "p999_us"})])
def test_p99_needs_a_thousand_answers_in_the_block_and_three_nines_ten_thousand(samples: int, known: set[str]) -> None:
    trial = next(one for one in with_open(samples=samples, blocks=1).trials if one.load.kind == "open")
    bare = replace(trial, latency_us=None)
    found = {metric for metric in stats.METRICS if metric.startswith("p99") and stats.value_of(bare, metric)}
    assert found == known


def test_three_nines_are_a_figure_only_over_the_blocks_of_p99() -> None:
    calm, wild = (
        next(one for one in with_open(samples=samples, blocks=1, seed=seed).trials if one.load.kind == "open")
        for samples, seed in ((10_000, 1), (2_000, 2))
    )
    assert wild.latency_us is not None
    wild = replace(wild, block=1, latency_us=replace(wild.latency_us, p99=50 * (wild.latency_us.p99 or 0)))
    both = [calm, wild]
    assert stats.block_values([calm], "p999_us").keys() == {0}
    assert stats.block_values(both, "p99_us").keys() == {0, 1}
    assert stats.block_values(both, "p999_us") == {}, "it would be that of the calm block, below the p99 of both"
    run = replace(with_open(blocks=1), trials=(calm, wild))
    assert stats.values_of(run, "p999_us") == {}
    assert stats.values_of(run, "p99_us")[calm.cell].keys() == {0, 1}


def test_latency_is_judged_at_the_fixed_rate_where_there_is_one() -> None:
    assert stats.judged("p99_us", "open", {"open", "closed"})
    assert not stats.judged("p99_us", "closed", {"open", "closed"})
    assert stats.judged("p99_us", "closed", {"closed"})
    assert not stats.judged("rps", "open", {"open", "closed"})


def test_a_run_can_be_settled_by_latency() -> None:
    run = with_open(scatter=0.005)
    rule = make_rule("waitress", 6, ("p99_us", "rps"))
    found = comparisons_at(run.trials, rule, 6)
    assert {metric for metric, _cell in found} == {"p99_us", "rps"}
    assert all("/open-300/" in cell for metric, cell in found if metric == "p99_us")
    verdicts = {(metric, cell.split("/")[0]): one.verdict for (metric, cell), one in found.items()}
    assert verdicts["p99_us", "granian-asgi"] == "faster"
    assert verdicts["rps", "granian-asgi"] == "faster"
    assert verdicts["p99_us", "gunicorn-gthread"] == "slower"


def shifted(run: Run, factor: float) -> Run:
    """Let the A/A copy cost more than its original."""

    def move(trial: Trial) -> Trial:
        cost = trial.cpu_us_per_request
        return replace(trial, cpu_us_per_request=cost * factor) if trial.control and cost else trial

    return replace(run, trials=tuple(move(trial) for trial in run.trials))


def test_a_control_that_differs_by_more_than_its_interval_allows_is_a_doubt_about_the_run_alone() -> None:
    run = with_open(scatter=0.01)
    assert audit.audit_run(run).run == ()
    (found,) = audit.audit_run(shifted(run, 1.15)).run
    assert found.kind == "NoiseFloor"
    assert found.detail.startswith("CPU per request: up to ")
    ranked = stats.rank(
        stats.values_of(run, "cpu_us_per_request"), higher_is_better=False, control=None, delta=run.info.delta
    )
    assert ranked.delta == stats.DELTA


def test_controls_of_many_groups_are_looked_at_together() -> None:
    pair = stats.LogRatio(mean=0.05, error=0.0256, degrees=1000.0, blocks=6)
    assert pair.p_value > 0.05, "alone, none of them says anything"
    together = pooled("p99_us", [pair] * 6, stats.DELTA)
    assert (together.pairs, together.differs) == (6, True)
    assert not pooled("p99_us", [pair], stats.DELTA).differs
    small = replace(pair, mean=0.005, error=0.001)
    assert not pooled("p99_us", [small] * 6, stats.DELTA).differs, "sure, and too small to matter"


def test_sound_controls_are_rarely_doubted() -> None:
    doubted = sum(
        any(floor.differs for floor in stats.noise_floors(with_open(seed, blocks=4, samples=1200).trials))
        for seed in range(40)
    )
    assert doubted <= 40 * 0.04 + 2.6 * math.sqrt(40 * 0.04)


def test_every_server_has_a_p99_with_an_interval_at_the_fixed_rate() -> None:
    run = with_open()
    values = stats.values_of(run, "p99_us")
    assert {cell.split("/")[0] for cell in values} == {one.id for one in QUICK}
    assert all(len(blocks) == 6 for blocks in values.values())
