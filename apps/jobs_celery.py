"""Jobs by Celery, with Redis as broker and for results: `celery --app jobs_celery worker` does them.

Apps use its two handlers in place of the contract's. Both talk to Redis and block: on an event loop they belong into a
thread.
"""

# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,misc,no-any-return"
from __future__ import annotations

import os
import time
from pathlib import Path

import contract
import jobs
from celery import Celery, signals
from celery.result import AsyncResult

URL = os.environ["SGIBENCH_REDIS"]
app = Celery("sgibench", broker=URL, backend=URL)
app.conf.update(result_expires=600, broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)


@app.task(name="sgibench.job")
def job(rounds: int, handed_ns: int) -> str:
    """Do a job."""
    result = jobs.work(rounds)
    jobs.FINISHED.note(handed_ns)
    return result


def hand_in(rounds: int) -> str:
    """Send a job to the queue; gives its id."""
    sent = job.delay(rounds, time.monotonic_ns())
    jobs.HANDED_IN()
    return str(sent.id)


def post_job(argument: str, query: str, body: bytes) -> contract.Answer:
    """Send a job to the queue, or do it before the answer where that is asked for."""
    if contract.wants_inline(query):
        return contract.post_job(argument, query, body)
    return contract.accepted(hand_in(contract.read_job(body)))


def get_job(argument: str, query: str, body: bytes) -> contract.Answer:
    """Tell a job's state. Celery can't tell one that waits from one that it never saw."""
    if not contract.is_uuid(argument):
        return contract.get_job(argument, query, body)
    found = AsyncResult(argument, app=app)
    state = {"SUCCESS": "done", "FAILURE": "failed"}.get(found.state, "queued")
    return contract.job_answer(argument, state, found.result if state == "done" else None)


@signals.worker_ready.connect
def ready(**_: object) -> None:
    """Say that jobs are taken from now on."""
    Path(os.environ["SGIBENCH_DATA"], "worker-ready").touch()


@signals.task_failure.connect
def failed(**_: object) -> None:
    """Count it."""
    jobs.FAILED()
