"""The tests of one web UI session as a run: numbered, judged, and written to the results folder when asked (store).

A test is a trial like any other, except that nothing was interleaved: tests stand one after the other, in unbroken
windows whose length the user decided. The run says so: its profile is `ui`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sgibench import __version__, audit, machine, report
from sgibench.bench.workshop import recorded
from sgibench.errors import ResultsError
from sgibench.model import (
    SCHEMA,
    App,
    Block,
    Calibration,
    Cell,
    Doubt,
    Failure,
    Group,
    Plan,
    RunInfo,
    Scenario,
    ServiceInfo,
    Stage,
    Stopped,
    Trial,
    Windows,
    as_failed,
)
from sgibench.results import store
from sgibench.results.codec import encode
from sgibench.serve.envs import Environment

ANSWER_TIMEOUT_S = 10.0
LONGEST_WARMUP_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Tested:
    """One test that ended."""

    cell: Cell | None
    """None for a target of the user's own, which can't be saved: what it is, nobody knows."""
    trial: Trial
    doubts: tuple[Doubt, ...]
    size: str = ""
    """Workers and threads, in words."""
    saved: bool = False
    on_disk: bool = False
    """Whether its line was written, even if something became of it since then."""


class UiRun:
    """All tests of a session, in their order."""

    def __init__(self, results: Path, reports: Path, argv: tuple[str, ...], catalogues: tuple[Path, ...]) -> None:
        self.results = results
        self.reports = reports
        self.argv = argv
        self.catalogues = catalogues
        self.seed = int.from_bytes(os.urandom(4), "big")
        self.tests: list[Tested] = []
        self.calibrations: dict[str, Calibration] = {}
        """By scenario."""
        self.uncalibrated: dict[str, str] = {}
        """Scenario -> why there is none."""
        self.services: dict[str, ServiceInfo] = {}
        """Those that servers used."""
        self._started = datetime.now(UTC)
        self._started_s = time.monotonic()
        self._folder = results / store.new_run_id(self._started)

    def block_of(self, cell: Cell) -> int:
        """How often a cell was tested before: its block."""
        return sum(1 for test in self.tests if test.cell is not None and test.cell.id == cell.id)

    def add(self, test: Tested) -> None:
        """Take a test that ended."""
        self.tests.append(test)

    def note_ceiling(self, found: Calibration) -> None:
        """Keep what the generator can do at most in a scenario."""
        self.calibrations[found.scenario] = found
        self.uncalibrated.pop(found.scenario, None)

    def note_services(self, infos: Mapping[str, ServiceInfo]) -> None:
        """Keep what a server's services were."""
        self.services.update(infos)

    def fail_since(self, first: int, failure: Failure) -> None:
        """Take back the numbers of all tests from `first` on: their server failed afterwards.

        One that was saved before has to be saved again: a line about its server takes the numbers back.
        """
        for place, test in enumerate(self.tests):
            if place >= first and test.trial.status == "ok":
                self.tests[place] = replace(test, trial=as_failed(test.trial, failure), doubts=(), saved=False)

    def rows(self) -> list[dict[str, Any]]:
        """All tests as the page shows them, in SI units."""
        return [row_of(number, test) for number, test in enumerate(self.tests, start=1)]

    def save(
        self, environments: Mapping[str, Environment], apps: Sequence[App], scenarios: Sequence[Scenario]
    ) -> dict[str, Any]:
        """Append what is not on disk yet, and write the report; raises ResultsError."""
        fresh = [place for place, test in enumerate(self.tests) if test.cell is not None and not test.saved]
        if not fresh:
            raise ResultsError("there is no test that could be saved and is not saved yet")
        info = self._info(environments, apps, scenarios)
        with store.RunWriter(self._folder, info) as writer:
            writer.write_info(info)
            for place in fresh:
                writer.append(line_about(self.tests[place]))
                self.tests[place] = replace(self.tests[place], saved=True, on_disk=True)
        page = report.write(store.read_run(self._folder), self.reports)
        report.write_index(self.reports, self._all_runs())
        return {"run": self._folder.name, "folder": str(self._folder), "report": str(page)}

    def _all_runs(self) -> list[Any]:
        """All runs of the results folder that can be read."""
        runs = []
        for folder in store.list_runs(self.results):
            try:
                runs.append(store.read_run(folder))
            except ResultsError:
                continue  # `sgibench report` says what is wrong with it
        return runs

    def _info(
        self, environments: Mapping[str, Environment], apps: Sequence[App], scenarios: Sequence[Scenario]
    ) -> RunInfo:
        ours = [test for test in self.tests if test.cell is not None]
        cpus = machine.plan_cpus(max(test.trial.workers for test in ours))
        measured_s = sum(test.trial.window_s or 0.0 for test in ours)
        return RunInfo(
            schema=SCHEMA,
            run=self._folder.name,
            started_at=self._started.isoformat(timespec="seconds"),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            profile="ui",
            seed=self.seed,
            argv=self.argv,
            version=__version__,
            commit=None,
            machine=machine.describe(cpus),
            environments=recorded(environments, apps),
            skipped={},
            services=self.services,
            service_cpus=next((one.cpus for one in self.services.values() if one.private), ()),
            plan=self._plan(),
            scenarios={scenario.id: scenario.summary for scenario in scenarios},
            calibration=tuple(self.calibrations.values()),
            uncalibrated=self.uncalibrated,
            catalogues=tuple(str(root) for root in self.catalogues),
            measuring_share=measured_s / (time.monotonic() - self._started_s),
        )

    def _plan(self) -> Plan:
        """The plan that the user made by pressing buttons: each test in the block that its repetition makes."""
        blocks: dict[int, dict[str, list[Cell]]] = {}
        for test in self.tests:
            if test.cell is not None:
                groups = blocks.setdefault(test.trial.block, {})
                groups.setdefault(audit_group(test.cell), []).append(test.cell)
        longest_s = max(test.trial.window_s or 0.0 for test in self.tests)
        return Plan(
            seed=self.seed,
            windows=Windows(
                window_s=longest_s, slice_s=None, warmup_s=LONGEST_WARMUP_S, timeout_s=ANSWER_TIMEOUT_S, settle_s=0.0
            ),
            blocks=tuple(
                Block(
                    index=index,
                    seed=self.seed,
                    stages=tuple(Stage(groups=(group_of(cells),)) for cells in groups.values()),
                )
                for index, groups in sorted(blocks.items())
            ),
        )


