"""One member of a crew: a Locust worker that carries out its share of each order in step with the others."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

import gevent
from gevent.event import AsyncResult
from locust.env import Environment

from sgibench.errors import LoadError
from sgibench.load import field as fields
from sgibench.load.measure import Measurement
from sgibench.load.orders import read_measure
from sgibench.load.parent import follow_parent, settle_down
from sgibench.load.rehearsed import Rehearsed
from sgibench.load.strangers import Strangers
from sgibench.load.target import Target
from sgibench.load.together import Agreement

USERS_S = 5.0
"""So long the master may take to send the users; then a worker spawns those that it lacks itself. Locust sends none to
a worker that it takes for missing just then, and shares them out wrongly when one has said twice that it is ready, as
a worker does that waited long for an answer."""


class Member:
    """The other processes, as one of them sees them; a Together."""

    def __init__(self, port: int) -> None:
        self.index = 0
        self.of = 1
        self._environment: Any = Environment(user_classes=[])
        self._runner: Any = self._environment.create_worker_runner("127.0.0.1", port)
        self._agreed: AsyncResult = AsyncResult()
        self._running: Measurement | None = None
        self._strangers, self._rehearsed = Strangers(), Rehearsed()
        for name, listener in (
            ("sgi_order", self._on_order),
            ("sgi_agreed", self._on_agreed),
            ("sgi_abort", self._on_abort),
            ("sgi_drop", self._on_drop),
        ):
            self._runner.register_message(name, listener)
        self._runner.send_message("sgi_here")

    def serve(self) -> None:
        """Obey until the master is gone."""
        self._runner.greenlet.join()

    # --- Together --------------------------------------------------------------------------------------------------

    def agree(self, said: dict[str, Any]) -> Agreement:
        """Wait until all have come to this point."""
        self._agreed = AsyncResult()
        self._runner.send_message("sgi_agree", {"said": said})
        agreed = self._agreed.get()
        return Agreement(said=agreed["said"], at_ns=agreed["at_ns"])

    def recruit(self, cls: type[fields.Player], places: Sequence[Target]) -> None:
        """Have the master send a user for each place; it sends as many to each worker as the fullest one needs."""
        self._environment.user_classes = [cls]
        fields.offer(self._environment, cls, places)
        began_ns = monotonic_ns()
        self._runner.send_message("sgi_recruit", {"places": len(places)})
        while left := fields.places_left(self._environment):
            if monotonic_ns() - began_ns > USERS_S * 1e9:
                began_ns = monotonic_ns()
                self._runner.spawn_users({cls.__name__: left})
            gevent.sleep(0.001)

    def dismiss(self) -> None:
        """Leave it to the master, who stops all of them."""

    # --- what the master says --------------------------------------------------------------------------------------

    def _on_order(self, msg: Any, **_: Any) -> None:
        self.index, self.of = msg.data["index"], msg.data["of"]
        gevent.spawn(self._obey, msg.data["order"])

    def _on_agreed(self, msg: Any, **_: Any) -> None:
        self._agreed.set(msg.data)

    def _on_abort(self, **_: Any) -> None:
        if self._running is not None:
            self._running.abort()

    def _on_drop(self, msg: Any, **_: Any) -> None:
        if self._running is not None:
            self._running.drop(msg.data["target"], msg.data["reason"])

    def _obey(self, order: dict[str, Any]) -> None:
        """Carry an order out, and send what was counted."""
        try:
            self._running = running = Measurement(
                read_measure(order), self._say, self, strangers=self._strangers, rehearsed=self._rehearsed
            )
            shares = running.shares()
            self._runner.send_message(
                "sgi_shares", {"shares": [{**share, "aborted": running.aborted} for share in shares]}
            )
        except Exception as error:  # noqa: BLE001 - the engine must hear of bugs too
            text = "" if isinstance(error, LoadError) else "".join(traceback.format_exception(error))
            self._runner.send_message("sgi_failed", {"message": str(error), "traceback": text})
        finally:
            self._running = None

    def _say(self, event: dict[str, Any]) -> None:
        self._runner.send_message("sgi_say", event)


def main(port: int) -> None:
    """Join the master on this port."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("locust.runners").setLevel(logging.ERROR)  # it warns of spawn rates above 100 per second
    follow_parent()
    settle_down()
    Member(port).serve()
