"""Doubts: what arithmetic finds in other people's rows, and in trials of our own."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sgibench import audit
from sgibench.audit import Figures, Late, Look
from sgibench.errors import UsageError
from sgibench.histogram import Histogram
from sgibench.model import (
    AppCost,
    Calibration,
    Generator,
    HistogramData,
    Latency,
    Load,
    Machine,
    OwnInfo,
    Plan,
    Run,
    RunInfo,
    Slice,
    Trial,
    Window,
    Windows,
)
from sgibench.model.behaviour import Behaviour

DATA = Path(__file__).parent / "data" / "audit"


def kinds(row: Figures) -> set[str]:
    return {each.kind for each in audit.doubts_of(row)}


def rows_of(name: str) -> list[Figures]:
    return audit.read_rows((DATA / name).read_text(), name)


# --- the table of truth --------------------------------------------------------------------------------------------


def test_every_expected_doubt_is_raised_on_the_published_rows_and_no_other() -> None:
    with (DATA / "published_rows.csv").open() as file:
        expected = {row["id"]: set(filter(None, row["expected_doubts"].split(";"))) for row in csv.DictReader(file)}
    found = {row.id: {each.kind for each in row.doubts} for row in audit.audit_rows(rows_of("published_rows.csv"))}
    assert len(expected) == 161
    assert found == expected


def test_a_row_that_only_lies_in_a_table_without_discrimination_is_not_refuted() -> None:
    by_id = {row.id: row for row in audit.audit_rows(rows_of("published_rows.csv"))}
    assert by_id["G1-30"].refuted
    assert by_id["R1"].refuted
    assert not by_id["W1"].refuted
    assert not by_id["H1-8"].refuted
    assert not by_id["G1-1"].refuted


@pytest.mark.parametrize(
    ("row", "expected"),
    [  # the published anomalies that are not among the rows
        (Figures(id="A1", connections=128, floor_ms=100, rps=6778, mean_ms=18.846), {"Impossible"}),
        (
            Figures(id="A3", connections=512, floor_ms=10, at_once=1, rps=16412, mean_ms=20.75, max_ms=7610),
            {"Impossible", "LittleMismatch"},
        ),
        (Figures(id="A4", duration_s=10, requests_ok=978, rps=413), {"WrongCount"}),
        (Figures(id="A6", connections=256, rps=8990, mean_ms=0.982, max_ms=7874.828), {"LittleMismatch"}),
        (Figures(id="A8", connections=512, rps=12322, mean_ms=41.6, p99_ms=42.5, server_cpu_share=0.0126), {"Plateau"}),
        (
            Figures(id="A10", connections=4096, rps=7150, mean_ms=6.65, p99_ms=6.65),
            {"LittleMismatch", "WrongCount"},
        ),
        (Figures(id="A13", connections=4096, rps=1531028, mean_ms=0.665), {"LittleMismatch"}),
        (Figures(id="A17", rps=61476, round_rps=(0, 126813, 122953, 0)), {"WrongCount"}),
        (Figures(id="A22", connections=512, rps=148906, p50_ms=1.19, p99_ms=2.19), {"WrongCount"}),
    ],
    ids=lambda value: value.id if isinstance(value, Figures) else "",
)
def test_the_published_anomalies_are_found(row: Figures, expected: set[str]) -> None:
    assert kinds(row) == expected


# --- each rule, at its edge ----------------------------------------------------------------------------------------


def test_littles_law_allows_five_per_cent_and_no_more() -> None:
    honest = Figures(id="x", connections=100, rps=1000, mean_ms=95.1)
    assert kinds(honest) == set()
    assert kinds(replace(honest, mean_ms=94.0)) == {"LittleMismatch"}
    assert kinds(replace(honest, mean_ms=106.0)) == {"LittleMismatch"}
    assert kinds(replace(honest, mean_ms=50.0, load="open")) == set()


def test_littles_law_counts_the_time_to_connect_where_every_request_does() -> None:
    connecting = Figures(id="x", connections=100, rps=1000, mean_ms=80.0, connect_ms=19.0)
    assert kinds(connecting) == set()
    assert kinds(replace(connecting, connect_ms=10.0)) == {"LittleMismatch"}
    assert kinds(replace(connecting, p99_ms=81.0)) == set()


def test_a_scenario_that_waits_sets_a_floor_and_a_ceiling() -> None:
    honest = Figures(id="x", connections=64, floor_ms=50, rps=1270, mean_ms=50.4)
    assert kinds(honest) == set()
    assert kinds(replace(honest, mean_ms=49.6, rps=1290)) == set(), "timers may fire a little early"
    assert kinds(replace(honest, p50_ms=30.0)) == {"Impossible"}
    assert kinds(replace(honest, rps=1340, mean_ms=None)) == {"Impossible"}
    assert kinds(replace(honest, at_once=8)) == {"Impossible"}
    assert kinds(replace(honest, at_once=8, rps=159, mean_ms=402.0)) == set()


def test_p99_below_the_mean_is_possible_with_a_slow_enough_tail() -> None:
    row = Figures(id="x", mean_ms=10.0, p99_ms=2.0, max_ms=900.0)
    assert kinds(row) == set()
    assert kinds(replace(row, max_ms=500.0)) == {"WrongCount"}
    assert kinds(replace(row, max_ms=None)) == {"WrongCount"}


def test_an_implied_mean_above_p99_is_doubted_unless_the_window_has_room_for_the_tail() -> None:
    row = Figures(id="x", connections=64, rps=2319, p99_ms=18.1)
    assert kinds(row) == {"WrongCount"}
    assert kinds(replace(row, duration_s=15)) == set()
    assert kinds(replace(row, max_ms=30.0, duration_s=15)) == {"WrongCount"}


@pytest.mark.parametrize(
    "row",
    [
        Figures(id="copied mean", mean_ms=6.57, p99_ms=6.57),
        Figures(id="copied p50", p50_ms=6.571, p99_ms=6.571),
        Figures(id="copied maximum", p99_ms=41.23, max_ms=41.23, requests_ok=50_000),
        Figures(id="p50 above p99", p50_ms=9.0, p99_ms=8.0),
        Figures(id="p99 above the maximum", p99_ms=9.0, max_ms=8.0),
        Figures(id="mean above the maximum", mean_ms=9.0, max_ms=8.0),
        Figures(id="mean under half of p50", mean_ms=4.0, p50_ms=9.0),
        Figures(id="failures in the rate", requests_ok=900, rps=100, duration_s=10),
        Figures(id="rate under the count", requests_ok=3000, rps=100, duration_s=10),
        Figures(id="all rounds failed", rps=10.0, round_rps=(0.0, 0.0)),
        Figures(id="outside its rounds", rps=150.0, round_rps=(100.0, 101.0, 99.0)),
    ],
    ids=lambda row: row.id,
)
def test_figures_that_contradict_one_another_are_a_wrong_count(row: Figures) -> None:
    assert kinds(row) == {"WrongCount"}


@pytest.mark.parametrize(
    "row",
    [
        Figures(id="in flight at the end", requests_ok=49_488, rps=5000, duration_s=10, connections=512),
        Figures(id="a nominal duration", requests_ok=5_100, rps=1000, duration_s=5),
        Figures(id="one digit each", mean_ms=0.3, p99_ms=0.3),
        Figures(id="answers that came together", p99_ms=2521.8, max_ms=2521.8, requests_ok=50_000, bucketed=True),
        Figures(id="few samples: p99 is the maximum", p99_ms=41.23, max_ms=41.23),
        Figures(id="percentiles rounded alike", p50_ms=100.0, p99_ms=100.0),
        Figures(id="mean of good rounds", rps=124_883, round_rps=(126_813, 122_953, 124_883)),
        Figures(id="all empty"),
    ],
    ids=lambda row: row.id,
)
def test_what_rounding_and_the_edges_of_a_window_explain_is_no_doubt(row: Figures) -> None:
    assert kinds(row) == set()


def test_a_failed_round_left_out_of_the_mean_is_an_error_seen_and_not_a_wrong_count() -> None:
    assert kinds(Figures(id="x", rps=124_883, round_rps=(0, 126_813, 122_953))) == {"ErrorsSeen"}


def test_a_rate_of_zero_is_a_failure_and_not_a_slow_server() -> None:
    assert kinds(Figures(id="x", connections=64, rps=0.0, duration_s=10)) == {"WrongCount", "ErrorsSeen"}


def test_rounds_that_scatter_are_noisy() -> None:
    assert kinds(Figures(id="x", rps=100, round_rps=(70, 100, 130))) == {"Noisy"}


def test_a_plateau_needs_an_idle_server_a_tight_distribution_and_no_better_explanation() -> None:
    row = Figures(id="x", connections=512, rps=12390, mean_ms=41.38, p99_ms=42.4, server_cpu_share=0.02)
    assert kinds(row) == {"Plateau"}
    assert kinds(replace(row, server_cpu_share=0.9)) == set()
    assert kinds(replace(row, server_cpu_share=None)) == set()
    assert kinds(replace(row, server_cpu_share=0.07, foreign_cpu=0.89)) == {"Pressed"}, "not idle: kept from its CPUs"
    assert kinds(replace(row, p99_ms=110.0)) == set()
    assert kinds(replace(row, floor_ms=40.0)) == set()


def test_an_idle_server_is_doubted_only_when_the_generator_is_known_to_have_had_room() -> None:
    row = Figures(id="x", connections=32, rps=1000, server_cpu_share=0.3)
    assert kinds(row) == set()
    assert kinds(replace(row, generator_utilisation=0.4)) == {"ServerIdle"}
    assert kinds(replace(row, generator_utilisation=0.95)) == {"GeneratorBound"}
    assert kinds(replace(row, generator_utilisation=0.4, floor_ms=1.0)) == set()
    assert kinds(replace(row, generator_utilisation=0.4, thinks=True)) == set(), "users who think claim no saturation"
    assert kinds(replace(row, generator_utilisation=0.4, foreign_cpu=0.45)) == {"Pressed"}, "others took the rest"
    little = replace(row, generator_utilisation=0.4, server_cpu_share=0.05, foreign_cpu=0.27)
    assert kinds(little) == {"Pressed", "ServerIdle"}
    assert kinds(replace(little, pressure=0.78)) == {"Pressed"}, "it waited: others may have had all of this window"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Figures(id="x", generator_utilisation=0.86), {"GeneratorBound"}),
        (Figures(id="x", generator_utilisation=0.84, ceiling_share=0.81), {"GeneratorBound"}),
        (Figures(id="x", load="open", late=(Late(name="p50", due_ms=1.0, service_ms=0.89),)), {"GeneratorLag"}),
        (Figures(id="x", load="open", late=(Late(name="p50", due_ms=1.0, service_ms=0.91),)), set()),
        (Figures(id="x", load="closed", late=(Late(name="p50", due_ms=1.0, service_ms=0.1),)), set()),
        (Figures(id="x", load="open", due=600, requests_ok=592, duration_s=3), {"RateNotKept"}),
        (Figures(id="x", load="open", due=600, requests_ok=595, duration_s=3), set()),
        (
            Figures(id="x", load="open", due=600, requests_ok=600, duration_s=3, waiting_start=0, waiting_end=312),
            {"RateNotKept"},
        ),
        (
            Figures(id="x", load="open", due=6000, requests_ok=6000, duration_s=3, waiting_start=2, waiting_end=60),
            set(),
        ),
        (Figures(id="x", new_connections=True, requests_ok=28_300), {"ClientPorts"}),
        (Figures(id="x", new_connections=True, requests_ok=49_100), {"ClientPorts"}),
        (Figures(id="x", new_connections=True, requests_ok=49_100, duration_s=10), set()),
        (Figures(id="x", new_connections=True, requests_ok=49_100, duration_s=125), {"ClientPorts"}),
        (Figures(id="x", new_connections=True, requests_ok=20_000), set()),
        (Figures(id="x", requests_ok=28_232), set()),
        (Figures(id="x", new_connections=True, connect_ms=31.0, p50_ms=4.0), {"ClientPorts"}),
        (Figures(id="x", cpus_given=1, cpus_used=1.7), {"OutsideCpus"}),
        (Figures(id="x", cpus_given=1, cpus_used=1.04), set()),
        (Figures(id="x", outside=("it may run on CPUs 0 and 1, and was given 0",)), {"OutsideCpus"}),
        (Figures(id="x", connections=10, requests_ok=1000, slowest_share=0.05), {"Starvation"}),
        (Figures(id="x", connections=10, requests_ok=1000, jain=0.7, slowest_share=0.5), {"Starvation"}),
        (Figures(id="x", connections=10, requests_ok=100, jain=0.7, slowest_share=0.05), set()),
        (Figures(id="x", errors=1, requests_ok=1000), {"ErrorsSeen"}),
        (Figures(id="x", idle_cpu=0.02), {"BusyIdle"}),
        (Figures(id="x", steal=0.06), {"Stolen"}),
        (Figures(id="x", throttled_s=0.2, duration_s=3), {"Throttled"}),
        (Figures(id="x", pieces=8, disturbed=(("backup", 2),)), {"Pressed"}),
        (Figures(id="x", pieces=8, disturbed=(("backup", 1), ("the hypervisor", 2))), {"Stolen"}),
        (Figures(id="x", pieces=8, disturbed=(("backup", 1),)), set()),
        (Figures(id="x", pressure=0.5), {"Pressed"}),
        (Figures(id="x", pressure=0.5, foreign_cpu=0.01), set()),
        (Figures(id="x", pressure=0.0, foreign_cpu=0.08), {"Pressed"}),
        (Figures(id="x", pressure=0.5, server_cpu_share=0.3), {"Pressed"}),
        (Figures(id="x", pressure=0.5, server_cpu_share=0.97), set()),
        (Figures(id="x", load="open", connections=10, requests_ok=1000, jain=0.5, slowest_share=0.0), set()),
        (Figures(id="x", p99_ms=3.0, requests_ok=900), {"TooFew"}),
        (Figures(id="x", window_parts=(100.0, 101, 99, 100, 120, 121, 119, 120)), {"Unsteady"}),
        (Figures(id="x", window_parts=(100.0, 140, 60, 100, 120, 150, 70, 120)), set()),
    ],
)
def test_each_other_rule_at_its_threshold(row: Figures, expected: set[str]) -> None:
    assert kinds(row) == expected


def test_a_table_discriminates_when_ten_servers_differ_or_fewer_than_ten_are_alike() -> None:
    alike = [Figures(id=str(i), label=f"s{i}", group="g", rps=1000.0 + 10 * i) for i in range(12)]
    assert {each.kind for each in audit.group_doubts(alike)} == {"NoDiscrimination"}
    assert all([d.kind for d in row.doubts] == ["NoDiscrimination"] for row in audit.audit_rows(alike))
    assert audit.group_doubts(alike[:9]) == ()
    assert audit.group_doubts([replace(row, rps=1000.0 * 1.1**i) for i, row in enumerate(alike)]) == ()
    assert audit.group_doubts([replace(row, load="open") for row in alike]) == ()
    assert audit.group_doubts([replace(row, thinks=True) for row in alike]) == ()
    assert audit.group_doubts([replace(row, label="same server") for row in alike]) == ()


def test_a_doubt_says_the_numbers_and_what_to_do() -> None:
    (found,) = audit.doubts_of(Figures(id="x", connections=256, rps=8990, mean_ms=0.982))
    assert found.kind == "LittleMismatch"
    assert "8.83 connections at work, of 256" in found.detail
    assert found.advice == audit.ADVICE["LittleMismatch"]


# --- other tools' files --------------------------------------------------------------------------------------------


def test_wrk_is_read_with_its_percentiles() -> None:
    (row,) = rows_of("wrk-latency.txt")
    assert (row.connections, row.requests_ok, row.errors) == (16, 236578, 0)
    assert row.duration_s == pytest.approx(3.1)
    assert (row.rps, row.mean_ms, row.p99_ms, row.max_ms) == pytest.approx((76315.09, 0.20845, 0.343, 3.23))
    assert kinds(row) == set()


def test_wrk_counts_failures_into_its_rate_and_that_is_found() -> None:
    (row,) = rows_of("wrk-errors.txt")
    assert (row.requests_ok, row.errors) == (0, 146283)
    assert kinds(row) == {"ErrorsSeen", "WrongCount"}


def test_wrk_may_follow_wrk_in_one_file_and_socket_errors_are_read() -> None:
    text = (DATA / "wrk-latency.txt").read_text()
    broken = text.replace("Requests/sec", "  Socket errors: connect 0, read 3, write 0, timeout 4\nRequests/sec")
    first, second = audit.read_rows(text + broken, "both.txt")
    assert (first.id, second.id) == ("both.txt#1", "both.txt#2")
    assert (first.errors, second.errors) == (0, 7)


def test_hey_is_read_and_its_one_digit_figures_are_left_out() -> None:
    (row,) = rows_of("hey.txt")
    assert (row.requests_ok, row.errors) == (119492, 0)
    assert (row.mean_ms, row.p50_ms, row.connections) == (None, None, None)
    assert (row.p99_ms, row.max_ms) == pytest.approx((4.0, 8.8))
    assert kinds(row) == set()
    (failed,) = rows_of("hey-errors.txt")
    assert (failed.requests_ok, failed.errors) == (0, 400)
    assert {"ErrorsSeen", "WrongCount"} <= kinds(failed)


def test_heys_error_distribution_is_read() -> None:
    text = (DATA / "hey.txt").read_text().rstrip() + '\n\nError distribution:\n  [7]\tGet "http://x": EOF\n'
    (row,) = audit.read_rows(text, "hey.txt")
    assert row.errors == 7
    assert "EOF" in row.error_text


def test_oha_is_read_in_milliseconds_and_what_its_deadline_cut_off_is_no_error() -> None:
    (row,) = rows_of("oha.json")
    assert (row.requests_ok, row.errors, row.cut_off) == (50002, 0, 32)
    assert (row.p50_ms, row.p99_ms, row.max_ms) == pytest.approx((3.1, 7.1, 41.2))
    assert kinds(row) == set()


def test_oha_failures_are_found() -> None:
    found = json.loads((DATA / "oha.json").read_text())
    found["statusCodeDistribution"] = {"200": 40002, "503": 9000}
    found["errorDistribution"] = {"connection closed": 1000, "aborted due to deadline": 32}
    (row,) = audit.read_rows(json.dumps(found), "oha.json")
    assert (row.requests_ok, row.errors) == (40002, 10000)
    assert kinds(row) == {"ErrorsSeen", "WrongCount"}


def test_oha_without_a_single_answer_is_read_with_its_nulls() -> None:
    found = json.loads((DATA / "oha.json").read_text())
    found["summary"] |= {"average": None, "slowest": None, "fastest": None, "successRate": None}
    found["latencyPercentiles"] = dict.fromkeys(found["latencyPercentiles"])
    found["statusCodeDistribution"] = {}
    (row,) = audit.read_rows(json.dumps(found), "oha.json")
    assert (row.requests_ok, row.mean_ms, row.p99_ms) == (0, None, None)
    assert kinds(row) == {"WrongCount"}


def test_what_oha_recorded_is_read_and_too_few_answers_carry_no_p99() -> None:
    (row,) = rows_of("oha_recorded.json")
    assert (row.requests_ok, row.cut_off, row.errors) == (12, 2, 0)
    assert row.p50_ms == pytest.approx(29.952542)
    assert kinds(row) == {"TooFew"}
    (nothing,) = rows_of("oha_recorded_nothing.json")
    assert (nothing.requests_ok, nothing.mean_ms, nothing.p99_ms) == (0, None, None)


def test_what_k6_recorded_is_read_with_users_that_came_and_went() -> None:
    (told,) = rows_of("k6_handle_summary_recorded.json")
    assert (told.requests_ok, told.errors, told.connections) == (551, 0, None)
    assert told.mean_ms == pytest.approx(2090.26673164973)
    assert told.rps == pytest.approx(8.860266090124451)
    (exported,) = rows_of("k6_summary_export_recorded.json")
    assert (exported.requests_ok, exported.connections) == (302, None)
    assert exported.p95_ms == pytest.approx(865.0729589499999)


def test_k6_users_are_connections_only_when_they_never_think() -> None:
    (row,) = rows_of("k6_summary_export.json")
    assert (row.connections, row.requests_ok, row.rps) == (8, 40000, 4000)
    assert kinds(row) == set()
    found = json.loads((DATA / "k6_summary_export.json").read_text())
    found["metrics"]["iteration_duration"]["avg"] = 102.0
    (thinking,) = audit.read_rows(json.dumps(found), "k6.json")
    assert thinking.connections is None


def test_k6_handle_summary_is_read_and_its_passes_are_failures() -> None:
    (row,) = rows_of("k6_handle_summary.json")
    assert (row.requests_ok, row.errors, row.connections) == (38000, 2000, None)
    assert kinds(row) == {"ErrorsSeen", "WrongCount"}


def test_locusts_csv_gives_a_row_for_each_request_name() -> None:
    missing, hello, total = rows_of("locust_stats.csv")
    assert hello.label == "GET /plaintext"
    assert (hello.requests_ok, hello.errors) == (23323, 0)
    assert kinds(hello) == set()
    assert kinds(missing) == kinds(total) == {"ErrorsSeen", "WrongCount"}


def test_httparena_finds_the_row_that_waits_for_delayed_acks() -> None:
    found = {
        row.id: {each.kind for each in row.doubts} for row in audit.audit_rows(rows_of("httparena_baseline-512.json"))
    }
    assert found.pop("httparena_baseline-512/bjoern") == {"Plateau"}
    # 33,073/s at a mean of 10.70 ms keep 354 connections busy, of 512.
    assert found.pop("httparena_baseline-512/genhttp") == {"LittleMismatch"}
    assert set().union(*found.values()) == set()
    assert len(found) == 11


def test_httparena_pipelining_counts_and_multiplexed_profiles_are_not_asked_for_littles_law() -> None:
    row = {"framework": "x", "rps": 160_000, "avg_latency": "51.20ms", "connections": 512, "pipeline": 16}
    (piped,) = audit.read_rows(json.dumps([row]), "pipelined-512.json")
    assert piped.connections == 8192
    (streams,) = audit.read_rows(json.dumps({"baseline-h2-256": [row]}), "1.json")
    assert (streams.connections, streams.group) == (None, "baseline-h2-256")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "none of the formats"),
        ("hello", "none of the formats"),
        ("{}", "none of the formats"),
        ("[1, 2", "none of the formats"),
        ("id,rps\nA,fast\n", "line 2: rps is 'fast', not a number"),
        ("id,rps\n,12\n", "line 2: id is empty"),
        ("Running 3s test @ http://x\nRequests/sec: 3\n", "no line such as"),
        ('{"metrics": {"http_req_duration": {}}}', "http_reqs has no count and rate"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        audit.read_rows(text, "file.txt")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_csv_takes_columns_in_any_order_and_a_byte_order_mark() -> None:
    text = "\ufeffrps,id,threads,workers,declared_wait_ms\n170, a ,4,2,50\n150,b,4,2,50\n"
    found = audit.audit_rows(audit.read_rows(text, "x.csv"))
    assert [(row.id, {each.kind for each in row.doubts}) for row in found] == [("a", {"Impossible"}), ("b", set())]


# --- our own trials ------------------------------------------------------------------------------------------------


def trial(server: str = "uvicorn", block: int = 0, rps: float = 10_000.0, **fields: object) -> Trial:
    """A plausible closed-loop trial of three seconds with 32 connections."""
    made = Trial(
        cell=f"{server}/asgi_plain/json/closed-32/w1t1",
        server=server,
        app="asgi_plain",
        scenario="json",
        load=Load(kind="closed", connections=32),
        workers=1,
        threads=1,
        block=block,
        order=0,
        started_at="2026-01-01T00:00:00Z",
        status="ok",
        window_s=3.0,
        requests=int(rps * 3),
        rps=rps,
        cpu_s=2.9,
        cpu_us_per_request=2.9 / rps / 3 * 1e6,
        latency_us=Latency(mean=32 / rps * 1e6, p50=31 / rps * 1e6, p90=None, p99=60 / rps * 1e6, p999=None, max=2e5),
        generator=Generator(
            cpu_s=1.2,
            utilisation=0.4,
            lag_us_p99=50.0,
            connections_established=32,
            jain=0.99,
            slowest_share=0.9,
        ),
    )
    made = replace(made, **fields)  # type: ignore[arg-type]
    if made.cpu_s is None or not made.requests or "cpu_us_per_request" in fields:
        return made
    return replace(made, cpu_us_per_request=1e6 * made.cpu_s / made.requests)


def run_of(trials: list[Trial], ceiling: float | None = None) -> Run:
    machine = Machine(
        hostname_hash="h",
        cpu_model="m",
        cores=2,
        cpus_usable=(0, 1),
        server_cpus=(0,),
        load_cpus=(1,),
        kernel="k",
        system="Linux",
        governor=None,
        python="3.11",
        memory_bytes=1,
        container=None,
        cpu_quota=None,
        sysctls={},
        not_measured={},
    )
    info = RunInfo(
        schema=1,
        run="r",
        started_at="t",
        finished_at="t",
        profile="quick",
        seed=1,
        argv=(),
        version="0",
        commit=None,
        machine=machine,
        environments={},
        skipped={},
        plan=Plan(seed=1, windows=Windows(window_s=3, slice_s=None), blocks=()),
        calibration=() if ceiling is None else (Calibration(scenario="json", rps_per_core=ceiling),),
    )
    return Run(path=Path("r"), info=info, trials=tuple(trials))


def kinds_of(found: audit.RunAudit, place: int = 0) -> set[str]:
    return {each.kind for each in found.trials[place].doubts}


def test_an_honest_run_raises_no_doubt() -> None:
    found = audit.audit_run(run_of([trial(block=block, rps=10_000 + 50 * block) for block in range(3)]))
    assert [row.doubts for row in found.trials] == [(), (), ()]
    assert not found.refuted


def test_a_trial_with_lost_connections_is_refuted() -> None:
    latency = Latency(mean=1000.0, p50=900.0, p90=None, p99=2000.0, p999=None, max=9e5)
    found = audit.audit_run(run_of([trial(block=block, latency_us=latency) for block in range(3)]))
    assert kinds_of(found) == {"LittleMismatch"}
    assert found.refuted


def test_a_load_that_was_uneven_on_a_busy_machine_is_doubted_and_not_refuted_when_the_trial_tells_of_it() -> None:
    """13.9 of 16 connections were refuted although the load itself had counted 13.9."""
    idle = {"latency_us": Latency(mean=2800.0, p50=2700.0, p90=None, p99=6000.0, p999=None, max=2e5)}

    def found(**changed: object) -> set[str]:
        audited = audit.audit_run(run_of([trial(block=block, **{**idle, **changed}) for block in range(3)]))  # type: ignore[arg-type]
        return kinds_of(audited)

    assert found() == {"LittleMismatch"}
    assert found(window=Window(visits="sliced", in_flight=28.03)) == {"LoadUneven"}
    assert found(window=Window(visits="sliced", in_flight=32.0)) == {"LittleMismatch"}
    assert found(pressure=0.56, cpu_s=2.0) == {"LoadUneven", "Pressed"}
    assert found(foreign_cpu=0.08) == {"LittleMismatch", "Pressed"}, "8 % of the time is not an eighth of the rate"
    many = Latency(mean=3600.0, p50=3500.0, p90=None, p99=6000.0, p999=None, max=2e5)
    assert found(latency_us=many, pressure=0.56, cpu_s=2.0) == {"LittleMismatch", "Pressed"}
    outlasting = Window(visits="unbroken", in_flight=36.0)
    assert found(latency_us=replace(many, max=4e5), window=outlasting) == {"LoadUneven"}, "answers outlast the window"
    assert found(latency_us=replace(many, max=1e4), window=outlasting) == {"LittleMismatch"}, "none is that long"


def test_what_went_wrong_outside_the_window_is_doubted_but_not_what_a_kill_cost() -> None:
    lost = trial(block=0, window=Window(visits="sliced", errors_outside={"closed": 3}))
    (found,) = audit.trial_doubts(lost, audit.Surroundings())
    assert found.kind == "ErrorsSeen"
    assert "outside the window" in found.detail
    assert "3 × closed" in found.detail
    assert audit.trial_doubts(replace(lost, behaviour=Behaviour()), audit.Surroundings()) == ()


def test_the_generators_ceiling_comes_from_the_runs_calibration() -> None:
    trials = [trial(block=block) for block in range(3)]
    assert kinds_of(audit.audit_run(run_of(trials, ceiling=12_000))) == {"GeneratorBound"}
    assert kinds_of(audit.audit_run(run_of(trials, ceiling=20_000))) == set()


def test_a_ceiling_that_could_not_be_found_out_is_a_doubt_and_no_reason_to_measure_again() -> None:
    trials = [trial(block=block) for block in range(3)]
    run = run_of(trials)
    run = replace(run, info=replace(run.info, uncalibrated={"json": "no answer came"}))
    found = audit.audit_run(run)
    assert kinds_of(found) == {"CeilingUnknown"}
    assert "no answer came" in found.trials[0].doubts[0].detail
    assert not found.refuted
    assert not audit.worth_repeating(trials[0], audit.surroundings_of(run))
    known = replace(run, info=replace(run.info, calibration=(Calibration(scenario="json", rps_per_core=20_000),)))
    assert kinds_of(audit.audit_run(known)) == set(), "a later one told it"
    other = replace(run, info=replace(run.info, uncalibrated={"page": "no answer came"}))
    assert kinds_of(audit.audit_run(other)) == set()
    busy = Figures(id="x", generator_utilisation=0.9, no_ceiling="no answer came")
    assert kinds(busy) == {"GeneratorBound"}, "then it is known to be the limit"


def test_a_thread_server_cannot_answer_more_than_its_threads_while_an_event_loop_can() -> None:
    latency = Latency(mean=32 / 600 * 1e6, p50=5.2e4, p90=None, p99=6e4, p999=None, max=7e4)
    waits = trial(rps=600.0, latency_us=latency, scenario="wait", floor_s=0.05, threads=4, cpu_s=0.1)
    loops = replace(waits, concurrency="event loop")
    threads = replace(loops, concurrency="threads", cell=f"threads-{loops.cell}")
    found = audit.audit_run(run_of([replace(each, block=b) for each in (loops, threads) for b in range(3)]))
    assert kinds_of(found, 0) == set()
    assert kinds_of(found, 3) == {"Impossible"}


def test_the_floor_may_come_from_the_catalogue_when_the_trial_does_not_carry_it() -> None:
    trials = [trial(block=block) for block in range(3)]
    assert kinds_of(audit.audit_run(run_of(trials), {"json": 0.05})) == {"Impossible"}


def test_blocks_in_which_others_took_the_servers_cpus_contradict_nothing() -> None:
    rates = (10_000.0, 10_100.0, 700.0)
    quiet = run_of([trial(block=block, rps=rps) for block, rps in enumerate(rates)])
    assert "WrongCount" in kinds_of(audit.audit_run(quiet))
    taken = replace(quiet.trials[2], foreign_cpu=0.3, pressure=0.8)
    busy = audit.audit_run(replace(quiet, trials=(*quiet.trials[:2], taken)))
    assert "Noisy" in kinds_of(busy)
    assert "WrongCount" not in kinds_of(busy)


def test_cells_that_scatter_are_noisy_and_cells_with_few_blocks_are_too_few() -> None:
    noisy = audit.audit_run(
        run_of([trial(block=block, rps=rps) for block, rps in enumerate((8000.0, 10_000.0, 13_000.0))])
    )
    assert kinds_of(noisy) == {"Noisy"}
    failed = trial(block=1, status="failed")
    few = audit.audit_run(run_of([trial(block=0), failed]))
    assert kinds_of(few) == {"Thinned", "TooFew"}
    assert any("1 of 2 blocks" in each.detail for each in few.trials[0].doubts)


def test_a_percentile_that_one_block_has_alone_is_noisy_and_what_blocks_usually_differ_by_is_not() -> None:
    """A p99 fifty times as long in one block of six was said nowhere: its geometric mean hid it."""

    def found(*p99_us: float) -> list[str]:
        blocks = [
            trial(block=block, latency_us=Latency(mean=3200.0, p50=3100.0, p90=None, p99=p99, p999=None, max=9e5))
            for block, p99 in enumerate(p99_us)
        ]
        return [f"{each.kind}: {each.detail}" for each in audit.audit_run(run_of(blocks)).trials[0].doubts]

    usual = (4000.0, 4100.0, 4200.0, 4300.0, 4400.0)
    assert found(*usual, 4200.0 * 50) == [
        "Noisy: p99 210 ms in block 6, 50 times as long as the middle of all, 4.20 ms"
    ]
    assert found(*usual, 4200.0 * 6) == []
    assert found(*usual, 4200.0 / 15, 4200.0) == [], "a p99 that is short once is nothing to fear"
    assert "p99 up to 300 ms in 2 blocks" in found(*usual, 2e5, 3e5)[0]
    assert found(4000.0, 2e5) == ["TooFew: 2 of 2 blocks gave a result"]


def test_an_empty_run_and_a_run_of_failures_have_defined_answers() -> None:
    assert audit.audit_run(run_of([])).trials == ()
    found = audit.audit_run(run_of([trial(block=block, status="failed") for block in range(3)]))
    assert [[each.kind for each in row.doubts] for row in found.trials] == [["Failed"]] * 3


def test_a_table_of_alike_servers_is_doubted_under_each_of_its_trials_but_not_the_controls_copy() -> None:
    trials = [trial(server=f"s{i}", block=block, rps=10_000 + 20 * i) for i in range(10) for block in range(3)]
    found = audit.audit_run(run_of(trials))
    assert all(kinds_of(found, place) == {"NoDiscrimination"} for place in range(30))
    without = [*trials[:27], *(replace(each, control=True) for each in trials[27:])]
    assert kinds_of(audit.audit_run(run_of(without))) == set()


def test_a_cells_doubts_are_said_once_with_the_number_of_blocks() -> None:
    busy = Generator(
        cpu_s=2.8, utilisation=0.95, lag_us_p99=None, connections_established=32, jain=None, slowest_share=None
    )
    found = audit.audit_run(run_of([trial(), trial(block=1, generator=busy), trial(block=2, generator=busy)]))
    (only,) = found.cells[trial().cell]
    assert only.kind == "GeneratorBound"
    assert only.detail.startswith("in 2 of 3 blocks")


def test_a_mode_of_the_histogram_at_forty_milliseconds_is_a_plateau_only_with_an_idle_server() -> None:
    histogram = Histogram()
    histogram.record(np.concatenate([np.linspace(5e5, 3e6, 2700), np.linspace(40.5e6, 41.5e6, 300)]).astype(np.int64))
    p50_us, p99_us = (histogram.percentile_us(share) for share in (0.5, 0.99))
    latency = Latency(mean=32_000.0, p50=p50_us or 0.0, p90=None, p99=p99_us, p999=None, max=2e5)
    stuck = {"histogram_us": histogram.to_data(), "rps": 1000.0, "latency_us": latency}
    idle = [trial(block=block, cpu_s=0.3, **stuck) for block in range(3)]  # type: ignore[arg-type]
    assert {"Plateau", "ServerIdle"} == kinds_of(audit.audit_run(run_of(idle)))
    waiting = AppCost(
        app=idle[0].app, request="GET /", weight=1, block=-1, cpu_us=90, wall_us=41e3, wait_us=4e4, calls=9
    )
    own = OwnInfo(apps={}, kinds={}, environment="", python="3", requests=(), costs=(waiting,))
    run = run_of(idle)
    assert not kinds_of(audit.audit_run(replace(run, info=replace(run.info, own=own)))), "the app waits so long itself"
    soon = replace(own, costs=(replace(waiting, wall_us=8e3, wait_us=7e3),))
    assert "Plateau" in kinds_of(audit.audit_run(replace(run, info=replace(run.info, own=soon))))
    busy = [trial(block=block, **stuck) for block in range(3)]  # type: ignore[arg-type]
    assert kinds_of(audit.audit_run(run_of(busy))) == set()


def test_halves_of_a_window_that_differ_are_unsteady() -> None:
    slices = tuple(
        Slice(round=i, window_s=0.1, requests=899 + i % 3 if i < 15 else 1099 + i % 3, cpu_s=2.9 / 30)
        for i in range(30)
    )
    assert kinds_of(audit.audit_run(run_of([trial(block=block, slices=slices) for block in range(3)]))) == {"Unsteady"}


def test_a_figure_that_is_not_what_its_own_parts_have_is_refuted() -> None:
    histogram = Histogram()
    histogram.record(np.linspace(1e6, 5.5e6, 30_000).astype(np.int64))
    p50_us, p99_us = (histogram.percentile_us(share) or 0.0 for share in (0.5, 0.99))
    honest = trial(
        slices=tuple(Slice(round=i, window_s=0.1, requests=1000, cpu_s=2.9 / 30) for i in range(30)),
        histogram_us=histogram.to_data(),
        latency_us=Latency(mean=3200.0, p50=p50_us, p90=None, p99=p99_us, p999=None, max=5.5e3),
    )
    around = audit.Surroundings(server_cpus=1)
    assert audit.trial_doubts(honest, around) == ()
    latency = honest.latency_us
    assert latency is not None
    one, *others = honest.slices
    changes: dict[str, dict[str, object]] = {
        "30,000 right answers, but 28,000 in its slices": {"slices": honest.slices[2:]},
        "30,000 right answers, but 30,001 in its slices": {"slices": (replace(one, requests=1001), *others)},
        "of CPU, but 2.82 s in its slices": {"slices": (replace(one, cpu_s=0.02), *others)},
        "a window of 3.00 s, but 3.10 s of slices": {"slices": (replace(one, window_s=0.2), *others)},
        "5.00 µs of CPU per request, but": {"cpu_us_per_request": 5.0},
        "30,300 right answers, but 30,000 in its histogram": {"requests": 30_300, "rps": 10_100.0, "slices": ()},
        "p99 900 µs, but 5.45 ms in its histogram": {"latency_us": replace(latency, p99=900.0)},
    }
    for said, changed in changes.items():
        doubts = audit.trial_doubts(replace(honest, **changed), around)  # type: ignore[arg-type]
        wrong = [each.detail for each in doubts if each.kind == "WrongCount"]
        assert any(said in each for each in wrong), (said, wrong)


def test_only_doubts_about_machine_or_generator_are_worth_measuring_again() -> None:
    around = audit.Surroundings(server_cpus=1)
    assert audit.worth_repeating(trial(steal=0.2), around)
    assert not audit.worth_repeating(trial(errors={"reset": 3}), around)
    assert not audit.worth_repeating(trial(), around)


def histogram_of(latencies_us: Sequence[float] | NDArray[np.float64]) -> HistogramData:
    made = Histogram()
    made.record((np.asarray(latencies_us) * 1000).astype(np.int64))
    return made.to_data()


OPEN = Load(kind="open", connections=64, rate_per_s=1000.0)


def late_trial(block: int, late_us: float, *, answers: int = 400, lag_us: float = 300.0, queue_max: int = 0) -> Trial:
    """An open trial whose slowest three in a hundred answers are late by the generator's fault."""
    service = np.linspace(900.0, 1100.0, answers)
    due = service + np.where(np.arange(answers) >= 0.97 * answers, late_us, 0.0)
    told = histogram_of(due)
    p50_us = Histogram.from_data(told).percentile_us(0.5)
    generator = trial().generator
    assert generator is not None
    return trial(
        block=block,
        load=OPEN,
        rps=1000.0,
        window_s=answers / 1000.0,
        requests=answers,
        cpu_s=answers / 1000.0 * 0.9,
        latency_us=Latency(mean=1000.0, p50=p50_us, p90=1100.0, p99=None, p999=None, max=2e3),
        histogram_us=histogram_of(service),
        intended_histogram_us=told,
        generator=replace(generator, lag_us_p99=lag_us, queue_max=queue_max),
    )


