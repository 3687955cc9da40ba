"""The generator's own ceiling: how many requests one CPU-second of it makes against a server that does nothing.

Measured like any target, by the same code, with the answers the scenario expects. A benchmark result near this figure
says more about the generator than about the server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sgibench.answers.giving import filled, given
from sgibench.errors import DeclarationError, LoadError
from sgibench.load.loading import load_scenario
from sgibench.load.measure import Measurement
from sgibench.load.null_server import family_of, null_server, whole_answer
from sgibench.load.orders import MeasureOrder, TargetOrder
from sgibench.load.request import expand
from sgibench.load.user import BenchUser
from sgibench.model import Load

CONNECTIONS = 32
WARMUP_S = 0.3
"""Neither side has anything to warm up but its caches."""
LONGER = (1, 4, 16)
"""Windows to try, as multiples of the one that was asked for, until an answer is counted: where others have the CPU,
neither side may have had a turn in it."""


def answers_of(path: Path, cls: type[BenchUser]) -> dict[str, list[bytes]]:
    """Prepare the right answers of a scenario; raises DeclarationError when it does not say what they are."""
    answers = {line: [whole_answer(*each) for each in given] for line, given in cls.examples.items()}
    answers |= cls.rehearsal()[0]
    values = example_values(path, cls)
    for request in (each.filled(values) for declared in cls.requests for each in expand(declared)):
        body = request.expect if isinstance(request.expect, bytes) else request.example
        line = f"{request.method} {request.path}"
        whole = [whole_answer(request.status, body, request.example_type)]
        answers.setdefault(line, whole)
        if request.make is not None:
            answers.setdefault(family_of(line.encode()).decode(), whole)
    if not answers:
        raise DeclarationError(path, "`examples` of right answers, to calibrate with", f"{cls.__name__} has none")
    return answers


def example_values(path: Path, cls: type[BenchUser]) -> dict[str, bytes]:
    """Read what the examples of a session give; raises DeclarationError where they do not."""
    values: dict[str, bytes] = {}
    for request in cls.requests:
        body = request.expect if isinstance(request.expect, bytes) else request.example
        try:
            values |= given(filled(body, values), request.gives) if request.gives else {}
        except ValueError as error:
            raise DeclarationError(path, f"an `example` of {request.method} {request.path}", str(error)) from None
    return values


def calibrate(path: Path, window_s: float) -> dict[str, Any]:
    """Measure the ceiling for one scenario; gives the protocol's answer."""
    cls = load_scenario(path)
    if not cls.terms.calibrated:
        raise LoadError(f"calibrate {path.stem}: a server of prepared answers can't answer it, so it has no ceiling")
    with null_server(answers_of(path, cls), cls.rehearsal()[1]) as (host, port, pid):
        null = TargetOrder(id="null", host=host, port=port, pids=(pid,))
        for tried_s in (window_s * longer for longer in LONGER):
            measured = _measured(path, null, tried_s)
            if measured["gave_up"] or measured["error_samples"] or measured["requests"]:
                break
    if measured["gave_up"] or not measured["requests"]:
        why = measured["gave_up"] or measured["error_samples"] or f"none came within {tried_s:g} s"
        raise LoadError(f"calibrate {path.stem}: the null server's answers were not taken as right: {why}")
    return {
        "did": "calibrate",
        "scenario": path.stem,
        "rps_per_core": measured["requests"] / measured["generator_cpu_s"],
        "requests": measured["requests"],
        "cpu_s": measured["generator_cpu_s"],
        "utilisation": measured["generator_utilisation"],
    }


def _measured(path: Path, null: TargetOrder, window_s: float) -> dict[str, Any]:
    """Load the null server for one window."""
    order = MeasureOrder(
        scenario=path,
        targets=(null,),
        load=Load(kind="closed", connections=CONNECTIONS),
        slice_s=None,
        settle_s=0.1,
        window_s=window_s,
        warmup_s=WARMUP_S,
        timeout_s=5.0,
        seed=0,
        identify=False,
        alone=True,
    )
    result: dict[str, Any] = Measurement(order, lambda _: None).run()["targets"][0]
    return result
