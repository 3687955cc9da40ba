"""Jobs of a few milliseconds of work are handed in: how soon it is answered, when they are done, what they cost."""

from __future__ import annotations

from sgibench.load.user import Answer, BenchUser, post

ROUNDS = 20_000
BODY = b'{"rounds":%d}' % ROUNDS


def taken(answer: Answer) -> str | None:
    """Whether the job was taken and can be asked about at the address that is said."""
    document = answer.json()
    job_id = document.get("id") if isinstance(document, dict) else None
    if not isinstance(job_id, str) or not job_id:
        return f"expected a job's id, but {answer.body[:60]!r} came"
    address, expected = answer.header("location"), f"/jobs/{job_id}"
    return None if address in {expected, None} else f"expected Location {expected}, but it is {address}"


class Jobs(BenchUser):
    """Jobs of a few milliseconds of work are handed in: how soon it is answered, when they are done, what they cost."""

    jobs = True
    requests = (
        post(
            "/jobs",
            status=202,
            body=BODY,
            headers=(("Content-Type", "application/json"),),
            expect=taken,
            example=b'{"id":"1"}',
            example_type="application/json",
        ),
    )
