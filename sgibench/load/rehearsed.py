"""What answers were like whenever this run rehearsed a server at a rate: in later blocks, less is left to learn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sgibench.histogram import Histogram


class Rehearsed:
    """Stretches of rehearsals, by target."""

    def __init__(self) -> None:
        self._stretches: dict[str, list[Histogram]] = defaultdict(list)

    def of(self, target: str) -> tuple[Histogram, ...]:
        """Give all stretches in which it answered, the oldest first."""
        return tuple(self._stretches.get(target, ()))

    def forget(self, target: str) -> None:
        """It is not what it was."""
        self._stretches.pop(target, None)

    def remember(self, target: str, stretches: Sequence[Histogram]) -> None:
        """Add those of a rehearsal."""
        self._stretches[target] += [stretch for stretch in stretches if stretch.count]
