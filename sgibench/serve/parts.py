"""The commands that one server consists of: itself, or a front with the servers behind it.

Each stands behind a guard of its own. Together they live as long as each of them does, but for one that was taken away
on purpose; they are asked to end together, and all are buried whatever happened to one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sgibench.serve.guarded import Command, Guarded


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that ended by itself."""

    name: str
    status: int | None


class Parts:
    """Commands by name, from their start to their burial."""

    def __init__(self) -> None:
        self._running: dict[str, Guarded] = {}
        self._away: set[str] = set()
        self.replaced: set[str] = set()
        """Those that were taken away at some time."""

    def start(self, name: str, command: Command) -> int:
        """Start one, or start it again; gives its pid. Raises NotStartedError."""
        running = self._running[name] = Guarded(command)
        running.start()
        self._away.discard(name)
        return running.pid

    def take_away(self, name: str) -> None:
        """Kill one with all that it started; from here on nobody misses it."""
        self._away.add(name)
        self.replaced.add(name)
        self._running[name].kill()

    def ended(self) -> Ended | None:
        """The first that has ended unasked; None while all live."""
        for name, running in self._needed().items():
            if not running.alive():
                return Ended(name=name, status=running.exit_status)
        return None

    def alive(self) -> bool:
        """Whether there are some, and all live."""
        return bool(self._running) and self.ended() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM to each, those in front first, and don't wait."""
        for running in reversed(self._running.values()):
            if running.alive():
                running.ask_to_stop()

    def wait(self, timeout_s: float) -> bool:
        """Wait until each has ended; whether they have."""
        deadline = time.monotonic() + timeout_s
        return all(running.wait(deadline - time.monotonic()) for running in self._needed().values())

    @property
    def exited_s(self) -> float | None:
        """When the last of them ended; None while one lives, or where nobody saw it."""
        times = [running.exited_s for running in self._needed().values()]
        known = [at_s for at_s in times if at_s is not None]
        return max(known) if known and len(known) == len(times) else None

    def let_go(self) -> None:
        """Have all killed, and don't wait."""
        for running in self._running.values():
            running.let_go()

    def kill(self) -> None:
        """End every process that any of them ever started."""
        self.let_go()
        for running in self._running.values():
            running.kill()

    def pids(self, names: Iterable[str] | None = None) -> tuple[int, ...]:
        """All processes that live, or those of some."""
        chosen = self._running if names is None else {name: self._running[name] for name in names}
        return tuple(sorted(pid for running in chosen.values() for pid in running.pids()))

    def pids_by_name(self) -> Mapping[str, tuple[int, ...]]:
        """The processes of each."""
        return {name: running.pids() for name, running in self._running.items()}

    def _needed(self) -> dict[str, Guarded]:
        return {name: running for name, running in self._running.items() if name not in self._away}
