"""A time limit for whatever a declaration's client asks: a service that stands still must not stop a run.

A client may wait in a way that nothing can interrupt (a driver's C code, a socket without a time-out), so the question
is asked in a thread of its own, which is left behind when its time is up; it ends when the service is killed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TimeLimitError(Exception):
    """There was no answer in time."""


class _Asking(threading.Thread, Generic[T]):
    """Asks one question, and keeps the answer or what was raised."""

    def __init__(self, question: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._question = question
        self.answers: list[T] = []
        self.raised: BaseException | None = None

    def run(self) -> None:
        """Ask."""
        try:
            self.answers.append(self._question())
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked
            self.raised = error


def within(limit_s: float, question: Callable[[], T]) -> T:
    """Ask, and give the answer or raise what was raised; raises TimeLimitError when that takes longer."""
    asking = _Asking(question)
    asking.start()
    asking.join(limit_s)
    if asking.is_alive():
        raise TimeLimitError
    if asking.raised is not None:
        raise asking.raised
    return asking.answers[0]
