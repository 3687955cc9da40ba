"""A search for capacity: which steps count, and what its page shows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from sgibench import audit
from sgibench.bench.capacity import Search
from sgibench.bench.steps import USUAL_STEP_S, floor_of, rate_trial, step_windows
from sgibench.engine.contestant import Contestant
from sgibench.histogram import Histogram
from sgibench.model import Failure, Jobs, Run, Slo, Trial, Window, Windows
from sgibench.report.capacities import CapacityTable, capacities_of
from sgibench.report.page import render
from sgibench.stats.capacity import rule_for, step_verdict
from tests.results_maker import Making, make_run, with_capacity

SLO = Slo(quantile=0.99, limit_us=50_000)
QUIET = make_run(Making(scenarios=("json",), rates=(1000.0,)))


def step(number: int, *, rate_per_s: float = 1000.0, latency_ms: float = 5.0, steal: float = 0.0) -> Trial:
    """One step of uvicorn's search in which every answer took equally long."""
    base = next(one for one in QUIET.trials if one.load.kind == "open" and one.server == "uvicorn-httptools")
    latencies = Histogram()
    latencies.record([int(latency_ms * 1e6)] * 1000)
    data = latencies.to_data()
    return replace(
        base,
        load=replace(base.load, rate_per_s=rate_per_s, connections=64),
        requests=1000,
        window_s=1000 / rate_per_s,
        rps=rate_per_s,
        histogram_us=data,
        intended_histogram_us=data,
        steal=steal,
        step=number,
    )


def search() -> Search:
    cell = next(
        cell
        for stage in QUIET.info.plan.blocks[0].stages
        for group in stage.groups
        for cell in group.cells
        if cell.server == "uvicorn-httptools"
    )
    return Search(cell=cell, contestant=Contestant.__new__(Contestant), slo=SLO, resolution=0.05, highest_per_s=1e5)


def hear(one: Search, trial: Trial) -> bool:
    around = audit.surroundings_of(QUIET)
    return one.hear(trial, disturbed=audit.worth_repeating(trial, around), excuses=2)


def test_a_step_that_fails_on_a_disturbed_machine_is_taken_again_twice_at_most() -> None:
    one = search()
    late = [step(number, latency_ms=80, steal=0.3) for number in (1, 2, 3)]
    assert [hear(one, trial) for trial in late] == [False, False, True]
    assert [trial.over for trial in one.heard] == [1000]


@pytest.mark.parametrize(("latency_ms", "steal"), [(80, 0.0), (5, 0.3)])
def test_a_step_counts_when_the_machine_was_quiet_and_when_it_held_in_spite_of_the_machine(
    latency_ms: float, steal: float
) -> None:
    one = search()
    assert hear(one, step(1, latency_ms=latency_ms, steal=steal))
    assert len(one.heard) == 1


def test_a_step_whose_load_process_was_lost_says_nothing_and_the_third_in_a_row_ends_the_search() -> None:
    lost = replace(step(1), status="failed", failure=Failure(reason="load-lost", detail="killed by SIGKILL"))
    one = search()
    one.contestant.failure = None
    assert [hear(one, trial) for trial in (lost, lost, step(2), lost, lost)] == [False, False, True, False, False]
    assert [trial.rate_per_s for trial in one.heard] == [1000.0]
    assert one.contestant.failure is None
    assert not hear(one, lost)
    assert one.contestant.failure is lost.failure
    assert one.ask() is None


@pytest.mark.parametrize("rate_per_s", [4.0, 20.0, 29.0, 40.0, 700.0, 20_000.0])
def test_a_step_is_as_long_as_the_answers_that_it_needs(rate_per_s: float) -> None:
    rule = rule_for(20.0, USUAL_STEP_S)
    windows = step_windows(Windows(window_s=3, slice_s=0.1, turn_s=0.3, open_window_s=1.2), rate_per_s, rule)
    assert rate_per_s * windows.window_s >= rule.answers
    assert (windows.slice_s, windows.turn_s, windows.open_window_s) == (None, None, None)
    assert floor_of(rule) < 4.0


def test_requests_that_were_never_answered_are_over_the_limit_and_no_other_error_is_forgiven() -> None:
    lost = rate_trial(replace(step(1), errors={"timeout": 12, "unanswered": 5, "unsent": 2}), SLO)
    assert (lost.answers, lost.over, lost.errors) == (1019, 19, 0)
    given_up = replace(step(1), errors={"timeout": 19}, window=Window(visits="unbroken", censored=19))
    assert rate_trial(given_up, SLO).over == 19
    assert step_verdict(lost, rule_for(100.0, USUAL_STEP_S)) == "failed"
    assert rate_trial(replace(step(1), errors={"reset": 1}), SLO).errors == 1


@pytest.mark.parametrize(("limit_ms", "waited_ms"), [(50, 5_000), (10_000, 5_000), (5_000, 5_000)])
def test_a_request_that_was_given_up_counts_once_as_over_any_limit(limit_ms: float, waited_ms: float) -> None:
    latencies = Histogram()
    latencies.record([5_000_000] * 1000 + [int(waited_ms * 1e6)] * 19)
    window = Window(visits="unbroken", censored=19, censored_from_us=waited_ms * 1e3)
    lost = replace(
        step(1), intended_histogram_us=latencies.to_data(), errors={"timeout": 19}, window=window, requests=1000
    )
    found = rate_trial(lost, Slo(quantile=0.99, limit_us=limit_ms * 1e3))
    assert (found.answers, found.over, found.errors) == (1019, 19, 0)


