"""The report says what was measured, claims no more than the judgement, and lets nothing from outside in."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import itertools
import json
import math
import re
import shlex
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import matplotlib.font_manager
import matplotlib.textpath
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from sgibench import report, stats, units
from sgibench.errors import ResultsError
from sgibench.histogram import Histogram
from sgibench.model import Failure, Overflow, Run, Slo, Trial, Window, Windows
from sgibench.model.behaviour import Behaviour, Happened, Sample
from sgibench.model.terms import Visits
from sgibench.report import behaviours, words
from sgibench.report.capacities import capacities_of
from sgibench.report.charts.curves import Curve, Point, counted_axis, draw_curves, linear_axis, percentile_axis
from sgibench.report.charts.sheet import NAME_ROOM, WIDTH, fitting, middled, width_of
from sgibench.report.evidence import evidence_of
from sgibench.report.exports import hgrm_of
from sgibench.report.panels import looks_of, view_of
from sgibench.report.plots import charts_of
from sgibench.report.refuted import refuted_of
from sgibench.report.sentences import answer_of
from sgibench.stats.runs import compare_runs
from tests.results_maker import CATALOGUE, QUICK, Contestant, Making, hostile_run, make_run, on_one_cpu, with_capacity

VOID = {"meta", "link", "input", "br", "img", "hr"}
CLEAR = (
    Contestant(id="quick-one", interface="asgi", concurrency="event loop", cpu_us=50),
    Contestant(id="slow-one", interface="asgi", concurrency="event loop", cpu_us=150),
)
BROKEN = Contestant(id="broken-one", interface="wsgi", concurrency="threads", cpu_us=9, fails="exited")


class Page(HTMLParser):
    """A page as a browser would take it apart: elements with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside in self.raw:
            self.raw[inside].append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _tag, attributes in self.elements if name in attributes]

    def count(self, tag: str) -> int:
        return sum(one == tag for one, _attributes in self.elements)


def page_of(run: Run) -> Page:
    return Page(report.render(run))


def ranked_names(page: Page) -> list[str]:
    return [found["data-name"] for tag, found in page.elements if tag == "tr" and "data-name" in found]


def test_the_page_needs_nothing_from_anywhere() -> None:
    page = page_of(make_run())
    links = [link for link in page.attributes("href") + page.attributes("src") if not link.startswith(("#", "data:"))]
    assert set(links) == {"index.html"}
    assert "@import" not in page.raw["style"][0]
    assert "url(" not in page.raw["style"][0]


