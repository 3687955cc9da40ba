"""Named amounts of care: what a run does that says no more than quick, standard or full."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sgibench.engine.windows import P99_ANSWERS


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named amount of care."""

    name: str
    blocks: int
    window_s: float
    open_window_s: float
    retries: int
    """How often a group in doubt is measured again in its block (method, section 6: at most twice)."""
    servers: tuple[str, ...]
    scenarios: tuple[str, ...]
    promise: str
    """What its result may be used for."""
    p99_from: Literal["blocks together", "each block"] = "each block"
    """Where the 1,000 answers behind a p99 have to come from, as far as `longest_open_s` allows."""
    longest_open_s: float = 15.0
    """The longest window of an open load."""
    own_percentile_s: float = 0.0
    """With answers of all blocks together: where a window of this length holds those of a block's own p99, it does."""
    fewer_blocks: Mapping[str, int] = field(default_factory=dict)
    """Scenario -> the number of blocks that hold it, where it is known to take fewer: of work that only waits, servers
    differ by many times, or not at all."""
    shorter_s: Mapping[str, float] = field(default_factory=dict)
    """Scenario -> counted time of its closed loads, where less than `window_s` is enough."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """Scenario -> connections, where the user names none and the usual number would make visits long: a visit lasts ten
    times the slowest answers, and with many connections each waits for all the others."""
    class_rates: bool = True
    """Whether servers that are many times as fast as the slowest are measured at a rate of their own, too."""

    def answers(self, blocks: int) -> int:
        """How many requests should be due in a window of an open load, where so many blocks hold it."""
        return P99_ANSWERS if self.p99_from == "each block" else math.ceil(P99_ANSWERS / blocks)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="quick",
            blocks=6,
            window_s=1.25,
            open_window_s=0.85,
            retries=0,
            servers=(
                "gunicorn-gthread",
                "waitress",
                "granian-wsgi",
                "uvicorn-httptools",
                "hypercorn-uvloop",
                "granian-asgi",
            ),
            scenarios=("json", "wait"),
            promise="a look in a few minutes: json in six blocks, enough for verdicts, and waiting work in three",
            p99_from="blocks together",
            longest_open_s=5.0,
            own_percentile_s=3.0,
            fewer_blocks={"wait": 3},
            shorter_s={"wait": 0.5},
            connections={"json": 16, "wait": 32},
            class_rates=False,
        ),
        Profile(
            name="standard",
            blocks=6,
            window_s=5.0,
            open_window_s=5.0,
            retries=2,
            servers=("*",),
            scenarios=("site", "json", "wait", "crud"),
            promise="all servers on four scenarios, with enough blocks for verdicts",
        ),
        Profile(
            name="full",
            blocks=10,
            window_s=5.0,
            open_window_s=5.0,
            retries=2,
            servers=("*",),
            scenarios=("*",),
            promise="the whole catalogue, for publication",
        ),
    )
}
