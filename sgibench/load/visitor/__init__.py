"""One target of a measurement: visits, what is counted in them, and when it is of no use to go on.

Nothing here decides who is visited when; that is the measurement's. `visited` goes and asks; `counting` has the counted
part of each visit and `clocks` the CPU of it, read at the same edges, between two batches of events, so both cover
exactly the counted time. `heard` is all that ever came, and the warm-up of it; `held` what stands open beside a window;
`patience` says when to give up. Each visit ends with its gate closed and all that it owns drained: answered, or an
error.
"""

from __future__ import annotations

from sgibench.load.visitor.patience import STANDING_S
from sgibench.load.visitor.visited import CALM_S, STEP_S, Visited, visiting

__all__ = ["CALM_S", "STANDING_S", "STEP_S", "Visited", "visiting"]