@pytest.mark.parametrize("run", [make_run(), hostile_run()], ids=["ordinary", "hostile"])
def test_the_policy_allows_exactly_our_style_and_our_script(run: Run) -> None:
    page = page_of(run)
    policy = next(found["content"] for _tag, found in page.elements if found.get("http-equiv"))
    for kind in ("style", "script"):
        assert page.count(kind) == len(page.raw[kind]) == 1
        digest = base64.b64encode(hashlib.sha256(page.raw[kind][0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


@pytest.mark.parametrize("run", [make_run(), hostile_run()], ids=["ordinary", "hostile"])
def test_no_element_carries_a_style_or_a_handler_that_the_policy_would_block(run: Run) -> None:
    page = page_of(run)
    names = {name for _tag, found in page.elements for name in found}
    assert not {name for name in names if name == "style" or name.startswith("on")}


def test_a_server_named_script_stays_text() -> None:
    page = page_of(hostile_run("<script>alert(1)</script>"))
    assert page.count("script") == 1
    assert page.count("img") == 0
    assert "<script>alert(1)</script>" in page.text
    assert "onerror=alert(2)" in page.text
    assert "<script>alert(1)</script>" in ranked_names(page)


def test_a_name_with_dollar_signs_is_drawn_as_it_is_and_not_as_mathematics() -> None:
    run = make_run(Making(servers=(replace(CLEAR[0], id="$x_1$ & {y}"), CLEAR[1])))
    drawing = str(charts_of(view_of(run).panels[0])[0].drawing)
    assert "$x_1$ &amp; {y}" in drawing


def test_two_runs_of_the_same_results_give_the_same_page() -> None:
    assert report.render(make_run()) == report.render(make_run())


def test_each_server_is_one_row_and_the_control_is_none() -> None:
    page = page_of(make_run(Making(scenarios=("json",))))
    assert sorted(ranked_names(page)) == sorted(one.id for one in QUICK)
    assert "~control" not in page.text


def test_the_noise_floor_is_printed_and_its_lack_is_said() -> None:
    assert "A/A noise: not measured" not in page_of(make_run()).text
    without = page_of(make_run(Making(control=False)))
    assert "A/A noise: not measured" in without.text
    assert "No A/A control was run" in without.text


def test_the_page_says_what_was_measured_on_what_and_with_which_commands() -> None:
    run = make_run()
    text = page_of(run).text
    for said in (run.info.machine.cpu_model, "net.core.somaxconn", "uvicorn==1.2.3", "h11==0.16.0", "0.1.0"):
        assert said in text
    last = next(trial for trial in reversed(run.trials) if not trial.control)
    assert shlex.join(last.argv or ()) in text
    assert "sgibench run --profile quick" in text
    assert "3 s in slices of 100 ms" in text


def test_a_trial_that_could_not_be_stored_leaves_its_server_its_interface_and_its_name() -> None:
    run = make_run()
    lost = next(trial for trial in run.trials if trial.server == "waitress" and not trial.control)
    bare = replace(lost, status="failed", interface=None, concurrency=None, failure=Failure(reason="x", detail="y"))
    found = view_of(replace(run, trials=tuple(bare if trial is lost else trial for trial in run.trials)))
    rows = [row for panel in found.panels for row in panel.rows if row.entry.server == "waitress"]
    told = {(row.label, row.entry.interface, row.entry.concurrency) for row in rows}
    assert told == {("waitress", "wsgi", "threads")}


def test_a_page_ranked_by_three_nines_says_so_where_places_are_chosen() -> None:
    run = make_run(Making(rates=(200.0,), samples=12_000, scenarios=("json",)))
    chosen = report.render(run, rank_by="p999_us")
    choice = chosen.partition('id="ranker"')[2].partition("</select>")[0]
    assert re.findall(r'value="(\w+)" selected', choice) == ["p999"]
    places = re.findall(r'data-column="p999" data-value="[\d.]+" data-place="(\d)"', chosen)
    assert min(places) == "1"
    assert len(places) == len(QUICK)


WATCHED = Windows(**{**vars(make_run().info.plan.windows), "watched_s": {"json": 7.0}})
SHORTER = Windows(**{**vars(make_run().info.plan.windows), "own_s": {"wait": 0.5}})


@pytest.mark.parametrize(
    ("ways", "windows", "said"),
    [
        ({"json": "sliced", "wait": "sliced"}, None, "window 3 s in slices of 100 ms"),
        ({"json": "sliced longer than", "wait": "sliced"}, None, "3 s in slices of at least 100 ms"),
        ({"json": "sliced", "wait": "unbroken"}, None, "3 s, 1 of 2 groups in slices of 100 ms"),
        ({"json": "unbroken", "wait": "unbroken"}, None, "3 s, unbroken"),
        ({"json": "unbroken", "wait": "sliced"}, WATCHED, "3 s in slices of 100 ms; json: 7 s, unbroken"),
        ({"json": "unbroken"}, WATCHED, "window json: 7 s, unbroken"),
        ({"json": "sliced", "wait": "unbroken"}, SHORTER, "3 s, 1 of 2 groups in slices of 100 ms; wait: 500 ms"),
        ({"wait": "unbroken"}, SHORTER, "window wait: 500 ms"),
    ],
)
def test_the_page_says_how_windows_were_made_and_not_how_they_might_have_been(
    ways: dict[str, str], windows: Windows | None, said: str
) -> None:
    run = make_run(Making(scenarios=tuple(ways), control=False))
    if windows is not None:
        run = replace(run, info=replace(run.info, plan=replace(run.info.plan, windows=windows)))
    trials = []
    for trial in run.trials:
        visits, _, why = ways[trial.scenario].partition(" ")
        trials.append(replace(trial, window=Window(visits=cast("Visits", visits), why=why, pieces=3, timeout_s=1.0)))
    text = page_of(replace(run, trials=tuple(trials))).text
    assert f"{said} {len(trials)} trials" in text.replace(" ,", ",").replace(" ;", ";")


def test_a_rate_that_is_not_to_be_steady_is_not_drawn_as_if_it_were() -> None:
    steady = "Throughput over time within the window"
    run = make_run(Making(scenarios=("json",)))
    killed, burst = Behaviour(happened=KILLED), Overflow(bursts=1, opened=64, listen_overflows=0, listen_drops=0)
    for changes, drawn in (({}, True), ({"behaviour": killed}, False), ({"overflow": burst}, False)):
        trials = tuple(replace(trial, **cast("Any", changes)) for trial in run.trials)
        panel = view_of(replace(run, trials=trials)).panels[0]
        assert (steady in {chart.title for chart in charts_of(panel)}) is drawn


def test_percentiles_are_shares_of_what_is_counted() -> None:
    run = make_run(Making(scenarios=("json",), blocks=1))
    told = replace(run, trials=tuple(replace(trial, unit="delivery") for trial in run.trials))
    text = page_of(told).text
    assert "share of deliveries that were at least this fast" in text
    assert "share of requests" not in text


def test_a_failed_server_says_why_and_shows_the_end_of_its_log_in_place_of_numbers() -> None:
    page = page_of(make_run(Making(servers=(*CLEAR, BROKEN), scenarios=("json",))))
    assert "failed : exited: exit status 3 in mid-trial" in page.text
    assert "RuntimeError: the worker gave up" in page.text
    assert "broken-one failed and is not in the comparison" in page.text
    figures = [found for _tag, found in page.elements if found.get("data-row", "").endswith("r2") and "d" in found]
    assert figures == []


def test_a_server_that_failed_in_one_block_keeps_its_figures_and_says_so() -> None:
    shaky = replace(CLEAR[0], fails="hung", fails_in=frozenset({1}))
    run = make_run(Making(servers=(shaky, CLEAR[1]), blocks=4))
    assert "1 of 4 blocks failed" in page_of(run).text
    row = report.summary(run)["groups"][0]["rows"][0]
    assert (row["server"], row["status"], row["blocks"], row["failed_blocks"]) == ("quick-one", "ok", 3, 1)


def test_what_could_not_take_part_is_named_with_its_reason() -> None:
    run = replace(make_run(Making(skipped={"bjoern": "needs libev headers"})), notices=("the last line was cut",))
    text = page_of(run).text
    assert "skipped: needs libev headers" in text
    assert "the last line was cut" in text
    assert "the kernel offers no cpufreq" in text


def test_servers_and_load_that_shared_a_core_are_said_above_the_answer() -> None:
    text = page_of(on_one_cpu(make_run())).text
    said = "On this machine there is one CPU only, which servers and load share: compare CPU per request"
    assert 0 < text.index(said) < text.index("needs the least CPU")
    assert "On this machine" not in page_of(make_run()).text


@pytest.mark.parametrize(
    "run",
    [
        make_run(Making(blocks=1)),
        make_run(Making(servers=(BROKEN,))),
        replace(make_run(), trials=()),
        make_run(Making(finished=False)),
        make_run(Making(slice_s=None, rates=(100.0, 200.0), settings=((1, 1), (1, 8), (2, 8)))),
    ],
    ids=["one block", "only failures", "no trials", "not finished", "everything"],
)
def test_a_page_is_made_from_whatever_a_run_holds(run: Run, tmp_path: Path) -> None:
    page = report.write(run, tmp_path)
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")
    json.dumps(report.summary(run), allow_nan=False)


def test_trials_without_the_optional_figures_make_a_page_too() -> None:
    run = make_run(Making(scenarios=("json",)))
    bare = tuple(
        replace(
            trial,
            cpu_s=None,
            cpu_us_per_request=None,
            memory=None,
            generator=None,
            steal=None,
            argv=None,
            histogram_us=None,
            latency_us=None,
            startup_s=None,
            requests_by_pid=None,
            interface=None,
            slices=(),
        )
        for trial in run.trials
    )
    run = replace(run, trials=bare)
    assert "CPU per request was not measured." in page_of(run).text


def watched_run(**seen: Behaviour) -> Run:
    """One block in which servers, `-` in their names written as `_`, behaved so, each with 100 right answers."""
    run = make_run(Making(servers=[one for one in QUICK if one.id.replace("-", "_") in seen], blocks=1,
                          scenarios=("json",), control=False))  # fmt: skip
    trials = [replace(trial, requests=100, behaviour=seen[trial.server.replace("-", "_")]) for trial in run.trials]
    return replace(run, trials=tuple(trials))


KILLED = tuple(Happened(at_s=at_s, what=f"server 1 of 2 {what}") for at_s, what in ((1.0, "killed"), (2.0, "back")))


def test_a_failover_is_answered_by_what_was_lost_until_when_and_when_the_new_one_was_reached() -> None:
    late = Behaviour(happened=KILLED, lost=9, reached=95, recovered_after_s=None, back_after_s=None)
    fine = Behaviour(
        samples=(Sample(at_s=1.5, answered=90, failed=2),),
        happened=KILLED, lost=2, reached=102, recovered_after_s=0.4, back_after_s=0.7,
    )  # fmt: skip
    run = watched_run(waitress=fine, gunicorn_gthread=late)
    run = replace(run, trials=tuple(replace(trial, cpu_s=None, cpu_us_per_request=None) for trial in run.trials))
    panel = view_of(run).panels[0]
    text = answer_of(panel).said[0].text
    assert text.startswith(
        "waitress lost 2 of 102 requests when a server behind it was killed and recovered after 400 ms; "
        "the one that was started anew was reached after 700 ms. gunicorn-gthread lost 9 of 109 requests when a server "
        "behind it was killed; until when is not known; the one that was started anew was not reached in the window."
    )
    assert "CPU per request is not told" in text
    ((title, table),) = behaviours.in_short(panel)
    assert title == "What was lost, and until when"
    assert {row[1:] for row in table.rows} == {
        ("2", "102", "400 ms", "700 ms"),
        ("9", "109", "not known", "not in the window"),
    }


def test_what_reached_the_app_is_told_in_counts_and_bursts_and_not_in_shares() -> None:
    some = watched_run(waitress=Behaviour(reached=8, bursts=(8,)), gunicorn_gthread=Behaviour(reached=99, bursts=(99,)))
    panel = view_of(some).panels[0]
    text = answer_of(panel).said[0].text
    assert text.startswith(
        "With waitress 8 of 100 answered requests reached the app, in 1 burst of 8 (too few bursts to judge by: ask "
        "for a longer window). With gunicorn-gthread 99 of 100 answered requests reached the app. "
    )
    drawn = next(chart for chart in charts_of(panel) if chart.title == "Requests that reached the app")
    assert "8 of 100" in drawn.drawing
    assert "%" not in drawn.drawing


def test_a_clear_difference_is_said_with_its_size() -> None:
    panel = view_of(make_run(Making(servers=CLEAR, scenarios=("json",), blocks=6))).panels[0]
    (said,) = answer_of(panel).said
    assert said.interface == "ASGI"
    assert said.text.startswith("quick-one needs the least CPU per request, ")
    times = re.search(r"slow-one needs ([\d.]+) times as much", said.text)
    assert times
    assert 2.8 < float(times[1]) < 3.2


def with_apps(run: Run, **apps: str) -> Run:
    """Let servers, `-` in their names written as `_`, have run other apps."""
    return replace(
        run,
        trials=tuple(replace(trial, app=apps.get(trial.server.replace("-", "_"), trial.app)) for trial in run.trials),
    )


def labels_of(run: Run) -> set[str]:
    return {row.label for row in view_of(run).panels[0].rows}


def test_a_name_tells_the_app_where_a_server_ran_several_or_not_the_usual_one() -> None:
    three = make_run(Making(servers=(*CLEAR, replace(CLEAR[1], id="other-one")), scenarios=("json",)))
    assert labels_of(three) == {"quick-one", "slow-one", "other-one"}
    assert labels_of(with_apps(three, slow_one="anyio")) == {"quick-one", "slow-one · anyio", "other-one"}
    two = make_run(Making(servers=CLEAR, scenarios=("json",)))
    assert labels_of(with_apps(two, slow_one="anyio")) == {"quick-one · asgi_plain", "slow-one · anyio"}
    stored = with_apps(two, quick_one="asgi_x+postgresql", slow_one="asgi_y+postgresql")
    assert labels_of(stored) == {"quick-one · asgi_x", "slow-one · asgi_y"}, "what all stand on sets none apart"
    stored = with_apps(two, quick_one="asgi_x+postgresql", slow_one="asgi_y")
    assert labels_of(stored) == {"quick-one · asgi_x+postgresql", "slow-one · asgi_y"}
    both = make_run(Making(servers=CLEAR, scenarios=("json",), apps=("plain", "flask")))
    assert labels_of(both) == {
        f"{server} · asgi_{app}" for server in ("quick-one", "slow-one") for app in ("plain", "flask")
    }


def test_each_row_says_its_ratio_to_the_best_which_is_sharper_than_the_levels_are() -> None:
    page = page_of(make_run(Making(servers=CLEAR, scenarios=("json",), blocks=8)))
    found = re.search(r"([\d.]+)× best \(([\d.]+)–([\d.]+)\)", page.text)
    assert found
    ratio, low, high = map(float, found.groups())
    assert low < 3.0 < high
    row = next(row for row in report.summary(make_run(Making(servers=CLEAR, blocks=8)))["groups"][0]["rows"])
    level = row["cpu_us_per_request"]
    assert (high - low) / ratio < (level["high"] - level["low"]) / level["value"]


def test_a_ratio_to_a_best_that_a_server_is_not_told_apart_from_says_so() -> None:
    twins = tuple(replace(CLEAR[0], id=name) for name in ("one", "other"))
    for servers, told in ((twins, True), (CLEAR, False)):
        view = view_of(make_run(Making(servers=servers, scenarios=("json",), blocks=8)))
        (against,) = view.panels[0].ranking("cpu_us_per_request").versus_best.values()
        assert words.against_best(against).startswith("≈ ") is told


def test_equal_servers_are_called_tied_only_when_there_are_blocks_enough() -> None:
    twins = tuple(replace(CLEAR[0], id=name) for name in ("one", "other"))
    many = Making(servers=twins, scenarios=("json",), blocks=20, scatter=0.005)
    assert "are tied for the least CPU" in answer_of(view_of(make_run(many)).panels[0]).said[0].text
    few = replace(many, blocks=3)
    answer = answer_of(view_of(make_run(few)).panels[0])
    assert "can’t be told apart" in answer.said[0].text
    assert any(qualifier.startswith("Only 3 blocks") for qualifier in answer.qualifiers)


def test_a_server_that_failed_in_the_slow_blocks_is_not_the_first_and_is_said_to_lack_them() -> None:
    slow = frozenset({1, 2})
    lucky = replace(CLEAR[0], id="lucky-one", cpu_us=CLEAR[0].cpu_us * 1.5, fails="crashed", fails_in=slow)
    run = make_run(Making(servers=(*CLEAR, lucky), scenarios=("json",), blocks=6))
    pace = {True: 10.0, False: 1.0}
    trials = tuple(
        replace(trial, cpu_us_per_request=trial.cpu_us_per_request * by, rps=trial.rps / by)
        if (by := pace[trial.block in slow]) and trial.cpu_us_per_request and trial.rps
        else trial
        for trial in run.trials
    )
    panel = view_of(replace(run, trials=trials)).panels[0]
    levels = {row.label: found.value for row in panel.rows if (found := row.entry.cpu_us)}
    assert levels["lucky-one"] < levels["quick-one"], "by the blocks that it has"
    assert [row.label for row in panel.rows] == ["quick-one", "lucky-one", "slow-one"]
    answer = answer_of(panel)
    assert answer.said[0].text.startswith("quick-one needs the least CPU per request, ")
    assert "lucky-one needs 1.5 times as much" in answer.said[0].text
    assert "At saturation quick-one serves" in answer.said[0].text
    assert any(
        text.startswith("lucky-one has figures of fewer blocks than others: values are of its own blocks")
        for text in answer.qualifiers
    )


def test_the_summary_has_places_and_ratios_where_a_figure_is_judged_and_nowhere_else() -> None:
    run = make_run(Making(servers=CLEAR, scenarios=("json",), blocks=6, rates=(1000.0,)))
    closed, opened = report.summary(run)["groups"]
    for group, none in ((closed, {"p50_us", "p99_us"}), (opened, {"rps"})):
        best, last = sorted(group["rows"], key=lambda row: row["cpu_us_per_request"]["value"])
        assert {
            metric for metric in ("cpu_us_per_request", "rps", "p50_us", "p99_us") if not last["places"][metric]
        } == none
        ratio = last["against_best"]["cpu_us_per_request"]
        assert ratio["best"] == best["cell"]
        assert ratio["verdict"] == "slower"
        assert ratio["low"] < 3.0 < ratio["high"]
        assert not none & last["against_best"].keys()
        assert best["against_best"]["cpu_us_per_request"] is None


def test_rows_that_are_not_told_apart_share_a_place_and_say_with_whom() -> None:
    twins = (*(replace(CLEAR[0], id=name) for name in ("one", "other")), CLEAR[1])
    page = page_of(make_run(Making(servers=twins, scenarios=("json",), blocks=8, scatter=0.01)))
    places = [found for _tag, found in page.elements if "place" in found.get("class", "").split()]
    assert [("tied" in found["class"]) for found in places] == [True, True, False]
    assert places[0]["title"] == "not told apart from other" or places[0]["title"] == "not told apart from one"


def test_sentences_about_equal_servers_claim_no_more_often_than_their_level() -> None:
    equal = tuple(replace(CLEAR[0], id=f"server-{letter}") for letter in "abcdef")
    runs = 60
    claims = 0
    for seed in range(runs):
        run = make_run(Making(seed=seed, servers=equal, scenarios=("json",), blocks=6, samples=20, scatter=0.04))
        (said,) = answer_of(view_of(run).panels[0]).said
        claims += bool(re.search(r"needs|%|[\d.]+ times", said.text))
    assert claims <= scipy.stats.binom.ppf(0.999, runs, 0.05)  # of 600 such runs 26 claim something


def test_a_server_that_swings_is_not_told_apart_from_the_best_whatever_its_place() -> None:
    steady = [replace(CLEAR[0], id=f"server-{cost}", cpu_us=cost) for cost in (50, 90, 150)]
    run = make_run(Making(servers=(*steady, replace(CLEAR[0], id="swings", cpu_us=200)), blocks=4, scatter=0.01))
    swing = {0: 0.3, 1: 3.0, 2: 0.5, 3: 2.0}
    run = replace(run, trials=tuple(swinging(trial, swing) for trial in run.trials))
    (row,) = (row for row in view_of(run).panels[0].rows if row.label == "swings")
    assert row.cost
    assert row.cost.place > 1
    assert "server-50" in row.cost.not_apart
    page = page_of(run)
    titles = {attrs["title"] for _, attrs in page.elements if "place" in attrs.get("class", "").split()}
    assert any(title.startswith("not told apart from server-") for title in titles)
    assert page.text.count("≈") >= 2  # once in the overview's key, once for the server that swings


def test_a_server_that_another_is_surely_ahead_of_is_no_candidate_for_the_least() -> None:
    """Whoever swings leads and is told from nobody; of the others one is surely behind the other."""
    steady = [replace(CLEAR[0], id=f"server-{cost}", cpu_us=cost) for cost in (80, 100)]
    swings = replace(CLEAR[0], id="swings", cpu_us=70)
    run = make_run(Making(servers=(*steady, swings), scenarios=("json",), blocks=6, scatter=0.005))
    swing = {0: 0.3, 1: 3.0, 2: 0.5, 3: 2.0, 4: 0.9, 5: 1.0}
    run = replace(run, trials=tuple(swinging(trial, swing) for trial in run.trials))
    (said,) = answer_of(view_of(run).panels[0]).said
    least = said.text.partition("the least CPU per request")[0]
    assert ("swings" in least, "server-80" in least, "server-100" in least) == (True, True, False), said.text


def test_a_p99_of_the_blocks_that_a_stall_made_longer_has_no_place() -> None:
    making = Making(scenarios=("json",), rates=(300.0,), servers=CLEAR, blocks=6, samples=400)
    run, whole = make_run(making), make_run(replace(making, samples=4000))
    for stalled, judged in ((1, False), (3, False), (4, True)):
        trials = tuple(
            long if short.server == CLEAR[0].id and short.block < stalled else short
            for short, long in zip(run.trials, whole.trials, strict=True)
        )
        rows = {row.entry.server: row for row in view_of(replace(run, trials=trials)).panels[0].rows}
        assert ("p99_us" in rows[CLEAR[0].id].places) == judged
        assert not any("p99_us" in row.places for name, row in rows.items() if name != CLEAR[0].id)
        fixed = rows[CLEAR[0].id].fixed
        assert fixed is not None
        assert (fixed.figures["p99_us"].low is None, fixed.figures["p99_us"].blocks) == (
            (False, stalled) if judged else (True, 6)
        )


def swinging(trial: Trial, swing: dict[int, float]) -> Trial:
    if trial.server != "swings" or trial.cpu_us_per_request is None:
        return trial
    return replace(trial, cpu_us_per_request=trial.cpu_us_per_request * swing[trial.block])


def test_a_sentence_says_how_many_blocks_settle_what_is_unknown_if_anybody_would_make_them() -> None:
    """And of each only what is known of each."""
    told = set()
    near = tuple(replace(CLEAR[0], id=f"server-{cost}", cpu_us=cost) for cost in (100, 101, 104))
    for seed, scatter in itertools.product(range(4), (0.01, 0.02, 0.04, 0.08)):
        run = make_run(Making(seed=seed, servers=near, scenarios=("json",), blocks=6, samples=20, scatter=scatter))
        (panel,) = view_of(run).panels
        (said,) = answer_of(panel).said
        ranking = panel.ranking("cpu_us_per_request")
        best, *others = [row.cell for row in ranking.rows]
        unknown = [one for cell in others if (one := ranking.between(best, cell)) and one.verdict == "unknown"]
        needed = [one.more_blocks for one in unknown]
        told.add("number" if "four times in five" in said.text else "many" if "settling" in said.text else "none")
        if not needed or None in needed:
            assert "settl" not in said.text
        elif max(filter(None, needed)) <= 60:
            assert f"; {max(filter(None, needed))} more block" in said.text
        else:
            assert re.search("; settling (it|each) would take more than 60 more blocks", said.text)
    assert told == {"number", "many", "none"}


@pytest.mark.parametrize("seed", range(6))
def test_a_sentence_never_claims_what_the_places_beside_it_do_not(seed: int) -> None:
    near = tuple(replace(CLEAR[0], id=f"server-{cost}", cpu_us=cost) for cost in (100, 102, 105, 110, 118))
    run = make_run(Making(seed=seed, servers=near, scenarios=("json",), blocks=4, samples=20))
    (panel,) = view_of(run).panels
    (said,) = answer_of(panel).said
    first = [row for row in panel.rows if row.cost and row.cost.place == 1]
    assert ("the least CPU per request, " in said.text) == (len(first) == 1)
    if quoted := re.findall(r"server-\d+", said.text.partition("At saturation")[2]):
        places = {row.label: row.throughput.place for row in panel.rows if row.throughput}
        assert places[quoted[0]] < places[quoted[1]]


def test_one_block_tells_from_where_to_where_the_figures_go_and_shades_by_them() -> None:
    view = view_of(make_run(Making(servers=CLEAR, scenarios=("json", "wait"), blocks=1)))
    said = answer_of(view.panels[0]).said[0].text
    assert re.search(r"can’t be told apart for the least CPU per request \([\d.]+ µs to 1\d\d µs\)", said), said
    assert answer_of(view.panels[0]).qualifiers[0].startswith("Only one block:")
    classes = {attrs.get("class", "") for tag, attrs in page_of(view.run).elements if tag == "td"}
    assert {name for name in classes if name.startswith("heat")} == {"heat0", "heat3"}


def test_the_thread_servers_limit_in_wait_is_said_as_a_ratio_of_throughputs() -> None:
    making = Making(scenarios=("wait",), blocks=6, servers=(CATALOGUE[0], CATALOGUE[7]))
    (said,) = answer_of(view_of(make_run(making)).panels[0]).said
    assert "gunicorn-gevent serves 1,2" in said.text
    assert "8.0 times what gunicorn-gthread serves" in said.text


def test_intervals_of_the_summary_hold_the_truth() -> None:
    rows = report.summary(make_run(Making(scenarios=("json",), blocks=12, seed=5)))["groups"][0]["rows"]
    truth = {one.id: one.cpu_us for one in QUICK}
    inside = [
        row["cpu_us_per_request"]["low"] < truth[row["server"]] < row["cpu_us_per_request"]["high"] for row in rows
    ]
    assert len(inside) == 6
    assert sum(inside) >= 5


def test_the_summary_has_a_group_for_each_scenario_and_load_with_complete_rows() -> None:
    found = report.summary(make_run(Making(rates=(100.0,))))
    assert [(group["scenario"], group["load"]) for group in found["groups"]] == [
        ("json", "closed-64"),
        ("json", "open-100"),
        ("wait", "closed-64"),
        ("wait", "open-100"),
    ]
    for group in found["groups"]:
        for row in group["rows"]:
            assert row["status"] == "ok"
            assert row["failure"] is None
            assert row["place"] >= 1
            assert {"value", "low", "high"} <= row["rps"].keys()
            assert {"value", "low", "high", "blocks"} <= row["p50_us"].keys()
            assert {"value", "low", "high", "blocks"} <= row["p99_us"].keys()
            judged = "rps" if group["load"].startswith("closed") else "p99_us"
            assert row["places"][judged] >= 1
            assert row["memory"]["pss_bytes"]["value"] > 0


def test_no_percentile_is_shown_without_enough_samples_behind_it() -> None:
    few = Making(samples=150, blocks=2, scenarios=("json",), rates=(200.0,))
    row = report.summary(make_run(few))["groups"][1]["rows"][0]
    assert row["p50_us"] is not None
    assert row["p99_us"] is None
    assert row["places"]["p99_us"] is None
    assert row["not_measured"]["p99_us"] == "too few answers: 150"
    page = page_of(make_run(few))
    assert "too few answers: 150" in page.text


def test_a_percentile_is_one_value_a_block_and_their_geometric_mean_with_an_interval() -> None:
    run = make_run(Making(scenarios=("json",), blocks=4, rates=(300.0,)))
    row = next(row for row in report.summary(run)["groups"][1]["rows"] if row["server"] == "waitress")
    blocks = [trial.latency_us.p99 for trial in run.trials if trial.cell == row["cell"] and trial.latency_us]
    assert len(blocks) == 4
    found = stats.estimate([value for value in blocks if value])
    assert found is not None
    assert row["p99_us"] == asdict(found)


def test_a_disturbed_block_shows_in_the_interval_and_is_not_the_figure() -> None:
    run = make_run(Making(scenarios=("json",), blocks=3, rates=(300.0,)))
    hurt = tuple(disturbed(trial) for trial in run.trials)
    row = next(row for row in report.summary(replace(run, trials=hurt))["groups"][1]["rows"] if wanted(row))
    assert row["p99_us"]["low"] < 2_500 < row["p99_us"]["value"] < 10_000
    assert row["p99_us"]["high"] > 24_500


def wanted(row: dict[str, Any]) -> bool:
    return bool(row["server"] == "hypercorn-uvloop")


def disturbed(trial: Trial) -> Trial:
    """Give a server the p99 of a run that was published: 24.5, 2.31 and 2.76 ms in its blocks."""
    if trial.server != "hypercorn-uvloop" or trial.load.kind != "open" or trial.latency_us is None:
        return trial
    return replace(trial, latency_us=replace(trial.latency_us, p99=(24_500.0, 2_310.0, 2_760.0)[trial.block]))


def test_latency_at_a_fixed_rate_counts_from_when_a_request_was_due() -> None:
    run = make_run(Making(scenarios=("json",), rates=(300.0,)))
    row = report.summary(run)["groups"][1]["rows"][0]
    trials = [trial for trial in run.trials if trial.cell == row["cell"]]
    stored = [trial.intended_histogram_us for trial in trials]
    due = [Histogram.from_data(data).percentile_us(0.5) for data in stored if data is not None]
    assert row["p50_us"]["value"] == pytest.approx(math.exp(sum(math.log(one or 0) for one in due) / 3), rel=0.002)
    assert "p50 at 300/s" in page_of(run).text


def test_panels_that_differ_in_workers_say_so_and_get_a_scaling_chart() -> None:
    view = view_of(make_run(Making(scenarios=("json",), settings=((1, 8), (2, 8), (4, 8)))))
    assert [panel.title for panel in view.panels] == ["json, 1 worker", "json, 2 workers", "json, 4 workers"]
    titles = [chart.title for chart in charts_of(view.panels[0], view.panels)]
    assert "Throughput against workers" in titles
    assert "Requests by worker process" in [chart.title for chart in charts_of(view.panels[1], view.panels)]


def test_panels_that_differ_in_connections_get_a_curve_with_the_law_and_its_uncertainty() -> None:
    run = make_run(Making(scenarios=("json",), connections=(1, 2, 4, 8, 16, 32), servers=CLEAR, blocks=4, samples=500))
    view = view_of(run)
    drawn = [chart for panel in view.panels for chart in charts_of(panel, view.panels)]
    (chart,) = (chart for chart in drawn if chart.title == "Throughput against connections")
    assert {row[1] for row in chart.table.rows} == {"1", "2", "4", "8", "16", "32", "scalability law"}
    law = next(row[2] for row in chart.table.rows if row[1] == "scalability law")
    assert re.match(r"contention [\d.]+ % \([\d.]+ % to [\d.]+ %\), coherence ", law), law


def test_six_amounts_of_workers_are_summed_up_by_the_scalability_law() -> None:
    settings = tuple((workers, 8) for workers in (1, 2, 3, 4, 6, 8))
    view = view_of(make_run(Making(scenarios=("json",), settings=settings, servers=CLEAR, blocks=4, samples=500)))
    chart = next(
        chart for chart in charts_of(view.panels[0], view.panels) if chart.title == "Throughput against workers"
    )
    fitted = [row for row in chart.table.rows if row[1] == "scalability law"]
    assert [row[0] for row in fitted] == ["quick-one", "slow-one"]
    contention = float(fitted[0][2].split()[1])
    assert 0 <= contention < 10


def test_a_small_but_sure_difference_is_told_as_a_share() -> None:
    near = (CLEAR[0], replace(CLEAR[1], cpu_us=53.0))
    run = make_run(Making(servers=near, scenarios=("json",), blocks=20, scatter=0.002, control=False))
    text = answer_of(view_of(run).panels[0]).said[0].text
    assert "slow-one needs 6 % more." in text
    assert "quick-one serves" in text
    assert "1.0 times" not in text


def test_every_chart_has_a_table_a_text_alternative_and_values_to_hover() -> None:
    view = view_of(make_run(Making(scenarios=("json",), rates=(50.0, 100.0), settings=((2, 8), (3, 8)))))
    charts = charts_of(view.panels[0], view.panels)
    assert len(charts) == 11
    for chart in charts:
        assert chart.table.rows
        drawing = str(chart.drawing)
        assert all(len(row) == len(chart.table.headers) for row in chart.table.rows)
        assert re.search(r'role="img" aria-label="[^"]*granian-asgi', drawing)
        assert "<title>granian-asgi" in drawing


def test_a_server_has_one_look_in_every_panel_and_in_runs_with_other_servers() -> None:
    quick, catalogue = (looks_of(one.id for one in servers) for servers in (QUICK, CATALOGUE))
    assert {name: (catalogue[name].colour, catalogue[name].shape) for name in quick} == {
        name: (look.colour, look.shape) for name, look in quick.items()
    }
    assert len({look.colour for look in quick.values()}) == 6
    assert len({(look.colour, look.shape) for look in catalogue.values()}) == 12
    view = view_of(make_run())
    assert len({row.look for panel in view.panels for row in panel.rows if row.label == "waitress"}) == 1


def _linear(colours: np.ndarray) -> np.ndarray:
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009.
BLINDNESS = {
    "none": np.eye(3),
    "protan": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deutan": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritan": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}
# Ottosson, A perceptual color space for image processing (Oklab), 2020.
TO_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
TO_OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])


@pytest.mark.parametrize(("theme", "card"), [(1, "#ffffff"), (2, "#1b1e24")], ids=["light", "dark"])
@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_palette_is_told_apart_by_colour_blind_eyes_and_stands_out_from_the_page(
    theme: int, card: str, kind: str
) -> None:
    style = page_of(make_run()).raw["style"][0]
    found = re.findall(r"--c\d: light-dark\((#\w{6}), (#\w{6})\)", style)
    assert len(found) == 8
    codes = [pair[theme - 1] for pair in found] + [card]
    levels = np.array([[int(code[start : start + 2], 16) / 255 for start in (1, 3, 5)] for code in codes])
    light = _linear(levels)
    luminance = light @ np.array([0.2126, 0.7152, 0.0722])
    ratios = (np.maximum(luminance[:-1], luminance[-1]) + 0.05) / (np.minimum(luminance[:-1], luminance[-1]) + 0.05)
    assert ratios.min() >= 3, "WCAG 2.2, 1.4.11: graphics need 3:1"
    seen = np.cbrt(np.clip(light[:-1] @ BLINDNESS[kind].T, 0, 1) @ TO_CONES.T) @ TO_OKLAB.T
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(8, 1)]
    assert apart.min() > 0.06


