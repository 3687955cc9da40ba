"""How a server stopped, which is known only after what was measured on it is on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sgibench.model.failed import as_failed
from sgibench.model.trial import Failure, Trial


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A later line of trials.jsonl about trials that stand in earlier ones."""

    stopped: tuple[str, ...]
    """The cells that were measured on the server."""
    block: int
    retries: int
    """With the block, which execution of these cells it was."""
    stop_s: float | None = None
    """Seconds from SIGTERM until it had ended; None when it had to be killed, or had ended before."""
    failure: Failure | None = None
    """Why all that was measured on it counts for nothing."""


def with_stops(trials: Sequence[Trial], stops: Sequence[Stopped]) -> list[Trial]:
    """Give the trials with what became of their servers afterwards."""
    about = {(stop.block, stop.retries, cell): stop for stop in stops for cell in stop.stopped}

    def told(trial: Trial) -> Trial:
        stop = about.get((trial.block, trial.retries, trial.cell))
        if stop is None:
            return trial
        if stop.failure is None:
            return replace(trial, stop_s=stop.stop_s)
        return as_failed(trial, trial.failure or stop.failure)

    return [told(trial) for trial in trials] if about else list(trials)
