"""One process or many that carry out the same order in step: what one knows and all must act upon is exchanged.

Every process runs the same code over the same targets with its own share of connections and rate. They part ways only
where they have agreed: `agree` gives everybody what everybody said, and a common moment, on the one monotonic clock of
this host, at which to go on. One process agrees with itself at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from locust.env import Environment

from sgibench.load import field as fields

if TYPE_CHECKING:
    from sgibench.load.target import Target


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What all said, in the order of their indices, and when to go on."""

    said: Sequence[dict[str, Any]]
    at_ns: int

    def any(self, key: str) -> Any:
        """The first thing said under a key that is not nothing."""
        return next((each[key] for each in self.said if each.get(key)), None)

    def most(self, key: str) -> float:
        """The largest number said under a key."""
        return float(max(each[key] for each in self.said))

    def each(self, key: str) -> list[Any]:
        """The members of the lists said under a key."""
        return [member for each in self.said for member in each[key]]

    def sum(self, key: str) -> float:
        """The sum of the numbers said under a key."""
        return float(sum(each[key] for each in self.said))


class Together(Protocol):
    """The processes that carry out one order."""

    index: int
    """This one's number, from 0."""
    of: int
    """How many there are."""

    def agree(self, said: dict[str, Any]) -> Agreement:
        """Wait until all have come to this point; everybody must call this equally often."""

    def recruit(self, cls: type[fields.Player], places: Sequence[Target]) -> None:
        """Have Locust spawn a user for each place."""

    def dismiss(self) -> None:
        """Stop the users."""


class Alone:
    """One process."""

    index = 0
    of = 1

    def __init__(self) -> None:
        self._environment: Environment | None = None

    def agree(self, said: dict[str, Any]) -> Agreement:
        """Agree with oneself."""
        return Agreement(said=(said,), at_ns=monotonic_ns())

    def recruit(self, cls: type[fields.Player], places: Sequence[Target]) -> None:
        """Spawn the users here."""
        environment: Any = Environment(user_classes=[cls])  # type: ignore[list-item]  # players are Locust users
        self._environment = environment
        fields.offer(environment, cls, places)
        runner = environment.create_local_runner()
        runner.start(len(places), spawn_rate=len(places))
        runner.spawning_greenlet.join()
        gevent.sleep(0)

    def dismiss(self) -> None:
        """Stop the users."""
        if self._environment is not None and self._environment.runner is not None:
            self._environment.runner.quit()
