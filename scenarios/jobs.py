"""Jobs of a few milliseconds of work are handed in: how soon it is answered, when they are done, what they cost."""

from __future__ import annotations

from sgibench.load.jobs import job
from sgibench.load.user import BenchUser


class Jobs(BenchUser):
    """Jobs of a few milliseconds of work are handed in: how soon it is answered, when they are done, what they cost."""

    jobs = True
    requests = (job("/jobs"),)