def test_the_table_can_be_taken_away_as_csv() -> None:
    run = make_run(Making(servers=(replace(CLEAR[0], id="=1+1"), CLEAR[1], BROKEN), scenarios=("json",)))
    link = next(link for link in page_of(run).attributes("href") if link.startswith("data:text/csv"))
    frame = pd.read_csv(io.StringIO(unquote(link.partition(",")[2])))
    assert list(frame["server"]) == ["'=1+1", "slow-one", "broken-one"]
    assert (
        frame["cpu_us_per_request"].between(frame["cpu_us_per_request_low"], frame["cpu_us_per_request_high"]).sum()
        == 2
    )
    assert frame["status"].tolist() == ["ok", "ok", "failed"]


def test_what_failed_is_said_openly_beside_the_answer_that_rests_on_the_rest() -> None:
    """A server half of whose blocks failed led the answer, and that was folded away."""
    half = replace(CLEAR[0], fails="crashed", fails_in=frozenset({0, 1}))
    for first, opened in ((half, 1), (CLEAR[0], 0)):
        making = Making(servers=(first, *CLEAR[1:]), scenarios=("json",), blocks=4)
        html = report.render(make_run(making))
        assert html.count('<details class="but" open><summary>') == opened


def test_places_in_the_csv_are_whole_numbers_and_ties_are_told() -> None:
    """They came as 1.0 as soon as one server had none."""
    equal = tuple(replace(CLEAR[0], id=name) for name in ("one", "two"))
    run = make_run(Making(servers=(*equal, CLEAR[1], BROKEN), scenarios=("json",), blocks=6))
    link = next(link for link in page_of(run).attributes("href") if link.startswith("data:text/csv"))
    rows = list(csv.DictReader(io.StringIO(unquote(link.partition(",")[2]))))
    assert [(row["place"], row["place_shared"]) for row in rows] == [
        *[("1", "True")] * 2, ("3", "False"), ("", ""),
    ]  # fmt: skip
    assert {row["rps_place"] for row in rows} == {"1", "3", ""}