def test_the_generators_share_of_a_shown_quantile_is_doubted_on_merged_blocks_by_name() -> None:
    found = audit.audit_run(run_of([late_trial(block, 200.0) for block in range(3)]))
    assert {kind for row in found.trials for kind in {each.kind for each in row.doubts}} == {"GeneratorLag"}
    (only,) = found.cells[late_trial(0, 0.0).cell]
    assert only.detail.startswith("p99: ")
    assert "p50" not in only.detail
    punctual = audit.audit_run(run_of([late_trial(block, 20.0) for block in range(3)]))
    assert all(row.doubts == () for row in punctual.trials)


def test_one_block_has_no_p99_whose_share_could_be_judged() -> None:
    around = audit.Surroundings(server_cpus=1)
    assert audit.trial_doubts(late_trial(0, 200.0), around) == ()
    many = late_trial(0, 200.0, answers=2000)
    assert {each.kind for each in audit.trial_doubts(many, around)} == {"GeneratorLag"}


def test_what_waited_for_a_connection_is_not_held_against_the_generator() -> None:
    row = Figures(id="x", load="open", late=(Late(name="p99", due_ms=90.0, service_ms=20.0),))
    assert kinds(row) == {"GeneratorLag"}
    assert kinds(replace(row, queued=True, lag_ms_p99=0.1)) == set()
    assert kinds(replace(row, queued=True, lag_ms_p99=30.0)) == {"GeneratorLag"}
    noted = Late(name="p50", due_ms=20.0, service_ms=5.0, own_ms=0.2)
    assert kinds(replace(row, late=(noted,), queued=True, lag_ms_p99=30.0)) == set(), "its own quantile is known"


