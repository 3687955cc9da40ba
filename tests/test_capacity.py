"""A search for capacity: which steps count, and what its page shows of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sgibench import audit
from sgibench.bench.capacity import Search
from sgibench.engine.stage import Contestant
from sgibench.histogram import Histogram
from sgibench.model import Run, Slo, Trial
from sgibench.report.page import render
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
    assert "1 server compared on json" in page
    assert "No rule found a reason to doubt anything." in page


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