def test_the_summary_can_be_taken_away_as_json() -> None:
    run = make_run()
    link = next(link for link in page_of(run).attributes("href") if link.startswith("data:application/json"))
    assert json.loads(unquote(link.partition(",")[2])) == json.loads(json.dumps(report.summary(run)))


def test_percentiles_can_be_taken_away_as_hdrhistogram_text() -> None:
    histogram = Histogram()
    histogram.record(np.arange(1, 1001) * 1_000_000)
    lines = [line.split() for line in hgrm_of(histogram).splitlines()]
    assert lines[0] == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    table = [line for line in lines[2:] if not line[0].startswith("#")]
    values, shares, counts = ([float(line[place]) for line in table] for place in range(3))
    assert values == sorted(values)
    assert (shares[-1], counts[-1]) == (1.0, 1000)
    at_half = next(value for value, share in zip(values, shares, strict=True) if share == 0.5)
    assert at_half == pytest.approx(500, rel=0.001)
    assert "Total count = 1000]" in hgrm_of(histogram)


def test_latency_at_shares_of_each_servers_saturation_is_one_curve_a_server_and_no_panel_of_its_own() -> None:
    run = make_run(Making(scenarios=("json",), rates=(300.0,), curve=(0.2, 0.5, 0.8, 0.95), samples=3000))
    view = view_of(run)
    assert len(view.panels) == 1
    assert view.panels[0].fixed is not None
    assert view.panels[0].fixed.key.load.rate_per_s == 300.0
    chart = next(chart for chart in charts_of(view.panels[0]) if chart.title == "p99 latency against load")
    assert [row[0] for row in chart.table.rows].count("waitress") == 4


