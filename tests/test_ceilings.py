"""Measuring does not depend on the generator's ceiling: where nobody knows it, that is said, stored and doubted."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from sgibench import audit, bench
from sgibench.bench.believable import refuse_unbelievable
from sgibench.bench.resuming import cells_of
from sgibench.engine.progress import Silent
from sgibench.errors import ResultsError
from sgibench.model import Run
from sgibench.report.capacities import capacities_of
from sgibench.report.page import render
from sgibench.report.summary import summary
from sgibench.results import store
from tests.ui_process import ui_process

SERVER = "faulty-none"
FAULTY = Path(__file__).parent / "faulty"
REFUSED = "prepared answers of the null server's were not taken as right (/json: no object)"


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with a scenario whose example its own check refuses."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "odd.py").write_text(
        textwrap.dedent('''
            """A wrong example."""
            from sgibench.load.user import BenchUser, get

            def begins(answer):
                return None if answer.body.startswith(b"{") else "no object"

            class Odd(BenchUser):
                """A wrong example."""
                requests = (get("/json", expect=begins, example=b"wrong"),)
        '''),
        encoding="utf-8",
    )
    return folder


def request(tmp_path: Path, own: Path, *scenarios: str) -> bench.Request:
    return bench.Request(
        results=tmp_path / "results",
        argv=("sgibench", "run"),
        servers=(SERVER,),
        scenarios=scenarios,
        blocks=1,
        window_s=0.3,
        connections=(4,),
        seed=1,
        control=False,
        rate_per_s=0.0,
        catalogues=(FAULTY, own),
    )


def kinds(run: Run, scenario: str) -> set[str]:
    around = audit.surroundings_of(run)
    trials = (*run.trials, *run.steps)
    return {one.kind for trial in trials if trial.scenario == scenario for one in audit.trial_doubts(trial, around)}


def test_a_run_goes_on_without_a_ceiling_and_says_so(tmp_path: Path, own: Path) -> None:
    listener = Heard()
    run = store.read_run(bench.run(request(tmp_path, own, "odd", "json"), listener).folder)
    (said,) = [line for line in listener.said if "without a ceiling" in line]
    assert said.startswith("odd is measured without a ceiling of the load generator")
    assert REFUSED in said
    assert [trial.status for trial in run.trials] == ["ok", "ok"]
    assert [one.scenario for one in run.info.calibration] == ["json"]
    assert set(run.info.uncalibrated) == {"odd"}
    assert REFUSED in run.info.uncalibrated["odd"]
    assert not {"CeilingUnknown", "GeneratorBound"}.isdisjoint(kinds(run, "odd"))
    assert "CeilingUnknown" not in kinds(run, "json")
    assert set(summary(run)["uncalibrated"]) == {"odd"}
    assert "prepared answers of the null server" in render(run)


def test_a_search_for_capacity_has_no_upper_end_then_and_may_be_resumed(tmp_path: Path, own: Path) -> None:
    asked = request(tmp_path, own, "odd")
    slo = bench.parse_slo("p90<50ms")
    run = store.read_run(bench.search_capacity(asked, slo, Silent(), resolution=2.0).folder)
    (found,) = run.info.capacity
    assert found.failure is None
    assert found.failed_at_per_s is not None, "only a step that failed ended it"
    (table,) = capacities_of(run)
    assert "a rate may be its limit rather than the server's" in table.sentence
    refuse_unbelievable(run.info, cells_of(run.info.plan), (0, 1, 2, 3))
    with pytest.raises(ResultsError, match="no ceiling of the generator for odd"):
        refuse_unbelievable(replace(run.info, uncalibrated={}), cells_of(run.info.plan), (0, 1, 2, 3))


def test_a_test_of_the_web_ui_is_doubted_and_saved_so(tmp_path: Path, own: Path) -> None:
    with ui_process(tmp_path, "--catalogue", str(own), "--scenario", "odd") as ui:
        assert ui.start(server=SERVER, scenario="odd")["success"]
        state = ui.until(lambda now: bool(now["doubts"]))
        assert "CeilingUnknown" in str(state["doubts"])
        assert dict(ui.measured()["generator"])["Share of what it can do at most in this scenario"] == "–"
        ui.stop()
        run = store.read_run(ui.folder / ui.ask("POST", "/sgibench/save", {}).json["folder"])
    assert REFUSED in run.info.uncalibrated["odd"]
    assert run.info.calibration == ()