def test_a_pause_at_the_end_of_a_window_is_no_rate_that_was_not_kept() -> None:
    row = Figures(
        id="x", load="open", due=600, requests_ok=600, duration_s=3, waiting_start=0, waiting_end=60, p50_ms=2
    )
    assert kinds(row) == set()
    assert kinds(replace(row, p50_ms=150.0)) == {"RateNotKept"}
    turns = replace(row, waiting_end=310, pieces=10)
    assert kinds(turns) == set()
    assert kinds(replace(turns, p50_ms=78.0)) == {"RateNotKept"}
    stopped = replace(row, due=1000, requests_ok=1000, waiting_end=22, pieces=50)
    assert kinds(replace(stopped, grown_most=22)) == set(), "one turn of fifty ended in a stop"
    assert kinds(replace(stopped, grown_most=2)) == {"RateNotKept"}, "all of them grew"


def test_waiting_requests_that_differ_by_chance_are_no_growing_queue() -> None:
    row = Figures(id="x", load="open", due=2000, requests_ok=2000, duration_s=3, p50_ms=400)
    assert kinds(replace(row, waiting_start=260, waiting_end=300)) == set()
    assert kinds(replace(row, waiting_start=260, waiting_end=380)) == {"RateNotKept"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Figures(id="think", connections=16, rps=107.0, mean_ms=1.4, thinks=True), set()),
        (
            Figures(id="more at work than users", connections=16, rps=20_000, mean_ms=1.4, thinks=True),
            {"LittleMismatch"},
        ),
        (Figures(id="idle known", connections=16, rps=107.0, mean_ms=1.4, thinks=True, idle=15.8), set()),
        (Figures(id="some missing", connections=16, rps=107.0, mean_ms=1.4, thinks=True, idle=9.0), {"LittleMismatch"}),
        (Figures(id="wrk raised its mean", connections=16, rps=1000, mean_ms=40.0, mean_raised=True), set()),
        (Figures(id="wrk lost some", connections=16, rps=1000, mean_ms=4.0, mean_raised=True), {"LittleMismatch"}),
        (Figures(id="visits", connections=64, rps=1020, mean_ms=55.0, duration_s=3.0, pieces=30), set()),
        (Figures(id="one visit", connections=64, rps=1020, mean_ms=55.0, duration_s=3.0), {"LittleMismatch"}),
        (Figures(id="edges", connections=64, rps=40, mean_ms=1200.0, duration_s=5.0), set()),
        (Figures(id="stall", connections=10, rps=90, mean_ms=90.0, max_ms=400.0, duration_s=2.0), {"LoadUneven"}),
        (Figures(id="short", connections=10, rps=90, mean_ms=90.0, max_ms=150.0, duration_s=2.0), {"LittleMismatch"}),
        (Figures(id="half", connections=10, rps=90, mean_ms=60.0, max_ms=1999.0, duration_s=2.0), {"LittleMismatch"}),
        (Figures(id="more than edges", connections=64, rps=30, mean_ms=1200.0, duration_s=5.0), {"LittleMismatch"}),
    ],
    ids=lambda value: value.id if isinstance(value, Figures) else "",
)
def test_littles_law_knows_think_time_corrected_means_and_edges(row: Figures, expected: set[str]) -> None:
    assert kinds(row) == expected


