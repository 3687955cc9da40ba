"""What happens to a deployment in the middle of a window, and how it takes it: behaviours beside figures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Act = Literal["kill", "start"]
APART_S = 0.6
"""Two events, and the last one and the end of the window, are so far apart at least: each takes a while."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Something that is done to a deployment while it is measured."""

    at: float
    """When, as a share of the window."""
    do: Act
    """`kill`: one server behind the front, with all that it started. `start`: the same again."""
    server: int = 1
    """Which of them, from 1."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a scenario wants to have done and looked at in its window; nothing, for most."""

    incidents: tuple[Incident, ...] = ()
    servers: int = 1
    """So many servers have to stand behind a front."""
    noted: bool = False
    """Whether the app notes each request that reaches it (`/noted/…` of the contract)."""
    slow: int = 0
    """So many slow clients are there beside those that are measured."""
    wants_s: float = 0.0
    """So long a window is made where none is asked for; 0 for as long as any."""

    @property
    def least_s(self) -> float:
        """A shorter window can't hold the events, each over before the next begins; 0 without any."""
        moments = sorted({*(one.at for one in self.incidents), 1.0})
        gaps = [after - before for before, after in pairwise(moments)]
        return round(APART_S / min(gaps), 1) if gaps else 0.0

    @property
    def any(self) -> bool:
        """Whether there is something to watch, so that its window has to be unbroken."""
        return bool(self.incidents) or self.noted or self.slow > 0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One short piece of a window."""

    at_s: float
    """Its end, since the window began."""
    answered: int
    """Right answers in it."""
    failed: int
    """Requests that got none."""


@dataclass(frozen=True, kw_only=True)
class Happened:
    """Something that was done to a deployment."""

    at_s: float
    """Since the window began."""
    what: str
    """`server 1 of 2 killed`."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a deployment took what happened to it."""

    samples: tuple[Sample, ...] = ()
    happened: tuple[Happened, ...] = ()
    slow: int | None = None
    """Slow clients that had a connection when the window ended; None where there were to be none."""
    lost: int = 0
    """Requests of the window that got no right answer."""
    recovered_after_s: float | None = None
    """From the first event to the last lost request, or the last piece of the window in which nothing was answered; 0
    when there was neither; None without an event, when it went on until the next event or the end, and when some were
    lost that no piece of the window holds: then nobody knows."""
    back_after_s: float | None = None
    """From the new start of a server to the first request that reached it; None when none did, or nobody could tell."""
    reached: int | None = None
    """Requests that reached the app in the window, as it noted them itself."""
    reached_at: tuple[int, ...] = ()
    """The same in each tenth of a second."""
    bursts: tuple[int, ...] = ()
    """The same by bursts: those that came within a fifth of a second of the one before are one."""