def capacities(*blocks: Mapping[str, tuple[float, float] | None], resolution: float = 1.05) -> CapacityTable:
    """Searches that found these: server -> what held and what failed; None = not even 4/s held."""
    one = with_capacity(QUIET, slo=SLO, rates={"any": 1.0}, blocks=1).info.capacity[0]
    found = [
        replace(one, server=server, block=block, rate_per_s=held and held[0], failed_at_per_s=held[1] if held else 4.0)
        for block, servers in enumerate(blocks)
        for server, held in servers.items()
    ]
    return capacities_of(replace(QUIET, info=replace(QUIET.info, capacity=tuple(found), resolution=resolution)))[0]


def test_servers_nearer_to_one_another_than_a_search_looks_are_not_told_apart() -> None:
    near = {"a": (1000.0, 1050.0), "b": (963.0, 1010.0), "c": (700.0, 735.0)}
    for blocks in (3, 8):
        table = capacities(*[near] * blocks)
        assert [entry.place for entry in table.entries] == [1, 1, 3]
        best = table.entries[0].rate_per_s
        assert best
        assert (best.value, best.low, best.high) == pytest.approx((1000, 1000, 1050)), "it lies between the two"
    assert [entry.place for entry in capacities(*[near] * 3, resolution=1.01).entries] == [1, 2, 3]


def test_searches_in_which_nothing_held_are_told_beside_those_in_which_something_did() -> None:
    table = capacities({"a": (1000.0, 1050.0), "b": None}, {"a": None, "b": None}, {"a": None, "b": None})
    assert table.entries[0].words.endswith("in 2 of 3 searches no rate held")
    assert "in 2 of 3 searches no rate held" in table.sentence
    assert table.entries[1].words == "no rate held the limit, not even 4.00/s"
    nothing = capacities({"a": None}, {"a": None})
    assert "a: no rate held the limit, not even 4.00/s" in nothing.sentence


def test_a_step_whose_queue_grew_did_not_hold_however_soon_its_answers_came() -> None:
    grown = Window(visits="unbroken", due=1000, waiting_start=0, waiting_end=400)
    fast = step(1)
    assert rate_trial(fast, SLO).kept_up
    assert rate_trial(replace(fast, window=replace(grown, waiting_end=4)), SLO).kept_up
    slow = step(1, latency_ms=200)
    assert not rate_trial(replace(slow, window=grown), SLO).kept_up


def test_a_step_whose_jobs_are_not_done_as_fast_as_they_are_handed_in_did_not_hold() -> None:
    """Its answers come soon, because none of them waits for its job."""
    jobs = Jobs(span_s=1.0, handed=1000, done=990, failed=0, waiting_start=0, waiting_end=10)
    assert rate_trial(replace(step(1), jobs=jobs), SLO).kept_up
    grown = rate_trial(replace(step(1), jobs=replace(jobs, done=800, waiting_end=200)), SLO)
    assert not grown.kept_up
    assert step_verdict(grown, rule_for(100.0, USUAL_STEP_S)) == "failed"


def searched(*steps: Trial) -> Run:
    run = with_capacity(replace(QUIET, trials=()), slo=SLO, rates={"uvicorn-httptools": 1000.0})
    return replace(run, steps=steps, info=replace(run.info, slo=SLO))


def test_the_page_of_a_search_shows_its_steps_and_has_nothing_to_filter() -> None:
    late = step(2, rate_per_s=2000.0, latency_ms=80)
    assert late.generator
    page = render(searched(replace(step(1), generator=replace(late.generator, lag_us_p99=4000.0)), late))
    assert "What the search tried: p99 over the rate" in page
    assert "uvicorn-httptools at 2,000/s: p99 80" in page
    assert 'id="filter"' not in page
    assert "1 server measured on json" in page
    assert "No rule found a reason to doubt anything." in page


def test_the_page_of_a_search_shows_no_latency_at_a_rate_that_was_not_kept() -> None:
    grown = Window(visits="unbroken", due=1000, waiting_start=0, waiting_end=800)
    page = render(searched(step(1), replace(step(2, rate_per_s=2000.0, latency_ms=800), window=grown)))
    assert "uvicorn-httptools at 1,000/s: p99 5" in page
    assert "uvicorn-httptools at 2,000/s: p99" not in page
    assert "the rate was not kept" in page


def test_the_page_of_a_search_tells_of_a_disturbed_machine() -> None:
    late = step(3).generator
    assert late
    sent_late = step(3, latency_ms=11).intended_histogram_us
    stalled = replace(step(3), intended_histogram_us=sent_late, generator=replace(late, lag_us_p99=6000.0))
    page = render(searched(step(1, steal=0.3, latency_ms=80), replace(step(2), retries=1), stalled))
    assert "<b>Stolen</b> (1 step)" in page
    assert "<b>GeneratorLag</b> (1 step)" in page
    assert "1 of 3 steps, because of the machine or the generator" in page
    assert "No rule found a reason to doubt anything." not in page
