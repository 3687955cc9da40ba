"""What came of a target so far, counted or not: the stretches of its warm-up, what came outside windows, the windows.

All of it is read once folded (`Target.fold`), which this leaves to whoever needs to know exactly. Warm-up stretches are
looked at apart until that is over; then they are one with what comes outside windows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sgibench.load.tally import Tally
from sgibench.load.target import Target
from sgibench.model.kinds import gravest


@dataclass(kw_only=True)
class Heard:
    """All that a target answered, and failed to."""

    target: Target
    _ended: list[Tally] = field(default_factory=list)
    """The stretches of a warm-up that goes on, but for the one under way."""

    @property
    def stretches(self) -> list[Tally]:
        """What came outside windows; while the warm-up lasts, stretch by stretch."""
        return [*self._ended, self.target.outside]

    @property
    def answered(self) -> int:
        """Right answers."""
        return self.target.tally.requests + sum(tally.requests for tally in self.stretches)

    @property
    def errors(self) -> Counter[str]:
        """Errors by kind."""
        return sum((tally.errors for tally in self.stretches), self.target.tally.errors)

    @property
    def timeouts(self) -> int:
        """Requests that waited in vain."""
        return self.errors["timeout"]

    def gravest(self) -> tuple[str, str]:
        """Kind and example of the error that explains the others."""
        samples = {kind: text for tally in (*self.stretches, self.target.tally) for kind, text in tally.samples.items()}
        kind = gravest(self.errors) or "closed"
        return kind, samples.get(kind, "")

    def new_stretch(self) -> None:
        """The warm-up goes on; what comes from here on is looked at apart."""
        self.target.fold()
        self._ended.append(self.target.outside)
        self.target.outside = Tally()

    def end_warmup(self) -> None:
        """Its stretches are one."""
        total = Tally()
        for tally in self.stretches:
            total.merge(tally)
        self.target.outside, self._ended = total, []
