"""The running load process: the orders it is given, and the questions that its web UI asks back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

from sgibench.engine.orders.line import Line
from sgibench.engine.orders.reading import error_of, measured_of, scenario_of, step_of
from sgibench.engine.orders.told import Measured, Step, Target
from sgibench.errors import CeilingError, LoadError, LoadLostError, SgibenchError
from sgibench.model import Calibration, Load, Scenario, Windows
from sgibench.results.codec import encode
from sgibench.secrets import hidden_in

START_TIMEOUT_S = 60.0
WATCH_EVERY_S = 0.25
CALM_S = 1.0
"""The same while servers are visited in turn, or all at once: to look around takes time of a server, or of the load,
and between two visits it says how far it is."""
LATE_ROUNDS = 50
"""Reads after an order's time is over, as long as each brings something: this process may have been stopped (Ctrl-Z)
for longer than that, and what was said meanwhile waits."""
SETTLING_S = 90.0
"""What users who think may need to come together, spread and settle."""
MOST_LOST = 3
"""Load processes in a row that ended before they had measured anything: more than that is no accident."""

CANCEL = "cancel"
"""What the web UI says behind a question that it takes back."""

Answerer = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Answers a question of the web UI: (its name, its words) -> the answer's words."""


class LoadProcess:
    """The running load process; a context manager."""

    def __init__(self, cpus: Sequence[int], log: Path, workers: int = 1, *, awake: bool = False) -> None:
        """`log` takes its stderr; with several `workers` it measures through Locust's master and workers.

        `awake`: it has its CPUs for itself, so in open loops it need not sleep until shortly before a request is due.
        """
        self.cpus = tuple(cpus)
        self.awake = awake
        self.log = log
        self.workers = workers
        self._line: Line | None = None
        self._lost = 0
        """How many ended since the last that measured something."""
        self.spent_s: Mapping[str, float] = {}
        """Where the time of the last `measure` went, by phase; empty where several processes shared it."""
        self._asks: list[dict[str, Any]] = []
        """Questions of the web UI that wait for an answer."""

    def __enter__(self) -> Self:
        self._line = Line(self.cpus, self.log)
        return self

    def __exit__(self, *_: object) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.kill()

    # --- orders ----------------------------------------------------------------------------------------------------

    def describe(self, paths: Sequence[Path]) -> list[Scenario]:
        """Read scenario files; raises DeclarationError for a broken one."""
        answer = self._order({"do": "describe", "scenarios": [str(path) for path in paths]}, START_TIMEOUT_S)
        return [scenario_of(data) for data in answer["scenarios"]]

    def measure(
        self,
        scenario: Scenario,
        targets: Sequence[Target],
        load: Load,
        windows: Windows,
        seed: int,
        *,
        on_step: Callable[[Step], None],
        watch: Callable[[], Mapping[str, str]],
        identify: bool = True,
        samples: bool = False,
        singly: Sequence[int] = (),
    ) -> list[Measured]:
        """Load the targets and return what was seen of each, in their order.

        `identify`: ask `GET /pid` afterwards which process served each connection. `samples`: note what was answered
        and what failed every tenth of a second. `singly`: places of the requests that are then asked by themselves, in
        turn with the app that lives beside the targets.

        Raises LoadLostError when the process ended meanwhile; the next order starts a new one.

        `watch` is called after each step, and several times a second in unbroken windows; it names the targets that are
        gone, with the reason.
        """
        order = {
            "do": "measure",
            "scenario": str(scenario.path),
            "targets": [encode(target) for target in targets],
            "load": encode(load),
            **encode(windows),
            "seed": seed,
            "identify": identify,
            "samples": samples,
            "singly": list(singly),
            "load_workers": self.workers,
            "awake": self.awake,
            "lasting_ids": True,
        }
        dropped: set[str] = set()

        def watch_and_drop() -> None:
            for gone, reason in watch().items():
                if gone not in dropped:
                    dropped.add(gone)
                    self.line.send({"do": "drop", "target": gone, "reason": reason})

        longest_s = _longest_s(len(targets), load, windows, scenario.timeout_s)
        answer = self._order(order, longest_s, on_step=on_step, watch=watch_and_drop)
        self.spent_s = {str(phase): float(seconds) for phase, seconds in (answer.get("spent_s") or {}).items()}
        self._lost = 0
        return [measured_of(data) for data in answer["targets"]]

    def calibrate(self, scenario: Scenario, window_s: float) -> Calibration:
        """Find the generator's ceiling for a scenario against a server that only sends prepared bytes.

        Raises CeilingError when it can't be told; what is measured does not depend on it.
        """
        order = {"do": "calibrate", "scenario": str(scenario.path), "window_s": window_s}
        try:
            answer = self._order(order, START_TIMEOUT_S + 10 * window_s)
        except LoadLostError as error:
            raise CeilingError(str(error)) from error
        return Calibration(
            scenario=scenario.id,
            rps_per_core=float(answer["rps_per_core"]),
            requests=int(answer["requests"]),
            cpu_s=float(answer["cpu_s"]),
            utilisation=float(answer["utilisation"]),
        )

    # --- the web UI: here the load process asks, and the engine answers -----------------------------------------------

    def ui(self, order: Mapping[str, Any]) -> tuple[str, int]:
        """Open the Locust web UI in the load process; returns its address and port."""
        answer = self._order({"do": "ui", **order}, START_TIMEOUT_S)
        return str(answer["url"]), int(answer["port"])

    def attend(self, answer: Answerer, watch: Callable[[], None]) -> NoReturn:
        """Answer the web UI's questions, one after the other, until something ends this by an exception.

        `answer` takes a question's name and words; a SgibenchError that it raises is told as a refusal. `watch` is
        called several times a second while nobody asks.
        """
        while True:
            watch()
            if not self._asks:
                self._asks += [line for line in self.line.lines(WATCH_EVERY_S) if "ask" in line]
            while self._asks:
                ask = self._asks.pop(0)
                try:
                    told = answer(str(ask["ask"]), ask)
                except SgibenchError as error:
                    self.tell("refused", id=ask["id"], message=str(error))
                else:
                    self.tell(str(ask["ask"]), id=ask["id"], **told)

    def taken_back(self) -> bool:
        """Whether the web UI takes back what it asked: a `cancel` waits behind it. For answers that take long."""
        self._asks += [line for line in self.line.lines(0) if "ask" in line]
        return any(ask["ask"] == CANCEL for ask in self._asks)

    def tell(self, name: str, **words: Any) -> None:
        """Tell the web UI something, asked (with the question's `id`) or unasked."""
        self.line.send({"tell": name, **hidden_in(words)})

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._line is not None and self._line.alive()

    # --- the line --------------------------------------------------------------------------------------------------

    def _order(
        self,
        order: dict[str, Any],
        timeout_s: float,
        on_step: Callable[[Step], None] = lambda _step: None,
        watch: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Give an order and wait for its answer; raises LoadLostError, and starts a new process where one was lost."""
        if self._lost and not self.alive():
            self._line = Line(self.cpus, self.log)
        try:
            return self._obeyed(order, timeout_s, on_step, watch)
        except LoadLostError as error:
            self._lost += 1
            self.line.kill()
            if self._lost >= MOST_LOST:
                raise LoadError(f"{error}; {MOST_LOST} were lost in a row") from None
            raise

    def _obeyed(
        self,
        order: dict[str, Any],
        timeout_s: float,
        on_step: Callable[[Step], None],
        watch: Callable[[], None],
    ) -> dict[str, Any]:
        line = self.line
        line.send(order)
        line.expect()
        deadline = time.monotonic() + timeout_s
        late_rounds = 0
        pause_s = WATCH_EVERY_S
        while late_rounds < LATE_ROUNDS:
            heard_s = line.heard_s
            watch()
            for said in line.lines(pause_s):
                if "ask" in said:
                    self._asks.append(said)
                elif said.get("event") == "progress":
                    step = step_of(said)
                    pause_s = CALM_S if step.phase == "measure" and not step.alone else WATCH_EVERY_S
                    on_step(step)
                elif said.get("did") == "error":
                    raise error_of(said)
                elif said.get("did") == order["do"]:
                    return said
            if time.monotonic() >= deadline:
                late_rounds += 1 if line.heard_s > heard_s else LATE_ROUNDS
        raise LoadError(
            f"the load process did not finish {order['do']!r} within {timeout_s:.0f} s; {line.last_words()}"
        )

    @property
    def line(self) -> Line:
        """Its line, while it runs."""
        if self._line is None:
            raise AssertionError("the load process is spoken to outside the context")
        return self._line


def _longest_s(targets: int, load: Load, windows: Windows, timeout_s: float | None) -> float:
    """Give an order ample time: everything may go wrong once for every target before it is called lost.

    `timeout_s` is the scenario's own, if it has one.
    """
    calm = targets * (windows.warmup_s + windows.window_s) * 2
    waited = targets * (max(windows.timeout_s, timeout_s or 0.0) * 6 + SETTLING_S)
    return 60 + calm * 3 + waited + load.connections / 100
