"""Jobs: taken, asked about, and refused. Where nobody is there to do one, it waits, and that is right."""

from __future__ import annotations

from sgibench.verify.checks.comparing import Findings, Target, ask, ask_and_compare, differences, id_of, shown
from sgibench.verify.client import Asker, Question

ACCEPTED = 202

REFUSED_JOBS = (
    Question(method="POST", path="/jobs", body=b'{"rounds": 10'),
    Question(method="POST", path="/jobs", body=b'{"rounds": "many"}'),
    Question(method="POST", path="/jobs", body=b'{"rounds": 10000001}'),
    Question(method="POST", path="/jobs?how=slowly", body=b'{"rounds": 10}'),
    Question(method="GET", path="/jobs/none"),
    Question(method="GET", path="/jobs"),
    Question(method="DELETE", path="/jobs/1"),
)
"""Refused before anything is handed in."""


def check_jobs(target: Target) -> Findings:
    """A job is taken, and can be asked about where the answer says; what is none is refused."""
    contract = target.contract
    with target.client() as client:
        for path in ("/jobs", "/jobs?how=inline"):
            question = Question(method="POST", path=path, body=contract.dump({"rounds": 10}))
            reply = ask(client, question)
            job_id = id_of(reply)
            if not isinstance(job_id, str) or reply.status != ACCEPTED:
                yield "wrong", f"{question}: expected 202 and an id, but {reply.status} came with {shown(reply.body)}"
                continue
            yield from differences(question, reply, contract.accepted(job_id))
            yield from _check_job(client, target, job_id, done=path.endswith("inline"))
        for question in REFUSED_JOBS:
            yield from ask_and_compare(client, target, question)


def _check_job(client: Asker, target: Target, job_id: str, *, done: bool) -> Findings:
    """What is told of a job: where nobody is there to do it, it waits."""
    question = Question(method="GET", path=f"/jobs/{job_id}")
    reply = ask(client, question)
    result = target.contract.get_cpu("10", "", b"").body.decode()
    finished = target.contract.job_answer(job_id, "done", result)
    waits = target.contract.job_answer(job_id, "queued", None)
    yield from differences(question, reply, finished if done or b"done" in reply.body else waits)
