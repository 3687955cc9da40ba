"""What a run has measured so far, in memory as on disk: each line is written before it counts.

A trial is written as soon as it was measured. How its server stopped comes later and may take its numbers back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sgibench.model import Stopped, Trial, with_stops


class Ledger:
    """All trials of a run, the newest last."""

    def __init__(
        self, write: Callable[[Trial | Stopped], None] = lambda _line: None, before: Sequence[Trial] = ()
    ) -> None:
        """`write` puts a line on disk; `before` is there already."""
        self._write = write
        self.trials = list(before)

    def add(self, line: Trial | Stopped) -> None:
        """Write a line, and take it in."""
        self._write(line)
        if isinstance(line, Trial):
            self.trials.append(line)
        else:
            self.trials = with_stops(self.trials, [line])
