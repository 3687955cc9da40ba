"""Carries out the events of a scenario on one deployment while its window lasts, and says when it did.

When the window began is told by the load process in shares of it; what was done is noted by the host's monotonic clock,
which the load process reads, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sgibench.engine.behaviours import Done, behaviour_of
from sgibench.engine.noted import noted_ns
from sgibench.engine.orders import Measured
from sgibench.errors import ServerError
from sgibench.model.behaviour import Incident, Watched
from sgibench.serve.process import ServerProcess


class Director:
    """Does each event once, when its moment has come."""

    def __init__(
        self,
        events: Sequence[Incident],
        process: ServerProcess,
        window_s: float,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._left = sorted(events, key=lambda event: event.at)
        self._process = process
        self._window_ns = window_s * 1e9
        self._clock_ns = clock_ns
        self._began_ns: float | None = None
        self.done: list[Done] = []
        self._over_ns: int | None = None
        """When the last of them had been carried out."""
        self.failure: ServerError | None = None
        """Why an event could not be carried out."""

    def stepped(self, phase: str, share: float) -> None:
        """Learn where the window stands."""
        if phase == "measure" and self._began_ns is None:
            self._began_ns = self._clock_ns() - share * self._window_ns

    def act(self) -> None:
        """Do what is due."""
        while self._began_ns is not None and self._left and self.failure is None:
            event = self._left[0]
            if self._clock_ns() < self._began_ns + event.at * self._window_ns:
                return
            self._left.pop(0)
            self._carry_out(event)

    def _carry_out(self, event: Incident) -> None:
        words = {"kill": "killed", "start": "started again"}
        at_ns = self._clock_ns()
        try:
            if event.do == "kill":
                self._process.take_away(event.server)
            else:
                self._process.bring_back(event.server)
        except ServerError as error:
            self.failure = error
            return
        self._over_ns = self._clock_ns()
        count = self._process.servers
        self.done.append(Done(at_ns=at_ns, do=event.do, what=f"server {event.server} of {count} {words[event.do]}"))

    def missed(self, edges_ns: Sequence[tuple[int, int]]) -> ServerError | None:
        """Why not all that was to happen happened between the edges of the window; None when it did."""
        if self.failure is not None:
            return self.failure
        began_ns, ended_ns = (edges_ns[0][0], edges_ns[-1][1]) if edges_ns else (0, 0)
        outside = sum(not began_ns <= one.at_ns < ended_ns for one in self.done)
        late = not outside and self._over_ns is not None and self._over_ns >= ended_ns
        if count := len(self._left) + outside + late:
            words = f"{count} of the scenario's events did not come about before its window ended"
            return ServerError("events", f"{words}: ask for a longer one (--window)")
        return None


class Directors:
    """Those of all deployments of a group, and what came of it."""

    def __init__(self, watched: Watched, processes: Mapping[str, ServerProcess], window_s: float) -> None:
        self._watched = watched
        self._processes = processes
        self._directors = {name: Director(watched.incidents, one, window_s) for name, one in processes.items()}

    def stepped(self, target: str, phase: str, share: float) -> None:
        """Learn where a window stands."""
        self._directors[target].stepped(phase, share)

    def act(self) -> None:
        """Do what is due."""
        for director in self._directors.values():
            director.act()

    def missed(self, measured: Measured) -> ServerError | None:
        """Why not all that was to happen to a deployment did, in its window."""
        return self._directors[measured.id].missed(measured.edges_ns)

    def seen(self, measured: Measured) -> Measured:
        """Add the behaviour to what was measured, and leave out CPU of which some is that of killed processes."""
        if not self._watched.any or not measured.edges_ns:
            return measured
        if self._watched.incidents:
            pieces = tuple(replace(one, cpu_s=None) for one in measured.slices)
            measured = replace(measured, cpu_s=None, slices=pieces)
        data = self._processes[measured.id].spec.scratch / "data"
        behaviour = behaviour_of(
            measured.samples,
            self._directors[measured.id].done,
            noted_ns(data) if self._watched.noted else None,
            (measured.edges_ns[0][0], measured.edges_ns[-1][1]),
            sum(measured.errors.values()),
        )
        return replace(measured, behaviour=replace(behaviour, slow=measured.slow))
