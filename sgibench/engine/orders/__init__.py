"""The engine's end of the line to the load process: JSON lines out, JSON lines in.

The load process lives for the whole run, in a session of its own, on its own CPUs. `process` starts it, gives it
orders, and calls back while it waits, so that the engine can watch the servers meanwhile; `line` carries the words and
notices when nobody speaks any more; `told` has the nouns, `reading` makes them of the answers. None of it ever imports
Locust.
"""

from __future__ import annotations

from sgibench.engine.orders.process import CANCEL, LoadProcess
from sgibench.engine.orders.reading import measured_of
from sgibench.engine.orders.told import BesideTarget, Measured, Step, Target

__all__ = ["CANCEL", "BesideTarget", "LoadProcess", "Measured", "Step", "Target", "measured_of"]
