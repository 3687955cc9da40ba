"""The load process's questions to the engine while the web UI is open: one line out, one answer back, by number.

A question may take long (an environment is made); only the greenlet that asks waits. What the engine says unasked is
news and goes to whoever listens.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from gevent.event import AsyncResult

from sgibench.errors import LoadError

Say = Callable[[dict[str, Any]], None]
REFUSED = "refused"


class EngineLine:
    """Asks, and hands each answer to the greenlet that waits for it."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._numbers = count(1)
        self._waiting: dict[int, AsyncResult] = {}
        self.on_news: Callable[[dict[str, Any]], None] = lambda _news: None
        """Called from the loop itself: it must not wait."""

    def ask(self, name: str, **words: Any) -> dict[str, Any]:
        """Ask and wait; raises LoadError with the engine's sentence when it refuses."""
        number = next(self._numbers)
        result = self._waiting[number] = AsyncResult()
        try:
            self._say({"ask": name, "id": number, **words})
            told: dict[str, Any] = result.get()
        finally:
            del self._waiting[number]
        if told["tell"] == REFUSED:
            raise LoadError(str(told["message"]))
        return told

    def cancel(self) -> None:
        """Take back what was asked last and is not answered yet; that question is answered with a refusal."""
        self._say({"ask": "cancel", "id": next(self._numbers)})

    def hear(self, told: dict[str, Any]) -> None:
        """Take a line of the engine: an answer, or news. An answer nobody waits for any more is dropped."""
        if "id" not in told:
            self.on_news(told)
        elif told["id"] in self._waiting:
            self._waiting[told["id"]].set(told)
