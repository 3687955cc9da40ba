"""Requests at once inside an app: counted rightly by it, read without asking it, shown with what they do to others."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sgibench import audit, catalogue, inside
from sgibench.histogram import Histogram
from sgibench.load.books import answers_of
from sgibench.load.request import spoken
from sgibench.model import HistogramData, Run, Trial
from sgibench.report import page, terminal
from sgibench.report.inside import at_once
from sgibench.report.panels import view_of
from sgibench.report.services import pool_words
from sgibench.report.summary import summary
from sgibench.results.codec import decode, encode
from tests.load_process import SCENARIOS, load_process, measuring, target
from tests.results_maker import Making, make_run
from tests.scripted_server import Talk, answer, serving

FOLDER = catalogue.load().contract.parent


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The apps' module, as they import it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("inside")


@given(steps=st.lists(st.sampled_from(["in", "out", "forget"]), max_size=60))
def test_the_most_is_the_largest_number_that_was_inside_since_it_was_forgotten(steps: Sequence[str]) -> None:
    sys.path.insert(0, str(FOLDER))
    try:
        counter = importlib.import_module("inside").Inside()
    finally:
        sys.path.remove(str(FOLDER))
    now = most = 0
    for step in steps:
        if step == "in":
            counter.__enter__()
            now += 1
            most = max(most, now)
        elif step == "out" and now:
            counter.__exit__()
            now -= 1
        elif step == "forget" and counter._page is not None:
            counter._page[0] = most = 0
        assert counter.most == most


def test_threads_that_are_inside_together_are_all_counted_and_an_exception_lets_one_out(
    counting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGIBENCH_DATA", str(tmp_path))
    counter, together = counting.Inside(), threading.Barrier(12)

    def enter() -> None:
        for _ in range(50):
            with counter:
                together.wait(30)
            together.wait(30)

    threads = [threading.Thread(target=enter) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside.read(tmp_path) == (12,)
    inside.forget(tmp_path)
    with pytest.raises(ZeroDivisionError), counter:
        1 / 0  # noqa: B018 - raises
    with counter:
        pass
    assert inside.read(tmp_path) == (1,)


def test_a_forked_process_counts_for_itself_and_nothing_of_its_parents(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "from inside import INSIDE\n"
        "INSIDE.__enter__(); INSIDE.__enter__(); INSIDE.__enter__()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    with INSIDE: os._exit(0)\n"
        "os.waitpid(child, 0); print(child)\n"
    )
    environment = {"PYTHONPATH": str(FOLDER), "SGIBENCH_DATA": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert inside.read(tmp_path) == (3, 1)
    assert (tmp_path / "inside" / done.stdout.strip()).stat().st_size == 8


@pytest.mark.parametrize("data", ["", "/nowhere/at all", "/dev/null"])
def test_an_app_counts_on_where_there_is_no_folder_for_it(
    counting: Any, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGIBENCH_DATA", data)
    counter = counting.Inside()
    with counter, counter:
        assert counter.most == 2


def test_what_is_no_page_of_a_process_is_no_count(tmp_path: Path) -> None:
    assert inside.read(tmp_path) is None
    folder = tmp_path / "inside"
    (folder / "7").mkdir(parents=True)
    (folder / "8").write_bytes(b"")
    (folder / "9").write_bytes(b"\xff" * 8)
    (folder / "x").write_bytes(bytes(7) + b"\1")
    (folder / "10").write_bytes((5).to_bytes(8, sys.byteorder))
    (folder / "11").write_bytes((6).to_bytes(8, sys.byteorder))
    assert inside.read(tmp_path) == (6, 5)
    inside.forget(tmp_path)
    assert inside.read(tmp_path) is None
    assert (folder / "x").read_bytes() == bytes(7) + b"\1"


@given(
    before=st.lists(st.tuples(st.sampled_from(["ask", "miss", "in"]), st.integers(1, 3)), max_size=20),
    within=st.lists(st.tuples(st.sampled_from(["ask", "miss", "in"]), st.integers(1, 4)), max_size=20),
)
def test_what_is_read_at_the_edges_of_a_stretch_belongs_to_it_alone(
    tmp_path_factory: pytest.TempPathFactory,
    before: Sequence[tuple[str, int]],
    within: Sequence[tuple[str, int]],
) -> None:
    data = tmp_path_factory.mktemp("data")
    names = {"ask": "cache-asked", "miss": "cache-missed", "in": "inside"}
    for name in names.values():
        (data / name).mkdir()

    def note(kind: str, pid: int) -> None:
        page = data / names[kind] / str(pid)
        count = int.from_bytes(page.read_bytes(), sys.byteorder) if page.exists() else 0
        page.write_bytes((count + 1).to_bytes(8, sys.byteorder))

    for kind, pid in before:
        note(kind, pid)
    clock = inside.PageClock(data)
    clock.look()
    clock.ready()
    clock.start()
    for kind, pid in within:
        note(kind, pid)
    clock.edge()
    for kind, pid in before:
        if (kind, pid) in within and kind != "in":
            note(kind, pid)  # while the last answers come
    told = clock.stop()
    counted = Counter(kind for kind, _ in within)
    assert (told.ticks["cache-asked"], told.ticks["cache-missed"]) == (counted["ask"], counted["miss"])
    assert told.most == {str(pid): count for pid, count in Counter(pid for kind, pid in within if kind == "in").items()}


@pytest.mark.parametrize("slice_s", [None, 0.05])
def test_counts_belong_to_the_window_whose_requests_they_are_of(tmp_path: Path, slice_s: float | None) -> None:
    asked_ns: list[int] = []
    page = tmp_path / "cache-asked" / "1"
    page.parent.mkdir()
    page.write_bytes(bytes(8))
    lock = threading.Lock()

    def serve(talk: Talk) -> None:
        while talk.request() is not None:
            with lock:
                asked_ns.append(time.monotonic_ns())
                with page.open("r+b") as file:
                    file.write(len(asked_ns).to_bytes(8, sys.byteorder))
            talk.send(answer(b'{"message":"Hello, World!"}'))

    with load_process() as process, serving(serve) as server:
        spec = {**target(server), "data": str(tmp_path)}
        order = measuring(SCENARIOS / "json.py", spec, slice_s=slice_s, identify=False)
        (result,) = process.ask(**order)["targets"]
    within = sum(first <= at < last for at in asked_ns for first, last in result["edges_ns"])
    # While the load process stands still between a clock and a page, each of 8 connections is answered once at most.
    assert abs(result["cache"]["asked"] - within) <= 2 * 8 * len(result["edges_ns"])
    assert result["cache"]["missed"] == 0
    assert len(asked_ns) > within
    (first_heard, *_) = (event for event in process.events if event["phase"] == "measure")
    assert first_heard["done"] == 0


# --- what the report says -------------------------------------------------------------------------------------------


def histogram_of(service_us: float, answers: int = 2000) -> HistogramData:
    histogram = Histogram()
    histogram.record(np.full(answers, round(service_us * 1000), dtype=np.int64))
    return histogram.to_data()


def with_kinds(trial: Trial) -> Trial:
    stalled = trial.server == "uvicorn-httptools"
    return replace(
        trial,
        inside=(1,) if stalled else (8, 6),
        by_request={"GET /json": histogram_of(50_000 if stalled else 900), "GET /block/50": histogram_of(51_000)},
    )


@pytest.fixture
def run() -> Run:
    made = make_run(Making(scenarios=("stall",), blocks=2))
    return replace(made, trials=tuple(with_kinds(trial) if trial.status == "ok" else trial for trial in made.trials))


def test_the_page_shows_how_many_were_inside_and_what_the_slow_ones_did_to_the_quick_ones(run: Run) -> None:
    html = page.render(run)
    assert "1 at once inside" in html
    assert "8 and 6 at once inside" in html
    assert "Requests at once inside the app" in html
    assert "GET /json beside the others: p99" in html
    table = html.partition("GET /json beside the others: p99")[2]
    assert "GET /block/50" in table


def test_a_terminal_shows_the_same(run: Run) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    terminal.ranking(run, console)
    shown = console.export_text()
    (line,) = (line for line in shown.partition("Inside the app")[2].splitlines() if "uvicorn-httptools" in line[:30])
    assert line.split()[1:] == ["1", "50.0", "ms", "50.0", "ms"]


def test_the_summary_holds_both_and_neither_where_nothing_was_counted(run: Run) -> None:
    rows = {row["server"]: row for row in summary(run)["groups"][0]["rows"]}
    assert rows["waitress"]["inside"] == (8, 6)
    assert rows["waitress"]["requests"]["GET /json"]["p99_us"] == pytest.approx(900, rel=0.01)
    plain = make_run(Making(blocks=1))
    row = summary(plain)["groups"][0]["rows"][0]
    assert (row["inside"], row["requests"]) == (None, {})
    assert "at once inside" not in page.render(plain)


def test_both_come_back_from_disk_as_they_went(run: Run) -> None:
    trial = next(trial for trial in run.trials if trial.inside == (8, 6))
    assert decode(Trial, encode(trial)) == trial
    before = {key: value for key, value in encode(trial).items() if key not in {"inside", "by_request"}}
    assert (decode(Trial, before).inside, decode(Trial, before).by_request) == (None, {})


def test_peaks_of_several_processes_are_not_added(run: Run) -> None:
    panel = view_of(run).panels[0]
    chart = at_once(panel)
    assert chart is not None
    assert ">8</text>" in chart.drawing
    assert ">14</text>" not in chart.drawing


def test_more_inside_than_could_be_asked_is_refuted_and_said_of_no_pool(run: Run) -> None:
    trials = [replace(trial, inside=(515,), asking=(515,), pool=1) if trial.inside else trial for trial in run.trials]
    found = audit.audit_run(replace(run, trials=tuple(trials)))
    assert found.refuted
    told = "515 requests at once inside the app, but at most 64 could be asked at once"
    said = [each.detail for trial in found.trials for each in trial.doubts if each.kind == "WrongCount"]
    inside = [trial for trial in trials if trial.inside]
    assert sum(told in each for each in said) == len(inside)
    (panel, *_) = view_of(replace(run, trials=tuple(trials))).panels
    assert {pool_words(row.entry) for row in panel.rows} == {None}
    assert not any(told in each.detail for trial in audit.audit_run(run).trials for each in trial.doubts)


def test_a_request_that_was_given_up_may_still_be_inside() -> None:
    assert audit.doubts_of(audit.Figures(id="x", inside=9, in_flight_most=None)) == ()
    assert audit.doubts_of(audit.Figures(id="x", inside=8, in_flight_most=8)) == ()


def test_a_request_is_called_by_its_method_once() -> None:
    assert spoken("GET", "/json") == "GET /json"
    assert spoken("GET", "GET /json") == "GET /json"
    assert spoken("GET", "GETTING /json") == "GET GETTING /json"
    assert answers_of({("GET", "/json"): 2, ("GET", "GET /json"): 3}) == {"GET /json": 5}
