"""Where time goes: a stopwatch that is always in exactly one phase, so that its phases add up to all that passed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping


class Laps:
    """Seconds by phase."""

    def __init__(self, phase: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin in a phase."""
        self.phase = phase
        self._clock = clock
        self._since_s = clock()
        self._spent_s: Counter[str] = Counter()

    def to(self, phase: str) -> str:
        """From here on time belongs to another phase; gives the one that ends."""
        before, now_s = self.phase, self._clock()
        self._spent_s[before] += now_s - self._since_s  # type: ignore[assignment]  # a Counter adds floats as well
        self.phase, self._since_s = phase, now_s
        return before

    def shared(self, parts: Mapping[str, float]) -> None:
        """Say better where time went that passed in the present phase: `parts` of it belong to these."""
        self.to(self.phase)
        for phase, seconds in parts.items():
            self._spent_s[phase] += seconds  # type: ignore[assignment]
            self._spent_s[self.phase] -= seconds  # type: ignore[assignment]

    def were(self, phase: str, before: Mapping[str, float]) -> None:
        """Say that all that passed since `spent_s` said this belongs to one phase."""
        for each, seconds in self.since(before).items():
            self._spent_s[each] -= seconds  # type: ignore[assignment]
            self._spent_s[phase] += seconds  # type: ignore[assignment]

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """What each phase took since `spent_s` said this."""
        after = {phase: seconds - before.get(phase, 0.0) for phase, seconds in self.spent_s.items()}
        return {phase: seconds for phase, seconds in after.items() if seconds > 0}

    @property
    def spent_s(self) -> dict[str, float]:
        """All phases so far, the longest first."""
        self.to(self.phase)
        return {phase: seconds for phase, seconds in self._spent_s.most_common() if seconds > 0}
