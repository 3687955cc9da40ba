"""What happens between Start and Stop: ask for the server, warm up, count, hand over what was counted, let it go.

One test at a time. Locust's runner spawns and stops the users; this module prepares their field and opens and closes
the count. Every way in which a test can end (Stop, the run time, a server that died) goes through Locust's own
`test_stopping` and `test_stop`, so there is one road out.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING

from sgibench.errors import LoadError, SgibenchError
from sgibench.load import field as fields
from sgibench.load.arriving import open_loop
from sgibench.load.loading import load_scenario
from sgibench.load.measure import STEADY, WARMUP_S
from sgibench.load.orders import read_load
from sgibench.load.pacing import Schedule
from sgibench.load.target import Target
from sgibench.load.webui.form import Choice
from sgibench.load.webui.line import EngineLine
from sgibench.load.webui.record import KEPT_S, Record
from sgibench.model import Load

LONGEST_WARMUP_S = 3.0
SHORTEST_WARMUP_S = 1.0
LOOK_EVERY = 2
"""Seconds between two looks of the engine at what was counted so far."""
BUG = "the web UI met a bug"


@dataclass(kw_only=True)
class Test:
    """One test, from Start to the engine's judgement."""

    __test__ = False  # not one of pytest's

    about: dict[str, str]
    """What is served and how it is loaded, in words, as the engine says."""
    address: str
    load: Load
    target: Target
    record: Record
    pids: tuple[int, ...]
    memory: list[tuple[float, int]] = field(default_factory=list)
    """(Seconds, bytes) of the server's tree."""
    looked: dict[str, Any] = field(default_factory=dict)
    """What the engine saw when it last looked: processes, memory, doubts."""


