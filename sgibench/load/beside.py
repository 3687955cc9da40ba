"""What is held open beside the connections that are measured: declared by a scenario, as data."""

from __future__ import annotations

from dataclasses import dataclass

from sgibench.load.request import Request
from sgibench.model.terms import Protocol

SPEAK: tuple[Protocol, ...] = ("http", "https")
"""What connections that are held open speak: over HTTP/2 requests share connections, and nothing is beside."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Further connections to the same server, opened before its window and closed after it."""

    count: int
    """So many; processes that measure together share them."""
    asks: Request | None = None
    """Asked on each of them once it is open; after the answer it stays idle."""
    repeats: bool = False
    """Whether it is asked again and again instead: streams that are always open."""
    silent_s: float | None = None
    """With `repeats`: a stream that says nothing for so long is a time-out; None lets it be silent."""
    handshake: Request | None = None
    """Opens each of them, for WebSockets."""

    def __post_init__(self) -> None:
        if self.count < 1 or (self.asks is None) == (self.handshake is None):
            raise ValueError(f"beside: expected at least one connection, and `asks` or `handshake`, got {self!r}")
        if self.silent_s is not None and not (self.repeats and self.silent_s > 0):
            raise ValueError(f"beside: expected `silent_s` above 0, and with `repeats`, got {self!r}")
