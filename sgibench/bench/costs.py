"""What the user's app itself costs, without a server: measured after each block, on the servers' CPUs, while none runs.

The process is what is replicated here, too: a block gives one value, so that what drifts drifts under both sides of
the share that the report opens with.
"""

from __future__ import annotations

from dataclasses import replace

from sgibench.bench.own import Looked, costs_of
from sgibench.engine.stage import Workshop
from sgibench.errors import ServerError
from sgibench.results import store
from sgibench.serve.own.driving import drive

SECONDS = 0.5
"""Of calls for each request, beside a third as long to warm up."""


class AppCosts:
    """Adds the cost of each request to the run after each block."""

    def __init__(self, looked: Looked, writer: store.RunWriter, workshop: Workshop) -> None:
        self._looked = looked
        self._writer = writer
        self._workshop = workshop

    def __call__(self, block: int) -> None:
        """Measure and store; a block that has its costs already is left alone."""
        own = self._writer.info.own
        if own is None or any(cost.block == block for cost in own.costs):
            return
        found = []
        for app in self._looked.apps:
            try:
                driven = drive(
                    app, self._looked.scenario.requests, self._workshop.scratch, self._workshop.cpus.servers, SECONDS
                )
            except ServerError as error:
                self._workshop.listener.say(f"{app.id} without a server: {error}")
                continue
            if all(one.error is None for one in driven):
                found += costs_of(app, self._looked, driven, block=block)
        info = self._writer.info
        self._writer.write_info(replace(info, own=replace(own, costs=(*own.costs, *found))))
