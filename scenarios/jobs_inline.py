"""Jobs of a few milliseconds of work are done before the answer, whatever the app has for doing them later."""

from __future__ import annotations

from sgibench.load.jobs import job
from sgibench.load.user import BenchUser


class JobsInline(BenchUser):
    """Jobs of a few milliseconds of work are done before the answer, whatever the app has for doing them later."""

    jobs = True
    requests = (job("/jobs?how=inline", name="/jobs inline"),)