def test_capacity_stands_in_its_own_section_in_the_rows_and_in_the_answer() -> None:
    rates = {"uvicorn-httptools": 9000.0, "granian-asgi": 12000.0, "hypercorn-uvloop": None}
    run = with_capacity(make_run(Making(scenarios=("json",))), slo=Slo(quantile=0.99, limit_us=50_000), rates=rates)
    page = page_of(run)
    assert "granian-asgi held p99<50ms up to 1" in page.text
    assert "no rate held the limit" in page.text
    assert page.text.count("capacity with p99<50ms: ") == len(rates)


def test_capacities_of_several_apps_are_told_apart_by_their_names() -> None:
    rates = {"granian-asgi": 12000.0, "uvicorn-httptools": 9000.0}
    run = with_capacity(make_run(Making(scenarios=("json",))), slo=Slo(quantile=0.99, limit_us=50_000), rates=rates)
    others = tuple(replace(one, app="asgi_anyio") for one in run.info.capacity)
    both = replace(run, info=replace(run.info, capacity=(*run.info.capacity, *others)))
    assert {entry.label for entry in capacities_of(run)[0].entries} == set(rates)
    labels = {entry.label for entry in capacities_of(both)[0].entries}
    assert labels == {f"{server} · {app}" for server in rates for app in ("asgi_plain", "asgi_anyio")}


