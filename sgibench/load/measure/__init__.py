"""Measure: warm each target up, choose how windows are made, make them, and say what was counted.

A window is as long as the clock says, not as long as it was meant, and owns what is due or sent in it: at its edge the
gate closes, and what is in flight is drained and counted. Processes that measure together take every turn of this road
together: what decides a turn is agreed upon just before it. `measurement` is the road, `course` what its stretches
share, `warming` the warm-up and the rehearsal, `windows` what counts.
"""

from __future__ import annotations

from sgibench.load.measure.measurement import Measurement, answer_of
from sgibench.load.measure.warming import STEADY, WARMUP_S

__all__ = ["STEADY", "WARMUP_S", "Measurement", "answer_of"]