def line_about(test: Tested) -> Trial | Stopped:
    """What is appended for a test: itself, or what became of its server after it was written."""
    trial = test.trial
    if not test.on_disk:
        return trial
    return Stopped(stopped=(trial.cell,), block=trial.block, retries=trial.retries, failure=trial.failure)


def audit_group(cell: Cell) -> str:
    """Name the cells that a cell is compared with: same scenario, load and settings."""
    return f"{cell.scenario}/{cell.load.id}/{cell.settings.id}"


def group_of(cells: Sequence[Cell]) -> Group:
    """Make a group of cells that differ only in server and app."""
    first = cells[0]
    return Group(scenario=first.scenario, load=first.load, settings=first.settings, cells=tuple(cells))


def doubts_of(trial: Trial, server_cpus: int, session: UiRun) -> tuple[Doubt, ...]:
    """Doubts about one test by itself, by the rules of every other trial."""
    around = audit.Surroundings(
        server_cpus=server_cpus or None,
        ceiling_rps={scenario: found.rps_per_core for scenario, found in session.calibrations.items()},
        uncalibrated=session.uncalibrated,
    )
    return audit.trial_doubts(trial, around)


def row_of(number: int, test: Tested) -> dict[str, Any]:
    """One test as the page shows it; failed ones have a reason and no numbers."""
    trial, ours = test.trial, test.cell is not None
    latency, memory = trial.latency_us, trial.memory
    return {
        "number": number,
        "server": trial.server,
        "app": trial.app,
        "scenario": trial.scenario,
        "load": trial.load.id,
        "size": test.size,
        "status": trial.status,
        "failure": None if trial.failure is None else f"{trial.failure.reason}: {trial.failure.detail}",
        "window_s": trial.window_s,
        "requests": trial.requests,
        "rps": trial.rps,
        "cpu_us_per_request": trial.cpu_us_per_request,
        "p50_us": latency.p50 if latency else None,
        "p99_us": latency.p99 if latency else None,
        "pss_bytes": None if memory is None else memory.pss_bytes or memory.uss_bytes,
        "errors": sum(trial.errors.values()),
        "doubts": [encode(doubt) for doubt in test.doubts],
        "saved": test.saved,
        "can_be_saved": ours,
    }
