"""Whether an app's word on its jobs can be taken: one is handed in before any load, and followed to its end.

What is counted of jobs is noted by apps and workers themselves. Here a note has to mean what it says: the job's result
is the right one, and it can be had when the job is noted as done. No clock decides that. The time that an app notes is
put beside how long it takes until the result is told: they may lie apart by what the answers take, and not by the job.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sgibench.errors import ServerError, one_line
from sgibench.serve import jobs
from sgibench.serve.process import HOST, ServerProcess
from sgibench.verify.checks import client_for, load_contract
from sgibench.verify.checks.comparing import ask, document_of, id_of, shown
from sgibench.verify.client import Asker, Question

ROUNDS = 500_000
"""Of the contract's work: some ten times as long as asking about it takes on a busy machine."""
TRIES = 3
"""So often in a row a note has to be wrong: a machine may stand still once, just when the result could be had."""
APART = 4
"""A result that is told after so many times the time that was noted was noted before it was there."""
DONE_S = 30.0
"""A job that is handed in while nothing else is asked is done long before."""
POLL_S = 0.002
ACCEPTED = 202
WRONG_RESULT, NOTED_EARLY, NOT_DONE = "job-wrong", "job-noted-early", "no-job-done"


@dataclass(frozen=True, kw_only=True)
class Followed:
    """One job from its handing in to its result."""

    told_us: float
    """From before it was handed in until its result was told."""
    noted_us: int
    """How long it took by the app's own note."""


def follow(
    process: ServerProcess, path: str, contract: Path, trouble: Callable[[], ServerError | None] = lambda: None
) -> None:
    """Hand a job in at `path` and follow it; raises ServerError where its note is not true.

    An app that notes nothing claims nothing, and is not followed. `trouble` says why none will be done any more.
    """
    for left in reversed(range(TRIES)):
        with client_for(HOST, process.port, process.spec.protocol) as client:
            found = _followed(client, process.data, path, _finished(contract), trouble)
        if found is None or found.told_us <= APART * max(found.noted_us, 1):
            return
        if not left:
            detail = (
                f"it noted a job as done {found.noted_us / 1e3:.1f} ms after it was handed in, but its result was "
                f"there only after {found.told_us / 1e3:.1f} ms"
            )
            raise ServerError(NOTED_EARLY, detail, process.log_tail())


@cache
def _finished(contract: Path) -> Any:
    """Make the function that says what is told of the job with an id once it is done."""
    module = load_contract(contract)
    result = module.get_cpu(str(ROUNDS), "", b"").body.decode()
    return lambda job_id: module.job_answer(job_id, "done", result).body


def _followed(
    client: Asker, data: Path, path: str, finished: Callable[[str], bytes], trouble: Callable[[], ServerError | None]
) -> Followed | None:
    """Follow one job; None where the app did not note that it was handed in."""
    before, began_s = jobs.look(data), time.monotonic()
    question = Question(method="POST", path=path, body=b'{"rounds":%d}' % ROUNDS)
    reply = ask(client, question)
    job_id = id_of(reply)
    if reply.status != ACCEPTED or not isinstance(job_id, str):
        raise ServerError("wrong-answer", f"{question}: expected 202 and an id, but {shown(reply.body)} came")
    told_us = _until_told(client, job_id, finished(job_id), began_s, trouble)
    while (now := jobs.look(data)).handed > before.handed and now.done == before.done:
        if time.monotonic() > began_s + DONE_S:
            detail = f"it told the result of job {job_id}, and did not note within {DONE_S:g} s that it was done"
            raise ServerError(NOT_DONE, detail)
        time.sleep(POLL_S)
    took = jobs.took_us(data, before, now)
    return Followed(told_us=told_us, noted_us=int(took.min())) if len(took) else None


def _until_told(
    client: Asker, job_id: str, finished: bytes, began_s: float, trouble: Callable[[], ServerError | None]
) -> float:
    """Ask about a job until its result is told; gives the microseconds since it was handed in."""
    question = Question(method="GET", path=f"/jobs/{job_id}")
    while True:
        reply = ask(client, question)
        if reply.body == finished:
            return (time.monotonic() - began_s) * 1e6
        document = document_of(reply)
        state = document.get("state") if isinstance(document, dict) else None
        if state != "queued":
            detail = f"{question}: expected {shown(finished)} once it is done, but {shown(reply.body)} came"
            raise ServerError(WRONG_RESULT, one_line(detail))
        if (error := trouble()) is not None:
            raise error
        if time.monotonic() > began_s + DONE_S:
            detail = f"job {job_id} was not done in {DONE_S:g} s, in which nothing else was asked"
            raise ServerError(NOT_DONE, detail)
        time.sleep(POLL_S)
