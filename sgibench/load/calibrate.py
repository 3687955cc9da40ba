"""The generator's own ceiling: how many requests one CPU-second of it makes against a server that does nothing.

Measured like any target, by the same code, with the answers the scenario expects. A benchmark result near this figure
says more about the generator than about the server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sgibench.answers.giving import filled, given
from sgibench.errors import CeilingError, DeclarationError
from sgibench.load.loading import load_scenario
from sgibench.load.measure import Measurement
from sgibench.load.null_server import ITSELF, family_of, null_server, whole_answer
from sgibench.load.orders import MeasureOrder, TargetOrder
from sgibench.load.request import Request, expand, payload_of
from sgibench.load.user import BenchUser
from sgibench.model import Load
from sgibench.model.kinds import FORGIVEN_SHARE, gravest, of_weight, told

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
        line = f"{request.method} {request.path}"
        whole = [_right_answer(request)]
        answers.setdefault(line, whole)
        if request.make is not None:
            answers.setdefault(family_of(line.encode()).decode(), whole)
    if not answers:
        raise DeclarationError(path, "`examples` of right answers, to calibrate with", f"{cls.__name__} has none")
    return answers


def _right_answer(request: Request) -> bytes:
    body = request.expect if isinstance(request.expect, bytes) else request.example
    return whole_answer(request.status, body, request.example_type, of_head=request.method == "HEAD")


def exact_of(path: Path, cls: type[BenchUser], answers: Mapping[str, Sequence[bytes]]) -> dict[bytes, bytes]:
    """Prepare what no request line tells apart: requests of one line that are answered otherwise than its first."""
    told_apart, exact = cls.rehearsal()
    exact = dict(exact)
    values = example_values(path, cls)
    for request in (each.filled(values) for declared in cls.requests for each in expand(declared)):
        line, whole = f"{request.method} {request.path}", _right_answer(request)
        if line not in cls.examples and line not in told_apart and answers[line][0] != whole:
            exact[payload_of(request, host=ITSELF, keep_alive=True)] = whole
    return exact


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
    """Measure the ceiling for one scenario; gives the protocol's answer. Raises CeilingError when it can't be told."""
    cls = load_scenario(path)
    if not cls.terms.calibrated:
        raise CeilingError("a server of prepared answers can't answer it, so it has no ceiling")
    answers = answers_of(path, cls)
    with null_server(answers, exact_of(path, cls, answers)) as (host, port, pid):
        null = TargetOrder(id="null", host=host, port=port, pids=(pid,))
        for tried_s in (window_s * longer for longer in LONGER):
            measured = _measured(path, null, tried_s)
            wrong = _wrong_of(measured)
            if wrong or (measured["requests"] and not _lost_too_many(measured)):
                break
    if wrong or not measured["requests"] or _lost_too_many(measured):
        raise CeilingError(_refused(measured, wrong, tried_s))
    return {
        "did": "calibrate",
        "scenario": path.stem,
        "rps_per_core": measured["requests"] / measured["generator_cpu_s"],
        "requests": measured["requests"],
        "cpu_s": measured["generator_cpu_s"],
        "utilisation": measured["generator_utilisation"],
    }


def _wrong_of(measured: Mapping[str, Any]) -> Counter[str]:
    """Count the answers that were not taken as right, in the window and outside it."""
    every = Counter(measured["errors"]) + Counter(measured["errors_uncounted"])
    return Counter(of_weight(every, "void")) + Counter(of_weight(every, "wrong"))


def _lost_too_many(measured: Mapping[str, Any]) -> bool:
    lost = sum(measured["errors"].values())
    return measured["gave_up"] is not None or lost > FORGIVEN_SHARE * (measured["requests"] + lost)


def _refused(measured: Mapping[str, Any], wrong: Counter[str], window_s: float) -> str:
    """Say why this is no ceiling, and what to do."""
    errors = wrong or Counter(measured["errors"]) + Counter(measured["errors_uncounted"])
    if not errors:
        return f"no answer of the null server came within {window_s:g} s: try again when the machine is less busy"
    kind = gravest(errors)
    sample = measured["error_samples"].get(kind)
    detail = f" ({sample})" if sample else ""
    if not wrong:
        return f"{told(errors)} of the null server's answers{detail}: try again when the machine is less busy"
    return (
        f"{errors.total():,} prepared answers of the null server's were not taken as right{detail}: the ceiling would "
        "be too low. Give the scenario the `example` of a right answer; where these are requests to an app of your own "
        "this is a fault of sgibench's: please report it"
    )


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
