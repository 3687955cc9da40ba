"""The CPU clocks of a target: of its server, of the front before it, of its services, of this process, of the app.

One of several load processes reads those of others, the first; the rest read only their own. Processes are looked for
when a visit begins, outside counted time; at both edges of a piece the server's clock is read nearest to the edge. What
takes longer than a clock is read before and after: requests that are due at an edge would wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sgibench.inside import PageClock, Stretch
from sgibench.load.cpu import ServiceClock, TreeClock
from sgibench.load.orders import TargetOrder


@dataclass(frozen=True, kw_only=True)
class Used:
    """What a piece cost, by whom."""

    server_ns: int | None
    front_ns: int | None
    services_ns: Mapping[str, int | None]
    own_ns: int
    """Of this load process."""
    pages: Stretch
    """What the app counted of itself."""


class Clocks:
    """All that is read at the edges of a piece."""

    def __init__(self, spec: TargetOrder, *, first: bool) -> None:
        """`first`: whether this is the process that reads what belongs to others."""
        self.server = TreeClock(spec.pids if first else (), grows=not spec.spawns)
        self._front = TreeClock(spec.front_pids if first else ())
        self._services = {name: ServiceClock(root) for name, root in spec.services.items() if first}
        self._pages = PageClock(spec.data if first else None)
        self._own_ns = 0
        self._of_services: dict[str, int | None] = {}

    def look(self) -> None:
        """Find the processes and the app's pages, outside counted time."""
        self.server.look()
        self._front.look()
        for clock in self._services.values():
            clock.look()
        self._pages.look()

    def ready(self) -> None:
        """A piece is near: read what takes its time, so that nothing is late when it begins."""
        self.server.ready()
        self._front.ready()
        self._pages.ready()

    def start(self) -> None:
        """It has begun."""
        self._pages.start()
        self._own_ns = time.process_time_ns()
        self._front.start()
        for clock in self._services.values():
            clock.start()
        self.server.start()

    def edge(self) -> None:
        """It ends at this moment: read what goes on, in as short a time as can be."""
        self.server.edge()
        self._front.edge()
        self._of_services = {name: clock.stop() for name, clock in self._services.items()}
        self._own_ns = time.process_time_ns() - self._own_ns
        self._pages.edge()

    def used(self) -> Used:
        """Say what it cost, after its edge, when nothing waits."""
        return Used(
            server_ns=self.server.stop(),
            front_ns=self._front.stop(),
            services_ns=self._of_services,
            own_ns=self._own_ns,
            pages=self._pages.stop(),
        )
