"""A declaration's client behind a guard: what it gives is whole, or a MisdeclaredError that names its file.

What comes from a service is stored with every trial and computed with; a version that is no text, or a count that is
no number, would otherwise be found by whoever writes the run down, when all of it is measured.
"""

from __future__ import annotations

from typing import Any

from sgibench.catalogue.fitting import is_text, misfit, shown
from sgibench.errors import MisdeclaredError
from sgibench.model import Rows, ServiceClient, ServiceEntry, ShareLook

LONGEST = 500
"""Characters of a version or an address."""


class CheckedClient:
    """Asks like the client that it is made of."""

    def __init__(self, entry: ServiceEntry, client: ServiceClient) -> None:
        self._entry = entry
        self._client = client

    def version(self) -> str:
        """Say which version answers."""
        return self._line("version", self._client.version())

    def share(self, name: str) -> str:
        """Make an empty share, and give its address."""
        return self._line("share", self._client.share(name))

    def look(self, name: str) -> ShareLook:
        """Look at a share."""
        looked: Any = self._client.look(name)
        if wrong := misfit(ShareLook, looked, "client.look(name)"):
            raise MisdeclaredError(self._entry.path, wrong)
        self._refuse_negative("look", looked.connections, looked.opened)
        return ShareLook(
            connections=looked.connections,
            opened=looked.opened,
            refused=looked.refused,
            hurt=looked.hurt,
            full=looked.full,
        )

    def rows(self, name: str) -> Rows | None:
        """Count the items of a share."""
        counted: Any = self._client.rows(name)
        if counted is None:
            return None
        if wrong := misfit(Rows, counted, "client.rows(name)"):
            raise MisdeclaredError(self._entry.path, wrong)
        self._refuse_negative("rows", counted.count)
        return Rows(count=counted.count, pieces=counted.pieces)

    def drop(self, name: str) -> None:
        """Take a share away."""
        self._client.drop(name)

    def close(self) -> None:
        """Say goodbye."""
        self._client.close()

    def _line(self, method: str, given: object) -> str:
        if not is_text(given) or not isinstance(given, str) or not given.isprintable() or len(given) > LONGEST:
            raise self._misdeclared(method, f"one line of text of at most {LONGEST} characters", given)
        return given

    def _refuse_negative(self, method: str, *numbers: int | None) -> None:
        for number in numbers:
            if number is not None and number < 0:
                raise self._misdeclared(method, "no number below 0", number)

    def _misdeclared(self, method: str, expected: str, came: object) -> MisdeclaredError:
        return MisdeclaredError(self._entry.path, f"client.{method}(): expected {expected}, got {shown(came)}")
