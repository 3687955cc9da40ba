"""Jobs, as several scenarios hand them in: some milliseconds of work, and an answer that says where to ask about it."""

from __future__ import annotations

from sgibench.load.request import Request, post
from sgibench.load.wire.answer import Answer

ROUNDS = 20_000
"""Of the contract's pure-Python work: a few milliseconds."""


def taken(answer: Answer) -> str | None:
    """Whether the job was taken and can be asked about at the address that is said."""
    document = answer.json()
    job_id = document.get("id") if isinstance(document, dict) else None
    if not isinstance(job_id, str) or not job_id:
        return f"expected a job's id, but {answer.body[:60]!r} came"
    address, expected = answer.header("location"), f"/jobs/{job_id}"
    return None if address in {expected, None} else f"expected Location {expected}, but it is {address}"


def job(path: str = "/jobs", *, name: str = "") -> Request:
    """Declare a job that is handed in."""
    return post(
        path,
        name=name,
        status=202,
        body=b'{"rounds":%d}' % ROUNDS,
        headers=(("Content-Type", "application/json"),),
        expect=taken,
        example=b'{"id":"1"}',
        example_type="application/json",
    )