class Session:
    """All tests since the UI was opened."""

    def __init__(self, environment: Environment, line: EngineLine) -> None:
        self.environment = environment
        self.line = line
        self.phase = "idle"
        """idle, starting, warm-up, measuring or stopping."""
        self.sentence = ""
        """What is being done, while it takes long."""
        self.error: str | None = None
        """Why the last test did not start or broke off."""
        self.test: Test | None = None
        """The test that runs, or the last one."""
        self.tests: list[dict[str, Any]] = []
        """The engine's rows about all tests that ended."""
        self.saved: dict[str, Any] | None = None
        self.failed: str | None = None
        """Why the last test is a failure; then it has no figures."""
        self._busy = BoundedSemaphore(1)
        self._starting = False
        self._cancelled = False
        """Whether Stop was pressed since Start."""
        self._conductor: gevent.Greenlet | None = None
        self._closer: gevent.Greenlet | None = None
        self._timer: gevent.Greenlet | None = None
        line.on_news = self._on_news
        events: Any = environment.events
        events.test_stopping.add_listener(self._on_stopping)
        events.test_stop.add_listener(self._on_stop)

    @property
    def runner(self) -> Any:
        """Locust's runner."""
        return self.environment.runner

    @property
    def running(self) -> bool:
        """Whether users are there or on their way."""
        return self.runner.state in {STATE_SPAWNING, STATE_RUNNING}

    # --- Start, Update, Stop, Save -----------------------------------------------------------------------------------

    def start(self, choice: Choice) -> None:
        """Serve what was chosen and load it; raises SgibenchError when that can't be done."""
        with self._alone():
            self._starting, self._cancelled = True, False
            if self._closer is not None:
                self._closer.join()
            self.phase, self.sentence, self.error, self.failed = "starting", "starting", None, None
            try:
                self._begin(choice)
            except SgibenchError as error:
                self.phase, self.sentence, self.error = "idle", "", str(error)
                raise
            except Exception as error:
                traceback.print_exc()
                self.phase, self.sentence, self.error = "idle", "", f"{BUG}: {type(error).__name__}: {error}"
                raise LoadError(self.error) from error
            finally:
                self._starting = False

    def _begin(self, choice: Choice) -> None:
        self._refuse_if_cancelled()
        served = self.line.ask("serve", choice=dict(choice.values), users=choice.users)
        try:
            self._refuse_if_cancelled()
            self.test = self._prepare(served)
        except Exception:
            self.line.ask("release")
            raise
        self.runner.start(choice.users, choice.ramp_per_s)
        self._conductor = gevent.spawn(self._conduct, self.test)
        if choice.run_time_s is not None:
            self._timer = gevent.spawn_later(choice.run_time_s, self.runner.stop)

    def _refuse_if_cancelled(self) -> None:
        if self._cancelled:
            raise LoadError("Stopped while starting: nothing was counted.")

    def _prepare(self, served: dict[str, Any]) -> Test:
        """Make the field that the users will find, with the load that was chosen."""
        cls = load_scenario(Path(served["scenario"]))
        load = replace(read_load(served["load"]), arrivals=cls.arrivals)
        host, port = str(served["host"]), int(served["port"])
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.environment.user_classes = [cls]
        self.environment.host = address
        self.environment.locustfile = Path(served["scenario"]).name
        prepared = fields.prepare(
            self.environment,
            cls,
            (host, port),
            keep_alive=load.connection == "keep-alive",
            seed=int(served["seed"]),
            closed=True,
        )
        if load.kind == "open":
            rate = load.rate_per_s or 0.0
            open_loop(prepared.target, Schedule(rate, load.arrivals, int(served["seed"]), monotonic_ns()))
        prepared.play()
        pids = tuple(map(int, served["pids"]))
        return Test(
            about=dict(served["about"]),
            address=address,
            load=load,
            target=prepared.target,
            record=Record(prepared.target, pids),
            pids=pids,
        )

    def edit(self, choice: Choice) -> None:
        """Change the number of users while it runs: what was counted is a test by itself, and a new one begins."""
        with self._alone():
            test = self.test
            if test is None or not self.running:
                raise LoadError("nothing runs that could be changed")
            self.line.ask("fits", users=choice.users)
            self._stop_conductor()
            try:
                self._go_on(test, choice)
            except SgibenchError:
                gevent.spawn(self.runner.stop)  # users without anybody who counts what they do
                raise

    def _go_on(self, test: Test, choice: Choice) -> None:
        """Hand over what was counted, and count anew with another number of users."""
        if test.record.began:
            test.record.end()
            test.target.wait_until(lambda: test.target.drained, test.target.timeout_ns / 1e9)
            test.target.give_up_rest()
            test.target.fold()
            self._note(self.line.ask("finish", result=test.record.result("ui")))
            self._resume(test)
        self.test = replace(
            test,
            load=replace(test.load, connections=choice.users),
            record=Record(test.target, test.pids),
            memory=[],
            looked={},
        )
        self.runner.start(choice.users, choice.ramp_per_s)
        self._conductor = gevent.spawn(self._conduct, self.test)

    def _resume(self, test: Test) -> None:
        """Let the load go on after a window that was drained; an open loop begins a schedule of its own."""
        test.target.enter("warm-up")
        if test.load.kind == "open":
            self._go_on_schedule(test.target, test.load)
        test.target.open_gate()

    def _go_on_schedule(self, target: Target, load: Load) -> None:
        """Put a target on a schedule that begins now."""
        target.detach()
        seed = len(self.tests) + 1
        open_loop(target, Schedule(load.rate_per_s or 0.0, load.arrivals, seed, monotonic_ns()))
        target.attach()

    def stop(self) -> None:
        """Stop the load, or what is being started; the server is stopped once what it did was handed over."""
        if self.running:
            self.runner.stop()
        elif self._starting and not self._cancelled:
            self._cancelled = True
            self.sentence = "stopping what was being started"
            self.line.cancel()

    def save(self) -> dict[str, Any]:
        """Have all tests that ended written to the results folder, with a report."""
        with self._alone():
            try:
                answer = self.line.ask("save")
                self.saved = {name: answer[name] for name in ("run", "folder", "report")}
            finally:
                self._note(self.line.ask("tests"))
            return self.saved

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse to do two things at once."""
        if not self._busy.acquire(blocking=False):
            raise LoadError(f"wait a moment: {self.sentence or self.phase}")
        try:
            yield
        finally:
            self._busy.release()

    # --- while it runs -----------------------------------------------------------------------------------------------

    def _conduct(self, test: Test) -> None:
        """Warm up, count second by second, and show the engine what was counted so far."""
        try:
            if self.runner.spawning_greenlet is not None:
                self.phase, self.sentence = "warm-up", "connecting"
                self.runner.spawning_greenlet.join()
            self._warm_up(test)
            self.line.ask("begin", connections=test.load.connections)
            test.record.begin()
            self.phase, self.sentence = "measuring", ""
            self._count(test)
        except Exception as error:  # noqa: BLE001 - a bug must be seen in the page
            self.error = str(error) if isinstance(error, SgibenchError) else f"{BUG}: {type(error).__name__}: {error}"
            traceback.print_exc()
            gevent.spawn(self.runner.stop)

    def _warm_up(self, test: Test) -> None:
        """Wait until the rate is steady, within fixed limits."""
        self.phase, self.sentence = "warm-up", "warming up"
        target = test.target
        began, rates = monotonic(), [0.0]
        while (passed := monotonic() - began) < LONGEST_WARMUP_S:
            before, at = target.tally.requests, monotonic()
            gevent.sleep(WARMUP_S)
            target.check()
            target.fold()
            rates.append((target.tally.requests - before) / (monotonic() - at))
            steady = rates[-1] and abs(rates[-1] - rates[-2]) < STEADY * max(rates[-2:])
            if passed > SHORTEST_WARMUP_S and (steady or test.load.kind == "open"):
                return

    def _count(self, test: Test) -> None:
        began = monotonic()
        tick = 0
        while True:
            tick += 1
            gevent.sleep(max(0.0, began + tick - monotonic()))
            test.record.tick()
            if tick % LOOK_EVERY == 0:
                test.looked = looked = self.line.ask("judge", result=test.record.result("ui"))
                if looked.get("memory_bytes") is not None:
                    test.memory.append((test.record.elapsed_s, int(looked["memory_bytes"])))
                    del test.memory[:-KEPT_S]

    # --- how it ends -------------------------------------------------------------------------------------------------

    def _stop_conductor(self) -> None:
        if self._conductor is not None and self._conductor is not gevent.getcurrent():
            self._conductor.kill()
        self._conductor = None

    def _on_stopping(self, **_: Any) -> None:
        """Locust is about to stop the users: close the count before their last requests are drained."""
        self.phase, self.sentence = "stopping", "waiting for the last answers"
        self._stop_conductor()
        if self._timer is not None and self._timer is not gevent.getcurrent():
            self._timer.kill(block=False)
        self._timer = None
        if self.test is not None and self.test.record.began:
            self.test.record.end()

    def _on_stop(self, **_: Any) -> None:
        """The users are gone."""
        self._closer = gevent.spawn(self._close)

    def _close(self) -> None:
        """Hand over what was counted, and let the server go."""
        self.sentence = "stopping the server"
        test = self.test
        before = len(self.tests)
        try:
            if test is not None and test.record.began:
                answer = self.line.ask("finish", result=test.record.result("ui"))
                test.looked = {**test.looked, **answer.get("looked", {})}
                self._note(answer)
            elif self.error is None:
                self.error = "Stopped before the warm-up had ended: nothing was counted."
            self._note(self.line.ask("release"))
            self._drop_figures(before)
        except SgibenchError as error:
            self.error = str(error)
        finally:
            self.phase, self.sentence = "idle", ""

    def _drop_figures(self, before: int) -> None:
        """A test that failed keeps no figure, in our tabs or in Locust's own; what went wrong stays."""
        if len(self.tests) == before or self.tests[-1]["failure"] is None:
            return
        self.failed = str(self.tests[-1]["failure"])
        stats = self.environment.stats
        errors = dict(stats.errors)
        stats.clear_all()
        stats.errors.update(errors)

    def _note(self, answer: dict[str, Any]) -> None:
        """Take over the engine's rows."""
        self.tests = list(answer.get("tests", self.tests))

    def _on_news(self, news: dict[str, Any]) -> None:
        """The engine says something unasked; called from the loop, so nothing here waits."""
        if news["tell"] == "progress":
            self.sentence = str(news["sentence"])
        elif news["tell"] == "gone":
            self.error = str(news["message"])
            if self.running:
                gevent.spawn(self.runner.stop)