def test_a_queue_before_threads_that_wait_is_no_timer_of_the_network() -> None:
    row = Figures(id="x", connections=64, at_once=16, floor_ms=50, p50_ms=203.0, p99_ms=207.0, server_cpu_share=0.1)
    assert kinds(row) == set()
    assert kinds(replace(row, at_once=None)) == {"Plateau"}
    assert kinds(replace(row, connections=16)) == {"Plateau"}
    assert kinds(replace(row, floor_ms=47.0, p50_ms=201.0, p99_ms=204.0)) == {"Plateau"}, "4 x 47 is 188"


def test_rounds_that_differ_by_orders_of_magnitude_have_no_mean() -> None:
    assert kinds(Figures(id="x", rps=900.0, round_rps=(90.0, 1000.0, 1100.0))) == {"WrongCount", "Noisy"}
    blocks = [trial(block=block, rps=rps) for block, rps in enumerate((9000.0, 10_000.0, 700.0))]
    assert "WrongCount" in kinds_of(audit.audit_run(run_of(blocks)))


def looks(*megabytes: float) -> tuple[Look, ...]:
    return tuple(Look(at_s=0.5 * place, held_bytes=held * 2**20) for place, held in enumerate(megabytes))


def test_memory_that_never_stops_growing_is_doubted_and_a_pool_that_fills_is_not() -> None:
    assert kinds(Figures(id="leak", memory=looks(40, 65, 90, 115, 140, 165))) == {"Growing"}
    assert kinds(Figures(id="leak with an odd look", memory=looks(40, 65, 90, 12, 140, 165))) == {"Growing"}
    assert kinds(Figures(id="pool", memory=looks(40, 65, 85, 90, 91, 91, 91, 91))) == set()
    assert kinds(Figures(id="steady", memory=looks(40, 41, 40, 42, 41, 41))) == set()
    assert kinds(Figures(id="large and hardly growing", memory=looks(900, 905, 910, 915, 920, 925))) == set()
    assert kinds(Figures(id="too few looks", memory=looks(40, 65, 90, 115))) == set()


def test_lateness_is_worth_measuring_again_when_timers_do_not_explain_it() -> None:
    around = audit.Surroundings(server_cpus=1)
    for lag_us, again in ((15.0, False), (60.0, False), (300.0, True)):
        late = late_trial(0, 200.0, answers=2000, lag_us=lag_us)
        assert {one.kind for one in audit.trial_doubts(late, around)} == {"GeneratorLag"}
        assert audit.worth_repeating(late, around) is again