def test_a_run_of_searches_alone_makes_a_page_with_an_answer() -> None:
    empty = replace(make_run(), trials=())
    run = with_capacity(empty, slo=Slo(quantile=0.99, limit_us=50_000), rates={"granian-asgi": 12000.0})
    text = page_of(run).text
    assert "granian-asgi held p99<50ms up to" in text
    assert "No trial has finished" not in text


def test_two_runs_are_compared_on_a_page_that_says_first_what_differs(tmp_path: Path) -> None:
    old = make_run(Making(run="old", seed=1, blocks=6))
    slower = tuple(replace(one, cpu_us=one.cpu_us * 2) if one.id == "hypercorn-uvloop" else one for one in QUICK)
    new = make_run(Making(run="new", seed=2, blocks=6, servers=slower))
    new = replace(new, info=replace(new.info, machine=replace(new.info.machine, kernel="6.2.0")))
    found = [compare_runs(old, new, metric=metric) for metric in ("cpu_us_per_request", "rps")]
    written = report.write_comparison(old, new, found, (), tmp_path)
    assert written.name == "compare-old-new.html"
    page = Page(written.read_text(encoding="utf-8"))
    assert page.text.index("6.2.0") < page.text.index("json/closed-64/w1t8")
    assert "CPU per request 12 cells in both runs: 2 worse" in page.text


