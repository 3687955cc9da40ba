"""A load process that is killed from outside costs what it loaded just then: the run goes on with a new one."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from sgibench import bench
from sgibench.engine.orders import LoadProcess
from sgibench.engine.progress import Silent
from sgibench.errors import CeilingError, LoadError, LoadLostError
from sgibench.model import Cell, Run
from sgibench.results import store

FAULTY = Path(__file__).parent / "faulty"
SERVER = "faulty-none"


def load_processes() -> list[psutil.Process]:
    """The load process of this one, and its workers."""
    every = psutil.Process(os.getpid()).children(recursive=True)
    return [one for one in every if one.status() != psutil.STATUS_ZOMBIE and "sgibench.load" in one.cmdline()]


class Killer(Silent):
    """Kills the load process while it measures, as often as it is told to."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.said: list[str] = []
        self.killed: set[int] = set()

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def step(self, _cell: Cell, phase: str, _done: float) -> None:
        for one in load_processes() if phase == "measure" and len(self.killed) < self.times else ():
            if one.pid not in self.killed:
                self.killed.add(one.pid)
                one.send_signal(signal.SIGKILL)

    @property
    def lost(self) -> list[str]:
        return [line for line in self.said if "goes on with a new one" in line]


def request(tmp_path: Path, **changes: object) -> bench.Request:
    return replace(
        bench.Request(
            results=tmp_path / "results",
            argv=("sgibench", "run"),
            servers=(SERVER,),
            scenarios=("json",),
            blocks=2,
            window_s=0.3,
            connections=(4,),
            seed=1,
            control=False,
            rate_per_s=0.0,
            catalogues=(FAULTY,),
        ),
        **changes,  # type: ignore[arg-type]  # fields of a request
    )


def run_with(killer: Killer, asked: bench.Request) -> Run:
    return store.read_run(bench.run(asked, killer).folder)


def test_the_load_that_was_lost_fails_by_name_and_the_next_one_is_measured(tmp_path: Path) -> None:
    killer = Killer(1)
    run = run_with(killer, request(tmp_path))
    first, second = run.trials
    assert first.failure
    assert first.failure.reason == "load-lost"
    assert first.failure.detail.endswith("ended, killed by SIGKILL; it said nothing")
    assert first.rps is None
    assert second.status == "ok"
    assert second.requests
    assert run.info.finished_at
    assert len(killer.lost) == 1


def test_it_is_measured_again_where_a_disturbed_trial_is(tmp_path: Path) -> None:
    run = run_with(Killer(1), request(tmp_path, blocks=1, retries=1))
    assert [trial.failure and trial.failure.reason for trial in run.repeated] == ["load-lost"]
    (trial,) = run.trials
    assert (trial.status, trial.retries) == ("ok", 1)


def test_one_that_is_always_lost_ends_the_run_in_one_line_and_keeps_what_was_measured(tmp_path: Path) -> None:
    killer = Killer(100)
    with pytest.raises(LoadError, match=r"killed by SIGKILL; .*; 3 were lost in a row\. What was measured is kept: "):
        bench.run(request(tmp_path, blocks=5), killer)
    run = store.read_run(store.find_run(tmp_path / "results", "latest"))
    assert [trial.failure and trial.failure.reason for trial in run.trials] == ["load-lost"] * 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_ceiling_is_not_found_by_a_process_that_ends_and_the_next_order_has_a_new_one(
    tmp_path: Path, number: signal.Signals
) -> None:
    scenario = Path(__file__).parent.parent / "scenarios" / "json.py"
    with LoadProcess((), tmp_path / "load.log") as load:
        (described,) = load.describe([scenario])
        os.kill(load.line.pid, number)
        with pytest.raises(CeilingError, match=f"killed by {number.name}"):
            load.calibrate(described, 0.1)
        assert load.calibrate(described, 0.1).requests


def lose(load: LoadProcess) -> None:
    os.kill(load.line.pid, signal.SIGKILL)
    load.describe([])


def test_losses_are_counted_in_a_row(tmp_path: Path) -> None:
    with LoadProcess((), tmp_path / "load.log") as load:
        for _ in range(2):
            with pytest.raises(LoadLostError):
                lose(load)
            assert load.describe([]) == []
        with pytest.raises(LoadError, match="3 were lost in a row"):
            lose(load)
