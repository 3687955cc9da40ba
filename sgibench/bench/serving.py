"""The engine's side of the web UI: it serves what the form chose, looks after it, judges what was counted, saves it.

The load process asks (see `orders.LoadProcess.attend`), this module answers. It alone owns the server, of which there
is at most one; however the UI ends, leaving the context leaves no process behind.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from sgibench import machine, units, verify
from sgibench.bench.budget import Need, refuse_too_much
from sgibench.bench.choice import Choice, read_choice
from sgibench.bench.request import select_scenarios
from sgibench.bench.served import (
    Address,
    Served,
    about,
    cell_of,
    facts,
    processes_of,
    told,
    told_detail,
    trial_of,
)
from sgibench.bench.ui_run import Tested, UiRun, doubts_of
from sgibench.bench.ui_services import InUse, app_for_scenario, refuse_missing
from sgibench.bench.workshop import prepare, without_ceiling
from sgibench.catalogue.reading import Catalogue
from sgibench.engine.orders import CANCEL, LoadProcess, Measured, measured_of
from sgibench.engine.progress import Silent
from sgibench.engine.services import Used, shows_items, use
from sgibench.engine.trials import judge, too_soon
from sgibench.errors import CeilingError, LoadError, ServerError, SgibenchError
from sgibench.limits import room
from sgibench.model import App, Doubt, Failure, Scenario, Trial
from sgibench.results.codec import encode
from sgibench.serve.envs import Environment
from sgibench.serve.fronts import told_lost
from sgibench.serve.process import HOST, ServerProcess, ServerSpec, idle_cpu
from sgibench.serve.services import House, usual_cpus

IDLE_CHECK_S = 0.3
TAKEN_BACK_EVERY_S = 0.1
CALIBRATION_S = 0.5

Words = Mapping[str, Any]
T = TypeVar("T")


class Serving:
    """Answers the web UI's questions; a context manager."""

    def __init__(
        self,
        found: Catalogue,
        load: LoadProcess,
        scratch: Path,
        session: UiRun,
        target: Address | None,
        *,
        existing: Mapping[str, str] | None = None,
    ) -> None:
        """`existing` names instances of the user's, by service: URLs."""
        self._found = found
        self._existing = dict(existing or {})
        self._load = load
        self._scratch = scratch
        self._session = session
        self._target = target
        self._now: Served | None = None
        self._alive = contextlib.ExitStack()
        self._scenarios: dict[str, Scenario] = {}
        self._environments: dict[str, Environment] = {}
        self._apps: dict[str, App] = {}
        self._answers: dict[str, Callable[[Words], Words]] = {
            "serve": self._serve,
            "fits": self._fits,
            "begin": self._begin,
            "judge": self._judge,
            "finish": self._finish,
            "release": self._release,
            "save": self._save,
            "tests": lambda _words: {"tests": self._session.rows()},
            CANCEL: lambda _words: {},  # what it was to take back has been answered already
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._alive.close()

    def answer(self, name: str, words: Words) -> Words:
        """Answer one question; raises SgibenchError for what can't be done.

        A bug keeps its traceback and ends this one question, not the session with its unsaved tests.
        """
        if name not in self._answers:
            raise LoadError(f"the web UI asked {name!r}; there are {', '.join(self._answers)}")
        try:
            return self._answers[name](words)
        except SgibenchError:
            raise
        except Exception as error:
            traceback.print_exc()
            raise LoadError(f"sgibench met a bug: {type(error).__name__}: {error}") from error

    def watch(self) -> None:
        """Notice a server that ended, was stopped or floods its log, and say so."""
        now = self._now
        if now is None or now.process is None or now.failure is not None:
            return
        process = now.process
        if process.log_bytes() > process.log_cap_bytes:
            detail = f"it logged more than {units.size(process.log_cap_bytes)}"
            now.failure = Failure(reason="log-flood", detail=detail, log_tail=process.log_tail())
            process.kill()
        elif (trouble := now.services.trouble()) is not None:
            now.failure = trouble
            process.kill()
        elif not process.alive():
            detail = f"{process.end} under load"
            now.failure = Failure(reason="crashed", detail=detail, log_tail=process.log_tail())
        elif (still := process.stopped()) is not None:
            if now.standstill.seen(stopped=True):
                now.failure = Failure(reason="stopped", detail=f"{still} under load", log_tail=process.log_tail())
                process.kill()
        else:
            now.standstill.seen(stopped=False)
        if now.failure is not None:
            said = told(ServerError(now.failure.reason, now.failure.detail, now.failure.log_tail))
            self._load.tell("gone", message=f"{self._name(now)} {said}")

    # --- serve -------------------------------------------------------------------------------------------------------

    def _serve(self, words: Words) -> Words:
        """Start and verify what was chosen; what was served before is gone first."""
        self._stop()
        choice = read_choice(self._found, words["choice"], int(words["users"]), own_target=self._target is not None)
        self._refuse_too_much(choice, choice.load.connections)
        scenario = self._scenario(choice)
        if choice.app is not None:
            choice = replace(choice, app=app_for_scenario(choice.app, scenario))
        if scenario.id not in self._session.calibrations:
            self._say("finding out what the load generator can do at most")
            self._calibrate(scenario)
        try:
            now = self._at_target(choice, scenario) if choice.server is None else self._started(choice, scenario)
        except LoadError:
            self._alive.close()
            raise
        except ServerError as error:
            self._alive.close()
            raise ServerError(f"{self._named(choice)} {error.reason}", told_detail(error)) from None
        self._now = now
        return {
            "scenario": str(scenario.path),
            "load": encode(choice.load),
            "seed": self._session.seed,
            "host": HOST if self._target is None else self._target.host,
            "port": now.process.port if now.process is not None else self._target and self._target.port,
            "pids": list(now.process.pids()) if now.process is not None else [],
            "about": about(choice),
        }

    def _calibrate(self, scenario: Scenario) -> None:
        """Find the generator's ceiling, or note why nobody knows it; the next test of that scenario asks again."""
        try:
            self._session.note_ceiling(self._load.calibrate(scenario, CALIBRATION_S))
        except CeilingError as error:
            self._session.uncalibrated[scenario.id] = str(error)
            self._say(without_ceiling(scenario.id, str(error)))

    def _refuse_if_taken_back(self) -> None:
        if self._load.taken_back():
            raise LoadError("Stopped while starting: nothing was counted.")

    def _unless_taken_back(self, work: Callable[[], T]) -> T:
        """Do something long beside this thread; once Stop was pressed, leave it to itself (it fills a cache)."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
                done.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        while True:
            self._refuse_if_taken_back()
            with contextlib.suppress(TimeoutError):
                return done.result(timeout=TAKEN_BACK_EVERY_S)

    def _fits(self, words: Words) -> Words:
        """Refuse more users than this machine has room for, while a test runs."""
        self._refuse_too_much(self._served().choice, int(words["users"]))
        return {}

    @staticmethod
    def _refuse_too_much(choice: Choice, users: int) -> None:
        workers = 1 if choice.settings is None else choice.settings.workers
        refuse_too_much([Need(servers=1, connections=users, workers=workers, load_workers=1)], room())

    def look_up(self, name: str) -> Scenario:
        """Describe a scenario; raises LoadError for one that the web UI can't put on."""
        if name not in self._scenarios:
            path = select_scenarios(self._found, [name])[0]
            self._scenarios[name] = self._load.describe([path])[0]
        scenario = self._scenarios[name]
        if scenario.watched.any:
            raise LoadError(f"{scenario.id} is put on by sgibench run alone: what it watches takes windows of its own")
        if not scenario.terms.calibrated:
            raise LoadError(f"{scenario.id} is put on by sgibench run alone: it is no load of requests by themselves")
        return scenario

    def _scenario(self, choice: Choice) -> Scenario:
        scenario = self.look_up(choice.scenario)
        if choice.server is not None and choice.server.variant.interface not in scenario.interfaces:
            interface = choice.server.variant.interface.upper()
            raise LoadError(f"{scenario.id} is not for {interface} servers such as {choice.server.id}")
        return scenario

    def _at_target(self, choice: Choice, scenario: Scenario) -> Served:
        """Check that the user's own target answers right."""
        if self._target is None:
            raise AssertionError("no target was named")
        self._say(f"asking {self._target.url} for right answers")
        verify.verify_scenario(self._target.host, self._target.port, scenario, keep_alive=True)
        return Served(
            choice=choice,
            scenario=scenario,
            cpus=machine.plan_cpus(1),
            process=None,
            first_test=len(self._session.tests),
            services=InUse(Used(), scenario),
        )

    def _started(self, choice: Choice, scenario: Scenario) -> Served:
        """Start a server of ours in its environment, and check that it answers right."""
        entry, app, settings = choice.server, choice.app, choice.settings
        if entry is None or app is None or settings is None:
            raise AssertionError("a server was chosen without app or settings")
        refuse_missing(self._found, app, self._existing)
        cell = cell_of(choice)
        self._say(f"preparing the environment of {entry.id} (once)")
        ready = self._unless_taken_back(lambda: prepare([cell], [entry], [app], Silent())).environments
        self._environments |= ready
        self._apps[app.id] = app
        cpus = machine.plan_cpus(settings.workers)
        environment = next(iter(ready.values()))
        spec = ServerSpec(
            entry=entry,
            app=app,
            settings=settings,
            bin=environment.bin,
            versions=environment.versions,
            python=environment.info.python,
            cpus=cpus.servers,
            scratch=self._scratch / "server",
        )
        for name in app.uses:
            self._say(f"starting {name}")
        house = self._alive.enter_context(House(self._found.services, usual_cpus(cpus), self._existing))
        used = use(house, app, cell.server, spec.scratch, settings.threads)
        self._refuse_if_taken_back()
        process = ServerProcess(replace(spec, variables=used.variables))
        self._say(f"starting {entry.id}")
        self._alive.enter_context(process)
        process.wait_ready(self._refuse_if_taken_back)
        self._say(f"asking {entry.id} for right answers")
        try:
            verify.verify_scenario(HOST, process.port, scenario, keep_alive=entry.variant.keep_alive)
            if shows_items(scenario, app):
                verify.verify_kept(HOST, process.port, used.rows)
        except ServerError as error:
            refusal = used.complaint()
            detail = error.detail if refusal is None else f"{error.detail}: {refusal.detail}"
            raise ServerError(error.reason, detail, process.log_tail()) from None
        return Served(
            choice=choice,
            scenario=scenario,
            cpus=cpus,
            process=process,
            first_test=len(self._session.tests),
            services=InUse(used, scenario),
            idle_cpu=idle_cpu([process], IDLE_CHECK_S)[0],
        )

    # --- count, judge, finish ----------------------------------------------------------------------------------------

    def _begin(self, words: Words) -> Words:
        """Counting begins: read the host's counters."""
        now = self._served()
        load = replace(now.choice.load, connections=int(words["connections"]))
        now.choice = replace(now.choice, load=load)
        now.parts = now.process.lasting_by_part() if now.process is not None else {}
        steady = now.process.steady_by_part() if now.process is not None else {}
        now.pids = tuple(pid for pids in steady.values() for pid in pids)
        now.front_s = machine.tree_cpu_s(now.process.front_pids()) if now.process is not None else None
        now.started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        now.services.begin()
        now.began = machine.snapshot(now.cpus.servers, now.pids, now.services.families())
        return {}

    def _judge(self, words: Words) -> Words:
        """Look at the server and at what was counted so far."""
        now = self._served()
        now.services.look()
        trial = self._trial(now, measured_of(words["result"]))
        return self._looked(now, trial, self._doubts(now, trial))

    def _finish(self, words: Words) -> Words:
        """Counting is over: judge the test and keep it."""
        now = self._served()
        self.watch()
        measured = measured_of(words["result"])
        if now.failure is None and now.process is not None and (lost := told_lost(now.parts, now.process.pids())):
            now.failure = Failure(reason="crashed", detail=f"{lost} under load", log_tail=now.process.log_tail())
        log_tail = now.process.log_tail() if now.process is not None else ""
        failure = now.failure or now.services.complaint() or judge(measured, log_tail)
        failure = failure or too_soon(now.scenario, measured, log_tail) or now.services.rows_differ(measured)
        self._session.note_services(now.services.infos(now.cpus.servers))
        trial = self._trial(now, measured, failure, is_last=True)
        doubts = self._doubts(now, trial)
        cell = None if now.process is None else cell_of(now.choice)
        size = about(now.choice).get("size", "")
        self._session.add(Tested(cell=cell, trial=trial, doubts=doubts, size=size))
        return {"tests": self._session.rows(), "looked": self._looked(now, trial, doubts)}

    def _trial(
        self, now: Served, measured: Measured, failure: Failure | None = None, *, is_last: bool = False
    ) -> Trial:
        cell = cell_of(now.choice, self._target)
        return trial_of(now, cell, self._session.block_of(cell), measured, failure, is_last=is_last)

    def _doubts(self, now: Served, trial: Trial) -> tuple[Doubt, ...]:
        return doubts_of(trial, len(now.cpus.servers), self._session)

    def _looked(self, now: Served, trial: Trial, doubts: tuple[Doubt, ...]) -> Words:
        """Say what the page shows of the server and of the test so far."""
        memory = trial.memory
        found = self._session.calibrations.get(now.scenario.id)
        return {
            "doubts": [encode(doubt) for doubt in doubts],
            "memory_bytes": None if memory is None else memory.pss_bytes or memory.uss_bytes,
            "processes": processes_of(now),
            "facts": facts(trial),
            "ceiling_share": None if trial.rps is None or found is None else trial.rps / found.rps_per_core,
        }

    # --- release, save -----------------------------------------------------------------------------------------------

    def _release(self, _words: Words) -> Words:
        """Stop the server."""
        self._stop()
        return {"tests": self._session.rows()}

    def _stop(self) -> None:
        """Stop what is served; one that has to be killed fails its tests, as in every run."""
        now, self._now = self._now, None
        try:
            if now is not None and now.process is not None:
                now.process.stop()
        except ServerError as error:
            if now is not None:
                failure = Failure(reason=error.reason, detail=error.detail, log_tail=error.log_tail)
                self._session.fail_since(now.first_test, failure)
        finally:
            self._alive.close()

    def _save(self, _words: Words) -> Words:
        saved = self._session.save(self._environments, list(self._apps.values()), list(self._scenarios.values()))
        return {**saved, "tests": self._session.rows()}

    # --- small things ------------------------------------------------------------------------------------------------

    def _served(self) -> Served:
        if self._now is None:
            raise LoadError("no server is served now")
        return self._now

    def _say(self, sentence: str) -> None:
        self._load.tell("progress", sentence=sentence)

    def _named(self, choice: Choice) -> str:
        """Name what is started or asked; the user's own app is named with its server, as either may be at fault."""
        if choice.server is None or choice.app is None:
            return "the target" if self._target is None else self._target.url
        own = choice.app.own is not None
        return f"{choice.server.id} with {choice.app.id}" if own else choice.server.id

    def _name(self, now: Served) -> str:
        return cell_of(now.choice, self._target).server