def test_a_comparison_of_hostile_runs_stays_text(tmp_path: Path) -> None:
    old = hostile_run()
    found = [compare_runs(old, old, metric="cpu_us_per_request")]
    refuted = refuted_of(old, old, (change.cell for change in found[0].changes))
    page = Page(report.write_comparison(old, old, found, refuted, tmp_path).read_text(encoding="utf-8"))
    assert page.count("script") == 1
    assert page.count("img") == 0


def test_a_run_can_not_name_a_file_outside_the_folder(tmp_path: Path) -> None:
    run = make_run(Making(run="../../etc/passwd"))
    page = report.write(run, tmp_path / "reports")
    assert page.parent == tmp_path / "reports"
    assert re.fullmatch(r"passwd-[0-9a-f]{8}\.html", page.name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [page.name, "reports"]


def test_a_folder_that_can_not_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file stands where the folder should be")
    with pytest.raises(ResultsError, match=r"can't write .* pass --reports DIR"):
        report.write(make_run(), tmp_path / "reports")


def later(run: str, day: int, machine: str = "5f1c9a") -> Run:
    made = make_run(Making(run=run, started_at=f"2026-11-{day}T15:30:00+00:00", seed=day, scenarios=("json",)))
    return replace(made, info=replace(made.info, machine=replace(made.info.machine, hostname_hash=machine)))


def test_the_index_lists_runs_newest_first_and_links_those_that_have_a_page(tmp_path: Path) -> None:
    runs = [later("b", 21), later("c", 22), later("a", 23)]
    report.write(runs[0], tmp_path)
    report.write(runs[2], tmp_path)
    page = Page(report.write_index(tmp_path, runs).read_text(encoding="utf-8"))
    links = [link for link in page.attributes("href") if not link.startswith(("#", "data:"))]
    assert links == ["a.html", "b.html"]
    assert page.text.index("23 November") < page.text.index("22 November") < page.text.index("21 November")


def test_the_index_follows_each_cell_on_each_machine_and_never_mixes_machines(tmp_path: Path) -> None:
    runs = [later("a", 21), later("b", 22), later("c", 23, machine="another")]
    page = Page(report.write_index(tmp_path, runs).read_text(encoding="utf-8"))
    trends = [found["aria-label"] for tag, found in page.elements if tag == "svg" and found.get("class") == "trend"]
    assert len(trends) == len(QUICK)
    assert all(len(trend.split(",")) == 2 for trend in trends)


def test_an_index_without_runs_says_how_to_start_one(tmp_path: Path) -> None:
    assert "sgibench run" in Page(report.write_index(tmp_path, []).read_text(encoding="utf-8")).text


def test_the_index_escapes_what_runs_say_about_themselves(tmp_path: Path) -> None:
    page = Page(report.write_index(tmp_path, [hostile_run(), hostile_run()]).read_text(encoding="utf-8"))
    assert page.count("script") == 1
    assert page.count("img") == 0


def test_doubts_stand_beside_the_rows_they_concern_with_what_to_do() -> None:
    run = make_run(Making(scenarios=("json",), servers=CLEAR))
    trials = tuple(replace(trial, steal=0.3) if trial.server == "slow-one" else trial for trial in run.trials)
    page = page_of(replace(run, trials=trials))
    doubtful = {
        row.label: {doubt.kind for doubt in row.doubts} for row in view_of(replace(run, trials=trials)).panels[0].rows
    }
    assert "Stolen" in doubtful["slow-one"]
    assert "Stolen" not in doubtful["quick-one"]
    assert "Stolen at slow-one" in page.text
    assert "Highest CPU steal 30.0 %" in page.text


def test_a_p99_that_only_all_blocks_together_have_is_shown_and_judged_by_nothing() -> None:
    run = make_run(Making(scenarios=("json",), rates=(300.0,), servers=CLEAR, blocks=3, samples=400))
    panel = view_of(run).panels[0]
    row = panel.rows[0]
    assert row.fixed is not None
    found = row.fixed.figures["p99_us"]
    assert row.fixed.histogram is not None
    assert (found.value, found.low, found.blocks) == (row.fixed.histogram.percentile_us(0.99), None, 3)
    assert "p99_us" not in row.places
    assert "blocks together: no interval" in page_of(run).text
    few = view_of(make_run(Making(scenarios=("json",), rates=(300.0,), servers=CLEAR, blocks=2, samples=400)))
    assert few.panels[0].rows[0].fixed is not None
    assert "p99_us" not in few.panels[0].rows[0].fixed.figures


@pytest.mark.parametrize("highest", [9.0, 100_000.0, 990_000.0, 9_900_000.0])
def test_the_labels_of_a_curves_axis_are_never_cut(highest: float) -> None:
    look = next(iter(view_of(make_run(Making(scenarios=("json",)))).looks.values()))
    curve = Curve(row="r", label="one", look=look, points=(Point(x=1, y=1.0), Point(x=64, y=highest)))
    axis = linear_axis(highest, "requests per second", units.rate)
    drawn = str(draw_curves([curve], counted_axis([1, 64], "connections"), axis, prefix="p", label="l"))
    labels = re.findall(r'text-anchor="end" x="([\d.]+)"[^>]*>([^<]+)</text>', drawn)
    assert {text for _x, text in labels} >= {text for _tick, text in axis.ticks}
    for x, text in labels:
        assert float(x) - 6.1 * len(text) >= 0, text


@pytest.mark.parametrize("deepest", [0.5, 0.99, 0.9999, 0.99991])
def test_the_last_percentile_of_an_axis_is_not_cut_by_the_edge(deepest: float) -> None:
    look = next(iter(view_of(make_run(Making(scenarios=("json",)))).looks.values()))
    curve = Curve(row="r", label="one", look=look, points=(Point(x=1, y=1.0), Point(x=1 / (1 - deepest), y=9.0)))
    axis = percentile_axis(deepest, "requests")
    drawn = str(draw_curves([curve], axis, linear_axis(9.0, "latency", units.microseconds), prefix="p", label="l"))
    labels = {text: float(x) for x, text in re.findall(r'text-anchor="middle" x="([\d.]+)"[^>]*>([^<]+)</text>', drawn)}
    assert {text for _tick, text in axis.ticks} <= set(labels)
    for _tick, text in axis.ticks:
        assert labels[text] + 6.1 * len(text) / 2 <= WIDTH + 0.1, text


def test_the_report_says_how_windows_were_made_and_what_is_in_none() -> None:
    run = make_run(Making(scenarios=("json",)))
    window = Window(
        visits="unbroken", why="users think", sent=900, sessions=300, uncounted={"warm-up": 41, "settling": 1}
    )
    told = replace(run, trials=tuple(replace(trial, window=window) for trial in run.trials))
    (made,) = evidence_of(view_of(told)).windows
    assert made.ways == (("unbroken", "users think"),)
    rows = sum(not trial.control for trial in run.trials)
    assert made.sent == 900 * rows
    assert made.uncounted == (("settling", rows), ("warm-up", 41 * rows))
    page = report.render(told)
    assert "unbroken: users think" in page
    assert "warm-up" in page
    assert "users think" not in report.render(run)  # results of before there were such facts


def test_the_report_says_who_held_a_cpu_in_turns_that_were_made_again_and_doubts_a_row_where_they_count() -> None:
    run = make_run(Making(scenarios=("json",)))
    window = Window(visits="turns", why="short", pieces=6, set_aside={"<b>ackup": 2, "the hypervisor": 3})
    told = replace(run, trials=tuple(replace(trial, window=window) for trial in run.trials))
    rows = sum(not trial.control for trial in run.trials)
    (made,) = evidence_of(view_of(told)).windows
    assert made.again == (("the hypervisor", 3 * rows), ("<b>ackup", 2 * rows))
    page = report.render(told)
    assert (
        f"turns made again, as somebody else held a CPU: the hypervisor {3 * rows}, &lt;b&gt;ackup {2 * rows}" in page
    )
    assert "turns in which somebody else held a CPU were made again" in page
    assert "in 2 of 6 turns that count somebody else held a CPU" not in page
    held = replace(window, disturbed={"backup": 2})
    doubted = replace(run, trials=tuple(replace(trial, window=held) for trial in run.trials))
    assert "in 2 of 6 turns that count somebody else held a CPU: backup" in report.render(doubted)


@pytest.mark.parametrize(
    "name",
    [
        "waitress",
        "granian-asgi-uvloop",
        "gunicorn-gthread · wsgi_flask+memcached",
        "haproxy-rr2+hypercorn-uvloop · wsgi_django_pool+postgresql",
        "m" * 60,
        "WWW @ " * 9,
        "i" * 200,
        "x" * 5000,
    ],
)
def test_a_name_before_a_bar_never_runs_into_it(name: str) -> None:
    """As wide as DejaVu Sans makes it, which is wider than most fonts."""
    fitted, size = fitting(name)
    letters = matplotlib.font_manager.FontProperties(family="DejaVu Sans")
    drawn = matplotlib.textpath.TextPath((0, 0), fitted, size=size, prop=letters)
    assert drawn.get_extents().width <= NAME_ROOM
    assert fitted[:1] == name[:1]
    assert fitted == name or width_of(middled(name, len(fitted) + 1)) * size > NAME_ROOM, "no more is cut than must be"
