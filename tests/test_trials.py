"""From what was seen to what is stored: results with numbers, failures with reasons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from sgibench import catalogue
from sgibench.engine.orders import Measured
from sgibench.engine.trials import TOO_LITTLE, Draft, as_kept, judge, latency_of, to_trial, too_soon
from sgibench.histogram import Histogram
from sgibench.model import Exchange, Failure, Scenario, Window
from sgibench.model.kinds import KINDS, ErrorKind, gravest, told
from tests.results_maker import Making, make_run


def histogram_of(latencies_us: list[float]) -> Histogram:
    histogram = Histogram()
    histogram.record(np.asarray([round(one * 1000) for one in latencies_us], dtype=np.int64))
    return histogram


def seen(service_us: list[float], due_us: list[float] | None = None, **changes: object) -> Measured:
    fields: dict[str, object] = {
        "id": "x",
        "window_s": 1.0,
        "requests": len(service_us),
        "histogram": histogram_of(service_us).to_data(),
        "intended_histogram": None if due_us is None else histogram_of(due_us).to_data(),
        "mean_us": sum(service_us) / len(service_us) if service_us else None,
        "max_us": max(service_us, default=None),
        **changes,
    }
    return Measured(**fields)  # type: ignore[arg-type]  # checked by the dataclass's own users


def test_an_open_load_is_timed_from_when_requests_were_due_in_every_figure() -> None:
    latency = latency_of(seen([100.0] * 2000, [1000.0] * 1000 + [3000.0] * 1000), open_loop=True)
    assert latency is not None
    assert latency.mean == pytest.approx(2000, rel=1e-3)
    assert latency.p50 == pytest.approx(1000, rel=1e-3)
    assert latency.p99 == pytest.approx(3000, rel=1e-3)
    assert latency.max == pytest.approx(3000, rel=2e-3)


@pytest.mark.parametrize("open_loop", [False, True])
def test_no_percentile_lies_above_the_maximum(*, open_loop: bool) -> None:
    values = [44_123.457] * 20_000
    latency = latency_of(seen(values, values), open_loop=open_loop)
    assert latency is not None
    assert latency.max is not None
    for percentile in (latency.p50, latency.p90, latency.p99, latency.p999):
        assert percentile is not None
        assert percentile <= latency.max


@pytest.mark.parametrize(("soonest_us", "is_wrong"), [(500.0, True), (15_900.0, True), (19_600.0, False)])
@pytest.mark.parametrize("alone", [False, True])
def test_an_answer_before_its_least_time_fails_the_trial(*, alone: bool, soonest_us: float, is_wrong: bool) -> None:
    """Whoever answers a slow query at once has not asked it; a clock of milliseconds may be off by one."""
    slow = Exchange(
        name="/query/20",
        method="GET",
        path="/query/20",
        headers=(),
        body=b"",
        status=200,
        expected_body=b"",
        least_s=0.02,
    )
    quick = replace(slow, name="/json", path="/json", least_s=0.0)
    scenario = Scenario(
        id="s",
        summary="",
        path=Path("s.py"),
        exchanges=(slow,) if alone else (quick, slow),
        floor_s=0.0,
        interfaces=("wsgi",),
    )
    times = [soonest_us, 21_000.0, 30_000.0]
    kinds = (
        {} if alone else {"GET /json": histogram_of([90.0]).to_data(), "GET /query/20": histogram_of(times).to_data()}
    )
    failure = too_soon(scenario, seen(times if alone else [*times, 90.0], by_request=kinds))
    assert (failure is not None) == is_wrong
    if failure is not None:
        assert failure.reason == "wrong-answer"
        assert failure.detail.startswith("1 of 3 answers to GET /query/20 came before their time: expected 20.0 ms")


def test_a_percentile_without_enough_answers_behind_it_is_not_there() -> None:
    latency = latency_of(seen([100.0] * 500), open_loop=False)
    assert latency is not None
    assert latency.p50 is not None
    assert latency.p90 is not None
    assert latency.p99 is None
    assert latency.p999 is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"errors": {"body": 1}}, "wrong-answer"),
        ({"errors_uncounted": {"status": 1}}, "wrong-answer"),
        *[
            ({where: {name: 1, "reset": 3}}, {"wrong": "wrong-answer", "void": "client"}[kind.weight])
            for name, kind in KINDS.items()
            for where in ("errors", "errors_uncounted")
            if kind.weight != "lost" and name != "unspoken"
        ],
        ({"errors": {"a kind of tomorrow": 1}}, "wrong-answer"),
        ({"errors": {"body": 1, "client": 1}}, "client"),
        *[({"errors": {name: 200}}, "errors") for name, kind in KINDS.items() if kind.weight == "lost"],
        *[({"errors": {name: 5}}, None) for name, kind in KINDS.items() if kind.weight == "lost"],
        ({"gave_up_reason": "hung", "gave_up_detail": "no answer"}, "hung"),
        ({"errors": {"reset": 5}}, None),
        ({}, None),
    ],
)
def test_wrong_answers_are_never_forgiven_and_broken_connections_up_to_one_in_a_hundred(
    changes: dict[str, Any], reason: str | None
) -> None:
    failure = judge(seen([100.0] * 1000, **changes), "the log")
    assert (failure.reason if failure else None) == reason
    if failure:
        assert failure.log_tail == "the log"


@pytest.mark.parametrize(
    ("changes", "told_so"),
    [
        (
            {"errors": {"status": 243}, "errors_uncounted": {"status": 305, "body": 2}},
            "wrong answers: 243 × status beside 1,000 right answers; first: 500 came",
        ),
        ({"errors_uncounted": {"status": 3}}, "outside the window: wrong answers: 3 × status; first: 500 came"),
        ({"errors": {"reset": 200}}, "lost: 200 × reset beside 1,000 right answers"),
    ],
)
def test_wrong_and_right_answers_are_told_for_the_same_time(changes: dict[str, Any], told_so: str) -> None:
    failure = judge(seen([100.0] * 1000, error_samples={"status": "500 came"}, **changes), "")
    assert failure is not None
    assert failure.detail == told_so


def test_what_a_server_does_not_speak_outweighs_what_it_said_instead() -> None:
    failure = judge(seen([100.0] * 1000, errors_uncounted={"unspoken": 1, "body": 3}), "the log")
    assert failure is not None
    assert failure.reason == "not-spoken"


def test_a_window_without_a_right_answer_is_a_failure() -> None:
    failure = judge(seen([]), "")
    assert failure is not None
    assert failure.reason == "no-right-answer"


def test_every_kind_that_the_load_process_may_name_has_its_row() -> None:
    assert get_args(ErrorKind) == tuple(KINDS)


def test_the_heaviest_kind_explains_the_others() -> None:
    assert gravest({}) is None
    assert gravest({"reset": 900, "refused": 30}) == "reset"
    assert gravest({"reset": 900, "status": 1}) == "status"
    assert gravest({"status": 7, "reset": 900, "client": 1}) == "client"


def test_errors_are_told_by_weight_the_heaviest_first() -> None:
    errors = {"timeout": 2, "body": 1, "reset": 3, "client": 4, "leftover": 0}
    assert told(errors) == "the client's own: 4 × client; wrong answers: 1 × body; lost: 3 × reset, 2 × timeout"
    assert not told({})


def test_a_rate_that_was_not_kept_leaves_no_latency_no_cost_and_the_rate_that_was_reached() -> None:
    whole = next(trial for trial in make_run(Making(rates=(1000.0,))).trials if trial.load.kind == "open")
    kept = replace(whole, window=Window(visits="unbroken", due=3000, in_time=2996, waiting_start=3, waiting_end=4))
    assert as_kept(kept) == kept
    queue = Histogram()
    queue.record([1_000_000 * step for step in range(1, 1501)])
    grown = Window(visits="unbroken", due=3000, in_time=1500, waiting_start=20, waiting_end=1520)
    found = as_kept(replace(whole, window=grown, window_s=3.0, intended_histogram_us=queue.to_data()))
    assert (found.rps, found.latency_us, found.cpu_us_per_request) == (500.0, None, None)
    assert found.intended_histogram_us == queue.to_data()


def test_a_window_that_owned_no_request_is_skipped_and_no_failure() -> None:
    nothing = Measured(id="x", window_s=0.01, window=Window(visits="unbroken", due=0, sent=0))
    found = judge(nothing, "")
    assert found is not None
    assert found.reason == TOO_LITTLE
    asked = judge(replace(nothing, window=Window(visits="unbroken", due=3, sent=0)), "")
    assert asked is not None
    assert asked.reason == "no-right-answer"


def test_what_is_stored_of_a_draft_knows_whether_there_was_too_little_and_whether_the_rate_was_kept() -> None:
    run = make_run(Making(rates=(1000.0,)))
    cell = next(
        cell
        for stage in run.info.plan.blocks[0].stages
        for group in stage.groups
        for cell in group.cells
        if cell.load.kind == "open"
    )
    entry = catalogue.load().server("uvicorn-httptools")
    draft = Draft(cell=cell, entry=entry, order=0, started_at="t", floor_s=0.0)
    grown = Window(visits="unbroken", due=1000, in_time=400, waiting_start=0, waiting_end=600)
    late = [1e3 * step for step in range(1, 1001)]
    kept = to_trial(replace(draft, measured=seen(late, late)), 0)
    assert (kept.status, kept.latency_us is not None) == ("ok", True)
    grew = to_trial(replace(draft, measured=seen(late, late, window=grown)), 0)
    assert (grew.status, grew.latency_us, grew.rps) == ("ok", None, 400.0)
    starved = replace(grown, in_time=0, waiting_end=1000)
    none = to_trial(replace(draft, measured=seen(late, late, window=starved)), 0)
    assert (none.status, none.rps, none.requests) == ("failed", None, None)
    assert none.failure is not None
    assert none.failure.reason == "no-right-answer"
    little = replace(draft, measured=seen([]), failure=Failure(reason=TOO_LITTLE, detail=""))
    assert to_trial(little, 0).status == "skipped"
    assert to_trial(replace(little, failure=Failure(reason="hung", detail="")), 0).status == "failed"
