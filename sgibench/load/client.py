"""The client of the task path: `self.client.get(…)` in any `@task` method, at the speed of a raw socket.

A call sends one request on the user's own connection and waits for its answer; what it expects is checked like on the
declared path, and ends in the same statistics and histograms. A wrong answer ends the task: RequestFailed is one of
Locust's own "next task, please" exceptions, so a failed login does not go on to buy something.
"""

from __future__ import annotations

import json as json_text
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from locust.exception import RescheduleTask

from sgibench.load.paces import ask_and_wait
from sgibench.load.request import Ask, Check, Request
from sgibench.load.wire.answer import Answer, WireError

if TYPE_CHECKING:
    from sgibench.load.target import Target
    from sgibench.load.wire.connection import Connection

Expectation = int | bytes | Check | tuple[int, bytes | Check]
"""A status, an exact body, a check function, or a status with one of the two; the status is 200 when not given."""
Listener = Callable[..., None]

REMEMBERED = 512
"""Requests without a body whose bytes are kept for the next time."""


class RequestFailed(RescheduleTask):
    """A request of a task got no right answer."""

    def __init__(self, error: WireError) -> None:
        super().__init__(str(error))
        self.kind = error.kind


class Client:
    """One user's client: one connection, one request at a time."""

    def __init__(self, conn: Connection, target: Target) -> None:
        self.connection = conn
        self._target = target
        self._asks: dict[object, Ask] = {}
        self.announce: Callable[[Ask, Answer | None, WireError | None], None] | None = None
        """Set when somebody listens to Locust's request event."""

    def get(self, path: str, *, expect: Expectation = 200, name: str = "", **options: Any) -> Answer:
        """GET; see `request`."""
        ask = None if options else self._asks.get(("GET", path, expect, name))
        if ask is None:
            return self.request("GET", path, expect=expect, name=name, **options)
        return self._answer_to(ask)

    def head(self, path: str, **options: Any) -> Answer:
        """HEAD; see `request`."""
        return self.request("HEAD", path, **options)

    def post(self, path: str, **options: Any) -> Answer:
        """POST; see `request`."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Answer:
        """PUT; see `request`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Answer:
        """PATCH; see `request`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        """DELETE; see `request`."""
        return self.request("DELETE", path, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        expect: Expectation = 200,
        name: str = "",
        body: bytes = b"",
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and wait for its answer; raises RequestFailed when it is not what `expect` says."""
        key = (method, path, expect, name)
        ask = None if body or json is not None or headers else self._asks.get(key)
        return self._answer_to(self._prepare(key, body, json, headers) if ask is None else ask)

    def _answer_to(self, ask: Ask) -> Answer:
        """Ask and wait; raises RequestFailed."""
        try:
            answer = ask_and_wait(self._target, self.connection, ask)
        except WireError as error:
            if self.announce is not None:
                self.announce(ask, None, error)
            raise RequestFailed(error) from error
        if self.announce is not None:
            self.announce(ask, answer, None)
        return answer

    def _prepare(
        self, key: tuple[str, str, Expectation, str], body: bytes, json: Any, headers: Mapping[str, str] | None
    ) -> Ask:
        """Write the request's bytes."""
        method, path, expect, name = key
        fields = tuple((headers or {}).items())
        if json is not None:
            body = json_text.dumps(json, separators=(",", ":")).encode()
            fields = (("Content-Type", "application/json"), *fields)
        status, content = expected(expect)
        request = Request(method=method, path=path, headers=fields, body=body, status=status, expect=content, name=name)
        ask = self._target.program.ask_for(request)
        if not body and not fields:
            if len(self._asks) >= REMEMBERED:
                self._asks.clear()
            self._asks[key] = ask
        return ask


def expected(expect: Expectation) -> tuple[int, bytes | Check | None]:
    """Split an expectation into status and body."""
    if isinstance(expect, int):
        return expect, None
    if isinstance(expect, tuple):
        return expect
    return 200, expect
